"""The Boundary attack: a random walk along the boundary, a little nearer to the clip at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.directions import Directions, perpendicular
from subterfuge.attacks.blackbox.starts import begin, check_start, halve
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Shares of the distance: the first step along the sphere, and the first towards the clip.
_ALONG, _NEARER = 0.1, 0.05
# How both change with every answer, so that half of the steps along the sphere stay where they are heard as
# wanted, and a quarter of those towards the clip.
_CHANGE = 1.1


def boundary(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    subspace: bool = False,
) -> Outcome:
    """Smallest change in L2 from labels alone, by a random walk along the boundary.

    Every step first goes along the sphere about the clip; where that is still heard as wanted, then towards
    the clip. Both lengths follow the share of steps that succeed.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    start : Tensor, shape (batch, samples), optional
        Audio that is heard as wanted; by default clips of the label that come with the package, then noise.
    subspace : bool
        Whether directions are drawn from few numbers or anywhere: see
        :class:`subterfuge.attacks.blackbox.directions.Directions`.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, or ``steps`` is under 2.

    References
    ----------
    Brendel, Rauber and Bethge, "Decision-based adversarial attacks: reliable attacks against black-box
    machine learning models", ICLR 2018. There lengths follow the rates of success over windows of answers,
    here every answer; and the walk begins on the boundary, straight ahead from the start.

    Examples
    --------
    >>> outcome = boundary(victim, y, Targeted(1), steps=200)
    >>> outcome.success
    tensor([True, True])
    """
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=True) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            around = Directions(y[row], sr=victim.sample_rate, shaped=subspace, seed=seed)
            delta = yield from begin(search, row, start, seed)
            yield from _walk(y[row], delta, around)

        converse(search, steps, talk)
    return search.outcome()


def _walk(y: Tensor, delta: Tensor, around: Directions) -> Talk:
    delta = yield from halve(delta, tolerance=0.1)
    far, nearer = _ALONG, _NEARER
    while True:
        length = torch.linalg.vector_norm(delta)
        across = perpendicular(around.draw(1)[0], delta[None] / length)
        aside = (delta + far * length * across) / (1 + far**2) ** 0.5
        aside = (y + aside).clamp(-1, 1) - y
        answer = yield aside[None]
        if not bool(answer.reached[0]):
            far /= _CHANGE
            continue
        far = min(1.0, far * _CHANGE)
        answer = yield (1 - nearer) * aside[None]
        if bool(answer.reached[0]):
            delta = (1 - nearer) * aside
            nearer = min(0.5, nearer * _CHANGE**3)
        else:
            nearer = max(1e-4, nearer / _CHANGE)
            # No longer than before, and as far along the boundary: worth having.
            if float(torch.linalg.vector_norm(aside)) <= float(length) * (1 + 1e-6):
                delta = aside
