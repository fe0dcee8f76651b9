"""Models of scikit-learn on features of the user's own: any pipeline, heard as scikit-learn itself hears."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge.errors import SubterfugeError
from subterfuge.victims.store import import_victim, load_victim, read_skops, save_victim, victim_info
from subterfuge.victims.svm import SvmVictim

RATE = 8000
LABELS = ("high", "low", "noisy")
MODULE = """
import numpy as np

def bands(y, sr):
    assert y.ndim == 1 and y.dtype == np.float32
    power = np.abs(np.fft.rfft(y)) ** 2
    frequency = np.fft.rfftfreq(len(y), 1 / sr)
    edges = [0, 300, 600, 1200, 2400, sr]
    return [np.log(power[(frequency >= a) & (frequency < b)].sum() + 1e-9) for a, b in zip(edges, edges[1:])]

def table(y, sr):
    return np.zeros((2, 3))

def words(y, sr):
    return "loud"

def picky(y, sr):
    raise RuntimeError("too quiet")

def unsure(y, sr):
    return [np.nan] * 5

constant = 3
"""
MODELS: dict[str, Any] = {
    "forest": RandomForestClassifier(7, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
    "neighbours": KNeighborsClassifier(3),
    "svc": SVC(),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    Path("mine_bands.py").write_text(MODULE)
    yield
    sys.modules.pop("mine_bands", None)


def sounds(n: int = 12) -> torch.Tensor:
    """Clips of each label in turn: a high tone, a low one, noise."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(1000) / RATE
    clips = []
    for i in range(n):
        noise = 0.2 * torch.randn(1000, generator=generator)
        f = (1500.0, 200.0, 0.0)[i % 3] * (1 + 0.01 * i)
        clips.append(0.5 * torch.sin(2 * torch.pi * f * t) + (1.0 if i % 3 == 2 else 0.05) * noise)
    return torch.stack(clips)


def fitted(model: Any) -> tuple[Any, np.ndarray]:
    import mine_bands

    x = np.array([mine_bands.bands(row, RATE) for row in sounds(60).numpy()], dtype=np.float64)
    return make_pipeline(StandardScaler(), model).fit(x, np.array([LABELS[i % 3] for i in range(60)])), x


@pytest.mark.parametrize("name", MODELS)
def test_any_pipeline_hears_as_scikit_learn_itself(name: str) -> None:
    model, x = fitted(MODELS[name])
    skops.io.dump(model, "m.skops")
    # The labels are the model's own classes.
    import_victim("m.skops", sample_rate=RATE, features="mine_bands:bands", out="victims/m")
    info = victim_info("m")
    assert (info.kind, info.labels, info.features) == ("sklearn", LABELS, "mine_bands:bands")
    victim = load_victim("m")
    assert not victim.differentiable
    y = sounds(60)
    for heard in (victim.hear(y, probabilities=True), victim.verdict(y)):
        assert [LABELS[i] for i in heard.predicted] == model.predict(x).tolist()
        if name == "svc":
            assert heard.probabilities is None
            np.testing.assert_array_equal(heard.scores, model.decision_function(x))
        else:
            np.testing.assert_array_equal(heard.probabilities, model.predict_proba(x))
    again = save_victim(victim, out="victims/again")
    assert victim_info(again).features == "mine_bands:bands"


def test_an_svc_on_the_25_can_be_asked_for_without_gradients() -> None:
    x = np.random.default_rng(0).normal(size=(30, 25))
    skops.io.dump(SVC().fit(x, np.array([LABELS[i % 3] for i in range(30)])), "m.skops")
    for kind, made in ((None, "svm"), ("sklearn", "sklearn")):
        folder = import_victim("m.skops", sample_rate=RATE, out=f"victims/{made}", kind=kind)
        assert victim_info(folder).kind == made
        assert load_victim(folder).differentiable == (made == "svm")


