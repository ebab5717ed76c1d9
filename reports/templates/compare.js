"use strict";
// One clip plays at a time; the space bar plays or pauses the last one.
(() => {
  let last = null;
  document.addEventListener("play", ({ target }) => {
    document.querySelectorAll("audio").forEach((audio) => audio !== target && audio.pause());
    last = target;
  }, true);
  document.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLAudioElement) last = target;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    // A focused player toggles itself; buttons and fields need their own space.
    if (event.target.closest("audio, input, select, textarea, button, summary, a, [tabindex]")) return;
    const player = last ?? document.querySelector("audio");
    if (!player) return;
    event.preventDefault();
    if (player.paused) player.play();
    else player.pause();
  });
})();
