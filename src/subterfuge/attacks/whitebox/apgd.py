"""APGD: projected gradient steps that halve themselves when they stall (Croce and Hein, 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.ascent import Ascent, checkpoints
from subterfuge.attacks.whitebox.radius import Bracket, diameter, radius_of
from subterfuge.attacks.whitebox.steps import heading, lengths, opening, place, project
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def apgd(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 200,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    eps: float | Tensor | None = None,
    snr_db: float | Tensor | None = None,
    norm: float = 2.0,
    rho: float = 0.75,
    inertia: float = 0.75,
    round_steps: int = 25,
) -> Outcome:
    """Momentum steps in the ball, halved and sent back to the best point whenever progress stalls.

    The margin stands for the paper's loss. It begins at the clip rather than at random, so that a result
    needs no seed. A row ends at its first success when the radius is fixed; without one, rounds of
    ``round_steps`` bisect for the smallest radius that will do, each started where the last one was best.

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
        Only for the direction where the gradient is exactly zero.
    watch : Watch, optional
    eps, snr_db : float or Tensor of shape (batch,), optional
        Radius in ``norm``, or the signal-to-noise ratio in dB of a perturbation on the sphere.
    norm : float
        2 or ``inf``.
    rho : float
        Share of the steps since the last checkpoint that must have climbed, or the step is halved.
    inertia : float
        Weight of the new step against the previous move (alpha in the paper).
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
    Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML 2020, algorithm 1 and section 3.2.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = apgd(victim, y, Targeted(1), snr_db=3.0)
    >>> outcome.success, bool((outcome.queries.forward <= 200).all())
    (tensor([True, True]), True)
    """
    fixed = radius_of(y, eps, snr_db, norm)
    with Search(victim, y, criterion, norm=norm, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean = start.rows, start.y
        turn = steps - 1 if fixed is not None else round_steps
        marks = checkpoints(turn).to(rows.device)
        bracket = Bracket(1.1 * start.distance if fixed is None else fixed[rows], diameter(y, norm))
        ascent = Ascent.begin(clean, start.margin, start.gradient, bracket.radius)
        for step in range(1, steps):
            if not len(rows):
                break
            direction = heading(ascent.slope, start.seed, step, norm)
            x = ascent.propose(clean, bracket.radius, direction, norm, inertia)
            value, reached, slope = search.climb(x, rows)
            ascent.learn(x, value, slope, marks, rho)
            if fixed is not None:
                keep = ~reached
                rows, clean, ascent, bracket.radius = (
                    rows[keep],
                    clean[keep],
                    ascent.take(keep),
                    bracket.radius[keep],
                )
                continue
            over = reached | (ascent.count == turn)
            bracket.learn(over, reached, lengths(x - clean, norm))
            found = torch.isfinite(search.best_distance[rows])
            best = torch.where(found[:, None], search.best[rows], ascent.best) - clean
            ascent.restart(over, place(clean, project(best, bracket.radius, norm)), bracket.radius)
    return search.outcome()
