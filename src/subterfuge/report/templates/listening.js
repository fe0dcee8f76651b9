/* A session of the listening test: introduction, trials, result. Nothing is told of right and wrong before the end.

   For tests and the curious, window.subterfuge has: abx (plan and statistics), Deck, stretch, withBursts, and
   session() and current(), what is known so far and what is playing. <main> says data-stage (intro, trial, result)
   and data-state (idle, loading, playing, paused, failed). */
(() => {
  const test = JSON.parse($("#test-data").textContent);
  const main = $("main"), KEEP = `subterfuge-abx ${test.page}`, KEPT = 3, SOUNDS = ["A", "B", "X"];
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let keeps = true;

  // What is known of the session, kept so that a reload goes on.
  let session = null, trials = [];
  function recall() {
    let text = null;
    try {
      localStorage.setItem(`${KEEP} probe`, "1");
      localStorage.removeItem(`${KEEP} probe`);
      text = localStorage.getItem(KEEP);
    } catch { keeps = false; }
    try {
      const known = JSON.parse(text);
      if (Number.isInteger(known?.listener) && known.answers.every((one) => "AB".includes(one.answer))) adopt(known);
      if (session?.answers.length > trials.length) session = null;
    } catch { session = null; }
  }
  function keep() {
    try { localStorage.setItem(KEEP, JSON.stringify(session)); } catch { keeps = false; }
  }
  function adopt(known) {
    session = known;
    trials = abx.plan({ trials: test.trials, pairs: test.pairs.length, seed: test.seed, listener: session.listener });
  }
  function anew() {
    const asked = /^#listener=(\d{1,10})$/.exec(location.hash);
    const listener = asked && Number(asked[1]) < 2 ** 32 ? Number(asked[1]) : crypto.getRandomValues(new Uint32Array(1))[0];
    adopt({ listener, name: $("#name").value.trim(), session: (session?.session ?? 0) + 1, began: new Date().toISOString(), ended: null, answers: [] });
    keep();
  }

  // Sounds, of the last few pairs
  const decoded = new Map();
  function decode(pair) {
    if (!decoded.has(pair)) {
      const { rate, sounds } = test.pairs[pair], context = contextAt(rate);
      decoded.set(pair, Promise.all(sounds.map((id) => context.decodeAudioData(bytesOf(id).buffer))));
      const oldest = decoded.keys().next().value;
      if (decoded.size > KEPT && oldest !== pair) decoded.delete(oldest);
    }
    return decoded.get(pair);
  }
  async function soundsOf(trial) {
    const pair = test.pairs[trial.pair], context = contextAt(pair.rate);
    const [a, b] = await decode(trial.pair);
    let two;
    if (trial.kind === "identical") {
      two = { A: { buffer: a, level: pair.gains[0] }, B: { buffer: a, level: pair.gains[0] } };
    } else if (trial.kind === "audible") {
      two = withBursts(context, a, new abx.Draws(test.seed, trial.pair));
    } else {
      two = { A: { buffer: a, level: pair.gains[0] }, B: { buffer: b, level: pair.gains[1] } };
    }
    return { context, duration: a.duration, A: two.A, B: two.B, X: two[trial.x] };
  }

  // The trial that is on. Its deck is made anew wherever what is looped changes.
  let current = null;
  function deckFrom(sounds, region) {
    if (current.cutTo !== region) [current.cutTo, current.cuts] = [region, new Map()];
    const line = ({ buffer, level }) => {
      if (!current.cuts.has(buffer)) current.cuts.set(buffer, stretch(sounds.context, buffer, ...region));
      return { buffer: current.cuts.get(buffer), level };
    };
    return new Deck(sounds.context, { A: line(sounds.A), B: line(sounds.B), X: line(sounds.X) }, current.source);
  }
  const playing = () => Boolean(current?.deck?.playing);
  function position() {
    if (!playing()) return current.position;
    const [from, to] = current.region;
    return Math.min(to, from + current.deck.time());
  }
  function show(state) {
    main.dataset.state = state;
    const on = state === "playing" || state === "loading";
    for (const button of $$(".play")) button.setAttribute("aria-label", on ? "Pause" : "Play");
    $("#volume").textContent = on ? "Stop" : "Set the volume";
  }

  async function play() {
    const mine = current;
    if (!mine || playing() || mine.wanted) return;
    mine.wanted = true;
    show("loading");
    try {
      mine.sounds ??= await soundsOf(mine.trial);
      await wake(mine.sounds.context);
    } catch (error) {
      if (mine === current) fail(error);
      return;
    }
    if (mine !== current || !mine.wanted || playing()) return;
    begin();
    show("playing");
    frame();
  }
  function begin() {
    const [from, to] = current.region ??= [0, current.sounds.duration];
    if (current.position < from || current.position > to - 0.01) current.position = from;
    for (let lead = LEAD; ; lead *= 2) {
      current.deck = deckFrom(current.sounds, current.region);
      if (current.deck.start(current.sounds.context.currentTime + lead, current.position - from)) break;
      current.deck.stop();
    }
    hearing();
  }
  function pause() {
    if (!current) return;
    current.wanted = false;
    if (playing()) {
      const { context } = current.sounds;
      current.position = position();
      current.deck.stop();
      rest(context, () => current?.wanted && contextAt(test.pairs[current.trial.pair].rate) === context);
    }
    if (main.dataset.state !== "failed") show("paused");
    draw();
  }
  const toggle = () => (current?.wanted ? pause() : play());

  function listen(source) {
    if (!current || main.dataset.stage !== "trial") return;
    if (source !== current.source) {
      current.switches += current.heard.size ? 1 : 0;
      current.source = source;
    }
    for (const button of $$(".sound")) button.setAttribute("aria-pressed", String(button.value === source));
    if (playing()) {
      current.deck.hear(source);
      hearing();
    } else {
      play();
    }
  }
  function hearing() {
    if (main.dataset.stage !== "trial") return;
    current.heard.add(current.source);
    const all = SOUNDS.every((name) => current.heard.has(name));
    for (const option of $$("input[name=answer]")) option.disabled = !all;
    if (all && !current.ready) {
      current.ready = true;
      $("#hint").textContent = "Switch as often as you like. If you cannot tell, guess.";
      say("You have heard all three. Answer with 1 or 2, then Enter.");
    }
    const left = SOUNDS.filter((name) => !current.heard.has(name));
    if (left.length) $("#hint").textContent = `Listen to ${left.join(" and ")} too before you answer.`;
  }

  // What is looped: all of it, or a stretch between two marks.
  function loop(from, to) {
    if (!current?.sounds) return;
    const whole = current.sounds.duration, least = Math.min(0.2, whole);
    const a = Math.max(0, Math.min(from, whole - least)), b = Math.min(whole, Math.max(to, a + least));
    restart(() => { current.region = [a, b]; });
    const all = a === 0 && b === whole;
    $("#whole").hidden = all;
    say(all ? "All of it is looped." : `Looped from ${a.toFixed(2)} to ${b.toFixed(2)} seconds.`);
  }
  function seek(time) {
    if (!current?.sounds) return;
    const [from, to] = current.region;
    restart(() => { current.position = Math.min(to, Math.max(from, time)); });
  }
  function restart(change) {
    const on = playing();
    current.position = position();
    if (on) current.deck.stop();
    change();
    if (on) begin();
    draw();
  }

  function frame() {
    if (!playing()) return;
    draw();
    if (still.matches) setTimeout(frame, 200); else requestAnimationFrame(frame);
  }
  function draw() {
    if (!current?.sounds || main.dataset.stage !== "trial") return;
    const whole = current.sounds.duration, time = position(), [from, to] = current.region;
    const strip = $(".listening-player");
    for (const [name, value] of [["--at", time], ["--from", from], ["--to", to]]) strip.style.setProperty(name, String(value / whole));
    $(".clock .at").textContent = time.toFixed(2);
    $(".clock .of").textContent = whole.toFixed(2);
    const slider = $(".seek");
    slider.max = whole;
    if (Math.abs(slider.value - time) >= 0.01) slider.value = time;
    if (!playing()) slider.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${whole.toFixed(1)} seconds`);
  }
  /* The outline of A alone: the eye is not to compare. */
  function outline() {
    const { buffer } = current.sounds.A, columns = 240, step = buffer.length / columns;
    const peaks = Array.from({ length: columns }, (_, i) => {
      let most = 0;
      for (let c = 0; c < buffer.numberOfChannels; c++) {
        const y = buffer.getChannelData(c);
        for (let k = Math.floor(i * step); k < (i + 1) * step && k < y.length; k++) most = Math.max(most, Math.abs(y[k]));
      }
      return most;
    });
    const top = Math.max(...peaks, 1e-9);
    const edge = (sign) => peaks.map((p, i) => `${i},${(50 + sign * Math.max(0.5, 46 * p / top)).toFixed(1)}`);
    $(".strip path").setAttribute("d", `M${[...edge(-1), ...edge(1).reverse()].join("L")}Z`);
  }

  function fail(error) {
    current.wanted = false;
    show("failed");
    const box = $("#trouble");
    box.hidden = false;
    box.textContent = `This browser could not play the sounds (${error.message ?? error}); try another one.`;
  }

  // Stages
  function stage(name) {
    pause();
    main.dataset.stage = name;
    for (const one of ["intro", "trial", "result"]) $(`#${one}`).hidden = one !== name;
    scrollTo(0, 0);
  }
  function introduce() {
    stage("intro");
    current = { trial: { kind: "pair", pair: 0, x: "A" }, source: "A", heard: new Set(), position: 0, switches: 0 };
    show("idle");
    const done = session && !session.ended ? session.answers.length : 0;
    $("#begin").textContent = done ? `Go on with trial ${done + 1} of ${trials.length}` : "Begin";
    $("#anew").hidden = !done;
    if (session?.name) $("#name").value = session.name;
    $("#unkept").hidden = keeps;
  }
  function start() {
    if (!session || session.ended) anew();
    session.name = $("#name").value.trim();
    keep();
    present(session.answers.length);
  }
  async function present(number) {
    stage("trial");
    const trial = trials[number];
    const mine = current = { number, trial, source: "A", heard: new Set(), position: 0, switches: 0, ready: false, since: performance.now() };
    show("idle");
    $("#trial-title").textContent = `Trial ${number + 1} of ${trials.length}`;
    const bar = $("#progress");
    bar.max = trials.length;
    bar.value = number;
    $("#hint").textContent = "Listen to A, B and X, then say what X is.";
    for (const option of $$("input[name=answer]")) { option.checked = false; option.disabled = true; }
    for (const button of $$(".sound")) button.setAttribute("aria-pressed", "false");
    $("#confirm").disabled = true;
    $("#confirm").textContent = number + 1 < trials.length ? "Next" : "Finish";
    $("#whole").hidden = true;
    $("#trial-title").focus({ preventScroll: true });
    try {
      mine.sounds = await soundsOf(trial);
    } catch (error) {
      if (mine === current) fail(error);
      return;
    }
    if (mine !== current) return;
    mine.region ??= [0, mine.sounds.duration];
    outline();
    draw();
    if (number + 1 < trials.length) decode(trials[number + 1].pair).catch(() => { /* said when it is played */ });
  }
  function choose(answer) {
    if (main.dataset.stage !== "trial") return;
    const option = $(`input[name=answer][value=${answer}]`);
    if (option.disabled) return say($("#hint").textContent);
    option.checked = true;
    option.focus({ preventScroll: true });
    chosen();
  }
  function chosen() {
    $("#confirm").disabled = false;
    say(`X is ${$("input[name=answer]:checked").value}. Enter goes on.`);
  }
  function confirm() {
    const answer = $("input[name=answer]:checked")?.value;
    if (main.dataset.stage !== "trial" || !answer) return;
    session.answers.push({ answer, milliseconds: Math.round(performance.now() - current.since), switches: current.switches });
    if (session.answers.length === trials.length) session.ended = new Date().toISOString();
    keep();
    if (session.ended) conclude(); else present(session.answers.length);
  }

  // Result
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  const pWords = (p) => (p >= 0.0995 ? p.toFixed(2) : p.toFixed(Math.min(12, 1 - Math.floor(Math.log10(p)))));
  function given() {
    return trials.map((trial, i) => ({ ...trial, ...session.answers[i], right: session.answers[i].answer === trial.x }));
  }
  function scoreOf(answers) {
    return abx.score(answers.filter((one) => one.right).length, answers.length);
  }
  function resultFile() {
    const answers = given();
    return {
      kind: "subterfuge-abx", schema: test.schema, version: test.version, title: test.title,
      page: test.page, material: test.material, seed: test.seed, planned: test.trials,
      pairs: test.pairs.map(({ id, name }) => ({ id, name })),
      listener: { number: session.listener, name: session.name },
      session: session.session, began: session.began, ended: session.ended,
      trials: answers.map(({ kind, pair, x, answer, right, milliseconds, switches }) => ({ kind, pair, x, answer, right, milliseconds, switches })),
      result: scoreOf(answers.filter((one) => one.kind === "pair")),
      check: abx.seal(test.page, session.listener, answers),
    };
  }
  function cell(row, text, head = false) {
    const one = document.createElement(head ? "th" : "td");
    if (head) one.scope = "row";
    one.textContent = text;
    row.append(one);
  }
  function conclude() {
    stage("result");
    current = null;
    const answers = given(), score = scoreOf(answers.filter((one) => one.kind === "pair"));
    const plain = answers.filter((one) => one.kind === "audible"), missed = plain.filter((one) => !one.right).length;
    const same = answers.filter((one) => one.kind === "identical");
    const found = score.p_value <= abx.ALPHA;
    main.dataset.right = score.right;
    main.dataset.p = score.p_value;
    $("#verdict").textContent = found
      ? "There is evidence that you can tell them apart."
      : "There is no evidence that you can tell them apart.";
    const odds = found ? `one time in ${Math.round(1 / score.p_value).toLocaleString("en")}` : `${percent(score.p_value)} of the time`;
    $("#said").textContent = `You were right in ${score.right} of ${score.total} trials. Guessing does as well or better ${odds} `
      + `(exact binomial, one-sided p\u00a0=\u00a0${pWords(score.p_value)}); ${abx.needed(score.total)} right answers would be needed for p\u00a0≤\u00a00.05.`;
    $("#reach").textContent = `The 95\u00a0% interval of your right answers is ${percent(score.low)} to ${percent(score.high)}. `
      + `With ${score.total} trials a listener who is right 80\u00a0% of the time is found out with a probability of ${percent(abx.power(score.total, 0.8))}.`
      + (found ? "" : " Not finding a difference is not the same as there being none.");
    $("#asleep").hidden = missed === 0;
    $("#asleep").textContent = `You missed ${missed} of ${plain.length} controls that are plainly audible, so this result is left out when results are pooled. `
      + "Were the sounds loud enough, and the keys the right ones?";
    const facts = {
      "Right": `${score.right} of ${score.total}`, "p, one-sided": pWords(score.p_value),
      "95\u00a0% interval": `${percent(score.low)} to ${percent(score.high)}`,
      "Audible controls right": `${plain.length - missed} of ${plain.length}`,
      "Identical ones, as the key": `${same.filter((one) => one.right).length} of ${same.length}`,
      "Median time": `${(median(answers.map((one) => one.milliseconds)) / 1000).toFixed(1)} s`,
    };
    $("#facts").replaceChildren(...Object.entries(facts).map(([name, value]) => {
      const row = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      row.append(dt, dd);
      return row;
    }));
    $("#by-pair tbody").replaceChildren(...test.pairs.map((pair, i) => {
      const one = scoreOf(answers.filter((each) => each.kind === "pair" && each.pair === i)), row = document.createElement("tr");
      cell(row, pair.name, true);
      for (const text of [`${one.right} of ${one.total}`, pWords(one.p_value), `${percent(one.low)} to ${percent(one.high)}`]) cell(row, text);
      return row;
    }));
    $("#by-trial tbody").replaceChildren(...answers.map((one, i) => {
      const row = document.createElement("tr");
      cell(row, String(i + 1), true);
      const what = { pair: test.pairs[one.pair].name, identical: "control: A and B the same", audible: "control: plainly audible" }[one.kind];
      const judged = one.kind === "identical" ? "–" : one.right ? "right" : "wrong";
      for (const text of [what, one.x, one.answer, judged, `${(one.milliseconds / 1000).toFixed(1)} s`]) cell(row, text);
      return row;
    }));
    $("#verdict").focus({ preventScroll: true });
    say(`${$("#verdict").textContent} ${$("#said").textContent}`);
  }
  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), n = sorted.length;
    return (sorted[n >> 1] + sorted[(n - 1) >> 1]) / 2;
  }
  function save() {
    const link = document.createElement("a");
    const who = session.name.normalize("NFKD").replace(/[^\w-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || session.listener.toString(16).padStart(8, "0");
    link.download = `abx-${test.page.slice(0, 8)}-${who}.json`;
    link.href = URL.createObjectURL(new Blob([JSON.stringify(resultFile(), null, 2) + "\n"], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved as ${link.download}.`);
    $("#saved").textContent = `Saved as ${link.download}. Send this file to whoever runs the test.`;
  }

  // Hands
  const on = (selector, event, act) => $$(selector).forEach((one) => one.addEventListener(event, act));
  on("#volume", "click", toggle);
  on("#begin", "click", start);
  on("#anew", "click", () => { session.ended = session.ended ?? "broken off"; start(); });
  on("#again", "click", introduce);
  on("#save", "click", save);
  on(".play", "click", toggle);
  on(".sound", "click", (event) => {
    listen(event.currentTarget.value);
    if (event.detail > 0) event.currentTarget.blur(); // so that after a click the space bar pauses
  });
  on("input[name=answer]", "change", chosen);
  on("#confirm", "click", confirm);
  on(".seek", "input", (event) => seek(Number(event.target.value)));
  on("#from", "click", () => loop(position(), current.region[1]));
  on("#to", "click", () => loop(current.region[0], position()));
  on("#whole", "click", () => loop(0, Infinity));
  on(".keys-help", "click", () => $("#help").showModal());
  on("#help .close", "click", () => $("#help").close());
  const strip = $(".strip");
  let held = null;
  const under = (event) => {
    const box = strip.getBoundingClientRect();
    return current.sounds.duration * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  strip.addEventListener("pointerdown", (event) => {
    if (!current?.sounds || event.button) return;
    held = { time: under(event), x: event.clientX };
    strip.setPointerCapture(event.pointerId);
  });
  strip.addEventListener("pointerup", (event) => {
    if (!held || !current?.sounds) return;
    const time = under(event), dragged = Math.abs(event.clientX - held.x) > 6;
    if (dragged) loop(Math.min(held.time, time), Math.max(held.time, time));
    else if (time < current.region[0] || time > current.region[1]) { loop(0, Infinity); seek(time); }
    else seek(time);
    held = null;
  });
  strip.addEventListener("pointercancel", () => { held = null; });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#help").open) return;
    const at = event.target instanceof Element ? event.target : document.body;
    if (at.closest("input[type=text]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "?") { event.preventDefault(); $("#help").showModal(); return; }
    if (main.dataset.stage !== "trial" || event.repeat) return;
    const answering = at.closest("input[name=answer]");
    if ([" ", "Enter"].includes(key) && at.closest("button, a, summary")) return;
    if (key === " " && answering && !answering.checked) return;
    if (key.startsWith("Arrow") && at.closest("input[type=range]")) return;
    const acts = {
      a: () => listen("A"), b: () => listen("B"), x: () => listen("X"), " ": toggle,
      1: () => choose("A"), 2: () => choose("B"), ArrowLeft: () => choose("A"), ArrowRight: () => choose("B"), Enter: confirm,
      s: () => current.sounds && loop(position(), current.region[1]),
      e: () => current.sounds && loop(current.region[0], position()),
      w: () => loop(0, Infinity),
    };
    if (!Object.hasOwn(acts, key)) return;
    event.preventDefault();
    acts[key]();
  });
  addEventListener("beforeunload", (event) => {
    if (!keeps && main.dataset.stage === "trial") event.preventDefault();
  });

  window.subterfuge = { abx, Deck, stretch, withBursts, test, session: () => session, plan: () => trials, current: () => current, resultFile };
  recall();
  if (session?.ended && session.answers.length === trials.length) conclude(); else introduce();
})();
