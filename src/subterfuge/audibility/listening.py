"""A listening test: the plan of its ABX trials, drawn from a seed, and what right answers prove.

A trial plays A, B and X, where X is one of the two; the listener says which (Clark 1982). The page draws
its plan in the browser by the same few lines as here, from the page's seed and a number of the listener's
own, so that whoever reads a result can draw it again.

References
----------
D. Clark, "High-resolution subjective testing using a double-blind comparator", J. Audio Eng. Soc. 30(5),
1982.
L. Leventhal, "Type 1 and type 2 errors in the statistical analysis of listening tests", J. Audio Eng. Soc.
34(6), 1986.
C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 26, 1934.
ITU-R BS.1116-3, "Methods for the subjective assessment of small impairments in audio systems", 2015.
G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from subterfuge.errors import SubterfugeError

SCHEMA = 1
LEAST_TRIALS, MOST_TRIALS = 8, 32
ALPHA = 0.05  # what passes for evidence
CONFIDENCE = 0.95
_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2**32 over the golden ratio: steps that fill the circle evenly

Kind = Literal["pair", "identical", "audible"]
Side = Literal["A", "B"]


@dataclass(frozen=True)
class Trial:
    """One trial of a plan.

    Attributes
    ----------
    kind : str
        ``pair`` counts. The others are controls: in ``audible`` B is A with bursts of noise, which whoever
        listens gets right; in ``identical`` A and B are the same, so that nobody can know, and answers that
        agree with the key more often than half the time say that something else than the sound gives it away.
    pair : int
        Which pair of files it plays; in a control, whose first file it is made from.
    x : str
        ``A`` or ``B``: what X is.
    """

    kind: Kind
    pair: int
    x: Side


@dataclass(frozen=True)
class Score:
    """How many answers were right, and what that says.

    Attributes
    ----------
    right, total : int
    p_value : float
        Probability of as many right answers or more by guessing: exact, one-sided; 1 without any answers.
    low, high : float
        95 % interval (Clopper and Pearson) of the share of right answers.
    """

    right: int
    total: int
    p_value: float
    low: float
    high: float

    @property
    def share(self) -> float:
        """Of right answers; NaN without any answers."""
        return self.right / self.total if self.total else float("nan")

    def as_json(self) -> dict[str, float | int]:
        """Plain JSON types."""
        return {
            "right": self.right,
            "total": self.total,
            "p_value": self.p_value,
            "low": self.low,
            "high": self.high,
        }


class Draws:
    """Numbers of 32 bits from a seed and a listener's number: a Weyl sequence, mixed (Steele et al. 2014).

    Small enough to be written again in the page, with the same numbers.

    Examples
    --------
    >>> draws = Draws(1, 2)
    >>> [draws.below(2) for _ in range(12)] == [Draws(1, 2).below(2)] * 12
    False
    """

    def __init__(self, seed: int, listener: int) -> None:
        self._seed, self._listener = mixed(seed), mixed(listener ^ _GOLDEN)
        self._count = 0

    def word(self) -> int:
        """The next number, 0 to 2**32 - 1."""
        self._count += 1
        return mixed(mixed(self._seed + self._count * _GOLDEN) ^ self._listener)

    def below(self, n: int) -> int:
        """A number from 0 to ``n`` - 1, each as likely as the others."""
        limit = 2**32 - 2**32 % n
        while (word := self.word()) >= limit:
            pass
        return word % n

    def shuffled(self, n: int) -> list[int]:
        """The numbers from 0 to ``n`` - 1 in random order."""
        out = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out


def controls(trials: int) -> tuple[int, int]:
    """How many audible and how many identical control trials go with so many that count.

    Three audible ones at least: a guesser gets all of them right one time in eight.

    Examples
    --------
    >>> controls(8), controls(16), controls(32)
    ((3, 2), (3, 2), (4, 4))
    """
    return max(3, trials // 8), max(2, trials // 8)


def plan(*, trials: int, pairs: int, seed: int, listener: int) -> list[Trial]:
    """The trials of one listener, in order.

    Every pair comes up as often as any other, or once more. X is a fair coin in each trial by itself, not
    as often A as B: only then is the number right of somebody who guesses, in whatever way, binomial. Each
    third (or quarter) of the session has one audible control, so that falling asleep late is found too.

    Parameters
    ----------
    trials : int
        That count: 8 to 32. The controls (:func:`controls`) come on top.
    pairs : int
        From 1 to ``trials``.
    seed : int
        The page's, 0 to 2**32 - 1.
    listener : int
        0 to 2**32 - 1. Listeners who share a key may share a habit that happens to fit it, so that their
        right answers would not be independent: each has a number, and with that a key, of their own.

    Raises
    ------
    SubterfugeError
        If one of these is out of range.

    Examples
    --------
    >>> drawn = plan(trials=16, pairs=3, seed=0, listener=7)
    >>> len(drawn), sum(one.kind == "pair" for one in drawn)
    (21, 16)
    >>> sorted(sum(one.kind == "pair" and one.pair == k for one in drawn) for k in range(3))
    [5, 5, 6]
    """
    check_plan(trials=trials, pairs=pairs, seed=seed)
    if not 0 <= listener <= _WORD:
        raise SubterfugeError(f"listener: got {listener}, expected a whole number from 0 to {_WORD}")
    draws = Draws(seed, listener)
    order = draws.shuffled(pairs)
    counting = [order[i % pairs] for i in draws.shuffled(trials)]
    audible, identical = controls(trials)
    total = trials + audible + identical
    slots: list[tuple[Kind, int] | None] = [None] * total
    kinds: tuple[tuple[Kind, int], ...] = (("audible", audible), ("identical", identical))
    for kind, n in kinds:
        source = draws.shuffled(pairs)
        for i in range(n):
            free = [at for at in range(total * i // n, total * (i + 1) // n) if slots[at] is None]
            slots[free[draws.below(len(free))]] = (kind, source[i % pairs])
    rest = iter(counting)
    filled: list[tuple[Kind, int]] = [slot if slot is not None else ("pair", next(rest)) for slot in slots]
    return [Trial(kind, pair, "A" if draws.below(2) == 0 else "B") for kind, pair in filled]


def check_plan(*, trials: int, pairs: int, seed: int) -> None:
    """Make sure that a page can be planned so.

    Raises
    ------
    SubterfugeError
        If a number is out of range.
    """
    if not LEAST_TRIALS <= trials <= MOST_TRIALS:
        raise SubterfugeError(f"trials: got {trials}, expected {LEAST_TRIALS} to {MOST_TRIALS}")
    if not 1 <= pairs <= trials:
        raise SubterfugeError(f"pairs: got {pairs}, expected 1 to {trials}, the number of trials")
    if not 0 <= seed <= _WORD:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 to {_WORD}")


def page_id(pairs: Sequence[str], *, trials: int, seed: int) -> str:
    """What tells one page from another: a hash of its pairs' own, the number of trials and the seed."""
    return _hash("page", str(SCHEMA), str(trials), str(seed), *pairs)


