"""DDN: direction and norm of the perturbation, taken apart (Rony et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import cosine, heading, lengths, opening, place
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def ddn(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 300,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    gamma: float = 0.05,
    stride: tuple[float, float] = (1.0, 0.01),
) -> Outcome:
    """Step along the gradient, then return to a sphere that shrinks on success and grows on failure.

    Lengths are in units that suit audio: the first radius is the distance of the boundary were the victim
    linear, and steps are measured in present radii.

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
    gamma : float
        By how much the radius grows or shrinks at each step, in (0, 1).
    stride : tuple of float
        First and last length of a step, in radii, along half a cosine.

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
    Rony et al., "Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and
    defenses", CVPR 2019, algorithm 1.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = ddn(victim, y, Targeted(1), steps=100)
    >>> outcome.success
    tensor([True, True])
    """
    with Search(victim, y, criterion, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean, gradient = start.rows, start.y, start.gradient
        radius, delta = start.distance, torch.zeros_like(clean)
        reached = torch.zeros_like(rows, dtype=torch.bool)
        for step in range(1, steps):
            if not len(rows):
                break
            if step > 1:
                radius = radius * torch.where(reached, 1 - gamma, 1 + gamma)
            pace = cosine(step - 1, steps - 1, *stride) * radius
            delta = delta + pace[:, None] * heading(gradient, start.seed, step)
            delta = delta * (radius / lengths(delta).clamp(min=1e-30))[:, None]
            x = place(clean, delta)
            delta = x - clean
            _, reached, gradient = search.climb(x, rows)
    return search.outcome()
