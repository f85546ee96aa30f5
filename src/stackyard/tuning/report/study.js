// What helps in the page of a study: tables that sort, and a trial that is shown wherever it stands. All else is there
// without this script.
"use strict";

function sortable(table) {
  const body = table.tBodies[0];
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
      const keyed = [...body.rows].map((row) => [row, row.cells[column].dataset.v ?? row.cells[column].textContent]);
      const numbers = keyed.every(([, key]) => key === "" || !Number.isNaN(Number(key)));
      keyed.sort(([, a], [, b]) => {
        if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;  // what was not measured is last
        const order = numbers ? Number(a) - Number(b) : a.localeCompare(b);
        return down ? -order : order;
      });
      body.append(...keyed.map(([row]) => row));
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
