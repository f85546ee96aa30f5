// Keeps parts of a page fresh: asks for each again and again, as long as the task runs or the page is open. What comes is
// rendered and escaped by the server. A part with data-end is a log: the view stays at its end if it was there.
"use strict";
(() => {
  const running = (status) => status === undefined || status === "in_progress" || status === "queued";
  const keep = (part) => {
    const every = Number(part.dataset.every || 5) * 1000;
    let last = "";
    if ("end" in part.dataset) part.scrollTop = part.scrollHeight;
    const follow = async () => {
      try {
        const answer = document.hidden ? null : await fetch(part.dataset.source, { credentials: "same-origin" });
        if (answer && answer.ok && !answer.redirected) {
          const text = await answer.text();
          if (text !== last) {
            const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < 40;
            part.innerHTML = text;
            last = text;
            if (atEnd && "end" in part.dataset) part.scrollTop = part.scrollHeight;
          }
          const status = answer.headers.get("x-task-status");
          if (status && status !== part.dataset.status) { location.reload(); return; }
        }
      } catch { /* the server is away for a moment: try again */ }
      if (running(part.dataset.status)) setTimeout(follow, every);
    };
    if (running(part.dataset.status)) setTimeout(follow, Math.min(every, 1000));
  };
  document.querySelectorAll("[data-source]").forEach(keep);
})();
