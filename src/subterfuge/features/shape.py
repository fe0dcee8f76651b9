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
    """What is known of each spectrum, in bins; each of shape (...)."""

    total: Tensor
    centroid: Tensor
    variance: Tensor
    rolloff: Tensor
    """Index of a bin, whole."""
    density: Tensor
    """Mean magnitude of the run in which the rolloff falls."""


class Slope(NamedTuple):
    """The gradient by the magnitudes, in few numbers."""

    polynomial: Tensor
    """For centroid and bandwidth: coefficients about the middle of each run, shape (..., RUNS, 3)."""
    step: Tensor
    """For the rolloff: the height at each run, shape (..., RUNS)."""
    crossing: Tensor
    """The run of the crossing, shape (...)."""
    down: Tensor
    """By how much each bin of that run is lower, shape (..., RUN)."""
    softening: Tensor
    """Magnitude under which a bin counts for little in that of the rolloff, shape (...)."""


def run_moments(magnitudes: Tensor, known: Constants) -> Tensor:
    """Moments 0, 1 and 2 of the runs of each spectrum (spectra, WIDTH), shape (spectra, RUNS, 3)."""
    return (magnitudes.view(-1, RUN) @ known.moments).view(-1, RUNS, 3)


def rolloff(magnitudes: Tensor, runs: Tensor) -> tuple[Tensor, Tensor]:
    """The bin of the rolloff and the density there, each of shape (spectra,); ``runs`` are the zeroth moments."""
    running = runs.cumsum(-1)
    threshold = ROLL_PERCENT * running[:, -1:]
    run = torch.searchsorted(running, threshold)
    here = runs.gather(-1, run)
    threshold -= running.gather(-1, run) - here
    inside = magnitudes.view(-1, RUN).index_select(0, _place(run[:, 0])).cumsum(-1)
    first = run * RUN
    bin_ = torch.searchsorted(inside, threshold).add_(first).clamp_max_(BINS - 1)
    # The last run is one bin, padded.
    density = here / (BINS - first).clamp_max_(RUN)
    return bin_[:, 0].to(runs.dtype), density[:, 0]


def _place(run: Tensor) -> Tensor:
    """Which of the runs of all spectra is the given one of each, shape (spectra,)."""
    return torch.arange(len(run), device=run.device).mul_(RUNS).add_(run)


def shape(sums: Tensor, rolloff: Tensor, density: Tensor, known: Constants) -> Shape:
    """Put together what the moments of the runs, shape (..., RUNS, 3), say."""
    zeroth, first, second = sums.unbind(-1)
    total = zeroth.sum(-1)
    whole = total.masked_fill(total == 0, 1.0)
    centroid = (zeroth @ known.middles + first.sum(-1)) / whole
    away = known.middles - centroid[..., None]
    variance = (second + away * (2 * first + away * zeroth)).sum(-1) / whole
    return Shape(total, centroid, variance.clamp_min_(0.0), rolloff, density)


def slope(
    of: Shape, grad_centroid: Tensor, grad_deviation: Tensor, grad_rolloff: Tensor, known: Constants
) -> Slope:
    """The gradient by the magnitudes from those by centroid, standard deviation and rolloff."""
    alive = of.total >= FAINT
    over = torch.where(alive, of.total.clamp_min(FAINT).reciprocal(), 0.0)
    spread = of.variance > 0
    deviation = of.variance.sqrt().masked_fill(~spread, 1.0)
    linear = (grad_centroid * over)[..., None]
    square = torch.where(spread, 0.5 * grad_deviation * over / deviation, 0.0)[..., None]
    away = known.middles - of.centroid[..., None]
    twice = 2 * square * away
    polynomial = torch.stack(
        [
            away * (linear + square * away) - square * of.variance[..., None],
            linear + twice,
            square.expand_as(away),
        ],
        dim=-1,
    )
    mean = of.total / BINS
    density = torch.maximum(of.density, LEAST_DENSITY * mean).clamp_min(FAINT / BINS)
    steep = torch.where(alive, grad_rolloff / density, 0.0)[..., None]
    run = torch.arange(RUNS, device=steep.device)
    crossing = (of.rolloff / RUN).floor()[..., None]
    step = steep * (ROLL_PERCENT - (run < crossing).to(steep.dtype))
    last = of.rolloff[..., None] - crossing * RUN
    down = steep * (torch.arange(RUN, device=steep.device) <= last).to(steep.dtype)
    softening = (SOFTENING * mean).clamp_min(FAINT / BINS)
    return Slope(polynomial, step, crossing[..., 0].long(), down, softening)


def phase_slope(magnitudes: Tensor, by: Slope, known: Constants, room: Tensor) -> Tensor:
    """Gradient by each magnitude, over that magnitude: what an amplitude is to be multiplied by.

    Shape (spectra, WIDTH), as that of ``magnitudes`` and of ``room``; both are used up.
    """
    # Where a magnitude is nothing, so is the amplitude.
    magnitudes.clamp_min_(torch.finfo(magnitudes.dtype).tiny ** 0.5)
    out = (by.polynomial.reshape(-1, 3) @ known.moments.T).view(-1, WIDTH).div_(magnitudes)
    soft = torch.add(magnitudes, by.softening[:, None], out=room).view(-1, RUNS, RUN)
    out.view(-1, RUNS, RUN).addcdiv_(by.step[:, :, None], soft)
    place = _place(by.crossing)
    down = by.down / soft.view(-1, RUN).index_select(0, place)
    out.view(-1, RUN).index_add_(0, place, down, alpha=-1)
    return out
