"use strict";
// One audio element plays every clip of the page, so that thousands of clips cost nothing until they
// are heard. A player is a button, a slider over the clip's picture, and a clock.
const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);  // text stays text, whatever is in it
  return made;
};

const sound = (() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const SVG = "http://www.w3.org/2000/svg";
  const audio = new Audio();
  let current = null;
  let address = "";
  let until = Infinity;
  const players = new WeakMap();

  const urlOf = (clip) => {
    if (clip.u) return clip.u;
    const { mime, base64 } = JSON.parse(document.getElementById(clip.b).textContent);
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return URL.createObjectURL(new Blob([bytes], { type: mime }));
  };

  const load = (player) => {
    if (current === player) return;
    audio.pause();
    if (address.startsWith("blob:")) URL.revokeObjectURL(address);
    const before = current;
    current = player;
    if (before) show(before);
    address = urlOf(player.clip);
    audio.src = address;
  };

  const show = (player) => {
    const isCurrent = player === current;
    const isPlaying = isCurrent && !audio.paused && !audio.ended;
    const length = (isCurrent && Number.isFinite(audio.duration) && audio.duration) || player.seconds;
    const share = isCurrent && length ? Math.min(audio.currentTime / length, 1) : 0;
    player.root.classList.toggle("playing", isPlaying);
    player.button.setAttribute("aria-pressed", String(isPlaying));
    player.track.style.setProperty("--played", `${100 * share}%`);
    player.slider.value = String(Math.round(1000 * share));
    player.slider.setAttribute("aria-valuetext", `${(share * length).toFixed(1)} s`);
    player.clock.textContent = length ? `${length.toFixed(1)} s` : "";
  };

  const toggle = (player) => {
    load(player);
    until = Infinity;
    if (!audio.paused && !audio.ended) return audio.pause();
    return audio.play().catch(() => {
      // A newer wish may have come between; only a clip that does not load is a problem.
      if (current === player && audio.error) player.root.append(element("p", { class: "silent", role: "status" },
        "This clip does not play: is the page still in the folder of its run?"));
    });
  };

  for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata"]) {
    audio.addEventListener(event, () => {
      if (audio.currentTime >= until) audio.pause();
      if (current) show(current);
    });
  }

  const picture = (clip) => {
    if (!clip.w) return [];
    const wave = document.createElementNS(SVG, "svg");
    wave.setAttribute("viewBox", `0 0 ${clip.w.length} 2`);
    wave.setAttribute("preserveAspectRatio", "none");
    wave.setAttribute("class", "wave");
    const path = document.createElementNS(SVG, "path");
    const heights = [...clip.w].map((letter) => Math.max(LETTERS.indexOf(letter) / 63, 0.02));
    path.setAttribute("d", heights.map((height, x) => `M${x + 0.5} ${1 - height}V${1 + height}`).join(""));
    wave.append(path);
    const played = wave.cloneNode(true);
    played.setAttribute("class", "wave played");
    return [wave, played, ...(clip.g ? [spectrum(clip.g)] : [])];
  };

  const spectrum = (letters, bands = 20) => {
    const frames = letters.length / bands;
    const canvas = element("canvas", { width: frames, height: bands, class: "spectrum" });
    const context = canvas.getContext("2d");
    const image = context.createImageData(frames, bands);
    for (let band = 0; band < bands; band += 1) {
      for (let frame = 0; frame < frames; frame += 1) {
        const level = LETTERS.indexOf(letters[band * frames + frame]) / 63;
        image.data[4 * ((bands - 1 - band) * frames + frame) + 3] = 255 * level;
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  };

  /** Controls of one clip {b: id of its block | u: its address, w: wave, g: spectrum}, or why there is none. */
  const controls = (clip, label, seconds = 0) => {
    if (!clip || clip.p) return element("p", { class: "silent" }, clip?.p ?? "There is no audio of this candidate.");
    const button = element("button", { type: "button", class: "play", "aria-label": `Play ${label}`, "aria-pressed": "false" });
    const slider = element("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": `Position in ${label}` });
    const track = element("div", { class: clip.w ? "track" : "track plain" }, ...picture(clip), slider);
    const clock = element("span", { class: "clock" });
    const root = element("div", { class: "player" }, button, track, clock);
    const player = { clip, root, button, slider, track, clock, seconds };
    players.set(button, player);
    button.addEventListener("click", () => toggle(player));
    slider.addEventListener("input", () => {
      const share = slider.value / 1000;
      const seek = () => {
        audio.currentTime = share * audio.duration;
        show(player);
      };
      load(player);
      if (audio.readyState) seek();
      else audio.addEventListener("loadedmetadata", seek, { once: true });
    });
    show(player);
    return root;
  };

  /** Plays part of the clip whose play button this is. */
  const playPart = (button, from, to) => {
    const player = players.get(button);
    load(player);
    const begin = () => {
      audio.currentTime = from;
      until = to;
      audio.play();
    };
    if (audio.readyState) begin();
    else audio.addEventListener("loadedmetadata", begin, { once: true });
  };

  return {
    controls,
    playPart,
    isPlaying: () => !audio.paused && !audio.ended,
    stop: () => audio.pause(),
    /** The play button of the clip that was heard last, while it is on the page. */
    lastButton: () => (current?.button.isConnected ? current.button : null),
  };
})();
