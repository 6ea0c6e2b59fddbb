"use strict";
// The report's page: unpacks the embedded data, draws the charts, filters the rollouts.
// Everything that came from a run goes through textContent or an attribute, never through markup.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2"];
const SECTIONS = {
  training: "Training", benchmarks: "Benchmarks", behaviours: "Behaviours", perception: "Perception",
  sources: "Sources", answers: "Answers",
};
const PAGE = 50, CHUNK = 200, PICTURES = 50;
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "rect", "g", "circle"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const unpacked = new Map();
function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, (async () => {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })());
  return unpacked.get(id);
}

const state = { hiddenRuns: new Set(), smoothing: 0, data: null, matching: [], page: 0, chosen: -1 };

function number(value, percent) {
  if (value === null || value === undefined) return "undefined";
  if (percent) return `${+(value * 100).toFixed(Math.abs(value) < 0.1 ? 1 : 0)} %`;
  const size = Math.abs(value);
  if (size >= 1e3) return `${+(value / 1e3).toFixed(size >= 1e5 ? 0 : 1)}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(1);
  return String(+value.toPrecision(4));
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// Exponential moving average, corrected for its start; gaps stay gaps.
function smooth(values, weight) {
  if (!weight) return values;
  let sum = 0, norm = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    norm = norm * weight + (1 - weight);
    return sum / norm;
  });
}

class ChartView {
  constructor(chart) {
    this.chart = chart;
    this.hidden = new Set();
    this.names = [...new Set(chart.series.map((series) => series.name))];
    this.runs = state.data.runs.map((run) => run.name);
    this.plot = make("div");
    this.tip = make("div", { class: "tip", hidden: "" });
    this.legend = make("div", { class: "legend" });
    this.figure = make("figure", { id: "chart-" + chart.id }, make("h3", {}, chart.title), this.legend, this.plot, this.tip,
      make("figcaption", {}, chart.caption));
  }

  // Colours tell curves apart and dashes runs; where each run has one curve, colours tell runs.
  style(series) {
    const run = this.runs.indexOf(series.run);
    const colour = this.names.length > 1 ? this.names.indexOf(series.name) : run;
    const round = this.names.length > 1 ? Math.floor(colour / 8) : 0;
    return { stroke: `var(--c${colour % 8})`, dash: DASHES[(run + round) % DASHES.length] };
  }

  label(series) {
    if (this.runs.length < 2) return series.name;
    return this.names.length > 1 ? `${series.name} · ${series.run}` : series.run;
  }

  visible() {
    return this.chart.series.filter((series) =>
      !state.hiddenRuns.has(series.run) && !this.hidden.has(this.label(series)));
  }

  draw() {
    const width = Math.max(280, Math.round(this.plot.clientWidth || 480));
    const height = Math.round(Math.min(300, width * 0.58));
    const shown = this.visible().map((series) => ({
      ...series, ...this.style(series), label: this.label(series),
      y: this.chart.kind === "line" ? smooth(series.y, state.smoothing) : series.y,
    }));
    this.drawLegend();
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": this.chart.title });
    this.plot.replaceChildren(svg);
    if (!shown.length) return;
    const box = { left: 46, right: 10, top: 16, bottom: 34, width, height };
    if (this.chart.kind === "bar") this.bars(svg, box, shown);
    else this.lines(svg, box, this.chart.kind === "area" ? stacked(shown) : shown);
  }

  drawLegend() {
    const entries = this.chart.series.filter((series) => !state.hiddenRuns.has(series.run));
    this.legend.replaceChildren(...(entries.length < 2 && this.runs.length < 2 ? [] : entries.map((series) => {
      const { stroke, dash } = this.style(series), label = this.label(series);
      const key = make("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
        make("line", { x1: 0, x2: 22, y1: 4, y2: 4, style: `stroke:${stroke}`, "stroke-width": 3, "stroke-dasharray": dash }));
      return make("button", {
        type: "button", "aria-pressed": String(!this.hidden.has(label)),
        onclick: () => { this.hidden.has(label) ? this.hidden.delete(label) : this.hidden.add(label); this.draw(); },
      }, key, label);
    })));
  }

  axes(svg, box, x, y, xTicks, yTicks, xName) {
    for (const value of yTicks) svg.append(
      make("line", { class: "gridline", x1: box.left, x2: box.width - box.right, y1: y(value), y2: y(value) }),
      make("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, this.chart.percent)));
    for (const value of xTicks) svg.append(
      make("text", { x: x(value), y: box.height - box.bottom + 16, "text-anchor": "middle" }, xName ? xName(value) : String(value)));
    svg.append(make("line", { class: "axis", x1: box.left, x2: box.width - box.right, y1: box.height - box.bottom, y2: box.height - box.bottom }),
      make("text", { x: box.width - box.right, y: box.height - 3, "text-anchor": "end" }, this.chart.x_label),
      make("text", { x: 0, y: 9 }, this.chart.y_label));
  }

  lines(svg, box, shown) {
    const xs = shown.flatMap((series) => series.x);
    const ys = shown.flatMap((series) => [...series.y, ...series.low, ...series.high, ...(series.base || [])]).filter((value) => value !== null);
    let x0 = Math.min(...extent(xs)), x1 = Math.max(...extent(xs));
    let [y0, y1] = extent(ys);
    if (x0 === x1) { x0 -= 1; x1 += 1; }
    if (y0 >= 0 && y0 < 0.6 * y1) y0 = 0;
    if (y0 === y1) { y0 -= 0.5; y1 += 0.5; }
    if (this.chart.percent && y1 > 0.97 && y1 <= 1) y1 = 1; else y1 += (y1 - y0) * 0.06;
    const x = (value) => box.left + (value - x0) / (x1 - x0) * (box.width - box.left - box.right);
    const y = (value) => box.height - box.bottom - (value - y0) / (y1 - y0) * (box.height - box.top - box.bottom);
    const whole = ticks(x0, x1, box.width / 90).filter(Number.isInteger);
    this.axes(svg, box, x, y, whole, ticks(y0, y1, 4));
    for (const [at, label] of this.chart.marks) if (at >= x0 && at <= x1) svg.append(
      make("line", { class: "mark", x1: x(at), x2: x(at), y1: box.top, y2: box.height - box.bottom }),
      make("text", { x: x(at) + 3, y: box.top + 9 }, label));
    for (const series of shown) {
      if (series.base || series.low.length) {
        const low = series.base || series.low, high = series.base ? series.y : series.high;
        const known = series.x.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null);
        const path = [...known.map((i) => [series.x[i], high[i]]), ...known.reverse().map((i) => [series.x[i], low[i]])];
        if (path.length) svg.append(make("path", {
          d: "M" + path.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L") + "Z",
          style: `fill:${series.stroke}`, opacity: series.base ? 0.75 : 0.15 }));
      }
      if (series.base) continue;
      let d = "", open = false;
      series.x.forEach((at, i) => {
        if (series.y[i] === null) { open = false; return; }
        d += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(series.y[i]).toFixed(1)}`;
        open = true;
      });
      svg.append(make("path", { d, fill: "none", style: `stroke:${series.stroke}`, "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-dasharray": series.dash }));
      if (series.x.length <= 30) series.x.forEach((at, i) => {
        if (series.y[i] !== null) svg.append(make("circle", { cx: x(at), cy: y(series.y[i]), r: 2.6, style: `fill:${series.stroke}` }));
      });
    }
    this.hover(svg, box, x, x0, x1, shown);
  }

  hover(svg, box, x, x0, x1, shown) {
    const cross = make("line", { class: "cross", y1: box.top, y2: box.height - box.bottom, visibility: "hidden" });
    const all = [...new Set(shown.flatMap((series) => series.x))].sort((a, b) => a - b);
    svg.append(cross);
    const move = (event) => {
      const area = svg.getBoundingClientRect();
      const inside = (event.clientX - area.left) / area.width * box.width;
      const wanted = x0 + (inside - box.left) / (box.width - box.left - box.right) * (x1 - x0);
      const at = all[nearest(all, wanted)];
      cross.setAttribute("x1", x(at)); cross.setAttribute("x2", x(at)); cross.setAttribute("visibility", "visible");
      const rows = shown.flatMap((series) => {
        const i = series.x.indexOf(at);
        if (i < 0) return [];
        const value = series.base ? series.share[i] : series.y[i];
        const key = make("span", {}, "■ ");
        key.style.color = series.stroke;
        return [[value, make("div", {}, make("span", {}, key, series.label), make("span", {}, number(value, this.chart.percent)))]];
      }).sort((a, b) => b[0] - a[0]).slice(0, 12).map(([, row]) => row);
      this.tip.replaceChildren(make("b", {}, `${this.chart.x_label.split(/[ ,]/)[0]} ${at}`), ...rows);
      this.tip.hidden = false;
      const frame = this.figure.getBoundingClientRect(), left = event.clientX - frame.left;
      this.tip.style.top = `${area.top - frame.top + 10}px`;
      this.tip.style.left = left < frame.width / 2 ? `${left + 14}px` : "auto";
      this.tip.style.right = left < frame.width / 2 ? "auto" : `${frame.width - left + 14}px`;
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointerleave", () => { this.tip.hidden = true; cross.setAttribute("visibility", "hidden"); });
  }

  bars(svg, box, shown) {
    const names = this.chart.categories, band = (box.width - box.left - box.right) / names.length;
    const top = Math.max(...shown.flatMap((series) => [...series.y, ...series.high]).map((value) => value || 0), 0.01) * 1.06;
    const x = (value) => box.left + (value + 0.5) * band;
    const y = (value) => box.height - box.bottom - value / top * (box.height - box.top - box.bottom);
    this.axes(svg, box, x, y, names.map((_, i) => i), ticks(0, top, 4), (i) => names[i]);
    const width = Math.min(34, band * 0.8 / shown.length);
    shown.forEach((series, n) => series.x.forEach((at, i) => {
      const left = x(at) + (n - shown.length / 2) * width, value = series.y[i];
      if (value === null) { svg.append(make("text", { x: left + width / 2, y: y(0) - 4, "text-anchor": "middle" }, "–")); return; }
      const bar = make("rect", { x: left + 1, width: width - 2, y: y(value), height: y(0) - y(value), rx: 2, style: `fill:${series.stroke}` });
      bar.append(document.createElementNS(SVG, "title"));
      bar.firstChild.textContent = `${series.label}: ${number(value, true)}`;
      svg.append(bar);
      if (series.high[i] !== null && series.high[i] !== undefined) svg.append(make("line", { class: "cross", x1: left + width / 2, x2: left + width / 2, y1: y(series.low[i]), y2: y(series.high[i]) }));
    }));
  }
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  return [low, high];
}

