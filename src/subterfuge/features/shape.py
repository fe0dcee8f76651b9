"""Centroid, bandwidth and rolloff of many magnitude spectra at once, in bins, and their gradient.

A spectrum is a row of 33 runs of 32 bins. The zeroth, first and second moment of each run about its own middle
are one small matrix product; they give the sum, the centroid, the variance about the centroid and a coarse
running sum. Nothing cancels, so float32 is enough.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from subterfuge.features.constants import BINS, RUN, RUNS, WIDTH, Constants
from subterfuge.features.spectral import FAINT, LEAST_DENSITY, SOFTENING

ROLL_PERCENT = 0.85


class Shape(NamedTuple):
    """What is known of each spectrum; each of shape (spectra,), in bins."""

    total: Tensor
    centroid: Tensor
    variance: Tensor
    rolloff: Tensor
    """Index of the bin, whole."""
    density: Tensor
    """Mean magnitude of the run in which the rolloff falls."""


def moments(magnitudes: Tensor, constants: Constants) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums of the runs (spectra, RUNS), then total, centroid and variance (spectra,)."""
    zeroth, first, second = (magnitudes.view(-1, RUN) @ constants.moments).view(-1, RUNS, 3).unbind(-1)
    total = zeroth.sum(-1)
    whole = total.masked_fill(total == 0, 1.0)
    centroid = (torch.mv(zeroth, constants.middles) + first.sum(-1)) / whole
    away = constants.middles - centroid[:, None]
    variance = (second + away * (2 * first + away * zeroth)).sum(-1) / whole
    return zeroth, total, centroid, variance.clamp_min_(0.0)


def shape(magnitudes: Tensor, runs: Tensor, total: Tensor, centroid: Tensor, variance: Tensor) -> Shape:
    """Add the rolloff: find the run in which the share is reached, then the bin in it."""
    running = runs.cumsum(-1)
    threshold = ROLL_PERCENT * running[:, -1:]
    run = (running < threshold).sum(-1, keepdim=True)
    before = torch.where(run > 0, running.gather(-1, (run - 1).clamp_min(0)), 0.0)
    row = torch.arange(len(runs), device=runs.device)
    inside = magnitudes.view(-1, RUNS, RUN)[row, run[:, 0]]
    bin_ = ((inside.cumsum(-1) + before) < threshold).sum(-1)
    rolloff = (run[:, 0] * RUN + bin_).clamp_max(BINS - 1)
    # The last run is one bin, padded.
    size = (BINS - run * RUN).clamp_max(RUN)
    density = (runs.gather(-1, run) / size)[:, 0]
    return Shape(total, centroid, variance, rolloff.to(total.dtype), density)


def slope(
    magnitudes: Tensor,
    of: Shape,
    grad_centroid: Tensor,
    grad_deviation: Tensor,
    grad_rolloff: Tensor,
    constants: Constants,
) -> Tensor:
    """Gradient by each magnitude over that magnitude, shape (spectra, WIDTH), from those by the three numbers.

    Centroid and bandwidth are a polynomial of the second degree in the bin, written about the middle of each
    run; the rolloff is a step, of which only the run of the crossing holds two values.
    """
    alive = of.total >= FAINT
    over = torch.where(alive, of.total.clamp_min(FAINT).reciprocal(), 0.0)
    deviation = of.variance.sqrt()
    linear = grad_centroid * over
    square = torch.where(of.variance > 0, grad_deviation * over / (2 * deviation).clamp_min(1e-12), 0.0)

    away = constants.middles - of.centroid[:, None]
    linear, square = linear[:, None], square[:, None]
    zeroth = linear * away + square * (away.square() - of.variance[:, None])
    first = linear + 2 * square * away
    coefficients = torch.stack([zeroth, first, square.expand_as(first)], dim=-1)
    smooth = (coefficients.view(-1, 3) @ constants.moments.T).view(-1, WIDTH)
    # Where a magnitude is nothing, so is the amplitude that this is going to multiply.
    tiny = torch.finfo(magnitudes.dtype).tiny ** 0.5
    smooth.div_(magnitudes.clamp_min(tiny))

    mean = of.total / BINS
    steep = torch.where(
        alive, grad_rolloff / torch.maximum(of.density, LEAST_DENSITY * mean).clamp_min(tiny), 0.0
    )
    run = torch.arange(RUNS, device=magnitudes.device)
    crossing = (of.rolloff / RUN).floor().long()[:, None]
    step = steep[:, None] * (ROLL_PERCENT - (run < crossing).to(steep.dtype))
    weight = step[:, :, None].expand(-1, -1, RUN).clone()
    row = torch.arange(len(steep), device=magnitudes.device)
    below = crossing * RUN + torch.arange(RUN, device=magnitudes.device) <= of.rolloff[:, None]
    weight[row, crossing[:, 0]] = steep[:, None] * (ROLL_PERCENT - below.to(steep.dtype))
    soft = magnitudes + (SOFTENING * mean).clamp_min(tiny)[:, None]
    return smooth.addcdiv_(weight.view(-1, WIDTH), soft)
