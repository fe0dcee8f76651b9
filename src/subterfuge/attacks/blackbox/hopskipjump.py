"""HopSkipJump: the boundary's normal from labels alone, a jump along it, and back to the boundary."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.directions import Directions
from subterfuge.attacks.blackbox.starts import begin, check_start, halve
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# Candidates that are made at once: bounds what is held in memory.
_TOGETHER = 16
# A jump that fails is halved so often, then the normal is estimated anew.
_HALVINGS = 8
# Where less than this share of the noise is heard on one side, its radius changes, within these bounds.
_ONE_SIDED, _LEAST, _MOST = 0.1, 1e-4, 0.3


def hopskipjump(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    subspace: bool = False,
    probes: int = 15,
    radius: float = 0.02,
) -> Outcome:
    """Smallest change in L2 from labels alone, by estimates of the boundary's normal.

    From a point on the boundary, noise of a small radius is heard as wanted on the one side and not on the
    other; the mean of its directions, each with its answer's sign, is about the normal. A step along it, and
    then straight back to the boundary.

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
        Whether the noise is drawn from few numbers or white: see
        :class:`subterfuge.attacks.blackbox.directions.Directions`.
    probes : int
        Queries of the first estimate, at least 1; that of number ``t`` has ``sqrt(t)`` times as many. (The
        paper's 100 leave too few steps where hundreds of queries are all that there is.)
    radius : float
        First radius of the noise, as a share of the distance, in (0, 1); it becomes smaller where next to
        none of the noise is heard as wanted, larger where next to all is. (The paper's is one over the
        dimension, far below what a file of 16 bits can hold in audio.)

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, ``steps`` is under 2, or probes or radius
        are not as above.

    References
    ----------
    Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", IEEE S&P 2020,
    algorithm 2.

    Examples
    --------
    >>> outcome = hopskipjump(victim, y, Targeted(1), steps=200)
    >>> outcome.success
    tensor([True, True])
    """
    if probes < 1:
        raise SubterfugeError(f"probes: got {probes}, expected at least 1")
    if not 0 < radius < 1:
        raise SubterfugeError(f"radius: got {radius}, expected a share of the distance, above 0 and under 1")
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=True) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            around = Directions(y[row], sr=victim.sample_rate, shaped=subspace, seed=seed)
            delta = yield from begin(search, row, start, seed)
            yield from jumps(y[row], delta, around, probes=probes, radius=radius)

        converse(search, steps, talk)
    return search.outcome()


def jumps(y: Tensor, delta: Tensor, around: Directions, *, probes: int, radius: float) -> Talk:
    """From one perturbation (samples,) that will do to ever shorter ones; without end."""
    delta = yield from halve(delta, tolerance=_near(radius, around))
    for number in itertools.count(1):
        length = float(torch.linalg.vector_norm(delta))
        normal, share = yield from _normal(
            y, delta, around, number=math.ceil(probes * math.sqrt(number)), radius=radius * length
        )
        if share < _ONE_SIDED and radius > _LEAST:
            radius = max(_LEAST, radius / 4)
        elif share > 1 - _ONE_SIDED and radius < _MOST:
            radius = min(_MOST, 1.5 * radius)
        stride = length / math.sqrt(number)
        for _ in range(_HALVINGS):
            tried = (y + delta + stride * normal).clamp(-1, 1) - y
            answer = yield tried[None]
            if bool(answer.reached[0]):
                nearer = yield from halve(tried, tolerance=_near(radius, around))
                if float(torch.linalg.vector_norm(nearer)) < length:
                    delta = nearer
                break
            stride /= 2


def _near(radius: float, around: Directions) -> float:
    """How near to the boundary is near enough: by so much noise crosses it, and is heard on both sides."""
    return radius / math.sqrt(around.size)


def _normal(
    y: Tensor, delta: Tensor, around: Directions, *, number: int, radius: float
) -> Generator[Tensor, Answer, tuple[Tensor, float]]:
    """About the normal at a point on the boundary, of unit length; and the share of noise that would do."""
    signed, total = torch.zeros_like(delta), torch.zeros_like(delta)
    agreed = asked = 0
    for part in range(0, number, _TOGETHER):
        noise = around.draw(min(_TOGETHER, number - part))
        tried = (y + delta + radius * noise).clamp(-1, 1) - y
        answer = yield tried
        noise = (tried - delta) / radius  # as it was heard
        signed += torch.where(answer.reached, 1.0, -1.0).to(noise) @ noise
        total += noise.sum(0)
        agreed, asked = agreed + int(answer.reached.sum()), asked + len(noise)
        if asked >= _TOGETHER and agreed in (0, asked):
            break  # no more of the same will tell where the boundary is
    share = agreed / asked
    normal = signed if agreed in (0, asked) else signed - (2 * share - 1) * total
    return normal / torch.linalg.vector_norm(normal).clamp(min=1e-30), share
