/* The plan of a listening test, and what its answers prove: number for number as audibility/listening.py has it. */
const abx = (() => {
  const GOLDEN = 0x9e3779b9, ALPHA = 0.05;

  function mixed(x) {
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  }

  class Draws {
    constructor(seed, listener) {
      this.seed = mixed(seed);
      this.listener = mixed(listener ^ GOLDEN);
      this.count = 0;
    }
    word() {
      this.count += 1;
      return mixed(mixed(this.seed + Math.imul(this.count, GOLDEN)) ^ this.listener);
    }
    below(n) {
      const limit = 2 ** 32 - 2 ** 32 % n;
      let word;
      do word = this.word(); while (word >= limit);
      return word % n;
    }
    shuffled(n) {
      const out = [...Array(n).keys()];
      for (let i = n - 1; i > 0; i--) {
        const j = this.below(i + 1);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    }
  }

  const controls = (trials) => [Math.max(3, Math.floor(trials / 8)), Math.max(2, Math.floor(trials / 8))];

  function plan({ trials, pairs, seed, listener }) {
    const draws = new Draws(seed, listener);
    const order = draws.shuffled(pairs);
    const counting = draws.shuffled(trials).map((i) => order[i % pairs]);
    const [audible, identical] = controls(trials);
    const total = trials + audible + identical;
    const slots = Array(total).fill(null);
    for (const [kind, n] of [["audible", audible], ["identical", identical]]) {
      const source = draws.shuffled(pairs);
      for (let i = 0; i < n; i++) {
        const free = [];
        for (let at = Math.floor(total * i / n); at < Math.floor(total * (i + 1) / n); at++) if (!slots[at]) free.push(at);
        slots[free[draws.below(free.length)]] = { kind, pair: source[i % pairs] };
      }
    }
    for (let at = 0, next = 0; at < total; at++) slots[at] ??= { kind: "pair", pair: counting[next++] };
    return slots.map((slot) => ({ ...slot, x: draws.below(2) === 0 ? "A" : "B" }));
  }

  /* Probability of k or more right answers of n, each right with probability p; exact for the few that there are. */
  function atLeast(k, n, p) {
    let choose = 1, sum = 0;
    for (let i = n; i >= k; i--) {
      sum += choose * p ** i * (1 - p) ** (n - i);
      choose = choose * i / (n - i + 1);
    }
    return Math.min(1, sum);
  }

  /* Where a function that rises from below to above a value crosses it. */
  function crossing(rising, value) {
    let low = 0, high = 1;
    for (let i = 0; i < 80; i++) {
      const middle = (low + high) / 2;
      if (rising(middle) < value) low = middle; else high = middle;
    }
    return (low + high) / 2;
  }

  function score(right, total) {
    return {
      right, total,
      p_value: atLeast(right, total, 0.5),
      low: right > 0 ? crossing((p) => atLeast(right, total, p), 0.025) : 0,
      high: right < total ? crossing((p) => atLeast(right + 1, total, p), 0.975) : 1,
    };
  }

  function needed(total) {
    for (let k = 0; k <= total; k++) if (atLeast(k, total, 0.5) <= ALPHA) return k;
    return null;
  }

  function power(total, share) {
    const least = needed(total);
    return least === null ? 0 : atLeast(least, total, share);
  }

  /* A checksum over a session, against slips of an editor. */
  function seal(page, listener, answers) {
    const text = `${page}|${listener}` + answers.map((one) => `|${one.x}${one.answer}${one.milliseconds},${one.switches}`).join("");
    let a = 1, b = 2;
    for (const letter of text) {
      a = mixed(a ^ letter.charCodeAt(0));
      b = mixed(b + letter.charCodeAt(0));
    }
    const hex = (word) => word.toString(16).padStart(8, "0");
    return hex(a) + hex(b);
  }

  return { ALPHA, Draws, controls, plan, atLeast, score, needed, power, seal };
})();
