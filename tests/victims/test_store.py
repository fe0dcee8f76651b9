"""Victims on disk: round trips, acceptance of the seed's classifier, and bad folders told."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from subterfuge.errors import SubterfugeError
from subterfuge.victims import store, writing
from subterfuge.victims.store import import_victim, list_victims, load_victim, save_victim, victim_info
from subterfuge.victims.victim import Victim

pytestmark = pytest.mark.filterwarnings("ignore")

SEED_LABELS = ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"]
LABELS = ("low", "mid", "high")


def vectors(n: int = 60, d: int = 25) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 3
    return np.random.default_rng(0).normal(size=(n, d)) + y[:, None], y


def fitted(model: Any = None, d: int = 25) -> Any:
    model = make_pipeline(StandardScaler(), SVC()) if model is None else model
    return model.fit(*vectors(d=d))


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each test, where ``./victims`` does not exist."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def saved(out: str = "victims/mine", **options: Any) -> Path:
    return save_victim(fitted(), labels=LABELS, sample_rate=22050, out=out, **options)


def test_what_is_saved_is_loaded() -> None:
    said = {"trained": "on noise", "accuracy": {"held out": 0.5}, "source": {"recipe": "r"}, "notes": "n"}
    folder = saved(**said)
    info = victim_info(folder)
    assert {key: getattr(info, key) for key in said} == said
    assert (info.name, info.kind, info.labels, info.sample_rate) == ("mine", "svm", LABELS, 22050)
    assert info.features == "librosa25" and not info.embedded and set(info.versions) >= {"skops", "numpy"}
    victim = load_victim(folder)
    assert isinstance(victim, Victim)
    assert (victim.labels, victim.sample_rate, victim.name, victim.info) == (LABELS, 22050, "mine", info)
    x = vectors()[0]
    np.testing.assert_array_equal(victim.head.predict(torch.from_numpy(x)), fitted().predict(x))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine"]
    assert json.loads(json.dumps(info.as_json()))["labels"] == list(LABELS)


def test_seeds_classifier_is_accepted(seed: Path) -> None:
    import_victim(
        seed / "svc_irmas.skops",
        labels=SEED_LABELS,
        sample_rate=44100,
        features="librosa25",
        out="victims/irmas-svc",
    )
    victim = load_victim("irmas-svc")
    assert victim.labels == tuple(SEED_LABELS) and victim.differentiable
    assert (Path("victims/irmas-svc") / "model.skops").read_bytes() == (seed / "svc_irmas.skops").read_bytes()
    assert [info.name for info in list_victims() if not info.embedded] == ["irmas-svc"]


def test_seeds_clips_are_heard_as_its_notes_say(seed: Path) -> None:
    import librosa

    out = import_victim(
        seed / "svc_irmas.skops", labels=SEED_LABELS, sample_rate=44100, out=Path("victims/irmas-svc")
    )
    victim = load_victim(out)
    expected = {"008": ("flu", 0.852), "[tru": ("tru", 0.873), "065": ("cel", 0.912), "[voi": ("gel", None)}
    for path in sorted((seed / "clips").glob("*.wav")):
        label, probability = expected[path.name[:4] if path.name[0] == "[" else path.name[:3]]
        y = torch.from_numpy(librosa.load(path, sr=44100)[0])[None]
        plain, ours = victim.verdict(y), victim.hear(y, probabilities=True)
        assert victim.labels[plain.predicted] == victim.labels[ours.predicted] == label
        assert plain.probabilities is not None and ours.probabilities is not None
        if probability is not None:
            assert abs(plain.probabilities[0, victim.labels.index(label)].item() - probability) < 1e-3
        torch.testing.assert_close(ours.probabilities, plain.probabilities, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.scores, plain.scores, atol=1e-3, rtol=0)


def test_importing_the_same_again_changes_nothing() -> None:
    skops.io.dump(fitted(), "model.skops")
    options: dict[str, Any] = {"labels": LABELS, "sample_rate": 44100, "out": "victims/a"}
    card = import_victim("model.skops", **options) / "victim.json"
    before = card.stat().st_mtime_ns
    import_victim("model.skops", **options)
    assert card.stat().st_mtime_ns == before


def test_a_different_victim_is_replaced_only_by_force() -> None:
    folder = saved()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SubterfugeError, match="a different victim is there"):
        saved(notes="another")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    saved(notes="another", force=True)
    assert victim_info(folder).notes == "another"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine"]
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(SubterfugeError, match=r"thesis\.txt"):
        saved(notes="third", force=True)
    assert (folder / "thesis.txt").exists()


def test_other_peoples_folders_and_files_are_left_alone() -> None:
    Path("pictures").mkdir()
    Path("pictures/cat.jpg").write_bytes(b"cat")
    for force in (False, True):
        with pytest.raises(SubterfugeError, match=r"holds other things \(cat\.jpg\)"):
            saved("pictures", force=force)
    with pytest.raises(SubterfugeError, match="a file is there"):
        saved("pictures/cat.jpg")
    Path("empty").mkdir()
    assert load_victim(saved("empty")).name == "empty"


def test_a_failed_write_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    saved()
    monkeypatch.setattr(writing, "_flush", full)
    with pytest.raises(SubterfugeError, match="No space left"):
        saved(notes="another", force=True)
    assert [path.name for path in Path("victims").iterdir()] == ["mine"]
    assert victim_info("mine").notes == ""


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".pickle"])
def test_pickles_are_converted_only_when_trusted(suffix: str) -> None:
    path = Path("model" + suffix)
    if suffix == ".joblib":
        joblib.dump(fitted(), path)
    else:
        path.write_bytes(pickle.dumps(fitted()))
    options: dict[str, Any] = {"labels": LABELS, "sample_rate": 44100, "out": "victims/p"}
    with pytest.raises(SubterfugeError, match="--trust-pickle"):
        import_victim(path, **options)
    victim = load_victim(import_victim(path, trust_pickle=True, **options))
    assert sorted(p.name for p in Path("victims/p").iterdir()) == ["model.skops", "victim.json"]
    assert victim.info is not None and victim.info.source["file"] == path.name
    x = vectors()[0]
    np.testing.assert_array_equal(victim.head.predict(torch.from_numpy(x)), fitted().predict(x))


class Trap:
    """What a malicious pickle is made of."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("sprung"),))


