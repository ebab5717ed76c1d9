// A blind test: one pair at a time; what the clips are is told when all questions are answered.
(() => {
  const block = document.getElementById("test");
  if (!block) return;
  const test = JSON.parse(block.textContent);
  const place = `tts-eval blind test ${test.id}`;
  // What was answered survives a reload; a browser that lets the page store nothing is no reason to stop.
  const recalled = () => {
    try {
      const known = JSON.parse(localStorage.getItem(place));
      const fits = ({ request, order, answer }, number) =>
        request === test.questions[number]?.request && order === test.questions[number].order && ["a", "b", "tie"].includes(answer);
      return Array.isArray(known) && known.every(fits) ? known : [];
    } catch {
      return [];
    }
  };
  const remember = () => {
    try {
      localStorage.setItem(place, JSON.stringify(answers));
    } catch { /* see above */ }
  };
  const answers = recalled();
  const find = (id) => document.getElementById(id);
  const choices = [...document.querySelectorAll("[data-answer]")];
  let heard = new Set();

  const ask = () => {
    const number = answers.length;
    if (number === test.questions.length) return finish();
    const { text, clips } = test.questions[number];
    heard = new Set();
    sound.stop();
    find("done").hidden = true;
    find("question").hidden = false;
    find("progress").textContent = `Pair ${number + 1} of ${test.questions.length}`;
    find("sentence").textContent = text;
    find("clips").replaceChildren(...clips.map((clip, place) => {
      const name = ["First", "Second"][place];
      const controls = sound.controls(clip, `${name.toLowerCase()} clip`);
      controls.querySelector(".play")?.addEventListener("click", () => listen(place));
      if (clip.p) heard.add(place);  // nobody can wait for what cannot be played
      return element("section", { class: "clip", "aria-label": `${name} clip` },
        element("h3", {}, element("span", { class: "badge" }, name)), controls);
    }));
    listen();
    find("back").disabled = number === 0;
    find("save").hidden = number === 0;
    find("progress").focus();
  };

  const listen = (place) => {
    if (place !== undefined) heard.add(place);
    const isReady = heard.size === 2;
    for (const button of choices) button.disabled = !isReady;
    find("wait").textContent = isReady ? "" : "Listen to both clips first.";
  };

  const answer = (given) => {
    const { request, order } = test.questions[answers.length];
    const letter = { first: order[0], second: order[1], tie: "tie" }[given];
    answers.push({ request, order, answer: letter });
    remember();
    ask();
  };

  const back = () => {
    if (!answers.length) return;
    answers.pop();
    remember();
    ask();
  };

  const again = () => {
    answers.length = 0;
    remember();
    ask();
  };

  const finish = () => {
    sound.stop();
    find("question").hidden = true;
    find("done").hidden = false;
    find("save").hidden = false;
    const count = (letter) => answers.filter((given) => given.answer === letter).length;
    const [wins, ties, losses, n] = [count("b"), count("tie"), count("a"), answers.length];
    const [rate, z] = [(wins + ties / 2) / n, 1.959963984540054];
    const centre = (rate + (z * z) / (2 * n)) / (1 + (z * z) / n);
    const half = (z / (1 + (z * z) / n)) * Math.sqrt((rate * (1 - rate)) / n + (z * z) / (4 * n * n));
    const percent = (value) => `${(100 * value).toFixed(1)} %`;
    find("result").textContent = `B wins ${percent(rate)} [${percent(Math.max(centre - half, 0))}, ${percent(Math.min(centre + half, 1))}]`;
    find("verdict").textContent = `A is ${test.a}. B is ${test.b}.`;
    find("counts").textContent = `B better: ${wins}; no difference: ${ties}; A better: ${losses}.`;
    find("result").focus();
  };

  const save = () => {
    const { questions, ...about } = test;
    const text = JSON.stringify({ ...about, asked: questions.length, answers }, null, 2);
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "blind-test.json" });
    link.click();
    URL.revokeObjectURL(link.href);
  };

  for (const button of choices) button.addEventListener("click", () => answer(button.dataset.answer));
  find("back").addEventListener("click", back);
  find("save").addEventListener("click", save);
  find("again").addEventListener("click", again);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target.matches("input")) return;
    const given = { ArrowLeft: "first", ArrowDown: "tie", ArrowRight: "second" }[event.key];
    const buttons = find("clips").querySelectorAll(".play");
    if (find("question").hidden) return;
    if (given && heard.size === 2) answer(given);
    else if (event.key === "1" || event.key === "2") buttons[event.key - 1]?.click();
    else if (event.key === "Backspace") back();
    else return;
    event.preventDefault();
  });
  find("no-script").hidden = true;
  ask();
})();