@pytest.mark.parametrize(
    ("features", "wrong"),
    [
        ("mine_bands:nothing", "there is no 'nothing' in"),
        ("mine_bands:constant", r"got a int, expected a function of \(y, sr\)"),
        ("mine_bands:table", r"gave an array of shape \(2, 3\), expected a vector"),
        ("mine_bands:words", "expected a vector of numbers"),
        ("mine_bands:picky", r"failed on 8000 samples \(RuntimeError: too quiet\)"),
        ("nowhere:f", "there is no module 'nowhere'"),
        ("mfcc", "expected librosa25 or hardened25, or your own as module:callable"),
        ("librosa25", "gives 25 numbers, but the model was fitted on 5"),
    ],
)
def test_what_is_wrong_with_features_is_told_and_nothing_made(features: str, wrong: str) -> None:
    model, _ = fitted(MODELS["neighbours"])
    skops.io.dump(model, "m.skops")
    with pytest.raises(SubterfugeError, match=wrong):
        import_victim("m.skops", sample_rate=RATE, features=features, out="victims/m")
    assert not Path("victims/m").exists()


def test_features_that_are_no_numbers_are_refused_when_heard() -> None:
    model, _ = fitted(MODELS["neighbours"])
    folder = save_victim(model, labels=LABELS, sample_rate=RATE, features="mine_bands:unsure", out="v")
    with pytest.raises(SubterfugeError, match="the features hold NaN"):
        load_victim(folder).hear(sounds(1))


def test_a_victim_with_gradients_takes_no_features_without() -> None:
    model, _ = fitted(SVC())
    with pytest.raises(SubterfugeError, match="has no gradients, expected a victim of kind sklearn"):
        SvmVictim(model, labels=LABELS, sample_rate=RATE, features="mine_bands:bands")


def test_labels_and_rate_must_come_from_somewhere() -> None:
    model, _ = fitted(MODELS["neighbours"])
    skops.io.dump(model, "m.skops")
    with pytest.raises(SubterfugeError, match="sample rate: got none"):
        import_victim("m.skops", features="mine_bands:bands", out="v")
    numbered = KNeighborsClassifier(1).fit(np.eye(5), np.arange(5))
    skops.io.dump(numbered, "n.skops")
    with pytest.raises(SubterfugeError, match="labels: got none, expected a name for each"):
        import_victim("n.skops", sample_rate=RATE, features="mine_bands:bands", out="v")


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree", "brute"])
def test_neighbours_come_back_with_a_tree_of_our_own_growing(algorithm: str) -> None:
    """A search tree walks memory by the numbers in it: one from a file is never asked."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(40, 5)), rng.normal(size=(50, 5))
    model = KNeighborsClassifier(3, algorithm=algorithm).fit(x, np.arange(40) % 3)
    wanted = model.predict_proba(z)
    if model._tree is not None:
        state = list(model._tree.__getstate__())
        state[1] = state[1][::-1] + 1_000_000  # which vector is where: far beyond the last
        model._tree.__setstate__(tuple(state))
    skops.io.dump(model, "m.skops")
    np.testing.assert_array_equal(read_skops(Path("m.skops")).predict_proba(z), wanted)


@pytest.mark.parametrize("what", ["labels", "vectors", "count", "loose"])
def test_neighbours_that_no_fitting_leaves_behind_are_refused(what: str) -> None:
    x = np.random.default_rng(0).normal(size=(40, 5))
    model = KNeighborsClassifier(3).fit(x, np.arange(40) % 3)
    if what == "labels":
        model._y = model._y + 3
    elif what == "vectors":
        model._fit_X = model._fit_X[:, :4]
    elif what == "count":
        model.n_neighbors = 41
    else:
        model.another = KNeighborsClassifier(3).fit(x, np.arange(40) % 3)._tree
    skops.io.dump(model, "m.skops")
    with pytest.raises(SubterfugeError, match=r"m\.skops: holds neighbours that no fitting leaves behind"):
        read_skops(Path("m.skops"))