def test_no_pickle_runs_unless_it_is_trusted() -> None:
    Path("trap.pkl").write_bytes(pickle.dumps(Trap()))
    Path("trap.skops").write_bytes(pickle.dumps(Trap()))
    for source in ("trap.pkl", "trap.skops"):
        with pytest.raises(SubterfugeError):
            import_victim(source, labels=LABELS, sample_rate=44100, out="victims/t")
    assert not Path("sprung").exists() and not Path("victims").exists()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibrated_and_projected_models_keep(method: str) -> None:
    head = CalibratedClassifierCV(SVC(), ensemble=False, method=method)
    model = fitted(make_pipeline(StandardScaler(), PCA(7, whiten=True), head))
    victim = load_victim(save_victim(model, labels=LABELS, sample_rate=44100, out="victims/c"))
    x = vectors()[0]
    probabilities = victim.head.probabilities(torch.from_numpy(x))
    assert probabilities is not None
    np.testing.assert_allclose(probabilities.numpy(), model.predict_proba(x), atol=1e-9)


def test_classes_that_are_strings_are_labels_by_position() -> None:
    x, y = vectors()
    model = make_pipeline(StandardScaler(), SVC(probability=True)).fit(x, np.array(["a", "b", "c"])[y])
    victim = load_victim(save_victim(model, labels=("A", "B", "C"), sample_rate=16000, out="victims/s"))
    audio = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    plain, ours = victim.verdict(audio), victim.hear(audio, probabilities=True)
    assert plain.predicted.dtype == torch.int64 and plain.predicted.tolist() == ours.predicted.tolist()
    torch.testing.assert_close(ours.probabilities, plain.probabilities, atol=1e-4, rtol=0)


def test_gradient_reaches_the_waveform() -> None:
    model = fitted(make_pipeline(StandardScaler(), SVC(kernel="linear")))
    steep = load_victim(save_victim(model, labels=LABELS, sample_rate=22050, out="victims/steep"))
    victim = load_victim(saved())
    y = (torch.randn(2, 22050, generator=torch.Generator().manual_seed(1)) * 0.1).requires_grad_()
    for view in (steep.scores, steep.guide, victim.guide):
        (g,) = torch.autograd.grad(view(y)[:, 0].sum(), y)
        assert g.dtype == torch.float32 and torch.isfinite(g).all() and (g.abs().amax(1) > 0).all()
    assert victim.duels(y).shape == (2, 3, 3)
    assert victim.probabilities(y) is None


