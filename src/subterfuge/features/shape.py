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
    """What is known of each spectrum, in bins; each of shape (spectra,) unless it says otherwise."""

    total: Tensor
    centroid: Tensor
    variance: Tensor
    rolloff: Tensor
    """Index of a bin, whole."""
    density: Tensor
    """Mean magnitude of each run, shape (spectra, RUNS)."""


class Slope(NamedTuple):
    """The gradient by the magnitudes, in few numbers."""

    polynomial: Tensor
    """Coefficients about the middle of each run, shape (spectra, RUNS, 3): all of centroid and bandwidth, and
    the step of the rolloff but for the one run that it falls in."""
    place: Tensor
    """Of the runs of all spectra, that of each one's crossing, shape (spectra,)."""
    down: Tensor
    """By how much each bin of that run is lower, shape (spectra, RUN)."""


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
    # Audio that is not a number crosses nowhere; let it be not a number to the end.
    crossing.clamp_max_(RUNS - 1)
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
    before = running.gather(-1, crossing) - zeroth.gather(-1, crossing)
    left = ROLL_PERCENT * running[:, -1:] - before
    bin_ = torch.searchsorted(of.inside.cumsum(-1), left)
    rolloff = (crossing * RUN + bin_).clamp_max_(BINS - 1)[:, 0].to(total.dtype)
    # The last run is one bin, padded.
    density = zeroth / (BINS - torch.arange(RUNS, device=total.device) * RUN).clamp_max_(RUN)
    return Shape(total, centroid, variance.clamp_min_(0.0), rolloff, density)


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

    mean = (of.total / BINS)[:, None]
    crossing = (of.rolloff / RUN).floor_()[:, None]
    run = crossing.long()
    density = torch.maximum(of.density.gather(-1, run), LEAST_DENSITY * mean).clamp_min_(FAINT / BINS)
    steep = torch.where(alive[:, None], grad_rolloff[:, None] / density, 0.0)
    weight = of.density / (of.density + (SOFTENING * mean).clamp_min_(FAINT / BINS)) * steep
    before = (torch.arange(RUNS, device=steep.device) < crossing).to(steep.dtype)
    until = (torch.arange(RUN, device=steep.device) <= of.rolloff[:, None] - crossing * RUN).to(steep.dtype)
    step = weight * (ROLL_PERCENT - before)

    away = known.middles - of.centroid[:, None]
    bent = square * away
    polynomial = torch.stack(
        [
            step.addcmul_(away, linear + bent).sub_(square * of.variance[:, None]),
            linear + 2 * bent,
            square.expand_as(away),
        ],
        dim=-1,
    )
    place = run[:, 0] + starts(len(steep), steep.device)
    return Slope(polynomial, place, weight.gather(-1, run) * until)


def phase_slope(magnitudes: Tensor, by: Slope, start: int, known: Constants, out: Tensor) -> Tensor:
    """Gradient by each magnitude, over that magnitude: what an amplitude is to be multiplied by.

    ``magnitudes``, none of them zero, are those of spectra ``start`` and on, shape (spectra, WIDTH). So is
    the shape of ``out``, which is returned.
    """
    here = slice(start, start + len(magnitudes))
    torch.mm(by.polynomial[here].view(-1, 3), known.moments.T, out=out.view(-1, RUN))
    out.view(-1, RUN).index_add_(0, by.place[here] - start * RUNS, by.down[here], alpha=-1)
    return out.div_(magnitudes)
