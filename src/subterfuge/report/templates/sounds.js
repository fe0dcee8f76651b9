/* What pages that carry sounds share: what a page holds in base64, contexts to play in, and which player is meant. */

function bytesOf(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// One context a sample rate: at the file's own rate nothing is resampled before the output.
const contexts = new Map();
function contextAt(rate) {
  if (!contexts.has(rate)) {
    let context;
    try { context = new AudioContext({ sampleRate: rate }); } catch { context = new AudioContext(); }
    contexts.set(rate, context);
  }
  return contexts.get(rate);
}

// An idle context lets go of the sound card, but not at once, and not if it is wanted again by then: a context that is
// suspended while it resumes never says that it has resumed.
const resting = new Map();
function rest(context, wanted) {
  clearTimeout(resting.get(context));
  resting.set(context, setTimeout(() => { if (!wanted()) context.suspend(); }, 500));
}
function wake(context) {
  clearTimeout(resting.get(context));
  return context.resume();
}

// How much of a section can be seen, in pixels of height.
function inView(section) {
  const box = section.getBoundingClientRect();
  return Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
}

// The player that keys act on: the one that plays, else the one last touched if in view, else the one in view.
function addressed(players, current) {
  const busy = players.find((player) => player.playing);
  if (busy) return busy;
  if (current && inView(current.section) > 0) return current;
  return players.reduce((best, one) => (!best || inView(one.section) > inView(best.section) ? one : best), null);
}