function nearest(sorted, wanted) {
  let low = 0, high = sorted.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; sorted[middle] < wanted ? low = middle : high = middle; }
  return Math.abs(sorted[low] - wanted) <= Math.abs(sorted[high] - wanted) ? low : high;
}

function stacked(shown) {
  const sums = new Map();
  return shown.map((series) => {
    const base = series.x.map((at) => sums.get(at) || 0);
    const y = series.y.map((value, i) => base[i] + (value || 0));
    series.x.forEach((at, i) => sums.set(at, y[i]));
    return { ...series, base, y, share: series.y };
  });
}

const views = [];

function showHead() {
  const { runs, made } = state.data;
  byId("title").textContent = runs.map((run) => run.name).join(", ");
  byId("made").textContent = `Made ${made}. Drawn from the runs' own logs.`;
  if (runs.length > 1) byId("runs").append(...runs.map((run, i) => make("button", {
    type: "button", "aria-pressed": "true", onclick: (event) => {
      const hidden = state.hiddenRuns;
      hidden.has(run.name) ? hidden.delete(run.name) : hidden.add(run.name);
      event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(run.name)));
      views.forEach((view) => view.draw());
    } }, make("span", { style: `color:var(--c${i % 8})`, "aria-hidden": "true" }, "●"), run.name)));
  const change = (pair, percent) => pair ? `${number(pair[0], percent)} → ${number(pair[1], percent)}` : "–";
  const rows = runs.map((run) => [run.name, run.coldStartSteps ?? "–", run.iterations ?? "–", change(run.reward, true),
    change(run.length), change(run.truncated, true), run.stepTime ? `${number(run.stepTime[1])} s` : "–"]);
  const head = ["Run", "Cold-start steps", "PPO iterations", "Reward", "Response tokens", "Truncated", "Time of an iteration"];
  byId("facts").append(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, String(text)))))));
  const notes = runs.flatMap((run) => run.notes.map((note) => runs.length > 1 ? `${run.name}: ${note}` : note));
  byId("notes").hidden = !notes.length;
  byId("noted").append(...notes.map((note) => make("li", {}, note)));
}

