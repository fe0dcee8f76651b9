"""Training on vectors alone: the seed's procedure to the letter, also on its real vectors."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import Cache
from subterfuge.training.vectors import tune_vectors


def clouds(size: int = 150) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    y = np.arange(size) % 3
    return rng.normal(size=(size, 25)) + rng.normal(size=(3, 25))[y] * 0.5, [f"label{i}" for i in y]


def by_hand(x: np.ndarray, labels: list[str], **parameters: float) -> float:
    train_x, test_x, train_y, test_y = train_test_split(x, labels, test_size=0.2, random_state=42)
    model = make_pipeline(StandardScaler(), SVC(**parameters)).fit(train_x, train_y)
    return float(np.mean(model.predict(test_x) == test_y))


def test_the_held_out_figure_is_what_a_few_lines_of_scikit_learn_give(tmp_path: Path) -> None:
    x, labels = clouds()
    found = tune_vectors(x, labels, tune=4, space="seed", folds=3, cache=Cache(tmp_path))
    best = found.trials[0].parameters
    assert found.held_out.accuracy.value == by_hand(x, labels, C=best["C"], gamma=best["gamma"])
    assert found.held_out.clips == 30 and found.held_out.log_loss is not None
    again = tune_vectors(x, labels, tune=4, space="seed", folds=3, cache=Cache(tmp_path))
    assert again.trials == found.trials and set(found.seconds) == {"search", "fit", "measure"}


def test_the_seeds_real_vectors(seed: Path) -> None:
    """Three labels of its support vectors, with the setting that the seed had found."""
    with np.load(seed / "svc_irmas.npz") as arrays:
        x, counts = arrays["sv"], arrays["ns"]
    labels = np.repeat(np.arange(11), counts)
    some = np.flatnonzero(labels < 3)
    names = [str(label) for label in labels[some]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tune_vectors(x[some], names, tune=0, parameters={"C": 10.78, "gamma": 0.1})
    assert found.held_out.accuracy.value == by_hand(x[some], names, C=10.78, gamma=0.1)
    assert 0.6 < found.held_out.accuracy.value < 0.9 and found.trials == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (np.where(np.arange(len(x))[:, None] == 7, np.nan, x), y), "1 of 150 hold NaN .* is 7"),
        (lambda x, y: (x[:-1], y), r"got shape \(149, 25\), expected \(150, features\)"),
        (lambda x, y: (x, ["one"] * len(y)), r"got one label only \(one\)"),
        (lambda x, y: (x, ["rare", *["a", "b"] * 74, "a"]), "label 'rare' has 1 clip"),
    ],
)
def test_what_is_wrong_is_said(change, said) -> None:
    with pytest.raises(SubterfugeError, match=said):
        tune_vectors(*change(*clouds()), tune=0)
