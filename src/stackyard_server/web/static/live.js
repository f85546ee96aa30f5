// Follows a running task's log: asks for the newest lines, keeps the view at the end if it was there.
"use strict";
(() => {
  const log = document.getElementById("log");
  const running = (status) => status === "in_progress" || status === "queued";
  if (!log) return;
  log.scrollTop = log.scrollHeight;
  let last = "";
  const follow = async () => {
    try {
      const answer = await fetch(log.dataset.source, { credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const text = await answer.text();
        if (text !== last) {
          const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
          log.innerHTML = text;
          last = text;
          if (atEnd) log.scrollTop = log.scrollHeight;
        }
        const status = answer.headers.get("x-task-status");
        if (status !== log.dataset.status) { location.reload(); return; }
      }
    } catch { /* the server is away for a moment: try again */ }
    if (running(log.dataset.status)) setTimeout(follow, 2000);
  };
  if (running(log.dataset.status)) setTimeout(follow, 1000);
})();
