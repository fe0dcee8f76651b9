"""Fitted scikit-learn models to convert, and vectors to judge them by: random ones and near-boundary ones."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, NuSVC

Array = NDArray[np.float64]
NAMES = np.array(["oboe", "bassoon", "harp", "celesta", "viola"])


def clouds(
    classes: int, *, seed: int = 0, size: int = 240, d: int = 6, scale: float = 3.0
) -> tuple[Array, Any]:
    """Overlapping clouds with features of very different sizes, and their classes by name."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size)
    centres = rng.normal(size=(classes, d)) * 1.3
    units = scale ** np.arange(d)
    return (rng.normal(size=(size, d)) + centres[y]) * units + 5 * units, NAMES[:classes][y]


def _fit(model: Any, classes: int, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SVC(probability=True) is deprecated, and is to work all the same.
        return model.fit(*clouds(classes, **options))


def _calibrated(method: str, **svc: Any) -> Any:
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(**svc), ensemble=False, method=method))


def _frozen() -> Any:
    inner = _fit(make_pipeline(StandardScaler(), SVC(C=3)), 4)
    return CalibratedClassifierCV(FrozenEstimator(inner))


MODELS: dict[str, Any] = {
    "rbf": lambda: _fit(make_pipeline(StandardScaler(), SVC(C=5)), 5),
    "rbf-probability": lambda: _fit(make_pipeline(StandardScaler(), SVC(C=5, probability=True)), 5),
    "rbf-ovo": lambda: _fit(
        make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo", probability=True)), 4
    ),
    "rbf-three": lambda: _fit(make_pipeline(StandardScaler(), SVC(gamma=0.7)), 3),
    "rbf-binary": lambda: _fit(make_pipeline(StandardScaler(), SVC()), 2),
    "rbf-binary-probability": lambda: _fit(make_pipeline(StandardScaler(), SVC(probability=True)), 2),
    "rbf-bare": lambda: _fit(SVC(C=2), 4, scale=1.2),
    "linear": lambda: _fit(make_pipeline(StandardScaler(), SVC(kernel="linear", probability=True)), 5),
    "linear-binary": lambda: _fit(make_pipeline(MinMaxScaler(), SVC(kernel="linear")), 2),
    "poly": lambda: _fit(make_pipeline(StandardScaler(), SVC(kernel="poly", degree=3, coef0=0.7)), 5),
    "poly-even": lambda: _fit(make_pipeline(RobustScaler(), SVC(kernel="poly", degree=2)), 3),
    "sigmoid": lambda: _fit(make_pipeline(StandardScaler(), SVC(kernel="sigmoid", gamma=0.05)), 4),
    "break-ties": lambda: _fit(
        make_pipeline(StandardScaler(), SVC(kernel="sigmoid", break_ties=True, gamma=0.3)), 5
    ),
    "nu": lambda: _fit(make_pipeline(StandardScaler(), NuSVC(nu=0.2)), 4),
    "minmax-clipped": lambda: _fit(make_pipeline(MinMaxScaler((-1, 2), clip=True), SVC()), 4),
    "robust-whitened": lambda: _fit(
        make_pipeline(RobustScaler(), PCA(4, whiten=True, random_state=0), SVC()), 4
    ),
    "maxabs-pca": lambda: _fit(make_pipeline(MaxAbsScaler(), PCA(3, random_state=0), SVC(gamma=3.0)), 4),
    "normalized": lambda: _fit(make_pipeline(StandardScaler(), Normalizer(), SVC()), 4),
    "no-mean": lambda: _fit(
        Pipeline(
            [("scale", StandardScaler(with_mean=False)), ("nothing", "passthrough"), ("svc", SVC(gamma=0.1))]
        ),
        4,
    ),
    "sigmoid-calibrated": lambda: _fit(_calibrated("sigmoid", C=3), 5),
    "sigmoid-calibrated-binary": lambda: _fit(_calibrated("sigmoid"), 2),
    "isotonic-calibrated": lambda: _fit(_calibrated("isotonic", C=3), 4),
    "isotonic-calibrated-binary": lambda: _fit(_calibrated("isotonic"), 2),
    "temperature-calibrated": lambda: _fit(_calibrated("temperature"), 4),
    "temperature-calibrated-binary": lambda: _fit(_calibrated("temperature"), 2),
    "calibrated-around-pipeline": lambda: _fit(
        CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC()), ensemble=False), 4
    ),
    "calibrated-frozen": lambda: _fit(_frozen(), 4),
}


def indices(model: Any, x: Array) -> NDArray[np.int64]:
    """What the model predicts, as places in its ``classes_``."""
    return np.searchsorted(model.classes_, model.predict(x)).astype(np.int64)


def random_vectors(x: Array, n: int, *, seed: int) -> Array:
    """Vectors within, between and far beyond the data: mixtures of its points, stretched and shaken."""
    rng = np.random.default_rng(seed)
    centre, spread = x.mean(0), x.std(0)
    pair = x[rng.integers(0, len(x), (n, 2))]
    share = rng.uniform(size=(n, 1))
    mixed = pair[:, 0] * share + pair[:, 1] * (1 - share)
    stretch = np.exp(rng.normal(0, 0.7, (n, 1)))
    return centre + (mixed - centre) * stretch + rng.normal(size=x[:1].shape) * spread * 0.2


def near_boundary_vectors(model: Any, x: Array, n: int, *, seed: int, steps: int = 23) -> Array:
    """Vectors on both sides of the model's own decision boundary, by bisection between unlike vectors.

    The halvings leave them about 1e-7 of their distance apart; those closer to a tie than 1e-9 in any
    deciding number are for the caller to drop, since there rounding decides.
    """
    rng = np.random.default_rng(seed)
    pool = random_vectors(x, 4 * n, seed=seed + 1)
    heard = indices(model, pool)
    a, b = rng.integers(0, len(pool), (2, 8 * n))
    unlike = np.flatnonzero(heard[a] != heard[b])[: n // 2]
    low, high, low_heard = pool[a[unlike]], pool[b[unlike]], heard[a[unlike]]
    for _ in range(steps):
        middle = (low + high) / 2
        same = (indices(model, middle) == low_heard)[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.concatenate([low, high])
