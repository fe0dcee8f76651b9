/* The player of a listening test: A, B and X start together and loop together, sample on sample; what is heard is
   a matter of three gains alone, so that a switch neither moves the clock nor leaves a gap. */
const FADE = 0.005; // seconds; the sounds are nearly equal, so a linear cross-fade keeps the level
const LEAD = 0.02; // seconds: what is scheduled for now would be half over when the sound card's thread sees it
const GAP = 0.15; // seconds of silence between the end of a loop and its beginning

class Deck {
  /* sounds: { A: {buffer, level}, B: …, X: … }, all of one length; context may be an offline one. */
  constructor(context, sounds, heard, out = context.destination) {
    this.context = context;
    this.sounds = sounds;
    this.heard = heard;
    this.settled = 0; // when the last cross-fade is over
    this.nodes = {};
    this.master = context.createGain();
    this.master.connect(out);
    this.lines = {};
    for (const [name, { level }] of Object.entries(sounds)) {
      const line = this.lines[name] = context.createGain();
      line.gain.value = name === heard ? level : 0;
      line.connect(this.master);
    }
  }

  get playing() { return Object.keys(this.nodes).length > 0; }
  get duration() { return Object.values(this.sounds)[0].buffer.duration; }

  /* Starts all three at one time; whether that time is still to come, as it must be for them to be in step. */
  start(at, offset = 0) {
    this.began = at;
    this.offset = offset;
    this.master.gain.setValueAtTime(0, at);
    this.master.gain.linearRampToValueAtTime(1, at + FADE);
    for (const [name, { buffer }] of Object.entries(this.sounds)) {
      const node = this.nodes[name] = this.context.createBufferSource();
      node.buffer = buffer;
      node.loop = true;
      node.connect(this.lines[name]);
      node.start(at, offset);
    }
    return this.context.currentTime < at;
  }

  /* Cross-fades to another sound, after the cross-fade that may still be on. */
  hear(name, at = this.context.currentTime + LEAD) {
    if (name === this.heard) return;
    const begin = Math.max(at, this.settled);
    for (const key of [this.heard, name]) {
      const { gain } = this.lines[key], { level } = this.sounds[key];
      gain.setValueAtTime(key === name ? 0 : level, begin);
      gain.linearRampToValueAtTime(key === name ? level : 0, begin + FADE);
    }
    this.heard = name;
    this.settled = begin + FADE;
  }

  /* Seconds from the beginning of the buffers. */
  time(now = this.context.currentTime) {
    return (this.offset + Math.max(0, now - this.began)) % this.duration;
  }

  stop(at = this.context.currentTime) {
    this.master.gain.cancelScheduledValues(at);
    this.master.gain.setValueAtTime(at > this.began + FADE ? 1 : 0, at);
    this.master.gain.linearRampToValueAtTime(0, at + FADE);
    const nodes = Object.values(this.nodes);
    for (const node of nodes) node.stop(at + FADE);
    nodes[0].onended = () => this.master.disconnect();
    this.nodes = {};
  }
}

/* A stretch of a buffer to be looped: its ends faded, and a short silence after it. The middle is the file's own. */
function stretch(context, buffer, from, to) {
  const rate = buffer.sampleRate;
  const first = Math.round(from * rate), length = Math.max(1, Math.min(buffer.length, Math.round(to * rate)) - first);
  const out = context.createBuffer(buffer.numberOfChannels, length + Math.round(GAP * rate), rate);
  const fade = Math.min(Math.round(FADE * rate), length >> 1);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const y = out.getChannelData(c);
    y.set(buffer.getChannelData(c).subarray(first, first + length));
    for (let i = 0; i < fade; i++) {
      const gain = (i + 0.5) / fade;
      y[i] *= gain;
      y[length - 1 - i] *= gain;
    }
  }
  return out;
}

/* A clip with bursts of white noise as strong as itself, four a second: plainly audible in whatever clip. */
function withBursts(context, buffer, draws) {
  const { numberOfChannels: channels, length, sampleRate: rate } = buffer;
  const out = context.createBuffer(channels, length, rate);
  let energy = 0, louder = 0, peak = 0;
  for (let c = 0; c < channels; c++) for (const x of buffer.getChannelData(c)) energy += x * x;
  const rms = Math.sqrt(energy / (channels * length));
  const noise = Math.sqrt(3) * (rms || 0.01), ramp = FADE * rate, period = rate / 4;
  for (let c = 0; c < channels; c++) {
    const x = buffer.getChannelData(c), y = out.getChannelData(c);
    for (let i = 0; i < length; i++) {
      const at = i % period;
      const gate = Math.max(0, Math.min(1, at / ramp, (period / 2 - at) / ramp));
      y[i] = x[i] + noise * gate * (draws.word() / 2 ** 31 - 1);
      louder += y[i] * y[i];
      peak = Math.max(peak, Math.abs(y[i]));
    }
  }
  const match = rms > 0 ? Math.min(1, rms / Math.sqrt(louder / (channels * length))) : 1;
  const room = Math.min(1, 1 / (peak * match));
  return { A: { buffer, level: room }, B: { buffer: out, level: room * match } };
}
