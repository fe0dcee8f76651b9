/* The masking pictures. What is drawn is the levels that the page carries for each instant; the slider, the map, the
   player and the key W only say which instant.

   For tests and the curious, each .masking says what it shows in data-step (an instant) and data-worst (dB). */
(() => {
  const NOTHING = -32768, MINUS = "\u2212", NBSP = "\u00a0";
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const hertz = (hz) => (hz < 999.5 ? `${hz.toFixed(0)}${NBSP}Hz` : `${(hz / 1000).toFixed(1)}${NBSP}kHz`);

  class Picture {
    constructor(box, player) {
      this.box = box;
      this.section = box.closest(".file");
      this.player = player;
      this.steps = Number(box.dataset.steps);
      this.bands = Number(box.dataset.bands);
      this.step = Number(box.dataset.step);
      this.slider = $(".look-slider", box);
      this.follow = $(".follow", box);
      this.section.style.setProperty("--look", box.style.getPropertyValue("--look"));
      box.classList.add("has-script");
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
      $(".worst", box).addEventListener("click", () => this.toWorst());
      this.follow?.addEventListener("change", () => {
        this.section.classList.toggle("untied", !this.follow.checked);
        if (this.follow.checked && this.player.playing) this.moved(this.player.time(), true);
      });
      for (const plot of $$("[data-goes]", box)) {
        const go = (event) => {
          const { left, width } = plot.getBoundingClientRect();
          this.go(this.at((event.clientX - left) / width));
        };
        plot.addEventListener("click", go);
        plot.addEventListener("pointermove", (event) => { if (event.buttons === 1 && event.pointerType === "mouse") go(event); });
      }
      player.onmove = (time, told) => this.moved(time, told);
      player.toWorst = () => this.toWorst();
    }

    // The levels are unpacked when they are first asked for.
    get levels() {
      if (!this.unpacked) {
        const n = this.steps * this.bands;
        const bytes = bytesOf(this.box.dataset.cells), view = new DataView(bytes.buffer);
        const each = (from, read) => Array.from({ length: this.steps }, (_, i) => read(3 * n + from * this.steps + i * (from < 4 ? 2 : 1)));
        this.unpacked = {
          clip: bytes.subarray(0, n), threshold: bytes.subarray(n, 2 * n), noise: bytes.subarray(2 * n, 3 * n),
          worst: each(0, (at) => view.getInt16(at, true)),
          when: each(2, (at) => view.getUint16(at, true)),
          band: each(4, (at) => view.getUint8(at)),
        };
        this.centres = this.box.dataset.centres.split(" ").map(Number);
      }
      return this.unpacked;
    }

    get tied() { return this.follow ? this.follow.checked : false; }

    at(share) { return clamp(Math.floor(share * this.steps), 0, this.steps - 1); }

    // By the reader's hand: the player goes along if it is tied.
    go(step) {
      if (this.tied) this.player.seek((step + 0.5) / this.steps * this.player.duration);
      this.show(step, true);
    }

    toWorst() {
      this.go(Number(this.box.dataset.moment));
      say(this.slider.getAttribute("aria-valuetext"));
    }

    // By the player.
    moved(time, told) { if (this.tied) this.show(this.at(time / this.player.duration), told); }

    show(step, told) {
      if (step !== this.step) {
        this.step = step;
        this.draw();
      }
      if (told) {
        const says = this.says();
        this.slider.setAttribute("aria-valuetext", says);
        $(".bark .stage", this.box).setAttribute("aria-label", `Clip, masking threshold and perturbation by critical band. ${says}`);
      }
    }

    draw() {
      const { step, bands, levels } = this, at = step * bands;
      const of = (name) => levels[name].subarray(at, at + bands);
      const clip = of("clip"), threshold = of("threshold"), noise = of("noise");
      const put = (name, d) => $(`.bark path.${name}`, this.box).setAttribute("d", d);
      put("clip", this.stairs(clip));
      put("clip-area", this.area(clip));
      put("threshold", this.stairs(threshold));
      put("hidden", this.area(threshold));
      put("noise", this.stairs(noise));
      put("excess", this.excess(threshold, noise));
      const told = this.words(), text = (name, words) => { $(name, this.box).textContent = words; };
      text(".look-time", `${told.time}${NBSP}s`);
      text(".look-where", told.where);
      text(".look-worst", told.worst);
      text(".look-over", told.over);
      this.box.classList.toggle("over", told.over > 0);
      $(".look-is-worst", this.box).classList.toggle("not", step !== Number(this.box.dataset.moment));
      this.box.dataset.step = step;
      this.box.dataset.worst = told.worst;
      this.slider.value = step;
      const look = String((step + 0.5) / this.steps);
      this.box.style.setProperty("--look", look);
      this.section.style.setProperty("--look", look);
    }

    words() {
      const { step, bands, levels } = this, worst = levels.worst[step], none = worst === NOTHING;
      let over = 0;
      for (let k = step * bands; k < (step + 1) * bands; k++) over += levels.noise[k] > levels.threshold[k];
      return {
        time: (Number(this.box.dataset.start) + levels.when[step] / 1000).toFixed(2),
        worst: none ? "–" : `${over ? "+" : MINUS}${(Math.abs(worst) / 10).toFixed(1)}${NBSP}dB`,
        where: none ? "–" : hertz(this.centres[levels.band[step]]),
        over,
      };
    }

    says() {
      const told = this.words();
      return told.worst === "–" ? `${told.time} seconds: no perturbation` : `${told.time} seconds: worst ${told.worst}, at ${told.where}`;
    }

    // The paths are those of masking_view.py: x in bands, y in dB SPL downward.
    y(level) { return -(Number(this.box.dataset.floor) + Number(this.box.dataset.stepDb) * level) + 0; }

    stairs(levels) {
      let d = "", on = false;
      levels.forEach((level, k) => {
        if (level) d += on ? `V${this.y(level)}H${k + 1}` : `M${k},${this.y(level)}H${k + 1}`;
        on = level > 0;
      });
      return d;
    }

    area(levels) {
      let d = `M0,${this.y(0)}`;
      levels.forEach((level, k) => { d += `V${this.y(level)}H${k + 1}`; });
      return `${d}V${this.y(0)}Z`;
    }

    excess(threshold, noise) {
      let d = "";
      threshold.forEach((hidden, k) => {
        if (noise[k] > hidden) d += `M${k},${this.y(hidden)}V${this.y(noise[k])}H${k + 1}V${this.y(hidden)}Z`;
      });
      return d;
    }
  }

  window.subterfuge.pictures = $$(".masking[data-cells]").filter((box) => $(".look-slider", box)).map((box) => {
    const player = window.subterfuge.players.find((one) => one.section === box.closest(".file"));
    return new Picture(box, player);
  });
})();
