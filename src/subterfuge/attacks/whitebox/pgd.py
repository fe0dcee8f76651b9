"""PGD: gradient steps, each followed by a return to the ball (Madry et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.radius import Bracket, diameter, radius_of
from subterfuge.attacks.whitebox.steps import heading, lengths, noise, opening, place, project
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def pgd(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 100,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    eps: float | Tensor | None = None,
    snr_db: float | Tensor | None = None,
    norm: float = 2.0,
    step_size: float | None = None,
    random_start: bool = False,
    round_steps: int = 10,
) -> Outcome:
    """Projected gradient ascent on the margin, in an L2 or Linf ball about the clip.

    A row ends at its first success when the radius is fixed. Without a radius, each row searches for the
    smallest one that will do: rounds of ``round_steps``, each at a radius of its own, chosen by bisection
    from what the rounds before it found and started from the best of them.

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row, the one at the clip included.
    generator : torch.Generator, optional
        For the random start, and for the direction where the gradient is exactly zero.
    watch : Watch, optional
    eps : float or Tensor of shape (batch,), optional
        Radius in ``norm``.
    snr_db : float or Tensor of shape (batch,), optional
        Instead of ``eps``: the signal-to-noise ratio of a perturbation on the sphere, in dB.
    norm : float
        2 or ``inf``.
    step_size : float, optional
        Length of a step in radii; by default 2.5 over the number of steps.
    random_start : bool
        Whether to begin at a random point of the sphere; every row draws the same direction.
    round_steps : int
        Steps at one radius when there is no fixed one.

    Returns
    -------
    Outcome
        Distances in ``norm``.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or an option is out of range.

    References
    ----------
    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, section 2.1.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = pgd(victim, y, Targeted(1), snr_db=3.0)
    >>> outcome.success, bool((outcome.queries.forward <= 100).all())
    (tensor([True, True]), True)
    """
    fixed = radius_of(y, eps, snr_db, norm)
    with Search(victim, y, criterion, norm=norm, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean, gradient = start.rows, start.y, start.gradient
        turn = steps - 1 if fixed is not None else round_steps
        stride = step_size if step_size is not None else 2.5 / turn
        bracket = Bracket(1.1 * start.distance if fixed is None else fixed[rows], diameter(y, norm))
        left = torch.full_like(rows, turn)
        delta = torch.zeros_like(clean)
        if random_start:
            aim = heading(noise(y, start.seed, 0).expand_as(clean), start.seed, 0, norm)
            delta = bracket.radius[:, None] * aim
        for step in range(1, steps):
            if not len(rows):
                break
            radius = bracket.radius
            move = stride * radius[:, None] * heading(gradient, start.seed, step, norm)
            x = place(clean, project(delta + move, radius, norm))
            delta = x - clean
            _, reached, gradient = search.climb(x, rows)
            if fixed is not None:
                keep = ~reached
                rows, clean, delta, gradient = rows[keep], clean[keep], delta[keep], gradient[keep]
                bracket.radius = bracket.radius[keep]
                continue
            left = left - 1
            over = reached | (left == 0)
            bracket.learn(over, reached, lengths(delta, norm))
            left = torch.where(over, turn, left)
            # The next round begins at the best success; a failed round may have slid far from it.
            again = (over & torch.isfinite(search.best_distance[rows]))[:, None]
            delta = torch.where(again, search.best[rows] - clean, delta)
    return search.outcome()
