// Keeps parts of a page fresh: asks for each again and again, as long as the task runs or the page is open, and never
// while nobody looks. What comes is rendered and escaped by the server. data-source: an address that answers the part
// alone. data-refresh: the page itself is asked for, and the part with the same id taken out of it. data-end: a log,
// whose view stays at its end if it was there.
"use strict";
(() => {
  const running = (status) => status === undefined || status === "in_progress" || status === "queued";

  // Whether somebody is at work in a part: then it stays as it is until the next time.
  const inUse = (part) => {
    const at = document.activeElement, selected = getSelection();
    return (part.contains(at) && at.matches("input, select, textarea, button, summary"))
      || (!selected.isCollapsed && part.contains(selected.anchorNode));
  };

  const show = (part, nodes) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.replaceChildren(...nodes);
    part.querySelectorAll("details").forEach((one, i) => { if (open[i]) one.open = true; });
    if (focused) [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  };

  const keep = (part) => {
    const every = Number(part.dataset.refresh || part.dataset.every || 5) * 1000;
    const source = part.dataset.source || location.href;
    let last = "";
    if ("end" in part.dataset) part.scrollTop = part.scrollHeight;
    const follow = async () => {
      try {
        const answer = document.hidden || inUse(part) ? null : await fetch(source, { credentials: "same-origin" });
        if (answer && answer.ok && !answer.redirected) {
          const text = await answer.text();
          if (text !== last && !inUse(part)) {
            const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < 40;
            const come = new DOMParser().parseFromString(text, "text/html");
            const fresh = part.dataset.refresh ? come.getElementById(part.id) : come.body;
            if (fresh) show(part, fresh.childNodes);
            last = text;
            if (atEnd && "end" in part.dataset) part.scrollTop = part.scrollHeight;
          }
          const status = answer.headers.get("x-task-status");
          if (status && status !== part.dataset.status) { location.reload(); return; }
        }
      } catch { /* the server is away for a moment: try again */ }
      if (running(part.dataset.status)) setTimeout(follow, every);
    };
    if (running(part.dataset.status)) setTimeout(follow, part.dataset.refresh ? every : Math.min(every, 1000));
  };
  document.querySelectorAll("[data-source], [data-refresh]").forEach(keep);
})();
