// Tables: the runs at a glance, and their scores on benchmarks beside the paper's.

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
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text, i) => make("td", { "data-name": head[i] }, String(text)))))));
  const notes = runs.flatMap((run) => run.notes.map((note) => runs.length > 1 ? `${run.name}: ${note}` : note));
  byId("notes").hidden = !notes.length;
  byId("noted").append(...notes.map((note) => make("li", {}, note)));
}

const cells = (tag, texts) => texts.map((text) => make(tag, tag === "th" ? { scope: "col" } : {}, text));

// Scores: the paper's three columns, then every checkpoint of every run, the last one always in sight.
function showScores({ checkpoints, scores }) {
  const head = make("thead", {},
    make("tr", {}, make("td", {}), make("th", { scope: "colgroup", colspan: 3, class: "group" }, "Paper"),
      make("th", { scope: "colgroup", colspan: checkpoints.length, class: "group" }, "Ours, 95 % interval")),
    make("tr", {}, ...cells("th", ["Benchmark", "Qwen2.5-VL-7B", "Cold start", "OVR-7B", ...checkpoints])));
  const rows = scores.map((row) => {
    if (!row.cells) return make("tr", { class: "part" }, make("th", { scope: "colgroup", colspan: 4 + checkpoints.length }, row.name));
    const ours = row.cells.map((cell) => cell ? make("td", {}, make("b", {}, cell[0]), make("small", {}, cell[1])) : make("td", {}, "-"));
    return make("tr", {}, make("th", { scope: "row" }, row.name), ...cells("td", row.paper), ...ours);
  });
  byId("scores").append(head, make("tbody", {}, ...rows));
}

function showMeasured({ checkpoints, header, measured }) {
  const choice = byId("checkpoint");
  const show = () => {
    const { protocol, rows } = measured[+choice.value];
    byId("protocol").textContent = protocol;
    byId("measured").replaceChildren(make("thead", {}, make("tr", {}, ...cells("th", header))),
      make("tbody", {}, ...rows.map(([name, ...rest]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells("td", rest)))));
  };
  choice.append(...checkpoints.map((name, i) => make("option", { value: i }, name)));
  choice.value = String(checkpoints.length - 1);
  choice.addEventListener("input", show);
  show();
}

function showBenchmarks() {
  const tables = state.data.benchmarks;
  if (!tables) return;
  byId("results").hidden = false;
  showScores(tables);
  showMeasured(tables);
  byId("table-notes").append(...tables.notes.map((note) => make("li", {}, note)));
}
