"""SimBA: one atom of an orthonormal basis after the other, up or down, kept if the margin rises."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.local_cosines import LocalCosines
from subterfuge.attacks.blackbox.shrinking import Ball, first_ball, shrink
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.audibility.bands import bark
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

ORDERS = ("any", "low", "loud", "quiet")
# Bands that the orders take turns among: one each Bark.
_BANDS_PER_BARK = 1.0


def simba(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    part: float | None = None,
    order: str = "quiet",
    stride: float = 0.2,
    patience: int = 100,
    snr_db: float = 20.0,
) -> Outcome:
    """Small change in L2 from scores, by trying one cosine after the other.

    A cosine of one time and frequency is added or, if that does not help, taken away; what raises the margin
    is kept, scaled back into a ball. The published attack ends with the first success; here it goes on from
    there in smaller balls (see :func:`subterfuge.attacks.blackbox.shrinking.shrink`).

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
    part : float, optional
        Length of the cosines in seconds; as long as the clip by default.
    order : str
        ``any``: all cosines alike, at random. Or bands of one Bark each in turn, one cosine of each at
        random: from the ``low`` ones up, or those first in which the clip is ``loud``, or ``quiet``. Where
        the clip is quiet the least is heard the most by a victim that takes logarithms.
    stride : float
        Length of what is added, as a share of the ball's radius.
    patience : int
        Queries in vain after which the ball grows.
    snr_db : float
        Of the first ball to the clip.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, ``steps`` is under 2, or another option makes no sense.

    References
    ----------
    Guo, Gardner, You, Wilson and Weinberger, "Simple black-box adversarial attacks", ICML 2019, algorithm 1;
    its basis of cosines is that of 8 by 8 pixels, and low frequencies come first.

    Examples
    --------
    >>> outcome = simba(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.backward.tolist()
    [0, 0]
    """
    if order not in ORDERS:
        raise SubterfugeError(f"order: got {order!r}, expected one of {', '.join(ORDERS)}")
    if not 0 < stride < float("inf"):
        raise SubterfugeError(f"stride: got {stride}, expected a share of the radius above 0")
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        seed = seed_from(generator)
        whole = max(LocalCosines.SHORTEST, y.shape[1])
        basis = LocalCosines(y.shape[1], part=whole if part is None else round(part * victim.sample_rate))

        def talk(row: int, _: Answer) -> Talk:
            ball = first_ball(y[row], torch.zeros_like(y[row]), lambda delta: delta, snr_db)
            numbers = turns(basis, y[row], sr=victim.sample_rate, order=order, seed=seed)

            def climb(ball: Ball) -> Talk:
                return _one_by_one(ball, basis, numbers, stride)

            return shrink(ball, climb, patience=patience)

        converse(search, steps, talk)
    return search.outcome()


def _one_by_one(ball: Ball, basis: LocalCosines, numbers: Iterator[int], stride: float) -> Talk:
    answer = yield ball.here[None]
    margin = float(answer.margin[0])
    for number in numbers:
        step = stride * ball.radius * basis.atom(number).to(ball.here)
        for way in (step, -step):
            candidate = ball.within((ball.here + way)[None])
            answer = yield candidate
            if float(answer.margin[0]) > margin:
                ball.here, margin = candidate[0], float(answer.margin[0])
                break


def turns(basis: LocalCosines, y: Tensor, *, sr: float, order: str, seed: int) -> Iterator[int]:
    """The numbers of all cosines in the order in which they are tried, round and round; see :func:`simba`."""
    chance = np.random.default_rng(seed)
    tone = basis.tones() * sr / 2
    band = np.floor(np.asarray(bark(tone)) * _BANDS_PER_BARK).astype(int)
    if order == "any":
        band = np.zeros_like(band)
    named, band = np.unique(band, return_inverse=True)
    place = np.arange(len(named), dtype=float)
    if order in ("loud", "quiet"):
        power = np.bincount(band, basis.numbers(y).double().square().cpu().numpy()) / np.bincount(band)
        place = power if order == "quiet" else -power
    while True:
        # The number that each cosine has within its band, by chance, is the round in which its turn comes.
        shuffled = chance.permutation(len(band))
        shuffled = shuffled[np.argsort(band[shuffled], kind="stable")]
        firsts = np.concatenate([[0], np.cumsum(np.bincount(band))[:-1]])
        turn = np.arange(len(band)) - firsts[band[shuffled]]
        yield from shuffled[np.lexsort((place[band[shuffled]], turn))].tolist()
