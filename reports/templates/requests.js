// The request browser: the index is searched, filtered and sorted; ten requests are shown at a time.
(() => {
  const block = document.getElementById("request-index");
  if (!block) return;
  const index = JSON.parse(block.textContent);
  const [ID, TEXT, GROUP, SPEAKER, WORST, HEARD, FAILURES, LOSS, POSITION] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const entries = index.requests.map((fields, place) => ({
    fields, place, searched: [ID, TEXT, GROUP, SPEAKER, HEARD].map((name) => fields[name]).join("\n").toLowerCase(),
  }));
  const list = document.getElementById("requests");
  const form = document.getElementById("filter");
  const count = document.getElementById("filter-count");
  const [previous, next] = [document.getElementById("page-previous"), document.getElementById("page-next")];
  const chunks = new Map();
  let found = entries;
  let page = 0;

  const detailOf = ({ place }) => {
    const number = Math.floor(place / index.chunk);
    if (!chunks.has(number)) {
      if (chunks.size > 20) chunks.clear();
      chunks.set(number, JSON.parse(document.getElementById(`requests-${number}`).textContent));
    }
    return chunks.get(number)[place % index.chunk];
  };

  const errorMark = (kind, title, letter, ...parts) =>
    element("mark", { class: `error ${kind}` }, element("abbr", { title }, letter), ...parts);
  const wordsOf = (chunks_) => chunks_.flatMap((chunk) => {
    if (typeof chunk === "string") return [chunk, " "];
    const [asked, heard] = chunk;
    const [removed, added] = [element("del", {}, asked), element("ins", {}, heard)];
    const mark = !heard ? errorMark("deletion", "deleted", "D", removed)
      : !asked ? errorMark("insertion", "inserted", "I", added)
        : errorMark("substitution", "substituted", "S", removed, " ", added);
    return [mark, " "];
  });
  const heardBy = ([recogniser, words]) => {
    const [judge, isHeldOut] = index.heard[recogniser];
    const said = words.some((word) => word.length) ? wordsOf(words) : [element("em", {}, "nothing")];
    return element("p", { class: "transcript" },
      element("span", { class: "judge" }, `${judge}${isHeldOut ? " (held out)" : ""} heard`), " ", ...said);
  };

  const scoresOf = (clip) => {
    const all = index.metrics.map(([name, judge, isHeldOut], place) => element("div", isHeldOut ? { class: "held-out" } : {},
      element("dt", {}, `${name} `, element("small", {}, judge)),
      element("dd", {}, clip.v[place], ...(clip.p?.[place] ? [" ", element("small", {}, clip.p[place])] : []))));
    const list = (rows) => element("dl", { class: "scores" }, ...rows);
    if (all.length <= 8) return [list(all)];
    const more = element("summary", {}, `${all.length - 6} more scores`);
    return [list(all.slice(0, 6)), element("details", {}, more, list(all.slice(6)))];
  };

  const clipCard = (title, name, id, clip, facts, kind) => element("section",
    { class: `clip ${kind}`, "aria-label": `${title}: ${name} of ${id}` },
    element("h4", {}, element("span", { class: "badge" }, title), ` ${name}`),
    sound.controls(clip.a, `${title.toLowerCase()}: ${name} of ${id}`, clip.t),
    ...(clip.f ? [element("p", { class: "failure" }, element("strong", {}, `Failed, ${clip.f[0]}:`), ` ${clip.f[1]}`)] : []),
    ...clip.h.map(heardBy), ...scoresOf(clip), ...facts);

  const candidateCard = (id, detail, clip) => {
    const roles = [];
    if (clip.r === 0) roles.push("Chosen");
    if (clip.i === detail.first && index.n > 1) roles.push("N = 1");
    if (clip.i === detail.oracle && index.n > 1) roles.push("Oracle");
    const facts = [`${clip.t.toFixed(2)} s`, `ended by ${clip.e}`, ...(clip.n ? [`${clip.n} tokens`] : []), `seed ${clip.s}`,
      ...(clip.x ? [`selection score ${clip.x}`] : []), ...(clip.d ? [`dropped at stage ${clip.d}`] : [])];
    const again = index.n > 1 ? `${detail.again} --index ${clip.i}` : detail.again;
    return clipCard(roles.join(", ") || "Rejected", `candidate ${clip.i}, rank ${clip.r}`, id, clip, [
      element("p", { class: "facts" }, facts.join("; ")),
      element("p", { class: "facts" }, "make it again: ", element("code", { class: "command" }, again)),
    ], clip.r === 0 ? "chosen" : roles.length ? "named" : "rejected");
  };

  const references = (id, detail) => [
    ...(detail.prompt?.a ? [element("section", { class: "clip reference", "aria-label": `Prompt of ${id}` },
      element("h4", {}, element("span", { class: "badge" }, "Prompt"), ` ${detail.prompt.style}`),
      sound.controls(detail.prompt.a, `prompt of ${id}`),
      element("p", { class: "transcript" }, detail.prompt.text))] : []),
    ...(detail.truth ? [clipCard("Ground truth", "recording", id, detail.truth, [], "reference")] : []),
  ];

  const article = (entry) => {
    const { fields } = entry;
    const detail = detailOf(entry);
    const cards = (clips) => clips.map((clip) => candidateCard(fields[ID], detail, clip));
    const isNamed = (clip) => clip.r === 0 || (index.n > 1 && (clip.i === detail.first || clip.i === detail.oracle));
    const rejected = detail.clips.filter((clip) => !isNamed(clip));
    const [heads, named] = [references(fields[ID], detail), detail.clips.filter(isNamed)];
    const about = [fields[GROUP], fields[SPEAKER] && `speaker ${fields[SPEAKER]}`].filter(Boolean);
    const made = element("article", { class: "request" },
      element("header", {}, element("h3", { dir: "auto" }, fields[ID]),
        element("p", {}, ...about.map((text) => element("span", {}, text)),
          ...(fields[LOSS] > 0 ? [element("span", { class: "worse" }, "worse than N = 1")] : []),
          element("span", { class: "worst" }, fields[WORST]))),
      element("p", { class: "text", dir: "auto" }, fields[TEXT]),
      // Where all fit into one row they share it.
      ...(heads.length + named.length > 3 ? [element("div", { class: "pair" }, ...heads)] : []),
      element("div", { class: "pair" }, ...(heads.length + named.length > 3 ? [] : heads), ...cards(named)));
    if (detail.tree) made.append(searchTree(detail.tree, made.querySelector(".chosen .play")));
    if (rejected.length) {
      const folded = element("details", { class: "rejected" },
        element("summary", {}, `${rejected.length} rejected ${rejected.length === 1 ? "candidate" : "candidates"}`));
      folded.addEventListener("toggle", () => folded.append(element("div", { class: "pair" }, ...cards(rejected))), { once: true });
      made.append(folded);
    }
    return made;
  };

  const show = (wanted) => {
    const pages = Math.max(Math.ceil(found.length / index.chunk), 1);
    page = Math.min(Math.max(wanted, 0), pages - 1);
    const from = page * index.chunk;
    const shown = found.slice(from, from + index.chunk);
    sound.stop();
    list.replaceChildren(...shown.map(article));
    const all = found.length === entries.length ? `${entries.length} requests` : `${found.length} of ${entries.length} requests`;
    count.textContent = pages > 1 ? `${from + 1}–${from + shown.length} of ${all}` : all;
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    document.getElementById("filter-empty").hidden = found.length > 0;
  };

  const sorts = {
    worst: (a, b) => a.place - b.place,
    suite: (a, b) => a.fields[POSITION] - b.fields[POSITION],
    regression: (a, b) => (b.fields[LOSS] ?? -Infinity) - (a.fields[LOSS] ?? -Infinity) || a.place - b.place,
    gain: (a, b) => (a.fields[LOSS] ?? Infinity) - (b.fields[LOSS] ?? Infinity) || a.place - b.place,
  };
  const changes = { worse: (loss) => loss > 0, better: (loss) => loss < 0, same: (loss) => loss === 0 };
  const apply = () => {
    const { text, group, failure, change, sort } = Object.fromEntries(new FormData(form));
    const wanted = text.trim().toLowerCase();
    found = entries.filter(({ fields, searched }) => searched.includes(wanted)
      && (!group || fields[GROUP] === group) && (!failure || fields[FAILURES].includes(failure))
      && (!change || (fields[LOSS] !== null && changes[change](fields[LOSS]))));
    found.sort(sorts[sort]);
    show(0);
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  const turn = (by) => {
    show(page + by);
    form.scrollIntoView({ block: "start" });
  };
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));

  // Keys: space plays or pauses; left and right go through the clips of a request, up and down through requests.
  const go = (button) => {
    const wasPlaying = sound.isPlaying();
    button.focus();
    button.closest(".clip").scrollIntoView({ block: "nearest" });
    if (wasPlaying && button !== sound.lastButton()) button.click();
  };
  const firstButton = () => list.querySelector(".play");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const { target, key } = event;
    const isOnButton = target.matches(".play");
    // Fields, sliders and folds need these keys themselves; so does the page, but for the space bar.
    if (!isOnButton && (target.closest("input, select, textarea, button, summary, a, audio, [tabindex]"))) return;
    const at = isOnButton ? target : sound.lastButton();
    if (key === " " && !isOnButton) {
      const button = at ?? firstButton();
      if (!button) return;
      event.preventDefault();
      button.click();
    } else if (key === "ArrowLeft" || key === "ArrowRight") {
      const buttons = [...((at ?? firstButton())?.closest(".request")?.querySelectorAll(".play") ?? [])];
      const place = at ? buttons.indexOf(at) + (key === "ArrowRight" ? 1 : -1) : 0;
      if (!buttons[place]) return;
      event.preventDefault();
      go(buttons[place]);
    } else if ((key === "ArrowUp" || key === "ArrowDown") && isOnButton && target.closest(".request")) {
      event.preventDefault();
      const by = key === "ArrowDown" ? 1 : -1;
      const requests = [...list.children];
      let place = requests.indexOf(target.closest(".request")) + by;
      if (!requests[place]) {
        if (by > 0 ? next.disabled : previous.disabled) return;
        show(page + by);
        place = by > 0 ? 0 : list.children.length - 1;
      }
      const chosen = list.children[place].querySelector(".chosen .play") ?? list.children[place].querySelector(".play");
      if (chosen) go(chosen);
    }
  });

  document.getElementById("browser").hidden = false;
  document.getElementById("no-script").hidden = true;
  apply();
})();