function showCharts() {
  for (const [id, title] of Object.entries(SECTIONS)) {
    const charts = state.data.charts.filter((chart) => chart.section === id);
    if (!charts.length) continue;
    const made = charts.map((chart) => new ChartView(chart));
    views.push(...made);
    byId("charts").append(make("section", { id }, make("h2", {}, title), make("div", { class: "grid" }, ...made.map((view) => view.figure))));
  }
  byId("tools").hidden = !views.length;
  // What is far below is drawn when it comes near, so that the top is there at once.
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    seen.unobserve(entry.target);
    views.find((view) => view.figure === entry.target).draw();
  }), { rootMargin: "600px" });
  views.forEach((view) => seen.observe(view.figure));
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; views.forEach((view) => view.draw()); } });
  window.addEventListener("beforeprint", () => views.forEach((view) => view.draw()));
  byId("smoothing").addEventListener("input", (event) => {
    state.smoothing = event.target.value / 100;
    byId("smoothed").textContent = state.smoothing ? `weight ${state.smoothing.toFixed(2)}` : "off";
    views.forEach((view) => view.draw());
  });
}

// Rollouts

const columns = () => state.data.columns;
const fact = (name, row) => columns()[name].names[columns()[name].codes[row]];

function showFilters() {
  const { step } = columns(), [first, last] = extent(step);
  const choice = (name, label, names) => make("label", {}, label, make("select", { name },
    make("option", { value: "" }, "all"), ...names.map((text, i) => make("option", { value: String(i) }, text || "(none)"))));
  const form = byId("filters");
  if (state.data.runs.length > 1) form.append(choice("run", "Run", state.data.runs.map((run) => run.name)));
  form.append(choice("data_source", "Source", columns().data_source.names), choice("modality", "Modality", columns().modality.names),
    choice("outcome", "Outcome", columns().outcome.names),
    make("label", {}, "From iteration", make("input", { type: "number", name: "from", min: first, max: last, placeholder: first })),
    make("label", {}, "to", make("input", { type: "number", name: "to", min: first, max: last, placeholder: last })),
    make("label", {}, "Order", make("select", { name: "order" }, ...["as trained", "longest first", "shortest first", "latest first"].map((text) => make("option", {}, text)))),
    make("label", {}, "Words in question or response", make("input", { type: "search", name: "words", autocomplete: "off" })));
  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, event.target.name === "words" ? 250 : 0);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
}