def broken(how: str) -> Path:
    """A victim's folder with one thing wrong."""
    folder = saved("victims/broken")
    card, weights = folder / "victim.json", folder / "model.skops"
    said = json.loads(card.read_text())
    match how:
        case "not json":
            card.write_text("{")
        case "binary":
            card.write_bytes(b"\xff\xfe\x00")
        case "a list":
            card.write_text("[]")
        case "format":
            card.write_text(json.dumps({**said, "format": 99}))
        case "kind":
            card.write_text(json.dumps({**said, "kind": "rnn"}))
        case "odd kind":
            card.write_text(json.dumps({**said, "kind": ["svm"]}))
        case "no network":
            card.write_text(json.dumps({**said, "kind": "cnn"}))
        case "no labels":
            del said["labels"]
            card.write_text(json.dumps(said))
        case "odd rate":
            card.write_text(json.dumps({**said, "sample_rate": "44.1k"}))
        case "low rate":
            card.write_text(json.dumps({**said, "sample_rate": 3}))
        case "few labels":
            card.write_text(json.dumps({**said, "labels": ["a", "b"]}))
        case "features":
            card.write_text(json.dumps({**said, "features": "mel"}))
        case "no weights":
            weights.unlink()
        case "altered":
            weights.write_bytes(weights.read_bytes() + b"\0")
        case "no card":
            card.unlink()
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("not json", "is not JSON"),
        ("binary", "is not JSON"),
        ("a list", "got a list, expected one JSON object"),
        ("format", "got format 99, expected 1"),
        ("kind", "got kind 'rnn', expected svm, sklearn, cnn"),
        ("odd kind", "got kind ['svm']"),
        ("no network", "'network' is missing"),
        ("no labels", "'labels' is missing"),
        ("odd rate", "'sample_rate' is '44.1k', expected a whole number"),
        ("low rate", "got 3 Hz"),
        ("few labels", "labels: got 2, expected 3"),
        ("features", "features: got 'mel', expected librosa25"),
        ("no weights", "weights are missing"),
        ("altered", "not those that victim.json was written for"),
        ("no card", "holds no victim.json"),
    ],
)
def test_a_broken_folder_is_told_in_one_sentence(how: str, said: str) -> None:
    folder = broken(how)
    with pytest.raises(SubterfugeError) as error:
        load_victim(folder)
    assert said in str(error.value) and "broken" in str(error.value) and "\n" not in str(error.value)
    problems = [info.problem for info in list_victims()]
    if how not in ("few labels", "features", "no weights", "altered", "no card"):
        assert said in problems[-1]


def custom(x: np.ndarray) -> np.ndarray:
    return x


def skops_of(model: Any, name: str = "m.skops") -> Path:
    skops.io.dump(model, name)
    return Path(name)


