"""Time means of level and zero crossings, over frames of four steps, from sums over single steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.features.constants import HOP, N_FFT
from subterfuge.features.temporal import THRESHOLD, soft_width

STEPS = N_FFT // HOP
# Steps worked on at once, over all rows: about the processor's cache.
BLOCK = 256


def _blocks(rows: int, steps: int) -> list[tuple[int, int]]:
    size = max(1, BLOCK // rows)
    return [(a, min(a + size, steps)) for a in range(0, steps, size)]


def frame_levels(padded: Tensor) -> Tensor:
    """Root mean square of each frame, shape (batch, frames); ``padded`` is (batch, (frames + 3) * HOP)."""
    steps = padded.view(len(padded), -1, HOP)
    blocks = _blocks(*steps.shape[:2])
    energy = torch.cat([(steps[:, a:b] * steps[:, a:b]).sum(-1) for a, b in blocks], dim=1)
    return (energy.unfold(-1, STEPS, 1).sum(-1) / N_FFT).sqrt()


def add_level_slope(out: Tensor, padded: Tensor, levels: Tensor, grad: Tensor) -> None:
    """Add to ``out``, of the shape of ``padded``, the gradient of the mean level times ``grad`` (batch,)."""
    frames = levels.shape[-1]
    each = torch.where(levels > 0, (grad / (frames * N_FFT))[:, None] / levels, 0.0)
    weight = functional.pad(each, (STEPS - 1, STEPS - 1)).unfold(-1, STEPS, 1).sum(-1)
    shape = (len(padded), -1, HOP)
    out.view(shape).addcmul_(padded.view(shape), weight[:, :, None])


def crossing_weights(samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """How many frames hold the step into sample ``i``, for ``i`` in each block of HOP, and for its first.

    The frames are centred, so frame ``t`` covers blocks ``t - 2`` to ``t + 1``, and the step into its very
    first sample is not in it.
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


def add_crossing_slope(out: Tensor, padded: Tensor, y: Tensor, grad: Tensor) -> None:
    """Add to ``out``, of the shape of ``padded``, the soft gradient of the mean rate times ``grad`` (batch,).

    Beyond the ends of ``y`` the padding is zero, and so is its soft sign: no step there weighs anything.
    (What is added to ``out`` there means nothing.)
    """
    rows, samples = y.shape
    inside, first = (x.to(y.dtype) for x in crossing_weights(samples, y.device))
    # The steps into the first sample of a block and of the one after it weigh less than those between.
    less = first / inside - 1
    after = functional.pad(first[1:], (0, 1)) / inside - 1
    narrow = soft_width(y).reciprocal()
    each = (-0.5 * grad / ((1 + samples // HOP) * N_FFT))[:, None] * narrow * inside
    steps, half = out.view(rows, -1, HOP), STEPS // 2
    for a, b in _blocks(rows, len(inside)):
        soft = (padded[:, (a + half) * HOP - 1 : (b + half) * HOP + 1] * narrow).tanh_()
        pull = (soft[:, :-2] + soft[:, 2:]).view(rows, -1, HOP)
        pull[:, :, 0] += less[a:b] * soft[:, :-2:HOP]
        pull[:, :, -1] += after[a:b] * soft[:, HOP + 1 :: HOP]
        turned = torch.ops.aten.tanh_backward(pull.view(rows, -1), soft[:, 1:-1]).view(pull.shape)
        steps[:, a + half : b + half].addcmul_(turned, each[:, a:b, None])
