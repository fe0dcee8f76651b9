"""Kinds of victims: what each is kept as, that it comes back the same, and how a bad one is told."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from subterfuge.errors import SubterfugeError
from subterfuge.runs import plan
from subterfuge.victims.store import check_free, import_victim, load_victim, save_victim, victim_info
from subterfuge.victims.victim import Victim

pytestmark = pytest.mark.filterwarnings("ignore")

LABELS = ("low", "mid", "high")
MODELS: dict[str, Any] = {
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(7, random_state=0),
    "extra": ExtraTreesClassifier(3, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
    "boosting-of-old": GradientBoostingClassifier(n_estimators=3),
    "logistic": LogisticRegression(),
    "mlp": MLPClassifier((5,), max_iter=20, random_state=0),
    "mlp-sgd": MLPClassifier((5,), solver="sgd", max_iter=20, random_state=0),
    "no-probabilities": RidgeClassifier(),
    "svm-without-gradients": make_pipeline(PolynomialFeatures(), SVC()),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def vectors(classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(90) % classes
    return np.random.default_rng(0).normal(size=(90, 25)) + y[:, None], np.array(["c", "b", "a"])[y]


def fitted(model: Any, classes: int = 3) -> Any:
    return make_pipeline(StandardScaler(), model).fit(*vectors(classes))


def sound(n: int = 3, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(n, 8000, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
def test_any_classifier_comes_back_as_it_was(name: str) -> None:

    model = fitted(MODELS[name])
    victim = load_victim(save_victim(model, labels=LABELS, sample_rate=8000, out="victims/v"))
    assert victim.info is not None and victim.info.kind == "sklearn" and isinstance(victim, Victim)
    assert not victim.differentiable and victim.labels == LABELS
    y = sound()
    from subterfuge.victims.plain import librosa25_plain

    x = np.array([librosa25_plain(row, 8000) for row in y.numpy()])
    plain, ours = victim.verdict(y), victim.hear(y, probabilities=True)
    assert [model.classes_[i] for i in plain.predicted] == list(model.predict(x))
    if hasattr(model, "predict_proba"):
        assert plain.probabilities is not None
        np.testing.assert_array_equal(plain.probabilities.numpy(), model.predict_proba(x))
    else:
        assert plain.probabilities is None and ours.probabilities is None
        np.testing.assert_array_equal(plain.scores.numpy(), model.decision_function(x))
    assert ours.predicted.tolist() == plain.predicted.tolist()
    torch.testing.assert_close(ours.scores, plain.scores, atol=1e-3, rtol=1e-3)


def test_two_classes_without_probabilities_have_two_scores() -> None:
    model = fitted(RidgeClassifier(), classes=2)
    victim = load_victim(save_victim(model, labels=("x", "y"), sample_rate=8000, out="v"))
    heard = victim.verdict(sound())
    assert heard.scores.shape == (3, 2) and torch.equal(heard.scores.argmax(1), heard.predicted)


def test_what_can_be_differentiated_is_an_svm() -> None:
    folder = save_victim(fitted(SVC()), labels=LABELS, sample_rate=8000, out="v")
    assert victim_info(folder).kind == "svm" and load_victim(folder).differentiable


def test_a_victim_is_saved_again_without_being_told_anything() -> None:
    for kind, model in (("svm", SVC()), ("sklearn", DecisionTreeClassifier())):
        first = load_victim(save_victim(fitted(model), labels=LABELS, sample_rate=8000, out=f"{kind}1"))
        info = victim_info(save_victim(first, out=f"{kind}2"))
        assert (info.kind, info.labels, info.sample_rate) == (kind, LABELS, 8000)
    with pytest.raises(SubterfugeError, match="expected its labels and its sample rate"):
        save_victim(fitted(SVC()), out="v3")


def test_a_forest_is_imported_from_a_file() -> None:
    skops.io.dump(fitted(MODELS["forest"]), "forest.skops")
    folder = import_victim("forest.skops", labels=LABELS, sample_rate=8000, out="victims/f")
    assert victim_info(folder).kind == "sklearn"


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_a_tree_that_points_outside_itself_is_refused(name: str) -> None:
    """Memory beyond a tree's end would be read by it: such a file was not made by fitting."""
    model = fitted(MODELS[name])
    skops.io.dump(model, "good.skops")
    import_victim("good.skops", labels=LABELS, sample_rate=8000, out="victims/good")
    if name == "forest":
        tree = model[1].estimators_[3].tree_
        state = tree.__getstate__()
        state["nodes"]["right_child"][0] = len(state["nodes"]) + 5
        tree.__setstate__(state)
    else:
        model[1]._predictors[2][1].nodes["left"][0] = 40_000_000
    skops.io.dump(model, "bad.skops")
    with pytest.raises(SubterfugeError, match=r"bad\.skops: holds a tree that points outside itself"):
        import_victim("bad.skops", labels=LABELS, sample_rate=8000, out="victims/bad")