let filtering = 0;
async function filter() {
  const mine = ++filtering, wanted = Object.fromEntries(new FormData(byId("filters"))), all = columns();
  let rows = [];
  const from = wanted.from === "" ? -Infinity : +wanted.from, to = wanted.to === "" ? Infinity : +wanted.to;
  for (let row = 0; row < all.step.length; row++) {
    if (all.step[row] < from || all.step[row] > to) continue;
    if (wanted.run && all.run[row] !== +wanted.run) continue;
    if (["data_source", "modality", "outcome"].some((name) => wanted[name] && all[name].codes[row] !== +wanted[name])) continue;
    rows.push(row);
  }
  const words = (wanted.words || "").trim().toLowerCase();
  if (words) {
    byId("matches").textContent = "Searching…";
    const kept = [];
    for (const row of rows) {
      const texts = (await unpack(`texts-${Math.floor(row / CHUNK)}`))[row % CHUNK];
      if (mine !== filtering) return;
      if (texts.slice(0, 2).some((text) => whole(text).toLowerCase().includes(words))) kept.push(row);
    }
    rows = kept;
  }
  if (wanted.order === "longest first") rows.sort((a, b) => all.tokens[b] - all.tokens[a]);
  if (wanted.order === "shortest first") rows.sort((a, b) => all.tokens[a] - all.tokens[b]);
  if (wanted.order === "latest first") rows.sort((a, b) => all.step[b] - all.step[a]);
  state.matching = rows;
  state.page = 0;
  const right = rows.filter((row) => all.score[row] > 0).length;
  byId("matches").textContent = rows.length ? `${rows.length.toLocaleString("en")} rollouts, ${number(right / rows.length, true)} of them right` : "No rollout matches.";
  list();
}

const whole = (text) => Array.isArray(text) ? `${text[0]}\n${text[2]}` : text;

