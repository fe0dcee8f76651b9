"""FMN: a ball whose radius follows the distance of the boundary (Pintor et al., 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import (
    cosine,
    heading,
    lengths,
    linear_distance,
    opening,
    place,
    project,
)
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim


def fmn(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 300,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    norm: float = 2.0,
    gamma: tuple[float, float] = (0.05, 1e-3),
    stride: tuple[float, float] = (1.0, 0.01),
) -> Outcome:
    """Gradient steps in a ball that first reaches for the linearised boundary, then closes in on it.

    Until a row has succeeded, its radius is the length of its perturbation plus the distance that the
    margin's linearisation promises (and no less than before: samples at full scale can bend the promise);
    afterwards it shrinks on success and grows on failure, ever less.
    Departures from the paper: steps are measured in present radii (the paper's are in pixel units), and
    under Linf they follow the gradient's signs.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Forward queries a row, the one at the clip included.
    generator : torch.Generator, optional
        Only for the direction where the gradient is exactly zero.
    watch : Watch, optional
    norm : float
        2 or ``inf``.
    gamma : tuple of float
        First and last relative change of the radius, along half a cosine.
    stride : tuple of float
        First and last length of a step, in radii, along half a cosine.

    Returns
    -------
    Outcome
        Distances in ``norm``.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients, ``steps`` is under 2, or the norm is another.

    References
    ----------
    Pintor et al., "Fast minimum-norm adversarial attacks through adaptive norm constraints", NeurIPS 2021,
    algorithm 1.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = fmn(victim, y, Targeted(1), steps=100)
    >>> outcome.success
    tensor([True, True])
    """
    if norm not in (2, math.inf):
        raise SubterfugeError(f"norm: got {norm}, expected 2 or inf")
    with Search(victim, y, criterion, norm=norm, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean, gradient, margin = start.rows, start.y, start.gradient, start.margin
        delta, radius = torch.zeros_like(clean), start.distance
        reached = torch.zeros_like(rows, dtype=torch.bool)
        for step in range(1, steps):
            if not len(rows):
                break
            change = cosine(step - 1, steps - 1, *gamma)
            best = search.best_distance[rows]
            # A linearised boundary is met from inside; the small excess makes sure that it is crossed.
            reach = lengths(delta, norm) + 1.02 * linear_distance(margin, gradient, clean, norm)
            grown = radius * (1 + change)
            if step > 1:
                grown = torch.where(torch.isfinite(best), grown, torch.maximum(grown, reach))
            radius = torch.where(reached, torch.minimum(radius * (1 - change), best), grown)
            move = cosine(step - 1, steps - 1, *stride) * radius
            delta = delta + move[:, None] * heading(gradient, start.seed, step, norm)
            x = place(clean, project(delta, radius, norm))
            delta = x - clean
            margin, reached, gradient = search.climb(x, rows)
    return search.outcome()
