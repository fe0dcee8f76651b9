"""SurFree: circles through the clip and the best point, each in a plane that no earlier one lay in."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.directions import Directions, perpendicular
from subterfuge.attacks.blackbox.starts import begin, check_start, halve
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# First largest angle, and the share of it that is left after a plane in which nothing was found; its most.
_WIDEST, _LESS, _WIDER = math.pi / 6, 0.98, math.pi / 3
# How near to the boundary the first point is brought.
_TOLERANCE = 0.02
# Angles that are tried to either side, and how often the best is bisected.
_ANGLES, _BISECTIONS = 2, 4


def surfree(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    subspace: bool = False,
    memory: int = 100,
) -> Outcome:
    """Smallest change in L2 from labels alone, without any estimate of the boundary's normal.

    In the plane of the best perturbation and a random direction that is orthogonal to it and to the last ones
    that were tried, the nearest point of a flat boundary lies on the circle whose diameter the perturbation
    is. A few angles to either side are tried, and the largest that will do is bisected.

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
    memory : int
        How many directions a new one must be orthogonal to, at least 1; no more than half of those that
        there are. Each takes the room of a clip.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, or ``steps`` or ``memory`` is too small.

    References
    ----------
    Maho, Furon and Le Merrer, "SurFree: a fast surrogate-free black-box attack", CVPR 2021.

    Examples
    --------
    >>> outcome = surfree(victim, y, Targeted(1), steps=200)
    >>> outcome.success
    tensor([True, True])
    """
    if memory < 1:
        raise SubterfugeError(f"memory: got {memory}, expected at least 1")
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=True) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            around = Directions(y[row], sr=victim.sample_rate, shaped=subspace, seed=seed)
            delta = yield from begin(search, row, start, seed)
            yield from _circles(y[row], delta, around, min(memory, around.size // 2))

        converse(search, steps, talk)
    return search.outcome()


def _circles(y: Tensor, delta: Tensor, around: Directions, memory: int) -> Talk:
    delta = yield from halve(delta, tolerance=_TOLERANCE)
    tried = y.new_zeros(max(1, memory), len(y))
    widest = _WIDEST
    for number in itertools.count():
        along = delta / torch.linalg.vector_norm(delta)
        others = torch.cat([tried, perpendicular(along, tried)[None]])
        across = perpendicular(around.draw(1)[0], others)
        tried[number % len(tried)] = across

        found, beyond = 0.0, 0.0
        for share in range(_ANGLES, 0, -1):
            for sign in (1.0, -1.0):
                angle = sign * widest * share / _ANGLES
                answer = yield _on_circle(y, delta, across, angle)[None]
                if bool(answer.reached[0]):
                    found, beyond = angle, sign * widest * (share + 1) / _ANGLES
                    break
            if found:
                break
        if not found:
            widest *= _LESS
            continue
        widest = min(widest / _LESS, _WIDER)
        for _ in range(_BISECTIONS):
            angle = (found + beyond) / 2
            answer = yield _on_circle(y, delta, across, angle)[None]
            if bool(answer.reached[0]):
                found = angle
            else:
                beyond = angle
        delta = _on_circle(y, delta, across, found)


def _on_circle(y: Tensor, delta: Tensor, across: Tensor, angle: float) -> Tensor:
    """The point of the circle about ``delta / 2`` that is seen from the clip at an angle to ``delta``."""
    length = torch.linalg.vector_norm(delta)
    point = math.cos(angle) * (math.cos(angle) * delta + math.sin(angle) * length * across)
    changed: Tensor = (y + point).clamp(-1, 1) - y
    return changed
