// The two interactive charts of the report. Everything else in the page works without this script.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

// plotly reads a small HTML dialect in its texts: names from records must stay names.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const series = (index) => colour(`--c${index}`);

async function unpackPlotly() {
  const packed = atob(document.getElementById("plotly").textContent);
  const bytes = Uint8Array.from(packed, (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function layout(extra) {
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 14, t: 12, b: 44 },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    ...extra(axis),
  };
}

const settings = { displayModeBar: false, responsive: true };

function drawScatter(place) {
  const cells = data.scatter[Number(place.dataset.workload)] || [];
  const runs = cells.map((cell) => ({
    type: "scatter", mode: "markers", name: plain(cell.label), x: cell.seconds, y: cell.megabytes, showlegend: false,
    marker: { color: series(cell.colour), size: 6, opacity: 0.45 }, hovertemplate: `${plain(cell.label)}<br>%{x:.4g} s, %{y:.4g} MB<extra></extra>`,
  }));
  const settingsSeen = [...new Set(cells.map((cell) => cell.setting))];
  const symbols = ["diamond", "diamond-open", "diamond-tall", "diamond-wide", "diamond-tall-open", "diamond-wide-open"];
  const medians = cells.map((cell) => ({
    type: "scatter", mode: "markers", name: plain(cell.label), x: [cell.median[0]], y: [cell.median[1]],
    marker: { color: series(cell.colour), size: 13, symbol: symbols[settingsSeen.indexOf(cell.setting) % symbols.length], line: { width: 2, color: series(cell.colour) } },
    hovertemplate: `${plain(cell.label)}, median<br>%{x:.4g} s, %{y:.4g} MB${cell.pareto ? "<br>not beaten" : ""}<extra></extra>`,
  }));
  return Plotly.react(place, [...runs, ...medians], layout((axis) => ({
    height: 340, legend: { orientation: "h", y: -0.25, x: 0, font: { size: 11 } },
    xaxis: { ...axis, title: { text: "wall time, s" }, rangemode: "tozero" },
    yaxis: { ...axis, title: { text: "peak RAM, MB" }, rangemode: "tozero" },
  })), settings);
}

function drawTimeline() {
  const run = data.timelines[Number(document.getElementById("run").value) || 0];
  const line = (y, name, axis, index, fill) => ({
    type: "scatter", mode: "lines", name, x: run.t, y, yaxis: axis, line: { color: series(index), width: 1.6 },
    fill: fill ? "tozeroy" : "none", fillcolor: `${series(index)}30`, hovertemplate: `%{y:.4g}<extra>${name}</extra>`,
  });
  const traces = [line(run.cpu, "CPU, % of a core", "y", 0, true), line(run.ram, "RAM, MB", "y2", 1, true)];
  run.gpus.forEach((gpu) => {
    traces.push(line(gpu.memory, `GPU ${gpu.index} memory, MB`, "y3", 2, true));
    if (gpu.use.some((value) => value !== null)) traces.push(line(gpu.use, `GPU ${gpu.index} use, %`, "y4", 3, false));
  });
  const rows = run.gpus.length ? 3 : 2;
  const gap = 0.07;
  const height = (1 - gap * (rows - 1)) / rows;
  const domain = (row) => [1 - (row + 1) * height - row * gap, 1 - row * height - row * gap].map((v) => Math.max(0, v));
  const end = run.t[run.t.length - 1];
  const phases = run.phases.map((phase, i) => ({ name: phase.name, from: phase.at_seconds, to: (run.phases[i + 1] || { at_seconds: end }).at_seconds }));
  const shapes = phases.map((phase, i) => ({
    type: "rect", xref: "x", yref: "paper", x0: phase.from, x1: phase.to, y0: 0, y1: 1, layer: "below", line: { width: 0 },
    fillcolor: colour("--track"), opacity: i % 2 ? 0 : 0.75,
  }));
  const wide = document.getElementById("timeline-plot").clientWidth;
  const annotations = phases.filter((phase) => (phase.to - phase.from) / end * wide > 60).map((phase) => ({
    text: plain(phase.name), xref: "x", yref: "paper", x: (phase.from + phase.to) / 2, y: 1, yanchor: "bottom", showarrow: false, font: { size: 11, color: colour("--soft") },
  }));
  const titles = ["CPU, % of a core", "RAM, MB", "GPU memory, MB"];
  const place = document.getElementById("timeline-plot");
  document.getElementById("timeline-words").textContent =
    `${run.workload}: ${run.cell}, block ${run.block ?? "none"}. Each point is the greatest value of ${Number(run.stretch.toPrecision(3))} s. Folder ${run.folder}. Phases: ` +
    phases.map((phase) => `${phase.name} from ${phase.from.toFixed(2)} s`).join(", ") + ".";
  return Plotly.react(place, traces, layout((axis) => ({
    height: rows === 3 ? 600 : 460, margin: { l: 62, r: run.gpus.length ? 52 : 14, t: 26, b: 44 }, showlegend: false, shapes, annotations, hovermode: "x unified",
    xaxis: { ...axis, title: { text: "seconds since the start of the child" }, anchor: rows === 3 ? "y3" : "y2", range: [0, end] },
    yaxis: { ...axis, title: { text: titles[0] }, domain: domain(0), rangemode: "tozero" },
    yaxis2: { ...axis, title: { text: titles[1] }, domain: domain(1), rangemode: "tozero" },
    ...(rows === 3 ? {
      yaxis3: { ...axis, title: { text: titles[2] }, domain: domain(2), rangemode: "tozero" },
      yaxis4: { ...axis, title: { text: "GPU use, %" }, overlaying: "y3", side: "right", range: [0, 105], tickmode: "array", tickvals: [0, 50, 100], showgrid: false },
    } : {}),
  })), settings);
}

function fillChoice() {
  const choice = document.getElementById("run");
  if (!choice) return;
  const groups = new Map();
  const workloads = new Set(data.timelines.map((run) => run.workload));
  data.timelines.forEach((run, i) => {
    const name = `${run.workload}: ${run.cell}`;
    if (!groups.has(name)) {
      const group = document.createElement("optgroup");
      group.label = name;
      groups.set(name, group);
      choice.append(group);
    }
    const option = document.createElement("option");
    option.value = String(i);
    const cell = workloads.size > 1 ? name : run.cell;  // a list that is closed shows no group
    option.textContent = run.block === null ? run.folder : `${cell}, block ${run.block}`;
    groups.get(name).append(option);
  });
  choice.addEventListener("change", drawTimeline);
}

function drawAll() {
  document.querySelectorAll(".scatter").forEach(drawScatter);
  if (document.getElementById("run")) drawTimeline();
}

async function begin() {
  const places = document.querySelectorAll(".plot");
  if (!places.length) return;
  fillChoice();
  try {
    await unpackPlotly();
    drawAll();
    dark.addEventListener("change", drawAll);
  } catch (error) {
    places.forEach((place) => { place.textContent = `This chart needs a browser of 2023 or newer (${error.message}); the tables hold its figures.`; });
  }
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
begin();
