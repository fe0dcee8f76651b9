"""Training on feature vectors alone, where neither audio nor recordings are known: the random split only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import Cache
from subterfuge.training.measure import measure
from subterfuge.training.measures import Measures
from subterfuge.training.models import find_model
from subterfuge.training.report import Trial
from subterfuge.training.search import search
from subterfuge.training.splits import FOLDS, fold, hold_out
from subterfuge.workers import Progress


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search on vectors found.

    Attributes
    ----------
    model : sklearn.pipeline.Pipeline
        Fitted on the training part with the best setting.
    trials : tuple of Trial
        Best first; empty where nothing was searched.
    held_out : Measures
        On the fifth that was held out, vector by vector.
    seconds : dict of str to float
        ``search``, ``fit``, ``measure``; wall time.
    """

    model: Any
    trials: tuple[Trial, ...]
    held_out: Measures
    seconds: dict[str, float]


def tune_vectors(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    *,
    model: str = "svc",
    tune: int = 100,
    space: str = "wide",
    parameters: dict[str, Any] | None = None,
    folds: int = FOLDS,
    seed: int = 42,
    workers: int = 1,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Hold out a fifth at random, search by cross-validation on the rest, fit on the rest, measure.

    With ``space="seed"``, ``tune=100`` and ``seed=42`` this is the seed experiment's own procedure.

    Parameters
    ----------
    vectors : array, shape (clips, features)
    labels : sequence of str, one a clip
    model, tune, space, folds, seed, workers, cache, progress
        As for :func:`subterfuge.training.train.train`.
    parameters : dict, optional
        A setting to take with ``tune=0``, in place of the model's defaults.

    Raises
    ------
    SubterfugeError
        If vectors are not finite or not one a label, or the labels cannot be split.

    Examples
    --------
    >>> x = np.repeat([[0.0], [9.0]], 40, axis=0) + np.arange(80)[:, None] / 80
    >>> tune_vectors(x, ["a"] * 40 + ["b"] * 40, tune=0).held_out.accuracy.value
    1.0
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(labels):
        raise SubterfugeError(f"vectors: got shape {vectors.shape}, expected ({len(labels)}, features)")
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise SubterfugeError(
            f"vectors: {len(bad)} of {len(vectors)} hold NaN or infinity, the first is {bad[0]}"
        )
    kind = find_model(model)
    heard = np.asarray(labels, dtype=str)
    side = hold_out(list(labels), list(labels), split="random", seed=seed)
    train = [str(heard[i]) for i in side.train]
    trials: tuple[Trial, ...] = ()
    times = [time.monotonic()]
    if tune:
        trials = search(
            kind,
            vectors[side.train],
            train,
            fold(train, train, split="random", folds=folds, seed=seed),
            trials=tune,
            space=space,
            seed=seed,
            workers=workers,
            cache=cache,
            progress=progress,
        )
    times.append(time.monotonic())
    setting = trials[0].parameters if trials else dict(parameters or {})
    fitted = kind.fitted(setting, vectors[side.train], heard[side.train], seed=seed, final=True)
    times.append(time.monotonic())
    measured = measure(
        tuple(str(one) for one in fitted.classes_),
        [str(heard[i]) for i in side.test],
        [str(one) for one in fitted.predict(vectors[side.test])],
        probabilities=fitted.predict_proba(vectors[side.test]),
        seed=seed,
    )
    times.append(time.monotonic())
    spent = [round(after - before, 3) for before, after in pairwise(times)]
    return Tuned(fitted, trials, measured, dict(zip(("search", "fit", "measure"), spent, strict=True)))