def material_id(pairs: Sequence[str]) -> str:
    """What pages of the same pairs of files have in common, whatever their order, trials and seed."""
    return _hash("material", *sorted(pairs))


def score(right: int, total: int) -> Score:
    """What so many right answers of so many say.

    Raises
    ------
    SubterfugeError
        If there are not so many.

    Examples
    --------
    >>> twelve = score(12, 16)
    >>> round(twelve.p_value, 4), round(twelve.low, 3), round(twelve.high, 3)
    (0.0384, 0.476, 0.927)
    """
    if not 0 <= right <= total:
        raise SubterfugeError(f"got {right} right answers of {total}, expected 0 to {total}")
    if total == 0:
        return Score(0, 0, 1.0, 0.0, 1.0)
    from scipy.stats import binomtest

    test = binomtest(right, total, 0.5, alternative="greater")
    interval = binomtest(right, total, 0.5).proportion_ci(CONFIDENCE, method="exact")
    return Score(right, total, float(test.pvalue), float(interval.low), float(interval.high))


def needed(total: int, *, alpha: float = ALPHA) -> int | None:
    """The fewest right answers that a guesser has with a probability of at most ``alpha``, or None.

    Examples
    --------
    >>> needed(8), needed(16), needed(32), needed(4)
    (7, 12, 22, None)
    """
    import numpy as np
    from scipy.stats import binom

    rare = np.flatnonzero(binom.sf(np.arange(-1, total), total, 0.5) <= alpha)
    return int(rare[0]) if rare.size else None


def power(total: int, share: float, *, alpha: float = ALPHA) -> float:
    """How probably a listener who is right in ``share`` of the trials is found out, in so many trials.

    One less this is the error of the second kind, of which a small test has much (Leventhal 1986).

    Examples
    --------
    >>> round(power(16, 0.8), 3), round(power(8, 0.8), 3)
    (0.798, 0.503)
    """
    from scipy.stats import binom

    least = needed(total, alpha=alpha)
    return 0.0 if least is None else float(binom.sf(least - 1, total, share))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values for several questions asked at once (Holm 1979): the smallest times their number, and so on.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    out, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        out[i] = running
    return out


def mixed(x: int) -> int:
    """32 bits, every one of which hangs on every bit of ``x``: the finaliser of MurmurHash3 (Appleby)."""
    x &= _WORD
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & _WORD
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & _WORD
    return x ^ (x >> 16)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
