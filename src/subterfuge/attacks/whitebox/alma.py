"""ALMA: the augmented Lagrangian method for minimum-norm attacks, L2 distance (Rony et al., 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import heading, lengths, loudness, opening, place
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def alma(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 500,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    rate: tuple[float, float] = (0.1, 0.002),
    smoothing: float = 0.9,
    check_every: int = 10,
    growth: float = 1.2,
) -> Outcome:
    """Descend ``|delta|^2`` plus a penalty on the margin whose multiplier is learnt as the search goes.

    The constraint is the signed distance to the linearised boundary, ``-margin / |gradient|``, and all
    lengths are in units of the boundary's distance, so that neither the scale of the victim nor that of
    the audio matters: at first the distance that the linearised margin promises at the clip, doubled at
    every check until there is a success, and then the distance of that success. The root mean square that
    the step is divided by is one a row rather than one a sample.

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
    rate : tuple of float
        First and last learning rate, on an exponential schedule.
    smoothing : float
        Of the multiplier, in [0, 1).
    check_every : int
        Steps between looks at whether the constraint shrinks.
    growth : float
        By how much the penalty's weight grows where it does not.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or ``steps`` is under 2.

    References
    ----------
    Rony et al., "Augmented Lagrangian adversarial attacks", ICCV 2021, algorithm 1 and section 3.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = alma(victim, y, Targeted(1), steps=100)
    >>> outcome.success
    tensor([True, True])
    """
    with Search(victim, y, criterion, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean, unit = start.rows, start.y, start.distance
        delta, push = torch.zeros_like(clean), heading(start.gradient, start.seed, 0)
        lack = torch.ones_like(unit)
        multiplier, weight = torch.ones_like(unit), torch.ones_like(unit)
        known = torch.zeros_like(rows, dtype=torch.bool)
        square, at_check = torch.zeros_like(unit), torch.full_like(unit, torch.inf)
        for step in range(1, steps):
            if not len(rows):
                break
            slope = penalty_slope(lack, weight, multiplier)
            multiplier = (smoothing * multiplier + (1 - smoothing) * slope).clamp(1e-6, 1e6)
            slope = penalty_slope(lack, weight, multiplier)
            gradient = 2 * delta / unit[:, None] - slope[:, None] * push
            square = 0.9 * square + 0.1 * lengths(gradient) ** 2
            scale = (square / (1 - 0.9**step)).sqrt().clamp(min=1e-12)
            pace = rate[0] * (rate[1] / rate[0]) ** (step / steps) * unit
            x = place(clean, delta - (pace / scale)[:, None] * gradient)
            delta = x - clean
            margin, reached, gradient = search.climb(x, rows)
            push = heading(gradient, start.seed, step)
            far = (margin.abs() / lengths(gradient)).to(unit.dtype).nan_to_num(posinf=torch.inf) / unit
            lack = torch.where(reached, -far.clamp(max=10), far.clamp(1e-3, 10))
            best = search.best_distance[rows]
            first = reached & ~known
            known = known | reached
            unit = torch.where(first, best, unit)
            if step % check_every == 0:
                stuck = ~reached & (lack > 0.95 * at_check)
                weight = torch.where(stuck, weight * growth, weight).clamp(max=1e3)
                unit = torch.where(known, unit, torch.minimum(2 * unit, loudness(clean)))
                at_check = lack
    return search.outcome()


def penalty_slope(lack: Tensor, weight: Tensor, multiplier: Tensor) -> Tensor:
    """Derivative of the paper's penalty P2, whose value at 0 is the multiplier, shape (rows,).

    Positive ``lack``: ``mu + 2 mu rho c + rho^2 c^2 / 2``; negative: ``mu / (1 - rho c)^2``.

    Examples
    --------
    >>> penalty_slope(torch.tensor([0.0, 1.0, -1.0]), torch.ones(3), torch.ones(3))
    tensor([1.0000, 3.5000, 0.2500])
    """
    over, under = lack.clamp(min=0), lack.clamp(max=0)
    above = multiplier + 2 * multiplier * weight * over + weight**2 * over**2 / 2
    return torch.where(lack >= 0, above, multiplier / (1 - weight * under) ** 2)
