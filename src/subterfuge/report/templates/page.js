/* The players. Per file, three buffers of one length start together and loop together; what is heard is only a
   matter of three gains, so a switch never moves the clock.

   For tests and the curious, each file's <section> says what it does:
     data-source  original | adversarial | perturbation
     data-state   idle | loading | playing | paused | failed
     data-time    seconds from the beginning of the excerpt
   and window.subterfuge.players holds the players themselves (context, gains, buffers). */
(() => {
  const RAMP = 0.005; // seconds of cross-fade; the sounds are nearly equal, so a linear one keeps the level
  const KEPT = 4; // decoded files kept in memory
  const NAMES = { original: "the original", adversarial: "the adversarial file", perturbation: "the perturbation alone" };

  function difference(context, a, b, gain) {
    const length = Math.min(a.length, b.length);
    const out = context.createBuffer(a.numberOfChannels, length, a.sampleRate);
    for (let c = 0; c < a.numberOfChannels; c++) {
      const x = a.getChannelData(c), y = b.getChannelData(c), z = out.getChannelData(c);
      for (let i = 0; i < length; i++) z[i] = gain * (y[i] - x[i]);
    }
    return out;
  }

  function ramp(parameter, from, to, now) {
    parameter.cancelScheduledValues(now);
    parameter.setValueAtTime(from, now);
    parameter.linearRampToValueAtTime(to, now + RAMP);
  }

  class Player {
    constructor(section) {
      this.section = section;
      this.data = section.dataset;
      this.duration = Number(this.data.duration);
      this.offset = 0;
      this.loop = true;
      this.buffers = null;
      this.nodes = [];
      this.wire();
    }

    wire() {
      const at = (selector, event, act) => $$(selector, this.section).forEach((e) => e.addEventListener(event, act));
      this.section.addEventListener("pointerdown", () => { current = this; });
      this.section.addEventListener("focusin", () => { current = this; });
      at(".play", "click", () => this.toggle());
      at(".swap", "click", () => this.swap());
      at(".loop", "click", () => this.setLoop(!this.loop));
      at(".source input", "change", (event) => this.listen(event.target.value));
      at(".seek", "input", (event) => this.seek(Number(event.target.value)));
      at(".own-toggle", "change", (event) => this.section.classList.toggle("own-on", event.target.checked));
      for (const plot of $$(".plot", this.section)) {
        const go = (event) => {
          const box = plot.getBoundingClientRect();
          this.seek(this.duration * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
        };
        plot.addEventListener("click", go);
        plot.addEventListener("pointermove", (event) => { if (event.buttons === 1 && event.pointerType === "mouse") go(event); });
      }
    }

    get playing() { return this.nodes.length > 0; }

    time() {
      if (!this.playing) return this.offset;
      const passed = this.offset + Math.max(0, this.context.currentTime - this.began);
      return this.loop ? passed % this.buffers.original.duration : Math.min(passed, this.duration);
    }

    load() {
      if (this.buffers) return Promise.resolve();
      return (this.loading ??= this.decode().finally(() => { this.loading = null; }));
    }

    async decode() {
      const context = this.context = contextAt(Number(this.data.rate));
      const decoded = await Promise.all(["original", "adversarial"].filter((key) => this.data[key])
        .map(async (key) => [key, await context.decodeAudioData(bytesOf(this.data[key]).buffer)]));
      const buffers = Object.fromEntries(decoded);
      if (buffers.adversarial && this.data.gain) {
        buffers.perturbation = difference(context, buffers.original, buffers.adversarial, Number(this.data.gain));
      }
      this.master = context.createGain();
      this.master.connect(context.destination);
      this.gains = {};
      for (const key of Object.keys(buffers)) {
        this.gains[key] = context.createGain();
        this.gains[key].gain.value = key === this.data.source ? 1 : 0;
        this.gains[key].connect(this.master);
      }
      this.buffers = buffers;
      keep(this);
    }

    forget() {
      this.master.disconnect();
      this.buffers = this.gains = this.master = null;
    }

    async play() {
      if (this.playing || this.data.state === "loading" || !this.data.original) return;
      for (const other of players) if (other !== this) other.pause(true);
      this.wanted = true;
      this.show("loading");
      try {
        await this.load();
        await wake(this.context);
      } catch (error) {
        return this.fail(error);
      }
      if (!this.wanted) return this.show("paused");
      if (this.offset >= this.duration - 0.005) this.offset = 0;
      this.start();
      this.show("playing");
      say(`Playing ${NAMES[this.data.source]}.`);
      requestAnimationFrame(() => this.frame());
    }

    start() {
      const context = this.context;
      this.began = context.currentTime + 0.02;
      this.master.gain.setValueAtTime(0, this.began);
      this.master.gain.linearRampToValueAtTime(1, this.began + RAMP);
      this.nodes = Object.entries(this.buffers).map(([key, buffer]) => {
        const node = context.createBufferSource();
        node.buffer = buffer;
        node.loop = this.loop;
        node.connect(this.gains[key]);
        node.start(this.began, Math.min(this.offset, buffer.duration));
        return node;
      });
      const first = this.nodes[0];
      first.onended = () => { if (this.nodes[0] === first) this.finish(); };
    }

    stop() {
      this.offset = this.time();
      const now = this.context.currentTime;
      ramp(this.master.gain, now > this.began + RAMP ? 1 : 0, 0, now);
      for (const node of this.nodes) node.stop(now + RAMP);
      this.nodes = [];
    }

    pause(quietly = false) {
      this.wanted = false;
      if (!this.playing) return;
      this.stop();
      this.show("paused");
      this.draw();
      if (!quietly) say(`Paused at ${this.offset.toFixed(1)} seconds.`);
    }

    finish() {
      this.nodes = [];
      this.offset = 0;
      this.wanted = false;
      this.show("idle");
      this.draw();
      say("The end.");
    }

    toggle() { if (this.playing || this.data.state === "loading") this.pause(); else this.play(); }

    listen(source) {
      const radio = $(`.source input[value="${source}"]`, this.section);
      if (!radio || radio.disabled) return;
      const previous = this.data.source;
      radio.checked = true;
      this.data.source = source;
      const label = $(".hearing", this.section);
      if (label) label.textContent = source;
      if (this.gains) {
        const now = this.context.currentTime;
        for (const [key, { gain }] of Object.entries(this.gains)) ramp(gain, Number(key === previous), Number(key === source), now);
      }
      say(`${this.playing ? "Now hearing" : "Next:"} ${NAMES[source]}.`);
    }

    swap() { this.listen(this.data.source === "adversarial" ? "original" : "adversarial"); }

    seek(time) {
      const to = Math.min(this.duration, Math.max(0, time));
      if (this.playing) {
        this.stop();
        this.offset = to >= this.duration - 0.005 ? 0 : to;
        this.start();
      } else {
        this.offset = to;
      }
      this.section.classList.add("started");
      this.draw(true);
    }

    setLoop(on) {
      if (this.playing) {
        this.offset = this.time();
        this.began = Math.max(this.began, this.context.currentTime);
      }
      this.loop = on;
      for (const node of this.nodes) node.loop = on;
      $(".loop", this.section).setAttribute("aria-pressed", String(on));
      say(on ? "Loop on." : "Loop off.");
    }

    show(state) {
      this.data.state = state;
      if (this.context && state !== "playing" && state !== "loading") {
        rest(this.context, () => players.some((one) => one.context === this.context && one.wanted));
      }
      if (state === "playing") this.section.classList.add("started");
      const button = $(".play", this.section);
      if (button) button.setAttribute("aria-label", state === "playing" || state === "loading" ? "Pause" : "Play");
    }

    frame() {
      if (!this.playing) return;
      this.draw();
      if (still.matches) setTimeout(() => this.frame(), 200); else requestAnimationFrame(() => this.frame());
    }

    draw(spoken = false) {
      const time = this.time();
      this.data.time = time.toFixed(3);
      this.section.style.setProperty("--at", String(time / this.duration));
      const clock = $(".at", this.section), seek = $(".seek", this.section);
      if (clock) clock.textContent = time.toFixed(2);
      this.onmove?.(time, spoken || !this.playing);
      if (!seek) return;
      if (Math.abs(seek.value - time) >= 0.01) seek.value = time;
      if (spoken || !this.playing) {
        seek.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${this.duration.toFixed(1)} seconds`);
      }
    }

    // A browser that cannot decode this gets plain players of the same embedded data.
    fail(error) {
      this.wanted = false;
      this.show("failed");
      this.failure = String(error);
      const box = $(".fallback", this.section);
      box.hidden = false;
      box.replaceChildren();
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = "This browser could not decode the sounds for the joint player; here they are one by one.";
      box.append(note);
      for (const key of ["original", "adversarial"]) {
        if (!this.data[key]) continue;
        const audio = document.createElement("audio");
        audio.controls = true;
        audio.src = URL.createObjectURL(new Blob([bytesOf(this.data[key])], { type: "audio/flac" }));
        const label = document.createElement("label");
        label.append(key, audio);
        box.append(label);
      }
      say(note.textContent);
    }
  }

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let current = null;
  const players = $$("section.file[data-duration]").map((section) => new Player(section));
  const decoded = [];
  function keep(player) {
    decoded.push(player);
    const old = decoded.find((other) => other !== player && !other.playing);
    if (decoded.length > KEPT && old) {
      decoded.splice(decoded.indexOf(old), 1);
      old.forget();
    }
  }
  window.subterfuge = { players };

  function step(by) {
    const sections = $$("section.file");
    const from = sections.findIndex((section) => section.contains(document.activeElement));
    const seen = sections.findIndex((section) => inView(section) > 0);
    const to = from >= 0 ? from + by : seen >= 0 ? seen + (by > 0 && sections[seen].getBoundingClientRect().top <= 40 ? 1 : by > 0 ? 0 : -1) : 0;
    const section = sections[Math.min(sections.length - 1, Math.max(0, to))];
    section.scrollIntoView();
    section.focus({ preventScroll: true });
    const player = players.find((one) => one.section === section);
    if (player) {
      const busy = players.find((one) => one.playing && one !== player);
      if (busy) busy.pause(true);
      current = player;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !$("#keys-on").checked) return;
    const on = event.target instanceof Element ? event.target : document.body;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === " " && on.closest("button, a, input, label, summary")) return;
    if (key.startsWith("Arrow") && on.closest("input, .table-scroll, pre")) return;
    const player = addressed(players, current);
    const acts = {
      " ": () => player?.toggle(),
      x: () => player?.swap(),
      1: () => player?.listen("original"),
      2: () => player?.listen("adversarial"),
      3: () => player?.listen("perturbation"),
      w: () => player?.toWorst?.(),
      l: () => player?.data.original && player.setLoop(!player.loop),
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
