"""FGSM: one step along the gradient's signs (Goodfellow et al., 2015)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.radius import Bracket, diameter, radius_of
from subterfuge.attacks.whitebox.steps import heading, opening, place
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def fgsm(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 20,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    eps: float | Tensor | None = None,
    snr_db: float | Tensor | None = None,
    norm: float = math.inf,
) -> Outcome:
    """One gradient at the clip, one step along its signs (Linf) or along itself (L2).

    Parameters
    ----------
    victim : Victim
        Differentiable.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row. With a fixed radius two are used; without one, all but the first go
        into a line search for the shortest step that succeeds.
    generator : torch.Generator, optional
        Only for the direction where the gradient is exactly zero.
    watch : Watch, optional
    eps : float or Tensor of shape (batch,), optional
        Length of the step in ``norm``.
    snr_db : float or Tensor of shape (batch,), optional
        Instead of ``eps``: the signal-to-noise ratio of a full step, in dB.
    norm : float
        ``inf`` (the published attack) or 2.

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
    Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, section 4.

    Examples
    --------
    With any differentiable ``victim`` and two clips ``y`` that it hears as its label 0:

    >>> outcome = fgsm(victim, y, Targeted(1), snr_db=60.0)
    >>> outcome.success  # 60 dB below the clip is too little
    tensor([False, False])
    """
    fixed = radius_of(y, eps, snr_db, norm)
    with Search(victim, y, criterion, norm=norm, watch=watch) as search:
        start = opening(search, steps, generator)
        rows, clean = start.rows, start.y
        direction = heading(start.gradient, start.seed, 0, norm)
        if fixed is not None:
            if len(rows):
                search.look(place(clean, fixed[rows, None] * direction), rows)
            return search.outcome()
        bracket = Bracket(1.02 * start.distance, diameter(y, norm))
        for _ in range(steps - 1):
            if not len(rows):
                break
            x = place(clean, bracket.radius[:, None] * direction)
            _, reached = search.look(x, rows)
            bracket.learn(torch.ones_like(reached), reached, bracket.radius)
    return search.outcome()
