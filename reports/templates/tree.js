// The way of a guided search: a picture of who was kept and dropped, and a table of its decisions. What the
// chosen clip's ancestors said is a part of that clip, and plays.
const searchTree = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const [DECISION, PARENT, SECONDS, SCORE, FATE, CHOSEN] = [0, 1, 2, 3, 4, 5];
  const draw = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const picture = (nodes) => {
    const [dx, dy, margin] = [56, 12, 10];
    const columns = new Map();
    // The chosen line runs along the top; the others keep the order of the search.
    for (const node of [...nodes].sort((a, b) => b[CHOSEN] - a[CHOSEN])) {
      if (!columns.has(node[DECISION])) columns.set(node[DECISION], []);
      columns.get(node[DECISION]).push(node);
    }
    const at = (node) => [margin + dx * node[DECISION], margin + dy * columns.get(node[DECISION]).indexOf(node)];
    const width = margin * 2 + dx * Math.max(...columns.keys());
    const height = margin * 2 + dy * (Math.max(...[...columns.values()].map((column) => column.length)) - 1);
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "tree", role: "img", "aria-label": "Search tree; the table below says the same" });
    for (const node of nodes.filter((one) => one[PARENT] !== null)) {
      const [[x1, y1], [x2, y2]] = [at(nodes[node[PARENT]]), at(node)];
      svg.append(draw("path", { d: `M${x1} ${y1}C${x1 + dx / 2} ${y1} ${x2 - dx / 2} ${y2} ${x2} ${y2}`, class: node[CHOSEN] ? "way" : "" }));
    }
    for (const node of nodes) {
      const [cx, cy] = at(node);
      const dot = draw("circle", { cx, cy, r: node[CHOSEN] ? 4.5 : 3.5, class: `${{ k: "kept", e: "ended", d: "dropped" }[node[FATE]]}${node[CHOSEN] ? " way" : ""}` });
      const title = draw("title", {});
      title.textContent = `${node[SECONDS]} s, score ${node[SCORE] ?? "undecided"}`;
      dot.append(title);
      svg.append(dot);
    }
    return svg;
  };

  const table = (nodes, leftOut, button) => {
    const rows = [];
    let from = 0;
    for (let decision = 0; decision <= Math.max(...nodes.map((node) => node[DECISION])); decision += 1) {
      const here = nodes.filter((node) => node[DECISION] === decision);
      const dropped = here.filter((node) => node[FATE] === "d").length + (leftOut.get(decision) ?? 0);
      const way = here.find((node) => node[CHOSEN]);
      const cells = [decision + 1, here.length + (leftOut.get(decision) ?? 0), dropped, way ? way[SCORE] ?? "undecided" : "", way ? `${way[SECONDS].toFixed(1)} s` : ""];
      const play = [];
      if (way && button) {
        const [begin, end] = [from, way[SECONDS]];
        const part = element("button", { type: "button", "aria-label": `Play what was said up to decision ${decision + 1}` }, `${begin.toFixed(1)}–${end.toFixed(1)} s`);
        part.addEventListener("click", () => sound.playPart(button, begin, end));
        play.push(part);
        from = end;
      }
      rows.push(element("tr", {}, ...cells.map((text) => element("td", { class: "numeric" }, String(text))), element("td", {}, ...play)));
    }
    const heads = ["Decision", "New beams", "Dropped", "Score of the chosen line", "Said by then", "Listen"];
    return element("div", { class: "scroll compact", tabindex: 0, role: "region", "aria-label": "Decisions of the search" },
      element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
        element("tbody", {}, ...rows)));
  };

  /** The folded tree of one request; `button` plays the chosen clip. */
  return (rows, button) => {
    const nodes = rows.filter((row) => row.length > 2);
    const leftOut = new Map(rows.filter((row) => row.length === 2));
    const folded = element("details", { class: "search" }, element("summary", {}, "The search: who was kept, who was dropped"));
    folded.addEventListener("toggle", () => folded.append(
      element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Search tree" }, picture(nodes)),
      element("p", { class: "note" }, "A dot is a beam at a decision: filled was kept, ringed had ended, hollow was dropped; the strong line led to the chosen clip."
        + (leftOut.size ? " The tree is large: dropped beams are counted in the table only." : "")),
      table(nodes, leftOut, button)), { once: true });
    return folded;
  };
})();
