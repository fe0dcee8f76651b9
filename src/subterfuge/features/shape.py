"""Centroid, bandwidth and rolloff of many magnitude spectra at once, in bins, and their gradient.

A spectrum is a row of 33 runs of 32 bins. The zeroth, first and second moment of each run about its own
middle are one small matrix product; they give the sum, the centroid, the variance about the centroid and a
coarse running sum. Nothing cancels, so float32 is enough.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from subterfuge.features.constants import BINS, RUN, RUNS, Constants
from subterfuge.features.spectral import FAINT, LEAST_DENSITY, SOFTENING

ROLL_PERCENT = 0.85


class Runs(NamedTuple):
    """What is kept of each spectrum, from which its shape follows."""

    moments: Tensor
    """Moments 0, 1 and 2 of each run about its middle, shape (spectra, RUNS, 3)."""
    crossing: Tensor
    """The run in which the running sum reaches its share, int64, shape (spectra,)."""
    inside: Tensor
    """The magnitudes in that run, shape (spectra, RUN)."""


class Shape(NamedTuple):
    """What is known of each spectrum, in bins; each of shape (spectra,)."""

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
    """For centroid and bandwidth: coefficients about the middle of each run, shape (spectra, RUNS, 3)."""
    step: Tensor
    """For the rolloff: the height at each run, shape (spectra, RUNS)."""
    place: Tensor
    """Of the runs of all spectra, that of each one's crossing, shape (spectra,)."""
    down: Tensor
    """By how much each bin of that run is lower, shape (spectra, RUN)."""
    softening: Tensor
    """Magnitude under which a bin counts for little in that of the rolloff, shape (spectra, 1)."""


def empty_runs(like: Tensor, spectra: int) -> Runs:
    """Room for what is kept of ``spectra`` spectra."""
    return Runs(
        like.new_empty((spectra, RUNS, 3)),
        like.new_empty(spectra, dtype=torch.int64),
        like.new_empty((spectra, RUN)),
    )


def starts(spectra: int, device: torch.device) -> Tensor:
    """Where each spectrum's runs start among those of all, shape (spectra,)."""
    return torch.arange(spectra, device=device).mul_(RUNS)


def keep(magnitudes: Tensor, first: Tensor, known: Constants, out: Runs) -> None:
    """Fill ``out`` from spectra of shape (spectra, WIDTH); ``first`` are their :func:`starts`."""
    runs = magnitudes.view(-1, RUN)
    torch.mm(runs, known.moments, out=out.moments.view(-1, 3))
    running = out.moments[..., 0].cumsum(-1)
    crossing = torch.searchsorted(running, ROLL_PERCENT * running[:, -1:])[:, 0]
    torch.index_select(runs, 0, crossing + first, out=out.inside)
    out.crossing.copy_(crossing)


def shape(of: Runs, known: Constants) -> Shape:
    """Put together what the runs say."""
    zeroth, first, second = of.moments.unbind(-1)
    total = zeroth.sum(-1)
    whole = total.masked_fill(total == 0, 1.0)
    centroid = (zeroth @ known.middles + first.sum(-1)) / whole
    away = known.middles - centroid[:, None]
    variance = (second + away * (2 * first + away * zeroth)).sum(-1) / whole

    running = zeroth.cumsum(-1)
    crossing = of.crossing[:, None]
    here = zeroth.gather(-1, crossing)
    left = ROLL_PERCENT * running[:, -1:] - (running.gather(-1, crossing) - here)
    bin_ = torch.searchsorted(of.inside.cumsum(-1), left)
    # The last run is one bin, padded.
    rolloff = (crossing * RUN + bin_).clamp_max_(BINS - 1)
    density = here / (BINS - crossing * RUN).clamp_max_(RUN)
    return Shape(total, centroid, variance.clamp_min_(0.0), rolloff[:, 0].to(total.dtype), density[:, 0])


def slope(
    of: Shape, grad_centroid: Tensor, grad_deviation: Tensor, grad_rolloff: Tensor, known: Constants
) -> Slope:
    """The gradient by the magnitudes from those by centroid, standard deviation and rolloff, (spectra,)."""
    alive = of.total >= FAINT
    over = torch.where(alive, of.total.clamp_min(FAINT).reciprocal(), 0.0)
    spread = of.variance > 0
    deviation = of.variance.sqrt().masked_fill(~spread, 1.0)
    linear = (grad_centroid * over)[:, None]
    square = torch.where(spread, 0.5 * grad_deviation * over / deviation, 0.0)[:, None]
    away = known.middles - of.centroid[:, None]
    polynomial = torch.stack(
        [
            away * (linear + square * away) - square * of.variance[:, None],
            linear + 2 * square * away,
            square.expand_as(away),
        ],
        dim=-1,
    )
    mean = of.total / BINS
    density = torch.maximum(of.density, LEAST_DENSITY * mean).clamp_min_(FAINT / BINS)
    steep = torch.where(alive, grad_rolloff / density, 0.0)[:, None]
    crossing = (of.rolloff / RUN).floor_()[:, None]
    before = (torch.arange(RUNS, device=steep.device) < crossing).to(steep.dtype)
    until = (torch.arange(RUN, device=steep.device) <= of.rolloff[:, None] - crossing * RUN).to(steep.dtype)
    return Slope(
        polynomial,
        steep * (ROLL_PERCENT - before),
        crossing[:, 0].long().add_(starts(len(steep), steep.device)),
        steep * until,
        (SOFTENING * mean).clamp_min_(FAINT / BINS)[:, None],
    )


def phase_slope(magnitudes: Tensor, by: Slope, start: int, known: Constants, room: Tensor) -> Tensor:
    """Gradient by each magnitude, over that magnitude: what an amplitude is to be multiplied by.

    ``magnitudes`` are those of spectra ``start`` and on, shape (spectra, WIDTH), and so is what is returned,
    a part of ``room``, shape (2, spectra, WIDTH).
    """
    here = slice(start, start + len(magnitudes))
    # Where a magnitude is nothing, so is the amplitude.
    some, out = room.unbind()
    torch.add(magnitudes, torch.finfo(magnitudes.dtype).tiny ** 0.5, out=some)
    torch.mm(by.polynomial[here].view(-1, 3), known.moments.T, out=out.view(-1, RUN))
    out.div_(some)
    soft = torch.add(magnitudes, by.softening[here], out=some)
    out.view(-1, RUNS, RUN).addcdiv_(by.step[here, :, None], soft.view(-1, RUNS, RUN))
    place = by.place[here] - start * RUNS
    down = by.down[here] / soft.view(-1, RUN).index_select(0, place)
    out.view(-1, RUN).index_add_(0, place, down, alpha=-1)
    return out
