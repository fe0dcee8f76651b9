"""Slopes of a margin from pairs of answers, and the climb along them that NES and SPSA share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.charts import gains_of, samples_of
from subterfuge.attacks.blackbox.shrinking import Ball, first_ball, shrink
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# ``draw(chance, number, size)``: directions (number, size), of independent entries of mean 0 and variance 1.
Draw = Callable[[torch.Generator, int, int], Tensor]
# From a slope (size,) to the way to go; keeps what it remembers to itself.
Way = Callable[[Tensor], Tensor]

# A stride is halved whenever the margin falls, down to this share of the radius.
_LEAST_STRIDE = 0.02


def slope_of(above: Tensor, below: Tensor, directions: Tensor, reach: float) -> Tensor:
    """The slope, shape (size,), from answers at both ends of some directions.

    Parameters
    ----------
    above, below : Tensor, shape (pairs,)
        Margins at ``here + reach * direction`` and ``here - reach * direction``.
    directions : Tensor, shape (pairs, size)
        Of independent entries with mean 0 and variance 1.
    reach : float
        Above 0.

    Notes
    -----
    Of a linear margin with slope ``s`` each term is ``(s'u) u``, whose mean is ``s``: entries of unit
    variance have ``E[u u'] = 1``.

    Examples
    --------
    >>> slope_of(torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0]), torch.eye(2), 0.5)
    tensor([ 1., -1.])
    """
    weights = torch.nan_to_num(above - below) / (2 * reach * len(above))
    return weights.to(directions) @ directions


def by_slopes(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int,
    generator: torch.Generator | None,
    watch: Watch | None,
    subspace: bool,
    pairs: int,
    reach: float,
    stride: float,
    patience: int,
    snr_db: float,
    draw: Draw,
    way: Callable[[int], Way],
) -> Outcome:
    """The attack that NES and SPSA are, but for how they draw directions and what they make of a slope.

    Options as :func:`subterfuge.attacks.blackbox.nes.nes` has them; ``way(size)`` is asked for once a row.
    """
    _check(pairs=pairs, reach=reach, stride=stride)
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        seed = seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            chart = gains_of(y[row], sr=victim.sample_rate) if subspace else samples_of(y[row])
            chance = torch.Generator().manual_seed(seed)
            go = way(chart.size)

            def climb(ball: Ball) -> Talk:
                return _along_slopes(ball, chance, draw, go, pairs=pairs, reach=reach, stride=stride)

            here = torch.zeros(chart.size, dtype=y.dtype, device=y.device)
            ball = first_ball(y[row], here, chart.render, snr_db, linear=chart.linear)
            return shrink(ball, climb, patience=patience)

        converse(search, steps, talk)
    return search.outcome()


def _along_slopes(
    ball: Ball, chance: torch.Generator, draw: Draw, way: Way, *, pairs: int, reach: float, stride: float
) -> Talk:
    """An endless climb: two queries a pair for the slope, a step, one query there."""
    last, size = -math.inf, len(ball.here)
    while True:
        directions = draw(chance, pairs, size).to(ball.here)
        step = reach * ball.radius / math.sqrt(size)
        answer = yield torch.cat([ball.here + step * directions, ball.here - step * directions])
        slope = slope_of(answer.margin[:pairs], answer.margin[pairs:], directions, step)
        ahead = way(slope)
        ahead = ahead / torch.linalg.vector_norm(ahead).clamp(min=1e-30)
        ball.here = ball.within((ball.here + stride * ball.radius * ahead)[None])[0]
        answer = yield ball.here[None]
        margin = float(answer.margin[0])
        if margin < last:
            stride = max(_LEAST_STRIDE, stride / 2)
        last = margin


def _check(*, pairs: int, reach: float, stride: float) -> None:
    """Refuse what makes no slope or no step."""
    if pairs < 1:
        raise SubterfugeError(f"pairs: got {pairs}, expected at least 1")
    for name, value in (("reach", reach), ("stride", stride)):
        if not 0 < value < math.inf:
            raise SubterfugeError(f"{name}: got {value}, expected a share of the radius above 0")
