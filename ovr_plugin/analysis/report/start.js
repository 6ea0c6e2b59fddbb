// Shows what is on top first.

async function start() {
  state.data = await unpack("data");
  showHead();
  showBenchmarks();
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
