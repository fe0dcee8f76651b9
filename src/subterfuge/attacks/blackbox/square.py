"""Square attack, as patches of time and frequency: random rectangles of sound, kept if the margin rises."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.patches import Patches
from subterfuge.attacks.blackbox.shrinking import Ball, first_ball, shrink
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# When the paper halves the share of the plane, as parts of the queries; and the least that is left of it.
_HALVED, _LEAST = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8), 1 / 32


def square(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    share: float = 0.08,
    long: float = 0.0,
    own: float = 0.5,
    patience: int = 100,
    snr_db: float = 20.0,
) -> Outcome:
    """Small change in L2 from scores, by random patches of time and frequency.

    In a random rectangle of the plane of time and critical bands whatever change there is gives way to a new
    sound: noise, or the clip's own, louder or softer. If the margin rises, it stays. The patch has the
    part of the ball's power that it has of the plane, and patches become smaller as queries are spent. The
    published attack keeps one size; here it goes on from the first success in smaller balls (see
    :func:`subterfuge.attacks.blackbox.shrinking.shrink`), and it begins with the clip instead of stripes.

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
    share : float
        Of the plane that the first patches cover, in (0, 1].
    long : float
        From 0 (as long as the clip, narrow in frequency: a classifier that averages over time hears those
        best) by 0.5 (squares) to 1 (short, over all frequencies).
    own : float
        How often, in [0, 1], a patch is the clip's own sound instead of noise.
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
    Andriushchenko, Croce, Flammarion and Hein, "Square attack: a query-efficient black-box adversarial attack
    via random search", ECCV 2020.

    Examples
    --------
    >>> outcome = square(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.backward.tolist()
    [0, 0]
    """
    if not 0 < share <= 1:
        raise SubterfugeError(f"share: got {share}, expected a part of the plane above 0, at most 1")
    for name, value in (("long", long), ("own", own)):
        if not 0 <= value <= 1:
            raise SubterfugeError(f"{name}: got {value}, expected a number from 0 to 1")
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        seed = seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            patches = Patches(y[row], sr=victim.sample_rate)
            chance, asked = np.random.default_rng(seed), [0]

            def climb(ball: Ball) -> Talk:
                answer = yield ball.here[None]
                margin = float(answer.margin[0])
                while True:
                    covered = share * max(_LEAST, halvings(asked[0] / steps))
                    asked[0] += 1
                    wide, high = covered**long, covered ** (1 - long)
                    patch, where = patches.draw(chance, wide=wide, high=high, own=own)
                    tried = torch.where(where, math.sqrt(covered) * ball.radius * patch, ball.here)
                    tried = ball.within(tried[None])
                    answer = yield tried
                    if float(answer.margin[0]) > margin:
                        ball.here, margin = tried[0], float(answer.margin[0])

            ball = first_ball(y[row], torch.zeros_like(patches.own), patches.render, snr_db)
            return shrink(ball, climb, patience=patience)

        converse(search, steps, talk)
    return search.outcome()


def halvings(part: float) -> float:
    """What is left of the first patches' size once a part of the queries is spent.

    Examples
    --------
    >>> halvings(0.0), halvings(0.01), halvings(1.0)
    (1.0, 0.25, 0.00390625)
    """
    return 0.5 ** sum(part > one for one in _HALVED)
