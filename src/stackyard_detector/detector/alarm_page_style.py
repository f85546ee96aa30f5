"""The style sheet of the alarm page. In a Python file because only those travel with a run (``snapshot``)."""

STYLE = r"""
/* Blue grows darker (lighter in the dark) with surprise and bars grow taller with it: no meaning by colour alone. */
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #ffffff; --ink: #1d2126; --soft: #5d656e; --line: #e1e3e0; --track: #f0f1ee;
  --s0: #c9d3dc; --s1: #9fbfdd; --s2: #5f9bce; --s3: #1f6fae; --s4: #08355f; --never: #d55e00; --mark: #1d2126;
  --doubt: #8a5a00; --doubt-paper: #fcf1d8; --strong: #12456b; --strong-paper: #dfecf6; --plain-paper: #edeeeb;
  --focus: #0072b2;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1b1f24; --ink: #e7e9eb; --soft: #a0a8b1; --line: #31373e; --track: #262b31;
    --s0: #46515c; --s1: #44698f; --s2: #4b8bc8; --s3: #7dbcf2; --s4: #d9ecff; --never: #f08a4b; --mark: #e7e9eb;
    --doubt: #f2c774; --doubt-paper: #3a2d10; --strong: #9fcdf2; --strong-paper: #15304a; --plain-paper: #2a2f35;
    --focus: #4ba3e3;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
.top, main, footer { max-width: 74rem; margin: 0 auto; padding: 0 1.5rem; }
.top { padding-top: 2.2rem; }
.kind { margin: 0; color: var(--soft); font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .9rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.08rem; margin: 0; overflow-wrap: anywhere; line-height: 1.3; }
p { margin: .4rem 0; }
.soft { color: var(--soft); font-weight: 400; }
.small { font-size: .88rem; }
/* a name with marks of direction turns no text around it */
h2, .event b, .event span, .badge, dd { unicode-bidi: isolate; }
.counts {
  list-style: none; display: flex; flex-wrap: wrap; gap: .4rem 1.8rem; padding: 0; margin: 0 0 .5rem;
  color: var(--soft);
}
.counts b { font-size: 1.25rem; color: var(--ink); margin-right: .15rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; z-index: 9; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1.2rem;
  margin: 0 0 .8rem;
}
.filters { display: flex; flex-wrap: wrap; gap: .6rem .9rem; align-items: flex-end; }
.filters label { display: grid; font-size: .82rem; color: var(--soft); flex: 1 1 10rem; min-width: 0; max-width: 24rem }
.filters .wide { flex: 2 1 14rem; }
.filters .tick { display: flex; gap: .4rem; align-items: center; flex: 0 1 auto; padding-bottom: .35rem; }
input, select, button { font: inherit; font-size: .92rem; color: var(--ink); background: var(--paper); min-width: 0; }
input, select {
  border: 1px solid var(--soft); border-radius: 5px; padding: .3rem .5rem; width: 100%; height: 2.2rem;
}
.tick input { width: auto; height: auto; }
button { border: 1px solid var(--soft); border-radius: 5px; padding: .3rem .8rem; height: 2.2rem; cursor: pointer; }
.legend { margin: .8rem 0; padding: 0; font-size: .85rem; }
.keys { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; align-items: flex-end; margin: 0; }
.key { display: inline-flex; align-items: flex-end; gap: .35rem; white-space: nowrap; }
.swatch { width: 10px; display: inline-block; border-radius: 1px; }
.k0 { height: 6px; background: var(--s0); } .k1 { height: 10px; background: var(--s1); }
.k2 { height: 14px; background: var(--s2); } .k3 { height: 18px; background: var(--s3); }
.k4 { height: 22px; background: var(--s4); }
.kn { height: 22px; background: var(--never); position: relative; }
.kn::after {
  content: ""; position: absolute; left: 3px; top: 9px; width: 4px; height: 4px; border-radius: 50%;
  background: var(--card);
}
.kx { height: 6px; border: 1px solid var(--soft); }
.kf { width: 0; border: 5px solid transparent; border-bottom: 8px solid var(--mark); border-top: 0; }
.ka { width: 2px; height: 22px; background: var(--mark); }
[hidden] { display: none !important; }
#list { list-style: none; padding: 0; margin: 0; }
.head { display: flex; flex-wrap: wrap; gap: .25rem .6rem; align-items: baseline; }
.badge {
  display: inline-block; border-radius: 4px; padding: 0 .45rem; font-size: .82rem;
  background: var(--plain-paper); color: var(--soft); overflow-wrap: anywhere;
}
.badge.grave { background: var(--strong-paper); color: var(--strong); font-weight: 600; }
.badge.truth { background: var(--doubt-paper); color: var(--doubt); }
.strip { position: relative; margin: .5rem 0 .3rem; min-height: 38px; cursor: pointer; touch-action: pan-y; }
.strip canvas { display: block; width: 100%; }
.event {
  border-top: 1px solid var(--line); padding-top: .4rem; min-height: 7rem; font-size: .92rem;
  overflow-wrap: anywhere;
}
.event p { margin: .15rem 0; }
.expected { list-style: none; margin: 0; padding: 0; }
.expected li { display: grid; grid-template-columns: 5.4rem minmax(0, 1fr); gap: .6rem; }
.expected .n { text-align: right; white-space: nowrap; color: var(--soft); }
.row { color: var(--soft); }
.row mark { background: var(--strong-paper); color: var(--strong); border-radius: 3px; padding: 0 .2rem; }
summary { cursor: pointer; color: var(--strong); padding: .2rem 0; font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--soft); font-size: .82rem; }
td.n, th.n { text-align: right; }
dl {
  display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; font-size: .88rem;
  margin: .3rem 0;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
footer {
  color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); margin-top: 2.5rem;
  padding-top: 1rem; padding-bottom: 2.5rem;
}
@media (max-width: 42rem) {
  .top, main, footer { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.5rem; }
  .card { padding: .7rem .8rem; }
  .filters label { flex-basis: 8.5rem; }
  .filters label { max-width: none; }
  .filters .wide { flex-basis: 8.5rem; }
  th, td { padding-right: .4rem; font-size: .82rem; }
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .3rem; }
}
@media print { .filters, .skip, #more { display: none; } .card { break-inside: avoid; } }
"""
