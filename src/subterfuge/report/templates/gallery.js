/* One sound at a time. Each card says what it does in data-state (idle | loading | playing | paused | failed) and
   data-time; the tile on the wall that plays the same sound follows it. */
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const cards = $$(".card[data-duration]").filter((card) => $(".play", card));
  const tiles = new Map();
  for (const tile of $$(".tile")) tiles.set(tile.dataset.plays, tile);
  const audio = new Audio();
  audio.preload = "auto";
  let current = null, loop = false;
  const urls = new Map();

  function address(card) {
    const held = card.dataset.embedded;
    if (!held) return card.dataset.file;
    if (!urls.has(held)) {
      urls.set(held, URL.createObjectURL(new Blob([bytesOf(held)], { type: "audio/flac" })));
    }
    return urls.get(held);
  }

  const name = (card) => card.getAttribute("aria-label");
  const length = (card) => Number(card.dataset.duration);

  function show(card, state) {
    card.dataset.state = state;
    const busy = state === "playing" || state === "loading";
    $(".play", card).setAttribute("aria-label", busy ? "Pause" : "Play");
    const tile = tiles.get(card.id);
    if (tile) tile.dataset.state = state;
  }

  function draw(card, time) {
    card.dataset.time = time.toFixed(3);
    const part = String(Math.min(1, time / length(card)));
    card.style.setProperty("--at", part);
    tiles.get(card.id)?.style.setProperty("--at", part);
    $(".at", card).textContent = time.toFixed(1);
    const seek = $(".seek", card);
    if (Math.abs(seek.value - time) >= 0.01) seek.value = time;
    seek.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${length(card).toFixed(1)} seconds`);
  }

  function frame() {
    if (!current || audio.paused) return;
    draw(current, audio.currentTime);
    if (still.matches) setTimeout(frame, 200); else requestAnimationFrame(frame);
  }

  function take(card) {
    if (current === card) return;
    if (current) {
      audio.pause();
      show(current, "idle");
      draw(current, 0);
    }
    current = card;
    audio.src = address(card);
    audio.loop = loop;
  }

  async function play(card, from = null) {
    take(card);
    if (from !== null) audio.currentTime = from;
    show(card, "loading");
    try {
      await audio.play();
    } catch (error) {
      if (error.name === "AbortError") return;
      show(card, "failed");
      say(`${name(card)} cannot be played here.`);
    }
  }

  function pause() {
    audio.pause();
    if (current && current.dataset.state !== "failed") show(current, "paused");
    if (current) draw(current, audio.currentTime);
  }

  function toggle(card) {
    if (card === current && ["playing", "loading"].includes(card.dataset.state)) pause(); else play(card);
  }

  function seek(card, time) {
    take(card);
    const to = Math.min(length(card), Math.max(0, time));
    audio.currentTime = to;
    if (audio.paused) show(card, "paused");
    draw(card, to);
  }

  audio.addEventListener("playing", () => {
    if (!current) return;
    show(current, "playing");
    say(`Playing ${name(current)}.`);
    frame();
  });
  audio.addEventListener("ended", () => {
    if (!current) return;
    show(current, "idle");
    draw(current, 0);
    audio.currentTime = 0;
    say("The end.");
  });

  for (const card of cards) {
    $(".play", card).addEventListener("click", () => toggle(card));
    $(".seek", card).addEventListener("input", (event) => seek(card, Number(event.target.value)));
    const plot = $(".plot", card);
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      seek(card, (length(card) * (event.clientX - box.left)) / box.width);
    });
  }
  for (const [id, tile] of tiles) {
    const card = document.getElementById(id);
    if (cards.includes(card)) tile.addEventListener("click", () => toggle(card)); else tile.disabled = true;
  }

  function step(by) {
    const at = cards.indexOf(document.activeElement?.closest?.(".card") ?? current);
    const card = cards[Math.min(cards.length - 1, Math.max(0, at + by))];
    const busy = current && !audio.paused;
    card.scrollIntoView({ block: "nearest" });
    card.focus({ preventScroll: true });
    if (busy) play(card); else { take(card); say(name(card)); }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !$("#keys-on").checked || !cards.length) return;
    const on = event.target instanceof Element ? event.target : document.body;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === " " && on.closest("button, a, input, label")) return;
    if (key.startsWith("Arrow") && on.closest("input, .table-scroll, pre")) return;
    const card = current ?? cards[0];
    const acts = {
      " ": () => toggle(card),
      ArrowLeft: () => seek(card, audio.currentTime - 0.25),
      ArrowRight: () => seek(card, audio.currentTime + 0.25),
      l: () => { loop = audio.loop = !loop; say(loop ? "Loop on." : "Loop off."); },
      j: () => step(1),
      k: () => step(-1),
    };
    if (!Object.hasOwn(acts, key) || (event.repeat && !key.startsWith("Arrow"))) return;
    event.preventDefault();
    acts[key]();
  });
  window.subterfuge = { audio };
})();
