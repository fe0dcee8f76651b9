"""From how long each duel keeps its sign to how long the label stands, by what votes can still become."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from subterfuge.defences.certificates.duelling import Array, Duel, elected
from subterfuge.victims.libsvm import pairs


def label_radii(first_wins: NDArray[np.bool_], radii: Array, classes: int) -> Array:
    """Within which distance each label provably is not elected, shape (classes,); inf for that elected now.

    A duel may go either way from its own radius on. Label t is elected just if it outdoes every rival: more
    votes, or as many and the lower index. For each rival the distance is found from which on the duels that
    are then open would let t outdo it, t winning all of its own and the rival losing all of its; t needs the
    greatest of these. The label as a whole stands within the least of all labels' distances.

    Parameters
    ----------
    first_wins : array of bool, shape (duels,)
        Who wins each duel now.
    radii : array, shape (duels,)
        Up to which distance it surely stays so.
    classes : int

    Examples
    --------
    Of three classes 0 beats both and 1 beats 2. Losing to 1 is enough to lose; for 2 to be elected, both of
    its duels must turn, and 0 that against 1 too or be outdone by it:

    >>> label_radii(np.array([True, True, True]), np.array([1.0, 2.0, 3.0]), 3).tolist()
    [inf, 1.0, 3.0]
    """
    first, second = (p.numpy() for p in pairs(classes))
    winner, loser = np.where(first_wins, first, second), np.where(first_wins, second, first)
    order = np.argsort(radii, kind="stable")
    now = np.bincount(winner, minlength=classes)
    # best[n] and worst[n]: each class's votes once the first n duels, in order of their radii, are open.
    best = np.tile(now, (len(order) + 1, 1))
    worst = best.copy()
    for n, duel in enumerate(order):
        best[n + 1 :, loser[duel]] += 1
        worst[n + 1 :, winner[duel]] -= 1
    at = np.concatenate([[0.0], radii[order]])
    out = np.empty(classes)
    for label in range(classes):
        needed = 0.0
        for rival in range(classes):
            if rival != label:
                lead = best[:, label] - worst[:, rival]
                possible = lead >= 0 if label < rival else lead > 0
                needed = max(needed, float(at[possible.argmax()]) if possible.any() else math.inf)
        out[label] = needed
    standing = [label for label in range(classes) if out[label] == 0]
    # Only the label elected now can be elected without any duel turning.
    elected = int(now.argmax())
    assert elected in standing
    out[elected] = math.inf
    return out


def standing(
    first_wins: NDArray[np.bool_],
    each: tuple[Duel, ...],
    radius: Callable[[Duel], float],
    classes: int,
    *,
    every: bool = True,
) -> tuple[int, Array]:
    """The label elected, and :func:`label_radii` with each duel's radius by ``radius``.

    Unless ``every`` label's own is wanted, duels that the label elected has no part in are only asked where
    the least of all hangs on them; the others then hold, but may be smaller than they could be.
    """
    label = int(elected(first_wins[None], classes)[0])
    own = np.array([every or label in (duel.first, duel.second) for duel in each])
    radii = np.array([radius(duel) if mine else 0.0 for duel, mine in zip(each, own, strict=True)])
    found = label_radii(first_wins, radii, classes)
    if own.all() or found.min() == label_radii(first_wins, np.where(own, radii, np.inf), classes).min():
        return label, found
    radii = np.array([known if mine else radius(d) for known, mine, d in zip(radii, own, each, strict=True)])
    return label, label_radii(first_wins, radii, classes)


def electable(
    first_wins: NDArray[np.bool_], open_duels: NDArray[np.bool_], classes: int
) -> NDArray[np.bool_]:
    """Which labels may be elected if the open duels may go either way, shape (classes,).

    Examples
    --------
    >>> now = np.array([True, True, True])  # 0 beats 1 and 2, 1 beats 2
    >>> electable(now, np.array([True, False, False]), 3).tolist()
    [True, True, False]
    """
    radii = np.where(open_duels, 0.0, np.inf)
    possible = label_radii(first_wins, radii, classes) < np.inf
    possible[int(elected(first_wins[None], classes)[0])] = True
    return np.asarray(possible)


def largest_standing(
    first_wins: NDArray[np.bool_],
    classes: int,
    holds: Callable[[int, int], bool],
    limits: NDArray[np.int64],
    *,
    target: int | None = None,
) -> int:
    """The last of a row of sizes at which the label provably stands (``target`` is not elected), -1 if none.

    As few questions are asked as that takes, since each is dear: first how far the most doubtful duel of
    the label holds, then whether the others hold as far, and only where the vote survives that duel about
    any more.

    Parameters
    ----------
    first_wins : array of bool, shape (duels,)
    classes : int
    holds : callable
        Of a duel and a size, by their numbers: whether it surely keeps its sign there, and so at all before.
    limits : array of int, shape (duels,)
        From which size on it surely does not hold.
    target : int, optional

    Examples
    --------
    >>> radii = [3, 5, 7]
    >>> largest_standing(np.array([True] * 3), 3, lambda n, size: size <= radii[n], np.array([9, 9, 9]))
    3
    """
    label = int(elected(first_wins[None], classes)[0])
    mine = label if target is None else target
    own = np.array([mine in pair for pair in zip(*(p.tolist() for p in pairs(classes)), strict=True)])
    order = np.lexsort((limits, ~own))
    low, high = np.full(len(limits), -1), np.maximum(limits, 0)

    def falls(open_duels: NDArray[np.bool_]) -> bool:
        possible = electable(first_wins, open_duels, classes)
        possible[label] = False
        return bool(possible.any() if target is None else possible[target])

    def ask(n: int, size: int) -> bool:
        if holds(n, size):
            low[n] = max(low[n], size)
            return True
        high[n] = min(high[n], size)
        return False

    def stands(size: int) -> bool:
        while falls(size > low):
            if falls(size >= high):
                return False
            ask(next(int(n) for n in order if low[n] < size < high[n]), size)
        return True

    doubtful = int(order[0])
    while high[doubtful] - low[doubtful] > 1:
        ask(doubtful, int(low[doubtful] + high[doubtful]) // 2)
    sure, unsure = -1, int(high.max())
    for guess in (int(low[doubtful]), int(low[doubtful]) + 1):
        if sure < guess < unsure:
            sure, unsure = (guess, unsure) if stands(guess) else (sure, guess)
    while unsure - sure > 1:
        middle = (sure + unsure) // 2
        sure, unsure = (middle, unsure) if stands(middle) else (sure, middle)
    return sure
