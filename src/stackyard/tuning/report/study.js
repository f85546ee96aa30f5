// What helps in the page of a study: tables that sort, and a trial that is shown wherever it stands. All else is there
// without this script.
"use strict";

// Each trial is a body of its own: its row, and where it did not come to its end a line that says why.
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...table.tBodies].map((body) => {
        const cell = body.rows[0].cells[column];
        return [body, cell.dataset.v ?? cell.textContent];
      });
      const numbers = keyed.every(([, key]) => key === "" || !Number.isNaN(Number(key)));
      keyed.sort(([, a], [, b]) => {
        if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;  // what was not measured is last
        const order = numbers ? Number(a) - Number(b) : a.localeCompare(b);
        return down ? -order : order;
      });
      table.append(...keyed.map(([body]) => body));
    });
  });
}

const of = new Map();
document.querySelectorAll("[data-t]").forEach((part) => {
  const name = part.dataset.t;
  of.set(name, [...(of.get(name) ?? []), part]);
});
let shown = null;

function show(name) {
  if (name === shown) return;
  (of.get(shown) ?? []).forEach((part) => part.classList.remove("on"));
  shown = name;
  document.body.classList.toggle("seen", name !== null);
  (of.get(name) ?? []).forEach((part) => part.classList.add("on"));
}

document.addEventListener("pointerover", (event) => show(event.target.closest?.("[data-t]")?.dataset.t ?? null));
document.querySelectorAll("table.trials").forEach(sortable);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
