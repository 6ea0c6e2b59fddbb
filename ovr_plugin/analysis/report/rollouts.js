// The browser of rollouts: filters, a list of pages, one rollout with its pictures.

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
