"""Time means of level and zero crossings, over frames of four steps, from sums over single steps."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.features.constants import HOP, N_FFT
from subterfuge.features.temporal import THRESHOLD, soft_width

STEPS = N_FFT // HOP
# Steps worked on at once, over all rows: about the processor's cache.
BLOCK = 512


def _blocks(rows: int, steps: int) -> list[tuple[int, int]]:
    size = max(1, BLOCK // rows)
    return [(a, min(a + size, steps)) for a in range(0, steps, size)]


def frame_levels(padded: Tensor) -> Tensor:
    """Root mean square of each frame, shape (batch, frames); ``padded`` is (batch, (frames + 3) * HOP)."""
    steps = padded.view(len(padded), -1, HOP)
    energy = torch.cat([steps[:, a:b].square().sum(-1) for a, b in _blocks(*steps.shape[:2])], dim=1)
    return (energy.unfold(-1, STEPS, 1).sum(-1) / N_FFT).sqrt()


def add_level_slope(out: Tensor, padded: Tensor, levels: Tensor, grad: Tensor) -> None:
    """Add to ``out``, of the shape of ``padded``, the gradient of the mean level times ``grad`` (batch,)."""
    frames = levels.shape[-1]
    each = torch.where(levels > 0, (grad / (frames * N_FFT))[:, None] / levels, 0.0)
    weight = torch.nn.functional.pad(each, (STEPS - 1, STEPS - 1)).unfold(-1, STEPS, 1).sum(-1)
    shape = (len(padded), -1, HOP)
    out.view(shape).addcmul_(padded.view(shape), weight[:, :, None])


def crossing_weights(samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """How many frames hold the step from sample ``i - 1`` to ``i``: for ``i`` in each block of HOP, and for its first.

    The frames are centred, so frame ``t`` covers blocks ``t - 2`` to ``t + 1``, and the step into its very first
    sample is not in it.
    """
    frames = 1 + samples // HOP
    block = torch.arange(-(-samples // HOP), device=device)
    latest, earliest = block + STEPS // 2, block - STEPS // 2 + 1
    inside = latest.clamp_max(frames - 1) - earliest.clamp_min(0) + 1
    return inside, inside - (latest < frames).long()


def crossing_rate(y: Tensor) -> Tensor:
    """Mean over frames of the zero crossing rate, shape (batch,); ``y`` is not padded."""
    rows, samples = y.shape
    inside, first = crossing_weights(samples, y.device)
    total = torch.zeros(rows, dtype=torch.int64, device=y.device)
    for a, b in _blocks(rows, len(inside)):
        start, stop = a * HOP, min(b * HOP, samples)
        negative = y[:, max(start - 1, 0) : stop] < -THRESHOLD
        crossing = torch.zeros((rows, (b - a) * HOP), dtype=torch.bool, device=y.device)
        torch.ne(negative[:, 1:], negative[:, :-1], out=crossing[:, int(start == 0) : stop - start])
        # Eight flags at a time as one integer: 64 of them add up without carrying into the next.
        lanes = crossing.view(torch.int64).view(rows, b - a, HOP // 8).sum(-1)
        count = lanes.view(torch.uint8).view(rows, b - a, 8).sum(-1)
        total += (count * inside[a:b]).sum(-1)
        total -= (crossing[:, ::HOP] * (inside - first)[a:b]).sum(-1)
    return (total.double() / ((1 + samples // HOP) * N_FFT)).to(y.dtype)


def add_crossing_slope(out: Tensor, y: Tensor, grad: Tensor) -> None:
    """Add to ``out``, of the shape of ``y``, the soft gradient of the mean rate times ``grad`` (batch,)."""
    rows, samples = y.shape
    inside, first = crossing_weights(samples, y.device)
    width = soft_width(y)
    each = (-0.5 * grad / ((1 + samples // HOP) * N_FFT))[:, None] / width
    narrow = width.reciprocal()
    for a, b in _blocks(rows, len(inside)):
        start, stop = a * HOP, min(b * HOP, samples)
        left, right = max(start - 1, 0), min(stop + 1, samples)
        soft = torch.tanh(y[:, left:right] * narrow)
        # Weights of the steps into samples left + 1 .. right - 1.
        weight = inside[a : b + 1].to(y.dtype).repeat_interleave(HOP)
        weight[::HOP] = first[a : b + 1].to(y.dtype)
        weight = weight[left + 1 - start : right - start]
        pull = torch.zeros_like(soft)
        torch.mul(weight, soft[:, :-1], out=pull[:, 1:])
        pull[:, :-1].addcmul_(weight, soft[:, 1:])
        pull.mul_(1 - soft.square()).mul_(each)
        out[:, start:stop] += pull[:, start - left : stop - left]
