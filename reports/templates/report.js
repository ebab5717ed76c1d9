"use strict";
(() => {
  const articles = [...document.querySelectorAll("article.request")];

  // A player without a source gets one when it comes near the screen: blobs of hundreds of clips
  // that nobody listens to would only cost memory.
  const load = (audio) => {
    const { mime, base64 } = JSON.parse(document.getElementById(audio.dataset.block).textContent);
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    audio.src = URL.createObjectURL(new Blob([bytes], { type: mime }));
  };
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      load(target);
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll("audio[data-block]").forEach((audio) => near.observe(audio));

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
    const player = last ?? document.querySelector("article.request:not([hidden]) audio");
    if (!player) return;
    event.preventDefault();
    if (player.paused) player.play();
    else player.pause();
  });

  const filter = document.getElementById("filter");
  if (!filter) return;
  const text = document.getElementById("filter-text");
  const group = document.getElementById("filter-group");
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const article of articles) {
      const fits = (!group?.value || article.dataset.group === group.value)
        && (!wanted || article.textContent.toLowerCase().includes(wanted));
      article.hidden = !fits;
      shown += fits;
    }
    document.getElementById("filter-count").textContent =
      shown === articles.length ? `${shown} requests` : `${shown} of ${articles.length} requests`;
    document.getElementById("filter-empty").hidden = shown > 0;
  };
  filter.hidden = false;
  text.addEventListener("input", apply);
  group?.addEventListener("change", apply);
  apply();
})();
