"""IRMAS's testing protocol: several labels an excerpt, from scores over windows, a threshold, and F1.

A classifier of one label a clip is asked about every window of an excerpt; its outputs are put together to
one activation a label, and the labels whose activation reaches a threshold θ are what it hears there. Han,
Kim and Lee (IEEE/ACM TASLP 25(1), 2017) compare two ways to put them together:

S1
    the mean over the windows, as it is;
S2
    the sum over the windows, divided by the largest of its labels, so that the strongest label has 1.

What is heard is compared with the excerpt's labels by label, micro (all decisions pooled) and macro (the
mean over labels), as Bosch, Janer, Fuhrmann and Herrera (ISMIR 2012) did on these excerpts. The macro F1
here is the mean of the labels' F1, not the F1 of the mean precision and recall.

Where the papers leave cases open: a window of digital silence is left out, since there is nothing to
hear; of an excerpt without any other window all activations are 0, and no label is heard. Precision is
NaN where nothing was heard, recall where nothing was there; in a mean over labels such a one counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.training.bootstrap import estimate, recording_indices, resampled_counts
from subterfuge.training.measures import Estimate

STRATEGIES = ("S1", "S2")
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 with their 95 % intervals (resampled by recording)."""

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class LabelScores:
    """Of one label; ``excerpts`` is how many truly carry it, ``heard`` in how many it was heard."""

    label: str
    scores: Scores
    excerpts: int
    heard: int


@dataclass(frozen=True)
class CurvePoint:
    """Micro and macro F1 at one threshold."""

    threshold: float
    micro_f1: float
    macro_f1: float


@dataclass(frozen=True)
class ExcerptMeasures:
    """How well a classifier hears excerpts with several labels each.

    Attributes
    ----------
    labels : tuple of str
        The classifier's, in its order.
    excerpts, recordings : int
        How many were heard.
    unheard : int
        Excerpts of which no label was heard.
    strategy : str
        ``S1`` or ``S2``; how windows are put together.
    threshold : float
        Least activation at which a label counts as heard.
    micro, macro : Scores
        Over all decisions, and the mean over the labels that occur in the truth.
    classes : tuple of LabelScores
    curves : dict of str to tuple of CurvePoint
        Both strategies over a range of thresholds. The best threshold of a curve is chosen by the very
        excerpts that it is measured on.
    """

    labels: tuple[str, ...]
    excerpts: int
    recordings: int
    unheard: int
    strategy: str
    threshold: float
    micro: Scores
    macro: Scores
    classes: tuple[LabelScores, ...]
    curves: dict[str, tuple[CurvePoint, ...]]


def window_starts(samples: int, window: int, hop: int) -> list[int]:
    """First sample of every window: one each ``hop``, and a last one flush with the end.

    A clip no longer than one window is one window, as long as it is.

    Raises
    ------
    SubterfugeError
        If window or hop has no sample.

    Examples
    --------
    >>> window_starts(10, 4, 2), window_starts(11, 4, 2), window_starts(3, 4, 2)
    ([0, 2, 4, 6], [0, 2, 4, 6, 7], [0])
    """
    for name, value in (("window", window), ("hop", hop)):
        if value < 1:
            raise SubterfugeError(f"{name}: got {value} samples, expected at least one")
    if samples <= window:
        return [0]
    starts = list(range(0, samples - window + 1, hop))
    return starts if starts[-1] == samples - window else [*starts, samples - window]


def mean_activation(windows: ArrayLike, labels: int) -> Floats:
    """Mean over the windows of their outputs, shape (windows, labels); all 0 where there is none."""
    table = np.asarray(windows, dtype=np.float64).reshape(-1, labels)
    return table.mean(0) if len(table) else np.zeros(labels)


def activations(means: ArrayLike, strategy: str) -> Floats:
    """What is held against the threshold, from the means over windows, shape (..., labels).

    For ``S1`` the means; for ``S2`` divided by the largest of them (which is the same as for sums), or all 0
    where that is 0.

    Examples
    --------
    >>> activations([0.5, 0.25, 0.0], "S2").tolist()
    [1.0, 0.5, 0.0]
    """
    check_strategy(strategy)
    table = np.asarray(means, dtype=np.float64)
    if strategy == "S1":
        return table
    largest = table.max(-1, keepdims=True)
    out = np.zeros_like(table)
    np.divide(table, largest, out=out, where=largest > 0)
    return out