function badge(row) {
  return make("span", { class: "badge " + (columns().score[row] > 0 ? "correct" : "other") }, fact("outcome", row) || `score ${number(columns().score[row])}`);
}

function list() {
  const start = state.page * PAGE, rows = state.matching.slice(start, start + PAGE);
  byId("list").replaceChildren(...rows.map((row) => make("li", {}, make("button", {
    type: "button", "data-row": row, "aria-current": String(row === state.chosen), onclick: () => choose(row, true) },
    badge(row), ` iteration ${columns().step[row]}`, make("small", {}, [state.data.runs.length > 1 ? state.data.runs[columns().run[row]].name : "",
      fact("data_source", row), fact("modality", row), `${columns().tokens[row].toLocaleString("en")} tokens`].filter(Boolean).join(" · "))))));
  byId("list").scrollTop = 0;
  const pages = Math.max(1, Math.ceil(state.matching.length / PAGE));
  byId("where").textContent = `page ${state.page + 1} of ${pages}`;
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page + 1 >= pages;
}

function prose(text) {
  if (!Array.isArray(text)) return make("pre", {}, text);
  return make("pre", {}, text[0], make("span", { class: "cut" }, `${text[1].toLocaleString("en")} characters are left out here; the dump has them`), text[2]);
}

async function choose(row, go) {
  state.chosen = row;
  for (const button of byId("list").querySelectorAll("button")) button.setAttribute("aria-current", String(+button.dataset.row === row));
  const [prompt, response, reference, answer] = (await unpack(`texts-${Math.floor(row / CHUNK)}`))[row % CHUNK];
  const image = columns().image[row];
  const urls = image < 0 ? [] : (await unpack(`pictures-${Math.floor(image / PICTURES)}`))[image % PICTURES];
  if (state.chosen !== row) return;
  const facts = { iteration: columns().step[row], source: fact("data_source", row), modality: fact("modality", row), tokens: columns().tokens[row].toLocaleString("en"),
    reference: whole(reference), answer: whole(answer) || "(none)", row: fact("row_id", row), key: fact("key", row) };
  const title = make("div", {}, badge(row));
  if (columns().truncated[row]) title.append(" ", make("span", { class: "badge other" }, "cut off"));
  byId("detail").replaceChildren(title,
    make("dl", {}, ...Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))))),
    ...(urls.length ? [make("h3", {}, urls.length > 1 ? "Pictures" : "Picture"), make("div", { class: "pictures" }, ...urls.map((src) => make("img", { src, alt: "picture of the question" })))] : []),
    make("h3", {}, "Question"), prose(prompt), make("h3", {}, "Response"), prose(response));
  if (go && window.matchMedia("(max-width: 48rem)").matches) byId("detail").scrollIntoView();
}

function showRollouts() {
  const n = columns().step.length;
  if (!n) return;
  byId("rollouts").hidden = false;
  const cut = state.data.maxChars;
  byId("sampled").textContent = `${n.toLocaleString("en")} rollouts, taken evenly from all iterations` +
    (cut ? `; texts of over ${cut.toLocaleString("en")} characters lack their middle.` : ".");
  showFilters();
  byId("previous").addEventListener("click", () => { state.page--; list(); });
  byId("next").addEventListener("click", () => { state.page++; list(); });
  byId("rollouts").addEventListener("keydown", (event) => {
    const by = { j: 1, k: -1 }[event.key];
    if (!by || /INPUT|SELECT/.test(event.target.tagName)) return;
    const at = state.matching.indexOf(state.chosen) + by;
    if (at < 0 || at >= state.matching.length) return;
    state.page = Math.floor(at / PAGE);
    list();
    choose(state.matching[at]);
  });
  return filter().then(() => choose(state.matching[0]));
}

async function start() {
  state.data = await unpack("data");
  showHead();
  showCharts();
  await showRollouts();
  const sections = [...document.querySelectorAll("main section")].filter((section) => !section.hidden);
  byId("nav").append(make("div", {}, ...sections.map((section) => make("a", { href: "#" + section.id }, section.querySelector("h2").textContent))));
  document.documentElement.dataset.readyMs = String(Math.round(performance.now()));
}

start().catch((error) => {
  document.querySelector("main").prepend(make("p", { class: "note" }, `This page could not be shown: ${error}. It needs a browser of 2023 or later.`));
  document.documentElement.dataset.failed = String(error);
});