def test_a_tree_that_asks_for_a_feature_that_is_not_there_is_refused() -> None:
    model = fitted(MODELS["tree"])
    state = model[1].tree_.__getstate__()
    state["nodes"]["feature"][0] = 25
    model[1].tree_.__setstate__(state)
    skops.io.dump(model, "bad.skops")
    with pytest.raises(SubterfugeError, match="points outside itself"):
        import_victim("bad.skops", labels=LABELS, sample_rate=8000, out="victims/bad")


def test_attacks_that_need_gradients_say_that_there_are_none(tmp_path: Path) -> None:
    import soundfile

    save_victim(fitted(MODELS["tree"]), labels=LABELS, sample_rate=8000, out="victims/tree")
    soundfile.write("a.wav", sound(1)[0].numpy(), 8000)
    with pytest.raises(SubterfugeError, match="victim 'tree' has no gradients, which the attack needs"):
        plan(["a.wav"], victim="tree", to="high", out="out")
    assert not Path("out").exists()


class Network(torch.nn.Module):
    """The least that the store asks of a network."""

    differentiable = True

    def __init__(self, network: dict, weights: dict, *, labels, sample_rate, name="net") -> None:
        super().__init__()
        self.network, self.name = dict(network), name
        self.labels, self.sample_rate = tuple(labels), sample_rate
        self.inner = torch.nn.Linear(network["size"], len(self.labels))
        if {name: tuple(one.shape) for name, one in weights.items()} != {
            name: tuple(one.shape) for name, one in self.inner.state_dict().items()
        }:
            raise SubterfugeError("weights: do not fit the network")
        self.inner.load_state_dict(weights)

    def weights(self) -> dict[str, torch.Tensor]:
        return self.inner.state_dict()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network, and the module that its kind is looked for in."""
    module = types.ModuleType("subterfuge.victims.cnn")
    module.CnnVictim = Network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "subterfuge.victims.cnn", module)
    weights = torch.nn.Linear(4, 3).state_dict()
    return Network({"size": 4}, weights, labels=LABELS, sample_rate=16000)


def test_a_network_is_kept_as_safetensors_and_how_it_is_built(network: Network) -> None:
    folder = save_victim(network, out="victims/net", trained="for a minute", accuracy={"held out": 0.5})
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "victim.json"]
    info = victim_info("net")
    assert (info.kind, info.labels, info.sample_rate, info.features) == ("cnn", LABELS, 16000, "waveform")
    assert info.network == {"size": 4} == info.as_json()["network"] and set(info.versions) >= {"torch"}
    again = load_victim("net")
    for name, one in network.weights().items():
        assert torch.equal(again.weights()[name], one)


def test_a_network_that_was_cut_short_or_does_not_fit_is_told(network: Network) -> None:
    folder = save_victim(network, out="victims/net")
    card, weights = folder / "victim.json", folder / "model.safetensors"
    good = card.read_text()
    card.write_text(good.replace('"size": 4', '"size": 5'))
    with pytest.raises(SubterfugeError, match="victims/net: weights: do not fit"):
        load_victim(folder)
    from subterfuge.victims.store import file_sha256

    weights.write_bytes(weights.read_bytes()[:-3])
    card.write_text(good.replace(victim_info(folder).sha256, file_sha256(weights)))
    with pytest.raises(SubterfugeError, match="cannot be read as safetensors"):
        load_victim(folder)


def test_what_training_writes_beside_it_goes_with_it() -> None:
    def fill(folder: Path) -> None:
        (folder / "training.json").write_text("{}")
        (folder / "index.html").write_text("<p>")

    folder = save_victim(fitted(SVC()), labels=LABELS, sample_rate=8000, out="v", fill=fill)
    assert len(list(folder.iterdir())) == 4
    with pytest.raises(SubterfugeError, match="a different victim is there"):
        check_free(folder)
    check_free(folder, force=True)
    save_victim(fitted(SVC()), labels=LABELS, sample_rate=8000, out="v", force=True)
    assert sorted(path.name for path in folder.iterdir()) == ["model.skops", "victim.json"]


def test_a_folder_that_is_taken_is_told_before_anything_is_done(tmp_path: Path) -> None:
    Path("file").write_text("")
    Path("other").mkdir()
    Path("other/thesis.txt").write_text("")
    for out, said in (("file", "a file is there"), ("other", "holds other things"), ("file/in", "is a file")):
        with pytest.raises(SubterfugeError, match=said):
            check_free(out, force=True)
    check_free("new/deep/folder")
    assert not Path("new/deep/folder").exists()