def measure_excerpts(
    labels: Sequence[str],
    truth: ArrayLike,
    means: ArrayLike,
    *,
    strategy: str = "S2",
    threshold: float = 0.5,
    recordings: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> ExcerptMeasures:
    """Label-based scores of excerpts, with 95 % intervals by resampling whole recordings.

    Parameters
    ----------
    labels : sequence of str
        The classifier's, in its order.
    truth : array of bool, shape (excerpts, labels)
        Which labels each excerpt carries.
    means : array, shape (excerpts, labels)
        Mean over windows of the classifier's output for each label, none negative.
    strategy : str
        ``S1`` or ``S2``.
    threshold : float
        From 0 (exclusive) to 1.
    recordings : sequence of str, optional
        Which recording each excerpt was cut from; by default each is one of its own.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    SubterfugeError
        If shapes do not fit, there are no excerpts, or strategy or threshold is none.

    Examples
    --------
    >>> heard = measure_excerpts(("a", "b"), [[True, False], [True, True]], [[0.8, 0.1], [0.6, 0.2]])
    >>> heard.micro.precision.value, round(heard.micro.recall.value, 3), heard.micro.f1.value
    (1.0, 0.667, 0.8)
    """
    labels = tuple(labels)
    true, table = np.asarray(truth, dtype=bool), np.asarray(means, dtype=np.float64)
    _check(labels, true, table, threshold)
    k = len(labels)
    if recordings is not None and len(recordings) != len(true):
        raise SubterfugeError(f"recordings: got {len(recordings)}, expected {len(true)}, one an excerpt")
    group, groups = recording_indices(recordings, len(true))
    heard = activations(table, strategy) >= threshold
    counts = _counts(true, heard)
    drawn = np.empty((0, k, 3))
    if groups > 1 and resamples:
        # Of each label a decision is a hit, a false alarm, a miss, or counts nowhere.
        row, column = np.nonzero(true | heard)
        kind = np.where(true & heard, 0, np.where(heard, 1, 2))[row, column]
        cells, shape = 3 * column + kind, (groups, 3 * k)
        flat = resampled_counts(cells, group[row], shape=shape, seed=seed, resamples=resamples)
        drawn = flat.reshape(-1, k, 3)
    own, spread = _rates(counts), _rates(drawn)
    return ExcerptMeasures(
        labels=labels,
        excerpts=len(true),
        recordings=groups,
        unheard=int((~heard.any(1)).sum()),
        strategy=strategy,
        threshold=float(threshold),
        micro=_scores(_rates(counts.sum(0)), _rates(drawn.sum(1))),
        macro=_scores(_macro(counts), _macro(drawn)),
        classes=tuple(
            LabelScores(
                label,
                _scores(own[i], spread[:, i]),
                excerpts=int(true[:, i].sum()),
                heard=int(heard[:, i].sum()),
            )
            for i, label in enumerate(labels)
        ),
        curves={one: _curve(true, activations(table, one)) for one in STRATEGIES},
    )


def _check(labels: tuple[str, ...], true: Bools, table: Floats, threshold: float) -> None:
    if not len(true):
        raise SubterfugeError("truth: got no excerpts, expected at least one")
    for name, shape in (("truth", true.shape), ("means", table.shape)):
        if shape != (len(true), len(labels)):
            raise SubterfugeError(f"{name}: got shape {shape}, expected ({len(true)}, {len(labels)})")
    if not (table >= 0).all():  # NaN too
        raise SubterfugeError("means: got negative or undefined ones, expected none below 0")
    check_threshold(threshold)


def check_threshold(threshold: float) -> None:
    """Make sure that a threshold is one.

    Raises
    ------
    SubterfugeError
        If it is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise SubterfugeError(f"threshold: got {threshold}, expected a number above 0 and up to 1")


def check_strategy(strategy: str) -> None:
    """Make sure that a strategy is one.

    Raises
    ------
    SubterfugeError
        If it is neither ``S1`` nor ``S2``.
    """
    if strategy not in STRATEGIES:
        raise SubterfugeError(f"strategy: got {strategy!r}, expected {' or '.join(STRATEGIES)}")


def _counts(true: Bools, heard: Bools) -> Floats:
    """Hits, false alarms and misses of each label, shape (labels, 3)."""
    three: Floats = np.stack([true & heard, ~true & heard, true & ~heard], axis=-1).sum(0, dtype=np.float64)
    return three


def _rates(counts: Floats) -> Floats:
    """Precision, recall and F1 of counts, both shape (..., 3); what is 0 of 0 is NaN."""
    hits, alarms, misses = np.moveaxis(counts, -1, 0)
    part = np.stack([hits, hits, 2 * hits], -1)
    whole = np.stack([hits + alarms, hits + misses, 2 * hits + alarms + misses], -1)
    out = np.full(part.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _macro(counts: Floats) -> Floats:
    """Mean rates over the labels that occur, shape (..., 3), of counts, shape (..., labels, 3)."""
    there = (counts[..., 0] + counts[..., 2] > 0)[..., None]
    total = np.where(there, np.nan_to_num(_rates(counts)), 0.0).sum(-2)
    number = there.sum(-2) + np.zeros_like(total)
    out = np.full(total.shape, np.nan)
    np.divide(total, number, out=out, where=number > 0)
    return out


def _curve(true: Bools, active: Floats) -> tuple[CurvePoint, ...]:
    points = []
    for threshold in THRESHOLDS:
        counts = _counts(true, active >= threshold)
        micro, macro = _rates(counts.sum(0))[2], _macro(counts)[2]
        points.append(CurvePoint(threshold, float(micro), float(macro)))
    return tuple(points)


def _scores(values: Floats, resampled: Floats) -> Scores:
    precision, recall, f1 = (estimate(float(values[i]), resampled[:, i]) for i in range(3))
    return Scores(precision, recall, f1)
