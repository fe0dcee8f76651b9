"""What a model makes of its 25 features: what each is worth to it, and how they hang together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.features.summary import NAMES
from subterfuge.training.measures import Estimate
from subterfuge.training.report import Components
from subterfuge.workers import Progress

REPEATS = 20
CLIPS = 300  # to a repeat: drawn anew each time, so that a large corpus costs no more than a small one


def names_of(features: str) -> tuple[str, ...]:
    """What each number of a named feature set is called.

    Examples
    --------
    >>> names_of("hardened25")[0], names_of("librosa25")[0]
    ('evenness', 'rms')
    """
    if features == "hardened25":
        from subterfuge.features import hardened

        return hardened.NAMES
    return NAMES


def permutation_importance(
    model: Any,
    vectors: NDArray[np.float64],
    labels: NDArray[Any],
    *,
    names: Sequence[str] = NAMES,
    repeats: int = REPEATS,
    clips: int = CLIPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Estimate]:
    """Accuracy lost when one feature is shuffled among the clips (Breiman 2001).

    Features that say the same thing stand in for each other: of two such, neither seems to matter.

    Parameters
    ----------
    model : fitted classifier
    vectors : array, shape (clips, features)
        Not trained on.
    labels : array, shape (clips,)
    names : sequence of str
        Of the features.
    repeats, clips : int
        Shuffles, each of as many clips as this, drawn without replacement (all if there are fewer).
    seed : int
    progress : callable, optional

    Returns
    -------
    dict of str to Estimate
        The mean over the shuffles, and the interval that holds 95 % of them; the greatest first.
    """
    rng = np.random.default_rng(seed)
    lost = np.empty((repeats, len(names)))
    for repeat in range(repeats):
        some = rng.choice(len(labels), min(clips, len(labels)), replace=False)
        x, truth = vectors[some], labels[some]
        # One call for all features: a model's own overhead a call is larger than what it computes.
        shuffled = np.repeat(x[None], len(names), axis=0)
        for column in range(len(names)):
            shuffled[column, :, column] = rng.permutation(x[:, column])
        heard = model.predict(np.concatenate([x, *shuffled])).reshape(len(names) + 1, len(some))
        right = (heard == truth).mean(1)
        lost[repeat] = right[0] - right[1:]
        if progress is not None:
            progress("importance", repeat + 1, repeats)
    low, high = np.percentile(lost, (2.5, 97.5), axis=0)
    mean = lost.mean(0)
    return {
        names[i]: Estimate(float(mean[i]), float(low[i]), float(high[i]))
        for i in np.argsort(-mean, kind="stable")
    }


def components(vectors: NDArray[np.float64], names: Sequence[str] = NAMES) -> Components:
    """Principal components of standardised features; signs such that each largest loading is positive.

    Parameters
    ----------
    vectors : array, shape (clips, features)
    names : sequence of str
        Of the features.

    Examples
    --------
    >>> two = components(np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), ("a", "b"))
    >>> [round(share, 6) for share in two.explained], [round(x, 4) for x in two.loadings[0]]
    ([1.0, 0.0], [0.7071, 0.7071])
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    fitted = PCA(svd_solver="full").fit(StandardScaler().fit_transform(vectors))
    loadings = fitted.components_
    largest = np.abs(loadings).argmax(1)
    loadings = loadings * np.sign(loadings[np.arange(len(loadings)), largest])[:, None]
    return Components(
        features=tuple(names),
        explained=tuple(float(share) for share in fitted.explained_variance_ratio_),
        loadings=tuple(tuple(float(value) for value in row) for row in loadings),
    )