def make_source(how: str) -> Path:
    match how:
        case "missing":
            return Path("nowhere.skops")
        case "folder":
            Path("dir.skops").mkdir()
            return Path("dir.skops")
        case "wav":
            Path("a.wav").write_bytes(b"RIFF")
            return Path("a.wav")
        case "empty":
            Path("e.skops").write_bytes(b"")
            return Path("e.skops")
        case "renamed pickle":
            Path("p.skops").write_bytes(pickle.dumps(fitted()))
            return Path("p.skops")
        case "truncated":
            path = skops_of(fitted())
            path.write_bytes(path.read_bytes()[:-500])
            return path
        case "damaged":
            path = skops_of(fitted())
            data = bytearray(path.read_bytes())
            data[100:400] = bytes(300)
            path.write_bytes(bytes(data))
            return path
        case "a zip":
            with zipfile.ZipFile("z.skops", "w") as file:
                file.writestr("hello.txt", "hello")
            return Path("z.skops")
        case "own type":
            return skops_of(fitted(make_pipeline(FunctionTransformer(custom), SVC())))
        case "regression":
            return skops_of(fitted(LinearRegression()))
        case "unfitted forest":
            return skops_of(RandomForestClassifier(3))
        case "13 features in a forest":
            return skops_of(fitted(RandomForestClassifier(3), d=13))
        case "numbers":
            return skops_of({"a": 1})
        case "unfitted":
            return skops_of(make_pipeline(StandardScaler(), SVC()))
        case "13 features":
            return skops_of(fitted(d=13))
        case "bad pickle":
            Path("b.pkl").write_bytes(b"\x80\x04nonsense")
            return Path("b.pkl")
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "no such file"),
        ("folder", "a folder, expected a fitted model"),
        ("wav", "got a .wav file"),
        ("empty", "the file is empty"),
        ("renamed pickle", "a pickle under another name"),
        ("truncated", "cut short"),
        ("damaged", "skops ("),
        ("a zip", "cannot be read as skops"),
        ("own type", "custom"),
        ("regression", "got a LinearRegression: expected a classifier"),
        ("unfitted forest", "RandomForestClassifier: the model is not fitted"),
        ("13 features in a forest", "the model was fitted on 13"),
        ("numbers", "got a dict"),
        ("unfitted", "not fitted"),
        ("13 features", "librosa25 gives 25 numbers, but the model was fitted on 13"),
        ("bad pickle", "cannot be unpickled"),
    ],
)
def test_a_bad_source_is_told_in_one_sentence(how: str, said: str) -> None:
    source = make_source(how)
    with pytest.raises(SubterfugeError) as error:
        import_victim(source, labels=LABELS, sample_rate=44100, out="victims/new", trust_pickle=True)
    assert said in str(error.value) and str(source) in str(error.value) and "\n" not in str(error.value)
    assert not Path("victims").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ("a", "b")}, "labels: got 2, expected 3"),
        ({"labels": ("a", "b", "a")}, "'a' twice"),
        ({"labels": ("a", "", "c")}, "labels: got ''"),
        ({"sample_rate": 44}, "got 44 Hz"),
        ({"features": "mfcc"}, "features: got 'mfcc', expected librosa25"),
    ],
)
def test_bad_options_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SubterfugeError) as error:
        save_victim(fitted(), **{"labels": LABELS, "sample_rate": 44100, "out": "victims/x", **options})
    assert said in str(error.value)
    assert not Path("victims").exists()


def test_unknown_names_are_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "embedded_folder", lambda: Path("nothing-embedded"))
    saved("victims/irmas-svc")
    for wanted, said in (
        ("irmas-svm", "did you mean irmas-svc?"),
        ("zzz", "expected one of"),
        ("", "got an empty name"),
        ("some/where", "no such folder"),
    ):
        with pytest.raises(SubterfugeError) as error:
            load_victim(wanted)
        assert said in str(error.value)
    Path("f.skops").write_bytes(b"x")
    with pytest.raises(SubterfugeError, match="got a file, expected a victim's folder"):
        load_victim("f.skops")
    with pytest.raises(SubterfugeError, match="device: got 'toaster'"):
        load_victim("irmas-svc", device="toaster")


def test_embedded_victims_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("package").resolve()
    shutil.move(saved("orchestra", notes="embedded"), home / "orchestra")
    monkeypatch.setattr(store, "embedded_folder", lambda: home)
    saved("victims/orchestra", notes="local")
    assert (victim_info("orchestra").notes, victim_info("orchestra").embedded) == ("embedded", True)
    assert victim_info("victims/orchestra").notes == "local"
    assert [(i.name, i.embedded) for i in list_victims()] == [("orchestra", True), ("orchestra", False)]


def test_the_victim_that_comes_with_the_package_loads_by_name() -> None:
    victim = load_victim("orchestra-svc")
    assert victim.info is not None and victim.info.embedded and victim.info.accuracy
    assert "orchestra-svc" in [info.name for info in list_victims() if info.embedded]
    scaler = victim.model[0]
    x = scaler.mean_ + scaler.scale_ * np.random.default_rng(0).normal(size=(300, 25)) * 0.7
    heard = victim.head.hear(torch.from_numpy(x), probabilities=True)
    predicted = np.searchsorted(victim.model.classes_, victim.model.predict(x))
    np.testing.assert_array_equal(heard.predicted.numpy(), predicted)
    assert heard.probabilities is not None
    np.testing.assert_allclose(heard.probabilities.numpy(), victim.model.predict_proba(x), atol=1e-9)


def test_listing_is_quick_and_needs_no_torch() -> None:
    import subprocess

    code = "import sys; from subterfuge.victims.store import list_victims; list_victims(); "
    code += "assert not {'torch', 'sklearn', 'skops', 'librosa'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
