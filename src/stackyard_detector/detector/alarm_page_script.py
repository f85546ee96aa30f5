"""The script of the alarm page. In a Python file because only those travel with a run (``snapshot``).

All text gets into the page as text (``textContent``), never as HTML: names of events and keys are whatever somebody
wrote into a log. Sessions are made when one scrolls to them, and a strip that is far away gives its picture back.
"""

SCRIPT = r"""
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const CELL = 10, GAP = 1, HIGH = 22, ROW = HIGH + 14, BATCH = 40, STEPS = [69, 230, 461, 691];
const made = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const count = (n, word) => n.toLocaleString("en") + " " + word + (n === 1 ? "" : "s");
const plain = (name) => name.replace(/_/g, " ");
const number = (x, digits = 4) => x === null ? "not measured" : String(Number(x.toPrecision(digits)));
const share = (p) => {
  if (p >= 0.001) return Number((100 * p).toPrecision(3)) + " %";
  return p > 0 ? "1 in " + Math.round(1 / p).toLocaleString("en") : "0 %";
};
const when = (seconds) => {
  if (seconds === null) return null;
  const date = new Date(seconds * 1000);
  return isNaN(date) ? null : date.toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
};
const text = (id) => D.names[id][1] === null ? "" : " " + D.names[id][1];
const said = (id) => D.names[id][1] === null ? D.names[id][0] : D.names[id][0] + " – " + D.names[id][1];

// What an event is drawn as: 0 to 4 by surprise, 5 never seen in training, 6 not judged.
const kind = (surprise) => surprise === -2 ? 5 : surprise === -1 ? 6 : STEPS.filter((step) => surprise >= step).length;

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["s0", "s1", "s2", "s3", "s4", "never", "mark", "soft", "card", "focus"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

// -- one strip -------------------------------------------------------------------------------------------------------

class Strip {
  constructor(session, show) {
    this.session = session;
    this.show = show;
    this.matched = null;
    this.pinned = session.look === null ? 0 : session.look - session.from;
    this.at = this.pinned;
    this.node = made("div", "strip");
    this.canvas = this.node.appendChild(made("canvas"));
    Object.entries({ tabindex: "0", role: "slider", "aria-label": "Events of " + session.key,
      "aria-valuemin": session.from, "aria-valuemax": session.from + session.e.length - 1 })
      .forEach(([name, value]) => this.node.setAttribute(name, value));
    this.node.addEventListener("mousemove", (e) => this.go(this.cellAt(e), false));
    this.node.addEventListener("mouseleave", () => this.go(this.pinned, false));
    this.node.addEventListener("click", (e) => this.go(this.cellAt(e), true));
    this.node.addEventListener("keydown", (e) => this.key(e));
  }
  columns() { return Math.max(1, Math.floor((this.width + GAP) / (CELL + GAP))); }
  cellAt(e) {
    const box = this.canvas.getBoundingClientRect(), row = Math.floor((e.clientY - box.top) / ROW);
    const cell = row * this.columns() + Math.floor((e.clientX - box.left) / (CELL + GAP));
    return Math.max(0, Math.min(this.session.e.length - 1, cell));
  }
  go(cell, pin) {
    if (pin) this.pinned = cell;
    if (cell === this.at && !pin) return;
    this.at = cell;
    this.show(cell);
    this.tell();
    this.draw();
  }
  tell() {
    const s = this.session, i = this.at;
    this.node.setAttribute("aria-valuenow", s.from + i);
    this.node.setAttribute("aria-valuetext", "position " + (s.from + i) + ", " + said(s.e[i]) + ", " + judged(s, i));
  }
  key(e) {
    const s = this.session, last = s.e.length - 1, per = this.columns(), unexpected = s.u.map((p) => p - s.from);
    const to = {
      ArrowRight: this.at + 1, ArrowLeft: this.at - 1, ArrowDown: this.at + per, ArrowUp: this.at - per,
      Home: 0, End: last,
      n: unexpected.find((p) => p > this.at), p: unexpected.filter((p) => p < this.at).pop(),
    }[e.key];
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    this.go(Math.max(0, Math.min(last, to)), true);
  }
  draw() {
    this.width = this.node.clientWidth;
    const s = this.session, per = this.columns(), rows = Math.ceil(s.e.length / per);
    const dense = window.devicePixelRatio || 1;
    this.node.style.height = this.canvas.style.height = rows * ROW + "px";
    if (!this.near) return;
    this.canvas.width = Math.round(this.width * dense);
    this.canvas.height = Math.round(rows * ROW * dense);
    const pen = this.canvas.getContext("2d");
    pen.scale(dense, dense);
    const fills = ["s0", "s1", "s2", "s3", "s4", "never"].map((name) => colours[name]);
    for (let i = 0; i < s.e.length; i++) {
      const x = (i % per) * (CELL + GAP), bottom = Math.floor(i / per) * ROW + HIGH + 2, k = kind(s.s[i]);
      const high = k === 6 ? 6 : k === 5 ? HIGH : 6 + 4 * k;
      if (k === 6) {
        pen.strokeStyle = colours.soft;
        pen.strokeRect(x + 0.5, bottom - high + 0.5, CELL - 1, high - 1);
      } else {
        pen.fillStyle = fills[k];
        pen.fillRect(x, bottom - high, CELL, high);
      }
      if (k === 5) {
        pen.fillStyle = colours.card;
        pen.beginPath();
        pen.arc(x + CELL / 2, bottom - HIGH / 2, 2, 0, 7);
        pen.fill();
      }
      pen.fillStyle = colours.mark;
      if (s.attack !== null && s.from + i === s.attack) pen.fillRect(x - 1, bottom - HIGH - 2, 2, HIGH + 2);
      if (s.first !== null && s.from + i === s.first) {
        pen.beginPath();
        pen.moveTo(x + CELL / 2, bottom + 2);
        pen.lineTo(x + CELL, bottom + 9);
        pen.lineTo(x, bottom + 9);
        pen.fill();
      }
      if (this.matched && this.matched[s.e[i]]) pen.fillRect(x, bottom + 10, CELL, 2);
    }
    pen.strokeStyle = colours.focus;
    pen.lineWidth = 2;
    pen.strokeRect((this.at % per) * (CELL + GAP), Math.floor(this.at / per) * ROW + 1, CELL, HIGH + 2);
  }
  rest() { this.near = false; this.canvas.width = 0; }
}

// -- words of an event -----------------------------------------------------------------------------------------------

function judged(s, i) {
  if (s.s[i] === -2) return "never seen in training";
  if (s.s[i] === -1) return "not judged: it stands within the model's history";
  const nats = s.s[i] / 100;
  const rank = "rank " + s.r[i] + " of " + D.known;
  return rank + ", probability " + share(Math.exp(-nats)) + ", surprise " + number(nats) + " nats";
}

function eventNode(s, i) {
  const box = document.createDocumentFragment(), position = s.from + i;
  const reasons = D.parts.filter((_, part) => s.w[i] >> part & 1).map((part) => plain(part.name)).join(", ");
  const what = box.appendChild(made("p"));
  what.append(made("span", "soft", "position " + position + " "), made("b", "", D.names[s.e[i]][0]), text(s.e[i]));
  const why = reasons && "; unusual to: " + reasons;
  const certain = position === s.first ? "; the alarm is certain here" : "";
  box.append(made("p", "", judged(s, i) + why + certain));
  const expected = s.x[i] < 0 ? [] : D.expected[s.x[i]];
  if (expected.length) {
    const lines = made("ul", "expected");
    for (let j = 0; j < expected.length; j += 2) {
      const line = lines.appendChild(made("li"));
      line.append(made("span", "n", share(expected[j + 1] / 10000)), made("span", "", said(expected[j])));
    }
    box.append(made("p", "", "expected instead:"), lines);
  }
  const row = made("p", "row small");
  if (s.e.length > 1) box.append(row);
  for (let j = Math.max(0, i - 3); j < Math.min(s.e.length, i + 4); j++) {
    if (j > Math.max(0, i - 3)) row.append(" → ");
    row.append(made(j === i ? "mark" : "span", "", D.names[s.e[j]][0]));
  }
  return box;
}

// -- one session -----------------------------------------------------------------------------------------------------

const strips = new Map();
const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
  const strip = strips.get(entry.target);
  if (!strip) return;
  if (entry.isIntersecting) { strip.near = true; strip.draw(); } else strip.rest();
}), { rootMargin: "800px" });

function sessionNode(s, matched) {
  const item = made("li"), card = item.appendChild(made("article", "card"));
  const head = card.appendChild(made("div", "head"));
  head.append(made("h2", "", s.key));
  head.append(s.alarm ? made("span", "badge grave", "severity " + s.severity) : made("span", "badge", "no alarm"));
  if (s.label !== null) head.append(made("span", "badge truth", s.label ? "labelled malicious" : "labelled benign"));
  D.parts.forEach((part, i) => {
    if (s.parts[i][0] && part.single) head.append(made("span", "badge", plain(part.name)));
  });
  if (s.near !== null) head.append(made("span", "badge", "no part alone, nearest " + plain(D.parts[s.near].name)));
  const others = (alike.get(sort(s)) || 1) - 1;
  if (others) head.append(made("span", "soft small", "and " + others.toLocaleString("en") + " more of this kind"));
  const times = [when(s.start), when(s.end)].filter((t) => t), facts = [];
  if (times.length) facts.push((times[0] === times[1] ? times[0] : times.join(" to ")) + " UTC");
  const threshold = D.threshold === null ? "" : " (threshold " + number(D.threshold) + ")";
  facts.push(count(s.n, "event"), "score " + number(s.score) + threshold);
  card.append(made("p", "soft small", facts.join(" · ")));
  const event = made("div", "event");
  const strip = new Strip(s, (cell) => event.replaceChildren(eventNode(s, cell)));
  strip.matched = matched;
  strips.set(strip.node, strip);
  card.append(strip.node);
  const after = s.n - s.from - s.e.length;
  const absent = [s.from && count(s.from, "event") + " before", after && count(after, "event") + " after"];
  if (s.from || after) card.append(made("p", "soft small", "Not shown: " + absent.filter((t) => t).join(", ") + "."));
  card.append(event);
  strip.show(strip.at);
  strip.tell();
  const more = card.appendChild(made("details"));
  more.append(made("summary", "", "Verdict of each part"));
  more.addEventListener("toggle", () => { if (more.open && more.children.length === 1) more.append(partsNode(s)); });
  return [item, strip];
}

function partsNode(s) {
  const scroll = made("div", "scroll"), table = scroll.appendChild(made("table"));
  const head = table.appendChild(made("thead")).appendChild(made("tr"));
  const columns = ["part", "verdict", "score", "alarm if", "alarm at"];
  columns.forEach((name, i) => head.append(made("th", i > 1 ? "n" : "", name)));
  const body = table.appendChild(made("tbody"));
  s.parts.forEach(([alarm, score, first], part) => {
    const row = body.appendChild(made("tr")), about = D.parts[part];
    // an alarm is above its threshold: so many digits that this can be seen
    let digits = 4;
    while (alarm && digits < 15 && number(score, digits) === number(about.threshold, digits)) digits++;
    const threshold = about.threshold === null ? "none" : "above " + number(about.threshold, digits);
    const told = [number(score, digits), threshold, first < 0 ? "–" : first];
    row.append(made("th", "", plain(about.name)), made("td", "", alarm ? "alarm" : "no alarm"));
    told.forEach((text) => row.append(made("td", "n", text)));
  });
  return scroll;
}

// -- the list and its filters ----------------------------------------------------------------------------------------

let found = [], shown = 0, matched = null, alike = new Map();
// Sessions are of one kind when one looks at the same event first and the same parts alarm.
const sort = (s) => [s.look === null ? -1 : s.e[s.look - s.from], s.parts.map((part) => part[0])].join();
const list = $("list"), more = $("more");

function match() {
  const value = (id) => $(id).value.trim().toLowerCase();
  const instant = (id) => $(id).value ? Date.parse($(id).value + "Z") / 1000 : null;
  const key = value("key"), event = value("event"), part = value("part"), verdict = value("verdict");
  const label = value("label"), from = instant("from"), to = instant("to"), only = $("only").checked;
  matched = event ? D.names.map(([name, text]) => (name + " – " + (text || "")).toLowerCase().includes(event)) : null;
  const holds = (s) => only ? s.u.some((p) => matched[s.e[p - s.from]]) : s.e.some((id) => matched[id]);
  found = D.sessions.filter((s) =>
    (verdict === "all" || s.alarm === (verdict === "alarm")) &&
    (!key || s.key.toLowerCase().includes(key)) &&
    (part === "" || s.parts[part][0]) &&
    (label === "" || String(s.label) === label) &&
    (from === null || (s.end ?? s.start) >= from && s.start !== null) &&
    (to === null || s.start <= to && s.start !== null) &&
    (!matched || holds(s)));
  const fitting = found.length;
  alike = new Map();
  if ($("once").checked) {
    found.forEach((s) => alike.set(sort(s), 1 + (alike.get(sort(s)) || 0)));
    const seen = new Set();
    found = found.filter((s) => !seen.has(sort(s)) && seen.add(sort(s)));
  }
  near.disconnect();
  strips.clear();
  list.replaceChildren();
  shown = 0;
  const kinds = fitting > found.length ? " of " + count(found.length, "kind") : "";
  const some = count(fitting, "session") + kinds + ", the highest score first";
  $("shown").textContent = fitting ? some : "No session fits these filters.";
  extend();
}

function extend() {
  const batch = document.createDocumentFragment(), added = [];
  found.slice(shown, shown + BATCH).forEach((s) => {
    const [node, strip] = sessionNode(s, matched);
    batch.append(node);
    added.push(strip);
  });
  list.append(batch);
  added.forEach((strip) => { strip.draw(); near.observe(strip.node); });
  shown = Math.min(found.length, shown + BATCH);
  more.hidden = shown >= found.length;
}

function redraw() { readColours(); strips.forEach((strip) => strip.draw()); }

function choose(list, value, text) {
  const choice = made("option", "", text);
  choice.value = value;
  $(list).append(choice);
}

function start() {
  readColours();
  D.parts.forEach((part, i) => choose("part", i, plain(part.name)));
  D.names.slice(0, 1000).forEach(([name]) => choose("events", name));
  const hide = (id) => { $(id).closest("label").hidden = true; };
  if (D.sessions.every((s) => s.start === null)) ["from", "to"].forEach(hide);
  if (D.sessions.every((s) => s.label === null)) hide("label");
  if (!D.sessions.some((s) => s.alarm)) $("verdict").value = "all";
  let waiting = 0, width = 0;
  $("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(match, 120); });
  $("filters").addEventListener("submit", (e) => { e.preventDefault(); match(); });
  $("filters").addEventListener("reset", () => setTimeout(match));
  more.firstElementChild.addEventListener("click", extend);
  new IntersectionObserver((entries) => {
    if (entries.some((e) => e.isIntersecting) && shown < found.length) extend();
  }, { rootMargin: "600px" }).observe(more);
  new ResizeObserver(() => {
    if (list.clientWidth === width) return;
    width = list.clientWidth;
    redraw();
  }).observe(list);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  match();
}
start();
"""
