"""Fitting the SVC on features, tuned and measured without a recording ever being on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = {"svc__C": (1.0, 3.0, 10.0, 30.0), "svc__gamma": (0.005, 0.01, 0.02, 0.04, 0.08)}
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted pipeline and how well it hears.

    Attributes
    ----------
    model : sklearn.pipeline.Pipeline
        ``StandardScaler`` and RBF ``SVC(probability=True)``; its classes are the labels themselves.
    parameters : dict of str to float
        ``C`` and ``gamma``, as found by grouped cross-validation on the training part.
    cross_validated, held_out : float
        Accuracy on the training part by cross-validation with the best parameters (a little too
        kind, since they were chosen by it), and on the part that was never touched.
    test : array of int
        Indices of the held-out clips.
    """

    model: Any
    parameters: dict[str, float]
    cross_validated: float
    held_out: float
    test: NDArray[np.int64]


def fit_svc(
    features: NDArray[np.float64],
    labels: Sequence[str],
    recordings: Sequence[str],
    *,
    seed: int = 0,
    workers: int = 1,
) -> Fit:
    """Hold out a fifth of each label's recordings, tune C and gamma on the rest, fit on the rest.

    Parameters
    ----------
    features : array, shape (clips, features)
    labels, recordings : sequence of str, one a clip
        Clips of one recording are always on the same side of a split.
    seed : int
        Of the splits and of the folds by which libsvm fits its probabilities.
    workers : int
        Processes for the search.

    Examples
    --------
    >>> x = np.repeat([[0.0], [9.0]], 40, axis=0) + np.arange(80)[:, None] / 80
    >>> fit = fit_svc(x, ["a"] * 40 + ["b"] * 40, [str(i // 4) for i in range(80)])
    >>> fit.held_out, len(fit.test)
    (1.0, 16)
    """
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    y, groups = np.asarray(labels), np.asarray(recordings)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    train, test = next(iter(folds.split(features, y, groups)))
    search = GridSearchCV(
        Pipeline([("scaler", StandardScaler()), ("svc", SVC())]), GRID, cv=folds, refit=False, n_jobs=workers
    )
    search.fit(features[train], y[train], groups=groups[train])
    parameters = {name.removeprefix("svc__"): float(value) for name, value in search.best_params_.items()}
    # The published classifier's own kind: votes for the label, libsvm's coupling for the probabilities.
    model = Pipeline(
        [("scaler", StandardScaler()), ("svc", SVC(**parameters, probability=True, random_state=seed))]
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*probability.*", category=FutureWarning)
        model.fit(features[train], y[train])
    held_out = float(np.mean(model.predict(features[test]) == y[test]))
    return Fit(model, parameters, float(search.best_score_), held_out, test)
