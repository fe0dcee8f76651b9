"""What the tests of pages ask a browser: is every text legible, does anything stick out?"""

from __future__ import annotations

from typing import Any


def comes_true(page: Any, condition: str, arg: Any = None) -> None:
    """Wait until a script's function says so: how long sounds and frames take is the machine's affair."""
    page.wait_for_function(condition, arg=arg)


# Level in dB of what goes through a node, near a frequency, once half a second of it has been rendered by the
# clock of the sounds: on a busy machine that clock and the one on the wall differ.
LEVEL = """async ({node, hz, size}) => {
  const {context} = node, eye = new AnalyserNode(context, {fftSize: size, smoothingTimeConstant: 0});
  node.connect(eye);
  const until = context.currentTime + size / context.sampleRate + .15;
  while (context.currentTime < until) await new Promise(done => setTimeout(done, 20));
  const out = new Float32Array(eye.frequencyBinCount);
  eye.getFloatFrequencyData(out);
  node.disconnect(eye);
  const bin = Math.round(hz * size / context.sampleRate);
  return Math.max(...out.slice(bin - 3, bin + 4));
}"""

# Keeps in ``said`` what the button that copies says: it says so for two seconds only.
SAYINGS = """() => { window.said = [];
  const button = document.querySelector('.copy');
  new MutationObserver(() => said.push(button.textContent)).observe(button, {childList: true}); }"""

# All visible texts whose contrast with the ground that they stand on is below 4.5 to 1 (WCAG 2.2).
CONTRAST = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number);
    return [...n.slice(0, 3), n[3] ?? 1]; };
  const linear = x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = c => { const f = c.slice(0, 3).map(x => linear(x / 255));
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode()) {
    const node = walk.currentNode, e = node.parentElement;
    if (!node.textContent.trim() || !e.checkVisibility()) continue;
    if (e.closest('script, style, noscript, .unseen, .skip')) continue;
    let opacity = 1, ground = null;
    for (let up = e; up; up = up.parentElement) {
      const style = getComputedStyle(up), colour = parse(style.backgroundColor);
      opacity *= Number(style.opacity);
      if (!ground && colour[3] === 1) ground = colour;
    }
    const style = getComputedStyle(e), ink = e instanceof SVGElement ? style.fill : style.color;
    const a = light(parse(ink)), b = light(ground);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    seen++;
    if (ratio < 4.5 || opacity < 1) poor.push([node.textContent.trim().slice(0, 30), ratio, opacity]);
  }
  return {seen, poor, paper: getComputedStyle(document.body).backgroundColor};
}"""

# Everything that reaches beyond the right edge of the window and cannot be scrolled to in a box of its own.
OUTSIDE = """[...document.querySelectorAll('main *')]
  .filter(e => e.checkVisibility() && !e.closest('.unseen'))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.tagName + '.' + (e.className.baseVal ?? e.className))"""
