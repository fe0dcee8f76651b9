"""Measuring a classifier on clips with one label each: accuracy, F1, confusion, calibration, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.training.bootstrap import estimate, recording_indices, resampled_counts
from subterfuge.training.measures import ClassMeasures, Measures, ReliabilityBin

BINS = 10

Floats = NDArray[np.float64]


def measure(
    labels: Sequence[str],
    truth: Sequence[str] | ArrayLike,
    predicted: Sequence[str] | ArrayLike,
    *,
    probabilities: ArrayLike | None = None,
    recordings: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Measures:
    """How well a classifier heard, with 95 % intervals by resampling whole recordings.

    Parameters
    ----------
    labels : sequence of str
        The classifier's, in its order.
    truth, predicted : sequence of str or array of int, one a clip
        Labels, or their indices in ``labels``.
    probabilities : array, shape (clips, labels), optional
        As the classifier reports them. The reliability diagram checks the largest of each row against the
        label that it belongs to, which need not be the predicted one (an SVC votes).
    recordings : sequence of str, optional
        Which recording each clip was cut from; by default each is one of its own.
    seed : int
        Of the bootstrap.
    resamples : int
        Of the bootstrap; 0 for none.

    Returns
    -------
    Measures
        What cannot be said is NaN: the precision of a label that is never predicted, the recall of one
        that no clip carries, the interval where there are less than two recordings.

    Raises
    ------
    SubterfugeError
        If there are no clips, lengths or shapes do not fit, a label is unknown, or a probability is
        none.

    Notes
    -----
    An interval is the percentile interval of the cluster bootstrap. It says nothing of what was never
    seen: where all clips are heard rightly it has no width.

    Examples
    --------
    >>> heard = measure(("a", "b"), ["a", "a", "b", "b"], ["a", "b", "b", "b"])
    >>> heard.accuracy.value, heard.confusion
    (0.75, ((1, 1), (0, 2)))
    """
    labels = tuple(labels)
    if not labels or len(set(labels)) != len(labels):
        raise SubterfugeError(f"labels: got {', '.join(labels) or 'none'}, expected distinct ones")
    true, heard = _indices("truth", truth, labels), _indices("predicted", predicted, labels)
    clips, k = len(true), len(labels)
    if not clips:
        raise SubterfugeError("truth: got no clips, expected at least one")
    for name, length in (
        ("predicted", len(heard)),
        ("recordings", clips if recordings is None else len(recordings)),
    ):
        if length != clips:
            raise SubterfugeError(f"{name}: got {length}, expected {clips}, one a clip")
    if resamples < 0:
        raise SubterfugeError(f"resamples: got {resamples}, expected 0 or more")
    group, groups = recording_indices(recordings, clips)
    cells = k * true + heard
    confusion = np.bincount(cells, minlength=k * k).reshape(k, k)
    drawn = np.empty((0, k, k))
    if groups > 1 and resamples:
        flat = resampled_counts(cells, group, shape=(groups, k * k), seed=seed, resamples=resamples)
        drawn = flat.reshape(-1, k, k)
    value, spread = _scores(confusion.astype(np.float64)), _scores(drawn)
    table = None if probabilities is None else _probabilities(probabilities, clips, k)
    bins = () if table is None else reliability_bins(table, true)

    def one_class(i: int) -> ClassMeasures:
        precision, recall, f1 = (
            estimate(float(value[name][i]), spread[name][:, i]) for name in ("precision", "recall", "f1")
        )
        return ClassMeasures(labels[i], precision, recall, f1, clips=int(confusion[i].sum()))

    return Measures(
        labels=labels,
        clips=clips,
        recordings=groups,
        accuracy=estimate(float(value["accuracy"]), spread["accuracy"]),
        macro_f1=estimate(float(value["macro_f1"]), spread["macro_f1"]),
        classes=tuple(one_class(i) for i in range(k)),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        reliability=bins,
        calibration_error=None if table is None else calibration_error(bins),
        log_loss=None if table is None else log_loss(table, true),
    )


def reliability_bins(probabilities: Floats, truth: NDArray[np.int64]) -> tuple[ReliabilityBin, ...]:
    """Clips by their largest probability, in ten bins of equal width; those without clips are left out.

    Parameters
    ----------
    probabilities : array, shape (clips, labels)
    truth : array of int, shape (clips,)
    """
    largest, right = probabilities.max(1), probabilities.argmax(1) == truth
    edges = np.arange(BINS + 1) / BINS
    # By the edges themselves: 0.3 * 10 rounds to less than 3. The last bin has its upper edge too.
    at = np.clip(np.searchsorted(edges, largest, side="right") - 1, 0, BINS - 1)
    return tuple(
        ReliabilityBin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            clips=int((at == b).sum()),
            confidence=float(largest[at == b].mean()),
            accuracy=float(right[at == b].mean()),
        )
        for b in range(BINS)
        if (at == b).any()
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance, weighted by clips, of confidence and accuracy (Naeini et al. 2015; Guo et al. 2017)."""
    clips = sum(one.clips for one in bins)
    return sum(one.clips * abs(one.accuracy - one.confidence) for one in bins) / clips


def log_loss(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Mean negative natural logarithm of the truth's probability; one of 0 counts as the least float."""
    own = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(own, np.finfo(np.float64).eps, 1.0)).mean())


def _scores(confusion: Floats) -> dict[str, Floats]:
    """Scores of confusion matrices, shape (..., labels, labels); what is 0 of 0 is NaN."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, heard = confusion.sum(-1), confusion.sum(-2)
    f1 = _ratio(2 * hits, true + heard)
    there = true > 0
    return {
        "accuracy": _ratio(hits.sum(-1), true.sum(-1)),
        "macro_f1": _ratio(np.where(there, f1, 0.0).sum(-1), there.sum(-1)),
        "precision": _ratio(hits, heard),
        "recall": _ratio(hits, true),
        "f1": f1,
    }


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    out = np.full(part.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _indices(name: str, values: Sequence[str] | ArrayLike, labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels, or indices of labels, as indices."""
    given = np.asarray(values)
    if given.ndim != 1:
        raise SubterfugeError(f"{name}: got shape {given.shape}, expected one label a clip")
    if not given.size:
        return np.empty(0, dtype=np.int64)
    if given.dtype.kind in "iu":
        wrong = given[(given < 0) | (given >= len(labels))]
        if wrong.size:
            raise SubterfugeError(f"{name}: got index {wrong[0]}, expected 0 to {len(labels) - 1}")
        return given.astype(np.int64)
    known = {label: i for i, label in enumerate(labels)}
    unknown = next((str(value) for value in given if str(value) not in known), None)
    if unknown is not None:
        raise SubterfugeError(f"{name}: got label {unknown!r}, expected one of {', '.join(labels)}")
    return np.array([known[str(value)] for value in given], dtype=np.int64)


def _probabilities(values: ArrayLike, clips: int, k: int) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (clips, k):
        raise SubterfugeError(f"probabilities: got shape {table.shape}, expected ({clips}, {k})")
    if not ((table >= 0) & (table <= 1 + 1e-6)).all():  # NaN too
        raise SubterfugeError("probabilities: got some that are not between 0 and 1, expected all to be")
    return np.minimum(table, 1.0)
