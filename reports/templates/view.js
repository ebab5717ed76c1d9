"use strict";
(() => {
  // The tables are of the moment the page was made; counts go on, and a note says when tables are behind.
  const stale = document.getElementById("stale");
  const items = new Map([...document.querySelectorAll("[data-run]")].map((item) => [item.dataset.run, item]));
  const tell = (text) => { stale.textContent = text; stale.hidden = !text; };
  const show = (run) => {
    const item = items.get(run.path);
    const wasGoing = item.classList.contains("going");
    item.classList.toggle("going", run.is_going);
    item.querySelector(".state").textContent = run.is_going ? "running" : "";
    for (const what of ["candidates", "scores"]) {
      const bar = item.querySelector(`[data-of=${what}]`);
      if (!bar) continue;
      bar.max = run[`${what}_expected`] || 1;
      bar.value = run[what];
      const of = what === "scores" && run.scores < run.scores_expected ? "of at most" : "of";
      item.querySelector(`[data-count=${what}]`).textContent = `${run[what]} ${of} ${run[`${what}_expected`]}`;
    }
    if (wasGoing && !run.is_going) tell("A run has ended. Reload the page for its place in the leaderboard.");
  };
  const events = new EventSource("events");
  events.addEventListener("message", ({ data }) => {
    const runs = JSON.parse(data);
    runs.filter((run) => items.has(run.path)).forEach(show);
    if (runs.length !== items.size || runs.some((run) => !items.has(run.path))) {
      tell("Runs have come or gone. Reload the page to see them.");
    }
  });
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.OPEN) document.documentElement.dataset.offline = "";
  });
  events.addEventListener("open", () => delete document.documentElement.dataset.offline);
})();
