"""``mosaic``: a mixture of grains of recorded sounds, each louder or softer, none turned over."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.synthesis.grains import Sounds, corpus_sounds, cut
from subterfuge.synthesis.sound import Sound, knob

# Seconds a grain; root mean square to begin with; how much a slot is charged for having many grains.
_GRAIN, _LEVEL, _FEW = 0.24, 0.08, 0.15


def mosaic(
    *,
    samples: int,
    sr: int,
    generator: torch.Generator,
    start: Tensor | None = None,
    grains: Sounds | None = None,
) -> Sound:
    """Every eighth of a second a mixture of grains, fading into the next; few at a time, by a toll.

    A gain is the square of what is moved, so never negative, and easily zero. What it is made of, in shares
    of the gains by label, is told at the end.

    Parameters
    ----------
    samples, sr : int
    generator : torch.Generator
        Draws the grains, and those that each slot begins with.
    start : Tensor, shape (1, samples), optional
        Each slot begins with the grain whose spectrum is most like its own, at its level.
    grains : Sounds, optional
        What they are cut from; the embedded clips by default.

    Returns
    -------
    Sound
    """
    length = max(4, min(2 * round(_GRAIN * sr / 2), 2 * (samples // 2)))
    hop = length // 2
    made = cut(corpus_sounds(None, sr) if grains is None else grains, length, generator=generator)
    slots = -(-samples // hop) + 1
    begin = 0.05 * torch.rand(slots, len(made.audio), generator=generator)
    if start is None:
        first = torch.randint(len(made.audio), (slots,), generator=generator)
        begin[torch.arange(slots), first] = 1.0
    else:
        first, level = _nearest(start, made.audio, slots, hop)
        begin[torch.arange(slots), first] = (level / _LEVEL).sqrt()
    roots = knob(begin, 0.04)
    loud = knob(torch.zeros(1), 0.03)

    def render() -> Tensor:
        rows = roots.value.square() @ made.audio
        return _laid(rows, samples) * (_LEVEL * loud.value.exp())

    def toll() -> Tensor:
        # One where a slot has one grain alone, and greater the more evenly it has several.
        gains = roots.value.square()
        spread = gains.sum(1) / (gains.square().sum(1) + 1e-12).sqrt()
        return _FEW * (spread - 1).clamp(min=0).mean()

    def told() -> dict[str, float]:
        share = roots.value.detach().square().sum(0)
        share = share / share.sum().clamp(min=1e-12)
        out: dict[str, float] = {}
        for label, one in zip(made.labels, share.tolist(), strict=True):
            out[label] = out.get(label, 0.0) + one
        return dict(sorted(out.items(), key=lambda item: -item[1]))

    return Sound((roots, loud), render, toll=toll, told=told)


def _laid(rows: Tensor, samples: int) -> Tensor:
    """Rows that overlap by half, added up, half a grain of the first and last cut off; (1, samples)."""
    slots, length = rows.shape
    hop = length // 2
    halves = rows.view(slots, 2, hop)
    whole = halves[1:, 0] + halves[:-1, 1]
    return whole.reshape(1, -1)[:, :samples]


def _nearest(start: Tensor, grains: Tensor, slots: int, hop: int) -> tuple[Tensor, Tensor]:
    """For each slot the grain that is most like the clip there, and the clip's level there."""
    padded = torch.nn.functional.pad(start[0], (hop, (slots + 1) * hop - start.shape[1] - hop))
    rows = padded.unfold(0, 2 * hop, hop)[:slots]
    window = torch.hann_window(2 * hop, periodic=True)

    def look(x: Tensor) -> Tensor:
        bands = torch.fft.rfft(x).abs()
        bands = torch.nn.functional.adaptive_avg_pool1d(bands[:, None], 256)[:, 0].sqrt()
        unit: Tensor = bands / bands.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return unit

    return (look(rows * window) @ look(grains).mT).argmax(1), rows.square().mean(1).sqrt()
