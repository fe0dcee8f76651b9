"""From a climb within a ball to the smallest change: until reached, straight back, on in a smaller ball."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk
from subterfuge.attacks.whitebox.radius import diameter
from subterfuge.attacks.whitebox.steps import loudness
from subterfuge.errors import SubterfugeError

# The ball after a success, as a share of the length found.
_CLOSER = 0.85
# How much wider the ball is that follows the first one in vain, the power of it that follows the next, and
# how far beyond the clip's own level it may grow before all begins anew; more by as much each time.
_WIDER, _FASTER, _BEYOND = 1.6, 1.5, 3.0
# How near the way straight back comes to where the goal is no longer reached, and the share that is taken to
# miss it after the first success.
_NEAR, _SURELY = 0.04, 0.6
# Balls within so little of the best length are not worth a climb; the search starts again from there.
_TIGHT = 0.97


@dataclass
class Ball:
    """Where a climb is and how far it may go.

    Attributes
    ----------
    render : callable
        ``render(numbers)``: changes, shape (n, samples), that numbers, shape (n, ...), stand for. Zero is no
        change, and twice the numbers are about twice as long a change.
    here : Tensor
        The numbers where the climb is.
    radius : float
        Most L2 norm of a change.
    level : float
        The clip's own L2 norm, or that of a faint one.
    largest : float
        No change can be longer.
    linear : bool
        Whether lengths are exactly in proportion.
    """

    render: Callable[[Tensor], Tensor]
    here: Tensor
    radius: float
    level: float
    largest: float
    linear: bool = True

    def within(self, numbers: Tensor) -> Tensor:
        """The numbers (n, ...), each scaled back until its change is in the ball."""
        for _ in range(1 if self.linear else 4):
            length = torch.linalg.vector_norm(self.render(numbers), dim=1)
            share = (self.radius / length.clamp(min=1e-30)).clamp(max=1.0)
            tail = (1,) * (numbers.ndim - 1)
            numbers = numbers * share.reshape(-1, *tail).to(numbers.real.dtype)
            if bool((share > 0.99).all()):
                break
        return numbers


# An endless talk in numbers instead of perturbations: climbs from ``ball.here``, and keeps that up to date.
Climb = Callable[[Ball], Talk]


def first_ball(
    y: Tensor, here: Tensor, render: Callable[[Tensor], Tensor], snr_db: float, *, linear: bool = True
) -> Ball:
    """The ball of a clip (samples,) in which the change fills so many dB under the clip.

    Raises
    ------
    SubterfugeError
        If ``snr_db`` is not finite.
    """
    if not math.isfinite(snr_db):
        raise SubterfugeError(f"snr_db: got {snr_db}, expected a finite number of dB, such as 10")
    level = float(loudness(y[None])[0])
    return Ball(render, here, level * 10 ** (-snr_db / 20), level, diameter(y[None], 2.0), linear)


def shrink(ball: Ball, climb: Climb, *, patience: int) -> Talk:
    """The talk of a row whose ``climb`` seeks success within a ball, made to seek the smallest change.

    A climb is let go on until one of its candidates is heard as wanted; from there the way leads straight
    back towards the clip, to the boundary, and the next climb begins on that line in a smaller ball. After
    ``patience`` queries in vain the ball grows: after a success half of the way to the best length, before it
    until it is larger than the clip; then all begins anew from the clip.

    Parameters
    ----------
    ball : Ball
    climb : callable
        ``climb(ball)``: an endless talk that yields numbers, not perturbations, reads ``ball.radius`` anew in
        every round, and leaves in ``ball.here`` where it is.
    patience : int
        Queries, at least 1.

    Raises
    ------
    SubterfugeError
        If the patience is under 1.
    """
    if patience < 1:
        raise SubterfugeError(f"patience: got {patience}, expected at least one query")
    kept, length = ball.here, math.inf
    first, wider, most = ball.radius, _WIDER, max(_BEYOND * ball.level, ball.radius)
    while True:
        found = yield from _until_reached(ball, climb, patience, length)
        if found is not None:
            kept, length = yield from _straight_back(ball, *found, _SURELY if length < math.inf else 1e-3)
            ball.radius = _CLOSER * length
            ball.here = ball.within(kept[None])[0]
        elif length == math.inf:
            ball.radius, wider = wider * ball.radius, wider**_FASTER
            if ball.radius > min(most, ball.largest):
                ball.radius, ball.here, wider = first, torch.zeros_like(kept), _WIDER
                most *= _BEYOND
        else:
            ball.radius = math.sqrt(ball.radius * length)
            if ball.radius > _TIGHT * length:
                ball.radius = _CLOSER * length
                ball.here = ball.within(kept[None])[0]


def _until_reached(
    ball: Ball, climb: Climb, patience: int, length: float
) -> Generator[Tensor, Answer, tuple[Tensor, float] | None]:
    """The numbers of the first candidate that will do and is shorter than the best, with its length."""
    talk = climb(ball)
    numbers, spent = next(talk), 0
    while True:
        answer = yield ball.render(numbers)
        spent += len(numbers)
        distance = torch.where(answer.reached, answer.distance, math.inf)
        nearest = int(distance.argmin())
        if float(distance[nearest]) < length:
            talk.close()
            return numbers[nearest], float(distance[nearest])
        if spent >= patience:
            talk.close()
            return None
        numbers = talk.send(answer)


def _straight_back(
    ball: Ball, numbers: Tensor, length: float, low: float
) -> Generator[Tensor, Answer, tuple[Tensor, float]]:
    share = 1.0
    while share > low * (1 + _NEAR):
        # By ratio where much is left to gain.
        middle = math.sqrt(share * low) if share > 4 * low else (share + low) / 2
        answer = yield ball.render(middle * numbers[None])
        if bool(answer.reached[0]):
            share, length = middle, min(length, float(answer.distance[0]))
        else:
            low = middle
    return share * numbers, length
