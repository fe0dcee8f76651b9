/* Per clip three sounds of one length start together and loop together; which is heard is a matter of gains alone.
   Each <section> says what it does in data-source (original | only | without), data-state and data-time. */
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const SOURCES = ["original", "only", "without"];
  let current = null;

  class Player {
    constructor(section) {
      this.section = section;
      this.data = section.dataset;
      this.duration = Number(this.data.duration);
      this.offset = 0;
      const at = (selector, event, act) => $$(selector, section).forEach((e) => e.addEventListener(event, act));
      section.addEventListener("pointerdown", () => { current = this; });
      section.addEventListener("focusin", () => { current = this; });
      at(".play", "click", () => this.toggle());
      at(".swap", "click", () => this.swap());
      at(".source input", "change", (event) => this.listen(event.target.value));
      at(".seek", "input", (event) => this.seek(Number(event.target.value)));
      at(".tint-toggle", "change", (event) => this.tint(event.target.checked));
      at(".plot, .stage", "click", (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        this.seek((this.duration * (event.clientX - box.left)) / box.width);
      });
    }

    get playing() { return Boolean(this.deck?.playing); }
    time() { return this.playing ? this.deck.time() : this.offset; }
    name(source) { return $(`.source input[value="${source}"]`, this.section).dataset.name; }

    async decode() {
      this.context = contextAt(Number(this.data.rate));
      const decoded = await Promise.all(SOURCES.map(async (key) =>
        [key, { buffer: await this.context.decodeAudioData(bytesOf(`${this.section.id}-${key}-data`).buffer), level: 1 }]));
      this.sounds = Object.fromEntries(decoded);
    }

    async play() {
      if (this.playing || this.data.state === "loading" || !("playable" in this.data)) return;
      for (const other of players) if (other !== this) other.pause(true);
      this.wanted = true;
      this.show("loading");
      try {
        if (!this.sounds) await this.decode();
        await wake(this.context);
      } catch {
        this.wanted = false;
        this.show("failed");
        return say("This browser cannot play these sounds.");
      }
      if (!this.wanted) return this.show("paused");
      this.start();
      this.show("playing");
      say(`Playing ${this.name(this.data.source)}.`);
      this.frame();
    }

    start() {
      this.deck = new Deck(this.context, this.sounds, this.data.source);
      this.deck.start(this.context.currentTime + LEAD, Math.min(this.offset, this.deck.duration - 0.01));
    }

    stop() {
      this.offset = this.time();
      this.deck.stop();
      this.deck = null;
    }

    pause(quietly = false) {
      this.wanted = false;
      if (!this.playing) return;
      this.stop();
      this.show("paused");
      this.draw();
      if (!quietly) say(`Paused at ${this.offset.toFixed(1)} seconds.`);
    }

    toggle() { if (this.playing || this.data.state === "loading") this.pause(); else this.play(); }

    listen(source) {
      const radio = $(`.source input[value="${source}"]`, this.section);
      if (!radio || radio.disabled) return;
      radio.checked = true;
      this.data.source = source;
      const label = $(".hearing", this.section);
      if (label) label.textContent = this.name(source);
      if (this.playing) this.deck.hear(source);
      say(`${this.playing ? "Now hearing" : "Next:"} ${this.name(source)}.`);
    }

    swap() { this.listen(SOURCES[(SOURCES.indexOf(this.data.source) + 1) % 3]); }

    tint(on) {
      this.section.classList.toggle("tint-off", !on);
      $(".tint-toggle", this.section).checked = on;
    }

    seek(time) {
      const to = Math.min(this.duration, Math.max(0, time)), busy = this.playing;
      if (busy) this.stop();
      this.offset = to >= this.duration - 0.005 ? 0 : to;
      if (busy) this.start();
      this.section.classList.add("started");
      this.draw();
    }

    show(state) {
      this.data.state = state;
      if (state === "playing") this.section.classList.add("started");
      const busy = state === "playing" || state === "loading";
      $(".play", this.section)?.setAttribute("aria-label", busy ? "Pause" : "Play");
      if (this.context && !busy) rest(this.context, () => players.some((one) => one.context === this.context && one.wanted));
    }

    frame() {
      if (!this.playing) return;
      this.draw();
      if (still.matches) setTimeout(() => this.frame(), 200); else requestAnimationFrame(() => this.frame());
    }

    draw() {
      const time = this.time(), seek = $(".seek", this.section);
      this.data.time = time.toFixed(3);
      this.section.style.setProperty("--at", String(time / this.duration));
      if (!seek) return;
      $(".at", this.section).textContent = time.toFixed(2);
      if (Math.abs(seek.value - time) >= 0.01) seek.value = time;
      seek.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
    }
  }

  const players = $$("section.file").map((section) => new Player(section));
  window.subterfuge = { players };

  function step(by) {
    const at = players.indexOf(addressed(players, current)), player = players[Math.min(players.length - 1, Math.max(0, at + by))];
    for (const other of players) if (other !== player) other.pause(true);
    player.section.scrollIntoView();
    player.section.focus({ preventScroll: true });
    current = player;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !$("#keys-on").checked) return;
    const on = event.target instanceof Element ? event.target : document.body;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === " " && on.closest("button, a, input, label")) return;
    if (key.startsWith("Arrow") && on.closest("input, pre")) return;
    const player = addressed(players, current);
    const acts = {
      " ": () => player?.toggle(),
      x: () => player?.swap(),
      1: () => player?.listen("original"),
      2: () => player?.listen("only"),
      3: () => player?.listen("without"),
      t: () => player?.tint(player.section.classList.contains("tint-off")),
      ArrowLeft: () => player?.seek(player.time() - 0.25),
      ArrowRight: () => player?.seek(player.time() + 0.25),
      j: () => step(1),
      k: () => step(-1),
    };
    if (!Object.hasOwn(acts, key) || (event.repeat && !key.startsWith("Arrow"))) return;
    event.preventDefault();
    acts[key]();
  });
})();
