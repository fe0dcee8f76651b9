"""Which clips are held out, and the folds of a search: by recording, never parting one, or clip by clip."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError

SPLITS = ("grouped", "random")
TEST = 0.2
FOLDS = 5

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Side:
    """Indices of the clips to train on and of those held out."""

    train: Indices
    test: Indices


def hold_out(
    labels: Sequence[str], recordings: Sequence[str], *, split: str = "grouped", seed: int = 42
) -> Side:
    """Hold out about a fifth.

    Parameters
    ----------
    labels, recordings : sequence of str, one a clip
    split : str
        ``grouped``: of each label at least one recording, and as many as come nearest to a fifth of its
        clips; a recording is on one side only. ``random``: scikit-learn's ``train_test_split``, a fifth of
        all clips, in the order drawn, as in the seed experiment: clips of one recording are on both sides.
    seed : int

    Raises
    ------
    SubterfugeError
        If there are fewer than two labels, or a label has too few recordings (or clips) for both sides.

    Examples
    --------
    >>> side = hold_out(["a"] * 6 + ["b"] * 6, [str(i // 2) for i in range(12)])
    >>> side.train.tolist(), side.test.tolist()
    ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7])
    """
    _check(labels, recordings, split)
    if split == "random":
        return _random(labels, seed)
    held = _held_out(labels, recordings, seed)
    out = np.array([recording in held for recording in recordings])
    return Side(np.flatnonzero(~out), np.flatnonzero(out))


def fold(
    labels: Sequence[str],
    recordings: Sequence[str],
    *,
    split: str = "grouped",
    folds: int = FOLDS,
    seed: int = 42,
) -> tuple[Side, ...]:
    """Parts for cross-validation; every clip is held out once.

    Parameters
    ----------
    labels, recordings : sequence of str, one a clip
    split : str
        ``grouped``: scikit-learn's ``StratifiedGroupKFold``, shuffled. ``random``: ``StratifiedKFold`` as it
        is meant by ``cv=5``, in the order of the clips (which is random after a random split).
    folds : int
    seed : int

    Raises
    ------
    SubterfugeError
        If there are fewer than two labels, or a label has fewer recordings (or clips) than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _check(labels, recordings, split)
    if folds < 2:
        raise SubterfugeError(f"folds: got {folds}, expected at least 2")
    what = "recordings" if split == "grouped" else "clips"
    for label, number in _counts(labels, recordings, split).items():
        if number < folds:
            raise SubterfugeError(
                f"label {label!r} has {number} {what} to train on, fewer than there are folds ({folds}): "
                f"expected more {what}{', or fewer folds' if number > 1 else ''}"
            )
    if split == "random":
        cut = StratifiedKFold(folds).split(labels, labels)
    else:
        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, recordings)
    sides = tuple(Side(train.astype(np.int64), test.astype(np.int64)) for train, test in cut)
    everyone = set(labels)
    for side in sides:
        if len(side.test) == 0 or {labels[i] for i in side.train} != everyone:
            raise SubterfugeError(
                f"recordings: got too few that can be parted into {folds} folds with every label in each, "
                "expected more recordings, or fewer folds"
            )
    return sides


def _check(labels: Sequence[str], recordings: Sequence[str], split: str) -> None:
    if split not in SPLITS:
        raise SubterfugeError(f"split: got {split!r}, expected {' or '.join(SPLITS)}")
    if len(labels) != len(recordings):
        raise SubterfugeError(f"recordings: got {len(recordings)}, expected {len(labels)}, one a clip")
    if len(set(labels)) < 2:
        only = f"one label only ({labels[0]})" if len(labels) else "no clips"
        raise SubterfugeError(f"got {only}, expected clips of at least two labels")


def _counts(labels: Sequence[str], recordings: Sequence[str], split: str) -> dict[str, int]:
    """Of each label, how many recordings (or clips) it has."""
    if split == "random":
        return dict(sorted(Counter(labels).items()))
    return dict(sorted(Counter(label for label, _ in set(zip(labels, recordings, strict=True))).items()))


def _random(labels: Sequence[str], seed: int) -> Side:
    from sklearn.model_selection import train_test_split

    for label, number in _counts(labels, labels, "random").items():
        if number < 2:
            raise SubterfugeError(f"label {label!r} has {number} clip, expected at least 2 to hold one out")
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST, random_state=seed)
    lost = set(labels) - {labels[i] for i in train}
    if lost:
        raise SubterfugeError(
            f"label {min(lost)!r} was held out whole by the random split, expected more clips of it"
        )
    return Side(train.astype(np.int64), test.astype(np.int64))


def _held_out(labels: Sequence[str], recordings: Sequence[str], seed: int) -> set[str]:
    """Recordings to hold out: drawn in turn, taken where it brings all of their labels nearer to a fifth."""
    holds: dict[str, Counter[str]] = defaultdict(Counter)
    for label, recording in zip(labels, recordings, strict=True):
        holds[recording][label] += 1
    total = Counter(labels)
    left = Counter(_counts(labels, recordings, "grouped"))
    for label, number in sorted(left.items()):
        if number < 2:
            raise SubterfugeError(
                f"label {label!r} has {number} recording, expected at least 2, one to train on and one "
                "to hold out (or a random split, which parts a recording's clips)"
            )
    taken: Counter[str] = Counter()
    held: set[str] = set()

    def take(recording: str) -> None:
        held.add(recording)
        taken.update(holds[recording])
        left.subtract(holds[recording].keys())

    names = sorted(holds)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    for recording in order:
        fits = all(taken[one] + n / 2 <= TEST * total[one] for one, n in holds[recording].items())
        if fits and all(left[one] > 1 for one in holds[recording]):
            take(recording)
    # Labels with few or long recordings: the shortest that leaves something to train on.
    for label in sorted(total):
        if not taken[label]:
            able = [
                one for one in order if holds[one][label] and all(left[other] > 1 for other in holds[one])
            ]
            if not able:
                raise SubterfugeError(
                    f"label {label!r} cannot be held out: its recordings hold the last of other labels too"
                )
            take(min(able, key=lambda one: holds[one].total()))
    return held
