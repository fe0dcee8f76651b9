"""Features: a linear model's shares are known; true gradients are those that finite differences find."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from subterfuge.explanation.evidence import evidence
from subterfuge.explanation.features import average, feature_view
from subterfuge.explanation.gradients import gradient
from subterfuge.explanation.true_slopes import true25, with_true_slopes
from subterfuge.features.summary import NAMES, librosa25
from subterfuge.victims.sklearn import SklearnVictim
from subterfuge.victims.svm import SvmVictim

RATE = 22050


def clip(seed: int = 0, seconds: float = 0.4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(round(seconds * RATE)) / RATE
    y = 0.2 * torch.sin(2 * torch.pi * (300 + 40 * seed) * t) * torch.exp(-3 * t)
    return (y + 0.003 * (1 + seed) * torch.randn(len(t), generator=generator))[None]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.concatenate([librosa25(clip(s), sr=RATE).numpy() for s in range(12)]).astype(np.float64)


@pytest.fixture(scope="module")
def linear(vectors: np.ndarray) -> SvmVictim:
    model = make_pipeline(StandardScaler(), SVC(kernel="linear")).fit(vectors, np.arange(12) < 6)
    return SvmVictim(model, labels=["high", "low"], sample_rate=RATE)


def test_a_linear_machines_shares_are_its_weights_times_the_distance(linear):
    y = clip(2)
    heard = evidence(linear, 1, linear.hear(y, probabilities=True))
    assert heard.unit == "score"
    found = feature_view(heard, y)
    scaler, svc = linear.model[0], linear.model[1]
    x = librosa25(y, sr=RATE)[0].double().numpy()
    per_unit = svc.coef_[0] * (x - scaler.mean_) / scaler.scale_
    scale = (found.value - found.average_value) / per_unit.sum()  # a lead counts a duel once for each label
    assert scale == pytest.approx(2, rel=1e-6) or scale == pytest.approx(1, rel=1e-6)
    assert [f.name for f in found.features] == list(NAMES)
    for values in ("integrated", "gradient", "drop"):
        got = [getattr(f, values) for f in found.features]
        np.testing.assert_allclose(got, scale * per_unit, atol=1e-9, rtol=1e-6)
    assert found.residual == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose([f.deviations for f in found.features], (x - scaler.mean_) / scaler.scale_)


def test_shares_of_a_curved_machine_add_up(vectors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's farewell to the probabilities of an SVC
        model = make_pipeline(StandardScaler(), SVC(probability=True, random_state=0))
        model.fit(vectors, np.arange(12) // 4)
    victim = SvmVictim(model, labels=["a", "b", "c"], sample_rate=RATE)
    y = clip(5)
    heard = evidence(victim, 1, victim.hear(y, probabilities=True))
    found = feature_view(heard, y)
    assert heard.unit == "log-odds" and found.value == pytest.approx(float(heard(y)[0]), abs=1e-4)
    total = sum(f.integrated for f in found.features)
    assert abs(found.residual) < 0.02 * abs(found.value - found.average_value)
    assert total + found.residual == pytest.approx(found.value - found.average_value)
    # Leaving one out asks the model itself.
    x = librosa25(y, sr=RATE)[0].double().numpy()
    x[6] = model[0].mean_[6]
    p = model.predict_proba(x[None])[0]
    assert found.features[6].drop == pytest.approx(found.value - np.log(p[1] / (p[0] + p[2])), abs=1e-3)


def test_a_model_without_gradients_is_asked_feature_by_feature(vectors):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(vectors, np.arange(12) < 6)
    victim = SklearnVictim(model, labels=["high", "low"], sample_rate=RATE)
    y = clip(2)
    found = feature_view(evidence(victim, 1, victim.hear(y, probabilities=True)), y)
    assert found.residual is None and found.features[0].integrated is None is found.features[0].gradient
    x = librosa25(y, sr=RATE)[0].double().numpy()
    want = model[1].coef_[0] * (x - model[0].mean_) / model[0].scale_  # log-odds are linear
    np.testing.assert_allclose([f.drop for f in found.features], want, atol=1e-4)


def test_without_an_average_clip_there_is_no_view(vectors):
    trees = DecisionTreeClassifier(random_state=0).fit(vectors, np.arange(12) < 6)
    assert average(trees) is None
    assert average(make_pipeline(MinMaxScaler(), trees)) is None
    victim = SklearnVictim(trees, labels=["high", "low"], sample_rate=RATE)
    assert feature_view(evidence(victim, 1, victim.hear(clip(), probabilities=True)), clip()) is None


@pytest.mark.parametrize("seed", [0, 3])
def test_true_gradients_are_those_of_finite_differences(seed):
    y = clip(seed).double()
    y[:, : RATE // 10] = 0  # silence too: decibels under their floor
    torch.testing.assert_close(true25(y, sr=RATE), librosa25(y, sr=RATE), rtol=1e-5, atol=1e-4)
    weight = torch.randn(25, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight /= librosa25(y, sr=RATE)[0].abs() + 1

    def seen(x):
        return true25(x, sr=RATE) @ weight

    def led(x):
        return librosa25(x, sr=RATE) @ weight

    # Along the clip itself: turned up or down.
    h = 1e-4
    difference = float(seen(y * (1 + h)) - seen(y * (1 - h))) / (2 * h)
    along = float((gradient(seen, y)[1] * y).sum())
    assert along == pytest.approx(difference, rel=0.01, abs=1e-3)
    # The gradients that lead a search are others on purpose; added up, they would not do.
    assert abs(float((gradient(led, y)[1] * y).sum()) - difference) > 5 * abs(along - difference)


def test_other_victims_keep_their_own_gradients(linear):
    y = clip(1)
    heard = evidence(linear, 1, linear.hear(y, probabilities=True))
    torch.testing.assert_close(with_true_slopes(heard, y), heard(y), atol=1e-4, rtol=1e-4)
    own = gradient(heard, y)[1]
    true = gradient(lambda x: with_true_slopes(heard, x), y)[1]
    assert not torch.allclose(own, true)
