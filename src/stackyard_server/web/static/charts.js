// Draws a page's charts with plotly.js, each once it comes into view; plotly.js itself is loaded with the first. Data
// come as JSON from this server. What would stop a browser is bounded here, and what is left out is said below a chart.
"use strict";
(() => {
  const address = document.currentScript.dataset.plotly;
  // the most marks that a browser draws with ease, by the kind of trace
  const MOST = { scatter: 20000, scattergl: 100000, scatter3d: 50000, bar: 5000 };
  const MOST_OF_OTHERS = 20000, MOST_TRACES = 100, MOST_NOTES = 300;
  const MOST_ROWS = 1000, MOST_COLUMNS = 100, MOST_CELLS = 20000, MOST_IN_CELL = 1000;
  // these count, bin or paint whatever they are given
  const WHOLE = new Set(["heatmap", "surface", "contour", "histogram", "histogram2d", "histogram2dcontour", "image",
    "parcoords", "mesh3d", "box", "violin"]);
  // a map's outlines or tiles lie elsewhere, and a page loads nothing from there
  const MAP = /^(scattergeo|choropleth|(scatter|density|choropleth)map(box)?)$/;
  const IN_SPACE = /3d$|^(surface|cone|isosurface|streamtube|volume)$/;
  // a legend of these names their parts
  const SHARES = /^(pie|funnelarea|sunburst|treemap|icicle)$/;
  const GL = /gl$|3d$|^(surface|cone|isosurface|streamtube|volume|parcoords|splom)$/;
  const CONFIG = { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false };

  let loading;
  const plotly = () => loading ||= new Promise((done, failed) => {
    // plotly.js writes some styles as attributes, which the policy of our pages forbids; the object model may
    const set = Element.prototype.setAttribute;
    Element.prototype.setAttribute = function (name, value) {
      if (name === "style") this.style.cssText = value; else set.call(this, name, value);
    };
    // its maps would add a style sheet unless an element has this name
    const mark = document.createElement("meta");
    mark.id = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error("plotly.js did not come"));
    document.head.append(mark, script);
  });

  // How charts look where they do not say it themselves: in the colours of the area they are in.
  const template = (area) => {
    const style = getComputedStyle(area), colour = (name) => style.getPropertyValue(name).trim(), line = colour("--line");
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    return { layout: {
      font: { family: style.fontFamily, size: 12, color: colour("--ink") },
      colorway: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => colour(`--c${n}`)),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      scene: { xaxis: axis, yaxis: axis, zaxis: axis }, legend: { orientation: "h" }, hoverlabel: { namelength: -1 },
    } };
  };

  // Numbers as plotly packs them, as an array; anything else as it is.
  const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, i2: Int16Array, u2: Uint16Array, i1: Int8Array, u1: Uint8Array };
  const unpacked = (values) => {
    const kind = values && typeof values.bdata === "string" && !values.shape && KINDS[String(values.dtype).replace("<", "")];
    if (!kind) return values;
    const bytes = Uint8Array.from(atob(values.bdata), (c) => c.charCodeAt(0));
    return new kind(bytes.buffer, 0, Math.floor(bytes.length / kind.BYTES_PER_ELEMENT));
  };
  const isList = (values) => Array.isArray(values) || ArrayBuffer.isView(values);

  // Which of many points are drawn: of each stretch the lowest and the highest, so that no peak is lost.
  const places = (values, most) => {
    const kept = new Set([0, values.length - 1]), stretches = Math.floor(most / 2);
    for (let i = 0; i < stretches; i++) {
      const start = Math.floor(i * values.length / stretches), end = Math.floor((i + 1) * values.length / stretches);
      let low = start, high = start;
      for (let j = start; j < end; j++) {
        if (values[j] < values[low]) low = j;
        if (values[j] > values[high]) high = j;
      }
      kept.add(low).add(high);
    }
    return [...kept].sort((a, b) => a - b);
  };

  const pick = (part, count, kept) => {
    for (const [name, value] of Object.entries(part)) {
      const list = unpacked(value);
      if (isList(list) && list.length === count) part[name] = kept.map((i) => list[i]);
      else if (value && typeof value === "object" && !isList(value)) pick(value, count, kept);
    }
  };

  const bound = (trace, said) => {
    const kind = trace.type || "scatter";
    if (kind === "box" || kind === "violin") {
      const points = unpacked(trace.y ?? trace.x);
      if (points && points.length > MOST.scatter) { trace.boxpoints = false; trace.points = false; }
    }
    if (WHOLE.has(kind)) return;
    const lists = ["y", "x", "z", "r", "theta", "a", "values", "labels", "lat", "lon"].map((name) => unpacked(trace[name])).filter(isList);
    const count = Math.max(0, ...lists.map((list) => list.length)), most = MOST[kind] || MOST_OF_OTHERS;
    if (count <= most) return;
    const list = lists.find((some) => some.length === count);
    pick(trace, count, kind === "bar" ? Array.from({ length: most }, (_, i) => i) : places(list, most));
    said.push(`${trace.name || kind}: ${most.toLocaleString("en")} of ${count.toLocaleString("en")} points are drawn`);
  };

  // Where a stored file lies under our own origin; null where a page may not load it.
  const own = (source, files) => {
    if (/^data:image\//.test(source) || /^\/files\//.test(source)) return source;
    const base = files.find((one) => source.startsWith(one.replace(/\/?$/, "/")));
    return base ? "/files/" + source.slice(base.replace(/\/?$/, "/").length) : null;
  };

  const pictures = (figure, files, said) => {
    const place = (image) => {
      if (typeof image.source !== "string" || !image.source) return false;
      const here = own(image.source, files);
      if (!here) said.push(`a picture lies elsewhere: ${image.source.slice(0, 200)}`);
      image.source = here;
      return here !== null;
    };
    if (Array.isArray(figure.layout.images)) figure.layout.images = figure.layout.images.slice(0, 20).filter(place);
    figure.data = figure.data.filter((trace) => trace.type !== "image" || !trace.source || place(trace));
  };

  // Forms of earlier versions of plotly.js, which clients still send: a title that is a text, and its font beside it.
  const modern = (part, depth = 0) => {
    if (!part || typeof part !== "object" || depth > 4) return;
    if (typeof part.title === "string") part.title = { text: part.title };
    if (part.titlefont && part.title) part.title.font ??= part.titlefont;
    for (const [name, below] of Object.entries(part)) {
      if (/^(([xyz]|radial|angular|color)axis\d*|scene\d*|polar\d*|colorbar|marker|line|legend)$/.test(name)) modern(below, depth + 1);
    }
    if (part.type === "heatmapgl") part.type = "heatmap";
  };

  // Text as plotly.js writes it: its few tags and entities, as elements of ours. Another's tag is text.
  const written = (text, into) => {
    const names = { amp: "&", lt: "<", gt: ">", nbsp: "\u00a0", quot: '"' };
    let bold = false, link = null;
    for (const part of text.split(/(<\/?(?:br|b|strong|i|em|u|s|sub|sup|span|a)(?:\s[^<>]*)?\/?>)/i)) {
      const tag = /^<(\/?)(br|b|strong|i|em|u|s|sub|sup|span|a)\b/i.exec(part), name = tag?.[2].toLowerCase();
      if (name === "br") into.append(document.createElement("br"));
      else if (name === "b" || name === "strong") bold = !tag[1];
      else if (name === "a") link = tag[1] ? null : /\shref\s*=\s*["'](https?:\/\/[^"'\s]+)["']/i.exec(part)?.[1];
      else if (!tag && part) {
        let node = document.createTextNode(part.replace(/&(amp|lt|gt|nbsp|quot);/g, (_, word) => names[word]));
        const wrap = (kind, more) => { const outer = Object.assign(document.createElement(kind), more); outer.append(node); node = outer; };
        if (bold) wrap("b");
        if (link) wrap("a", { href: link, rel: "noreferrer" });
        into.append(node);
      }
    }
  };

  // One of what plotly.js takes for a whole table, for a column, or for each cell.
  const each = (value, column, row) => {
    const held = isList(value) ? value[Math.min(column, value.length - 1)] : value;
    return isList(held) ? held[Math.min(row, held.length - 1)] : held;
  };

  // A number in the forms of d3 that tables use: ".2f", ",d", ".1%", ".3g"; in any other as it is.
  const formatted = (value, format) => {
    const form = typeof value === "number" && /^(,?)(?:\.(\d{1,2}))?([fdge%])$/.exec(format || "");
    if (!form) return String(value ?? "");
    const digits = Number(form[2] ?? (form[3] === "d" ? 0 : 6));
    if (form[3] === "g") return value.toPrecision(Math.max(1, digits));
    if (form[3] === "e") return value.toExponential(digits);
    const [shown, end] = form[3] === "%" ? [value * 100, "%"] : [value, ""];
    return shown.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: Boolean(form[1]) }) + end;
  };

  // A table of plotly.js as one of HTML, in a frame that scrolls: every row can be seen, searched, and read out.
  const asTable = (trace, title, said) => {
    const columnsOf = (part) => (isList(part?.values) ? [...part.values] : []).map(unpacked).map((one) => isList(one) ? one : [one]);
    const heads = columnsOf(trace.header), cells = columnsOf(trace.cells), all = Math.max(heads.length, cells.length);
    const columns = Math.min(all, MOST_COLUMNS), count = Math.max(0, ...cells.map((column) => column.length));
    const rows = Math.min(count, MOST_ROWS, Math.floor(MOST_CELLS / Math.max(1, columns)));
    if (columns < all) said.push(`the first ${columns} of ${all.toLocaleString("en")} columns are shown`);
    if (rows < count) said.push(`the first ${rows.toLocaleString("en")} of ${count.toLocaleString("en")} rows are shown`);
    const order = isList(trace.columnorder) ? [...trace.columnorder].map((place, i) => [place, i]).sort((a, b) => a[0] - b[0]).map(([, i]) => i) : [];
    const places = Array.from({ length: columns }, (_, i) => order.length >= columns ? order[i] : i);
    const table = document.createElement("table");
    let shortened = 0;
    const row = (into, kind, part, values, number) => {
      const line = into.insertRow();
      for (const column of places) {
        const cell = document.createElement(kind), value = values[column]?.[number];
        const text = (each(part?.prefix, column, number) ?? "") + formatted(value, each(part?.format, column, number)) + (each(part?.suffix, column, number) ?? "");
        if (kind === "th") cell.scope = "col";
        if (typeof (kind === "th" ? cells[column]?.[0] : value) === "number") cell.className = "number";
        if (text.length > MOST_IN_CELL) shortened++;
        written(text.length > MOST_IN_CELL ? text.slice(0, MOST_IN_CELL) + "…" : text, cell);
        line.append(cell);
      }
    };
    const deep = Math.min(10, Math.max(0, ...heads.map((head) => head.length)));
    if (deep) { const head = table.createTHead(); for (let i = 0; i < deep; i++) row(head, "th", trace.header, heads, i); }
    const body = table.createTBody();
    for (let i = 0; i < rows; i++) row(body, "td", trace.cells, cells, i);
    if (shortened) said.push(`texts of more than ${MOST_IN_CELL.toLocaleString("en")} characters are cut`);
    if (!rows) said.push("the table has no rows");
    const frame = document.createElement("div");
    frame.className = "framed";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", `Table: ${title}`);
    frame.append(table);
    if (rows === count && columns === all) frame.dataset.whole = `${rows.toLocaleString("en")} rows, ${columns} columns`;
    return frame;
  };

  // A reported figure as it is drawn.
  const read = (figure, title, files, said, width) => {
    if (!figure || typeof figure !== "object" || Array.isArray(figure)) throw new Error("it is no figure");
    const objects = (list) => (Array.isArray(list) ? list : []).filter((one) => one && typeof one === "object");
    const layout = figure.layout && typeof figure.layout === "object" ? { ...figure.layout } : {};
    const made = { data: objects(figure.data), layout };
    if (made.data.length > MOST_TRACES) {
      said.push(`the first ${MOST_TRACES} of ${made.data.length} series are drawn`);
      made.data = made.data.slice(0, MOST_TRACES);
    }
    for (const name of ["annotations", "shapes"]) {
      const notes = objects(layout[name]);
      if (notes.length > MOST_NOTES) said.push(`the first ${MOST_NOTES} of ${notes.length} ${name} are drawn`);
      layout[name] = notes.slice(0, MOST_NOTES);
    }
    [layout, ...made.data].forEach((part) => modern(part));
    const maps = made.data.filter((trace) => MAP.test(trace.type || ""));
    if (maps.length) {
      said.push(`a map (${[...new Set(maps.map((trace) => trace.type))].join(", ")}) is not drawn here, for its outlines or tiles lie elsewhere; the API has the plot`);
    }
    made.tables = made.data.filter((trace) => trace.type === "table");
    made.data = made.data.filter((trace) => trace.type !== "table" && !maps.includes(trace));
    made.leftOut = maps.length > 0;
    made.data.forEach((trace) => bound(trace, said));
    pictures(made, files, said);
    const heading = layout.title?.text;
    const repeats = !heading || title.split(" · ").includes(heading) || heading === title;
    if (repeats) delete layout.title;
    delete layout.width;
    const has = (kinds) => made.data.some((trace) => kinds.test(trace.type || ""));
    const space = has(IN_SPACE), across = has(/^parcoords$/);
    layout.height = Math.min(800, Math.max(160, Number(layout.height) || (space ? Math.min(480, Math.max(340, width)) : 380)));
    layout.autosize = true;
    // parallel coordinates have their axes' names above them, and the ends of their first and last axis beside them
    const top = (repeats ? 24 : 56) + (across ? 32 : 0), side = across ? { l: 72, r: 72 } : space ? { l: 8, r: 8 } : { l: 56, r: 24 };
    layout.margin = { ...side, t: top, b: space ? 16 : 48, ...layout.margin };
    if (space) {
      // farther off than plotly.js stands by itself, and on a narrow screen farther still, all axes' names are in view
      const scale = made.data.some((trace) => trace.showscale !== false && !/^scatter3d$/.test(trace.type)) ? 100 : 0;
      const far = Math.min(3, Math.max(1, 1.45 * (layout.height - 40) / Math.max(1, width - 16 - scale)));
      for (const name of ["scene", ...Object.keys(layout).filter((one) => /^scene\d+$/.test(one))]) {
        const scene = layout[name] = { ...layout[name] };
        scene.camera ??= { eye: { x: 1.5 * far, y: 1.5 * far, z: 1.1 * far }, center: { x: 0, y: 0, z: -0.15 } };
      }
    }
    if (across) {
      // where the names would run into each other, the chart is wider than its card, which scrolls
      const axes = made.data.flatMap((trace) => objects(trace.dimensions));
      for (const axis of axes) if (Array.isArray(axis.label)) axis.label = axis.label.join(" "); // as the SDK's optimisers say
      const longest = Math.max(0, ...axes.map((axis) => String(axis.label || "").length));
      const least = 144 + Math.min(100, axes.length) * Math.min(240, Math.max(80, 20 + 7 * longest));
      if (least > width) { layout.width = least; layout.autosize = false; }
    }
    if (made.data.length === 1 && !made.data[0].name && !SHARES.test(made.data[0].type || "")) made.data[0].showlegend = false;
    return made;
  };

  const say = (figure, words) => {
    const line = figure.querySelector("p.hint");
    line.hidden = !words.length;
    line.textContent = words.length ? words.join("; ").replace(/^./, (c) => c.toUpperCase()) + "." : "";
  };

  const reported = async (figure) => {
    const area = figure.querySelector(".drawing"), said = [];
    try {
      const answer = await fetch(figure.dataset.plot, { credentials: "same-origin" });
      const why = answer.headers.get("x-left-out");
      if (why || !answer.ok) throw new Error(why || `the server answered ${answer.status}`);
      const text = await answer.text();
      let given;
      try { given = JSON.parse(text); } catch { throw new Error("what was reported is no figure that can be read"); }
      const made = read(given, figure.dataset.title, JSON.parse(figure.dataset.files), said, figure.clientWidth - 34);
      figure.querySelectorAll(".framed").forEach((one) => one.remove());
      area.after(...made.tables.map((trace) => asTable(trace, figure.dataset.title, said)));
      for (const frame of figure.querySelectorAll(".framed[data-whole]")) {
        const cut = frame.scrollHeight > frame.clientHeight || frame.scrollWidth > frame.clientWidth;
        if (cut) said.push(`${frame.dataset.whole}; the table scrolls`);
      }
      area.classList.toggle("scrolls", Boolean(made.layout.width));
      if (made.layout.width) area.tabIndex = 0;
      area.hidden = !made.data.length && (made.tables.length > 0 || made.leftOut);
      if (area.hidden) {
        if (made.layout.title?.text && made.tables.length) figure.querySelector("figcaption").textContent = `${figure.dataset.title}: ${made.layout.title.text.replace(/<[^<>]*>/g, " ")}`;
      } else if (!made.data.length && made.layout.images?.length) {
        // a picture and nothing else, as matplotlib's come: shown as it is
        area.replaceChildren(...made.layout.images.map(({ source }) => Object.assign(new Image(), { src: source, alt: figure.dataset.title })));
      } else if (!made.data.length) {
        said.push("there is nothing in it to be drawn");
      } else {
        figure.dataset.gl = made.data.some((trace) => GL.test(trace.type || "")) ? "1" : "";
        made.layout.template ||= template(area);
        await (await plotly()).newPlot(area, made.data, made.layout, CONFIG);
      }
    } catch (fault) {
      said.push(fault.message);
    }
    say(figure, said);
    figure.dataset.done = "1";
  };

  const shown = (value) => value === null || value === undefined ? "–" : Number(value.toPrecision(4)).toString();

  const scalars = (figure, lines) => {
    const area = figure.querySelector(".drawing");
    const names = Object.keys(lines).sort();
    const data = names.map((name) => ({ name, x: lines[name].x, y: lines[name].y, type: "scatter", hovertemplate: "%{x}: %{y:.6g}",
      mode: lines[name].x.length > 1 ? "lines" : "markers" }));
    const legend = names.length > 1 && names.length <= 10;
    // on a narrow screen each name has a line of its own below the curves
    const below = legend && area.clientWidth < 480 ? 19 * names.length : 0;
    const layout = { height: 280 + below, autosize: true, margin: { l: 56, r: 16, t: 16, b: 40 }, template: template(area),
      showlegend: legend, uirevision: "kept" };
    figure.querySelector(".hint").textContent = "Newest: " + names.slice(0, 20).map((name) => `${name} ${shown(lines[name].y.at(-1))}`).join(", ")
      + (names.length > 20 ? `, and ${names.length - 20} more` : "");
    return plotly().then((drawn) => drawn.react(area, data, layout, CONFIG));
  };

  const redraw = new Map(); // figure -> what draws it
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !target.dataset.done) redraw.get(target)?.();
      // a page may hold few WebGL contexts at a time: charts far from view give theirs back
      else if (!isIntersecting && target.dataset.gl) {
        window.Plotly.purge(target.querySelector(".drawing"));
        delete target.dataset.done;
        delete target.dataset.gl;
      }
    }
  }, { rootMargin: "600px" });

  document.querySelectorAll("figure[data-plot]").forEach((figure) => {
    redraw.set(figure, () => { figure.dataset.done = "1"; return reported(figure); });
    watcher.observe(figure);
  });

  document.querySelectorAll("[data-charts]").forEach((area) => {
    const held = new Map(); // metric -> {figure, lines, text}
    const follow = async () => {
      try {
        const answer = document.hidden ? null : await fetch(area.dataset.charts, { credentials: "same-origin" });
        if (answer?.ok && !answer.redirected) {
          const status = answer.headers.get("x-task-status");
          for (const [metric, lines] of Object.entries(await answer.json())) {
            const text = JSON.stringify(lines);
            let one = held.get(metric);
            if (!one) {
              const figure = document.createElement("figure"), caption = document.createElement("figcaption");
              const drawing = document.createElement("div"), newest = document.createElement("p");
              caption.textContent = metric;
              drawing.className = "drawing";
              drawing.setAttribute("role", "group");
              drawing.setAttribute("aria-label", `Chart: ${metric}`);
              newest.className = "hint";
              figure.append(caption, drawing, newest);
              area.append(figure);
              held.set(metric, one = { figure, text: "" });
              redraw.set(figure, () => { figure.dataset.done = "1"; return scalars(figure, one.lines); });
            }
            if (text === one.text) continue;
            one.lines = lines;
            if (one.figure.dataset.done) scalars(one.figure, lines);
            if (!one.text) watcher.observe(one.figure);
            one.text = text;
          }
          if (status && area.dataset.status && status !== area.dataset.status) { location.reload(); return; }
        }
      } catch { /* the server is away for a moment: try again */ }
      if (["in_progress", "queued"].includes(area.dataset.status)) setTimeout(follow, 5000);
    };
    follow();
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw.forEach((draw, figure) => {
    if (figure.dataset.done && !figure.dataset.plot) draw();
  }));
})();
