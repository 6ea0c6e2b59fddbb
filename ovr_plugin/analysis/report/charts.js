// Charts: lines with intervals, stacked areas, steps, bars.

const FAINT = 0.45;  // what is no run's: the paper's numbers

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
    const run = Math.max(0, this.runs.indexOf(series.run));
    const colour = this.names.length > 1 ? this.names.indexOf(series.name) : run;
    const round = this.names.length > 1 ? Math.floor(colour / 8) * this.runs.length : 0;  // more curves than colours
    return { stroke: `var(--c${colour % 8})`, dash: DASHES[(run + round) % DASHES.length] };
  }

  label(series) {
    if (this.runs.length < 2 || !series.run) return series.name;
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
    const box = { left: 46, right: 10, top: this.chart.marks.length ? 28 : 16, bottom: 34, width, height };
    if (this.chart.kind === "bar") this.bars(svg, box, shown);
    else this.lines(svg, box, this.chart.kind === "area" ? stacked(shown) : shown);
  }

  drawLegend() {
    const entries = this.chart.series.filter((series) => !state.hiddenRuns.has(series.run));
    this.legend.replaceChildren(...(entries.length < 2 && this.runs.length < 2 ? [] : entries.map((series) => {
      const { stroke, dash } = this.style(series), label = this.label(series);
      const key = make("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" },
        make("line", { x1: 0, x2: 22, y1: 4, y2: 4, style: `stroke:${stroke}`, "stroke-width": 3, "stroke-dasharray": dash, opacity: series.run ? 1 : FAINT }));
      return make("button", {
        type: "button", "aria-pressed": String(!this.hidden.has(label)),
        onclick: () => { this.hidden.has(label) ? this.hidden.delete(label) : this.hidden.add(label); this.draw(); },
      }, key, label);
    })));
  }

  axes(svg, box, x, y, xTicks, yTicks) {
    for (const value of yTicks) svg.append(
      make("line", { class: "gridline", x1: box.left, x2: box.width - box.right, y1: y(value), y2: y(value) }),
      make("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, this.chart.percent)));
    for (const value of xTicks) svg.append(
      make("text", { x: x(value), y: box.height - box.bottom + 16, "text-anchor": "middle" }, String(value)));
    svg.append(make("line", { class: "axis", x1: box.left, x2: box.width - box.right, y1: box.height - box.bottom, y2: box.height - box.bottom }),
      make("text", { x: box.width - box.right, y: box.height - 3, "text-anchor": "end" }, this.chart.x_label),
      make("text", { x: 0, y: 9 }, this.chart.y_label));
  }

  lines(svg, box, shown) {
    const xs = shown.flatMap((series) => series.x);
    const ys = shown.flatMap((series) => [...series.y, ...series.low, ...series.high, ...(series.base || [])]).filter((value) => value !== null);
    let x0 = Math.min(...extent(xs)), x1 = Math.max(...extent(xs));
    let [y0, y1] = extent(ys);
    const isShare = this.chart.percent && y0 >= 0 && y1 <= 1 + 1e-6;  // shares that are stacked are rounded
    if (x0 === x1) [x0, x1] = [x0 >= 0 ? Math.max(0, x0 - 1) : x0 - 1, x1 + 1];
    if (y0 >= 0 && y0 < 0.6 * y1) y0 = 0;
    if (y0 === y1) [y0, y1] = [y0 >= 0 ? Math.max(0, y0 - 0.5) : y0 - 0.5, y1 + 0.5];
    y1 += (y1 - y0) * 0.06;
    if (isShare) y1 = Math.min(1, y1);
    const x = (value) => box.left + (value - x0) / (x1 - x0) * (box.width - box.left - box.right);
    const y = (value) => box.height - box.bottom - (value - y0) / (y1 - y0) * (box.height - box.top - box.bottom);
    const whole = ticks(x0, x1, box.width / 90).filter(Number.isInteger);
    this.axes(svg, box, x, y, whole, ticks(y0, y1, 4));
    for (const [at, label] of this.chart.marks) if (at >= x0 && at <= x1) svg.append(
      make("line", { class: "mark", x1: x(at), x2: x(at), y1: box.top, y2: box.height - box.bottom }),
      make("text", x(at) < box.width - 60 ? { x: x(at) + 3, y: box.top - 4 } : { x: x(at) - 3, y: box.top - 4, "text-anchor": "end" }, label));
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
      if (this.chart.kind === "steps") { this.steps(svg, x, y, series); continue; }
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

  steps(svg, x, y, series) {
    const d = series.x.map((at, i) => `H${x(at).toFixed(1)}V${y(series.y[i]).toFixed(1)}`).join("");
    const base = y(0).toFixed(1), left = x(series.x[0]).toFixed(1);
    svg.append(make("path", { d: `M${left} ${base}${d}V${base}Z`, style: `fill:${series.stroke};stroke:${series.stroke}`, "fill-opacity": 0.18, "stroke-width": 1.6 }));
  }

  hover(svg, box, x, x0, x1, shown) {
    const cross = make("line", { class: "cross", y1: box.top, y2: box.height - box.bottom, visibility: "hidden" });
    const all = [...new Set(shown.flatMap((series) => series.x))].sort((a, b) => a - b);
    svg.append(cross);
    const move = (event) => {
      const area = svg.getBoundingClientRect();
      const inside = (event.clientX - area.left) / area.width * box.width;
      const wanted = x0 + (inside - box.left) / (box.width - box.left - box.right) * (x1 - x0);
      const found = nearest(all, wanted), inBin = this.chart.kind === "steps" && all[found] > wanted;
      const at = all[Math.max(0, found - inBin)];
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
    this.axes(svg, box, x, y, [], ticks(0, top, 4));
    names.forEach((name, i) => name.split(" ").forEach((word, line) => svg.append(  // a word a line: a phone is narrow
      make("text", { x: x(i), y: box.height - box.bottom + 14 + 11 * line, "text-anchor": "middle", style: band < 80 ? "font-size:9.5px" : "" }, word))));
    const width = Math.min(34, band * 0.8 / shown.length);
    shown.forEach((series, n) => series.x.forEach((at, i) => {
      const left = x(at) + (n - shown.length / 2) * width, value = series.y[i];
      if (value === null) { svg.append(make("text", { x: left + width / 2, y: y(0) - 4, "text-anchor": "middle" }, "–")); return; }
      const bar = make("rect", { x: left + 1, width: width - 2, y: y(value), height: y(0) - y(value), rx: 2, style: `fill:${series.stroke}`, "fill-opacity": series.run ? 1 : FAINT });
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
