"""Carlini and Wagner's L2 attack: distance plus a weighted hinge on the margin, in tanh space (2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import Adam, cosine, heading, loudness, opening
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Samples at full scale lie at infinity in tanh space; this is how near to it they may come.
FULL_SCALE = 1 - 1e-6


def carlini_wagner(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 600,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    searches: int = 6,
    weight: float = 3.0,
    rate: tuple[float, float] = (0.1, 0.01),
) -> Outcome:
    """Minimise ``|delta|^2 + c max(0, -margin)`` by Adam over ``w``, with ``y + delta = tanh(w)``.

    The weight ``c`` is searched for by bisection, one descent from the clip for each value. So that one
    setting suits every victim, lengths are in units of the boundary's distance (at first the one that the
    linearised margin promises, then the best found), and the margin's gradient has unit length: for a
    linear victim the smallest weight that succeeds is then 2, whatever its scale.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Forward queries a row, over all the searches.
    generator : torch.Generator, optional
        Only for the direction where the gradient is exactly zero.
    watch : Watch, optional
    searches : int
        Values of the weight that are tried.
    weight : float
        The first of them.
    rate : tuple of float
        First and last learning rate of each descent, relative to the largest sample of a perturbation of
        unit length along the clip's gradient.

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
    Carlini and Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P 2017, section V-D.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = carlini_wagner(victim, y, Targeted(1), steps=200)
    >>> outcome.success
    tensor([True, True])
    """
    with Search(victim, y, criterion, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean = start.rows, start.y
        unit, seed = start.distance, start.seed
        first = heading(start.gradient, seed, 0)
        peak = first.abs().amax(1)
        c = torch.full_like(unit, weight)
        low, high = torch.zeros_like(c), torch.full_like(c, math.inf)
        turn = max(1, (steps - 1) // searches)
        found = torch.zeros_like(rows, dtype=torch.bool)
        for step in range(1, steps):
            if not len(rows):
                break
            k = (step - 1) % turn
            if k == 0:
                if step > 1:
                    high = torch.where(found, torch.minimum(high, c), high)
                    low = torch.where(found, low, torch.maximum(low, c))
                    c = torch.where(torch.isfinite(high), (low + high) / 2, c * 4)
                    best = search.best_distance[rows]
                    grown = torch.minimum(4 * unit, loudness(clean))
                    unit = torch.where(torch.isfinite(best), best, grown)
                w = torch.atanh(clean.clamp(-FULL_SCALE, FULL_SCALE))
                x, adam, found = clean, Adam(clean), torch.zeros_like(rows, dtype=torch.bool)
                push, reached = first, found
            # The hinge is closed once the goal is reached.
            pull = 2 * (x - clean) / unit[:, None]
            slope = pull - torch.where(reached[:, None], 0.0, c[:, None] * push)
            pace = cosine(k, turn, *rate) * unit * peak
            slant = (1 - x * x).clamp(min=1e-6)
            # Adam cares little for the slant's size but must feel its shape; the pace is set in samples.
            w = w - pace[:, None] * adam.direction(slope * slant)
            x = torch.tanh(w)
            _, reached, gradient = search.climb(x, rows)
            push, found = heading(gradient, seed, step), found | reached
    return search.outcome()
