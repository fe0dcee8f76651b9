"""Compiled models as victims: every shape, fixed batches and lengths, labels, features; what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.victims.store import import_victim, load_victim, victim_info
from subterfuge.victims.victim import Victim

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from compiled import save_level

from subterfuge.victims.onnx import OnnxVictim

LABELS = ("down", "up")
RATE = 8000
Y = torch.stack([torch.full((100,), -0.5), torch.full((100,), 0.25), torch.full((100,), 0.125)])
WANTED = [[0.5, -0.5], [-0.25, 0.25], [-0.125, 0.125]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(**said: Any) -> OnnxVictim:
    return OnnxVictim(save_level(Path("m.onnx"), **said), labels=LABELS, sample_rate=RATE)


@pytest.mark.parametrize(
    "shape",
    [
        ("batch", "samples"),
        (None, None),
        ("batch", 1, "samples"),
        ("samples",),
        (1, "samples"),
        (2, "samples"),
        (5, "samples"),
        ("batch", 100),
        (2, 1, 100),
        (100,),
    ],
    ids=str,
)
def test_every_shape_gives_the_same_scores(shape: tuple[Any, ...]) -> None:
    victim = made(shape=shape)
    assert isinstance(victim, Victim) and not victim.differentiable
    heard = victim.hear(Y)
    torch.testing.assert_close(heard.scores, torch.tensor(WANTED, dtype=torch.float64))
    assert heard.predicted.tolist() == [0, 1, 1] and heard.probabilities is None
    assert torch.equal(victim.verdict(Y).scores, heard.scores)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_numbers_of_other_sizes(dtype: type) -> None:
    torch.testing.assert_close(made(dtype=dtype).scores(Y), torch.tensor(WANTED, dtype=torch.float64))


def test_a_fixed_length_is_its_window() -> None:
    victim = made(shape=(3, 40))
    y = torch.zeros(2, 100)
    y[0, :40], y[1, 60:] = 1.0, -1.0  # windows begin at 0, 40 and 60
    torch.testing.assert_close(
        victim.scores(y)[:, 1], torch.tensor([1 / 3, -(0.5 + 1) / 3], dtype=torch.float64)
    )
    short = victim.scores(torch.ones(1, 10))
    torch.testing.assert_close(short, torch.tensor([[-0.25, 0.25]], dtype=torch.float64))
    assert victim.options["window"] == 0.005
    with pytest.raises(SubterfugeError, match=r"window: got 0\.01 s, but the model takes 40 samples"):
        OnnxVictim("m.onnx", labels=LABELS, sample_rate=RATE, window=0.01)


@pytest.mark.parametrize("label", ["index", "name"])
def test_its_own_word_on_the_label_is_the_truth(label: str) -> None:
    victim = made(label=label, output="output_probability")
    heard = victim.hear(Y, probabilities=True)
    assert heard.predicted.tolist() == [1, 0, 0]  # the model says the opposite of its scores
    assert torch.equal(heard.probabilities, heard.scores)  # type: ignore[arg-type]
    assert made(label=label, shape=(2, "samples")).predict(Y).tolist() == [1, 0, 0]


def test_the_name_of_the_output_tells_what_it_gives() -> None:
    for output, gives in (("logits", "logits"), ("class_probabilities", "probabilities"), ("y", "scores")):
        assert made(output=output).meaning.gives == gives
    p = made(output="logits").probabilities(Y)
    torch.testing.assert_close(p, torch.tensor(WANTED, dtype=torch.float64).softmax(1))


@pytest.mark.parametrize(
    "text", ["down,up", '["down", "up"]', "{0: 'down', 1: 'up'}", '{"1": "up", "0": "down"}']
)
def test_labels_and_rate_in_its_metadata(text: str) -> None:
    save_level(Path("m.onnx"), metadata={"names": text, "sample_rate": "8000"})
    folder = import_victim("m.onnx", out="victims/m")
    info = victim_info("m")
    assert (info.kind, info.labels, info.sample_rate, info.features) == ("onnx", LABELS, RATE, "waveform")
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "victim.json"]
    assert (folder / "model.onnx").read_bytes() == Path("m.onnx").read_bytes()
    assert load_victim("m").predict(Y).tolist() == [0, 1, 1]
    assert import_victim("m.onnx", out="victims/m") == folder  # the very same again


def test_a_damaged_model_is_refused() -> None:
    save_level(Path("m.onnx"))
    folder = import_victim("m.onnx", labels=LABELS, sample_rate=RATE, out="victims/m")
    weights = folder / "model.onnx"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(SubterfugeError, match="the weights are not those"):
        load_victim("m")


def test_several_labels_at_once() -> None:
    save_level(Path("m.onnx"))
    import_victim(
        "m.onnx", labels=LABELS, sample_rate=RATE, out="victims/m", options={"thresholds": "-0.2,0.2"}
    )
    heard = load_victim("m").hear(Y)
    assert heard.multilabel and heard.tags.tolist() == [[True, False], [False, True], [True, False]]


def test_a_torch_module_exported_hears_as_the_module() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, -1)), torch.nn.Conv1d(1, 4, 9, 4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2),
    ).eval()  # fmt: skip
    try:
        torch.onnx.export(
            net, (Y[:1],), "net.onnx", dynamo=False, input_names=["audio"], output_names=["logits"],
            dynamic_axes={"audio": {0: "batch", 1: "samples"}, "logits": {0: "batch"}},
        )  # fmt: skip
    except Exception as error:
        pytest.skip(f"this torch does not export to ONNX by itself ({error})")
    victim = OnnxVictim("net.onnx", labels=LABELS, sample_rate=RATE)
    y = 0.1 * torch.randn(5, 300, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = net(y)
    torch.testing.assert_close(victim.scores(y).float(), wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(victim.probabilities(y), victim.scores(y).softmax(1))


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_pipeline_on_the_25_features_hears_as_scikit_learn(zipmap: bool) -> None:
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from subterfuge.victims.plain import librosa25_plain

    y = 0.3 * torch.randn(24, 4000, generator=torch.Generator().manual_seed(0))
    y[::2] = y[::2].cumsum(1) / 50
    x = np.array([librosa25_plain(row, RATE) for row in y.numpy()])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.array(["up", "down"] * 12))
    compiled = skl2onnx.to_onnx(model, x[:1].astype(np.float32), options={id(model): {"zipmap": zipmap}})
    Path("m.onnx").write_bytes(compiled.SerializeToString())
    import_victim("m.onnx", labels=LABELS, sample_rate=RATE, features="librosa25", out="victims/m")
    victim = load_victim("m")
    heard = victim.hear(y, probabilities=True)
    assert [LABELS[i] for i in heard.predicted] == model.predict(x).tolist()
    np.testing.assert_allclose(heard.probabilities, model.predict_proba(x), atol=1e-5)
    assert json.loads(Path("victims/m/victim.json").read_text())["features"] == "librosa25"


def test_what_is_no_such_model_is_told() -> None:
    save_level(Path("m.onnx"))
    Path("empty.onnx").write_bytes(b"")
    Path("text.onnx").write_text("not a model")
    cut = Path("m.onnx").read_bytes()[:60]
    Path("cut.onnx").write_bytes(cut)
    said = {"labels": LABELS, "sample_rate": RATE}
    for path, wrong, changed in (
        ("none.onnx", "no such file", {}),
        ("empty.onnx", "cannot be read as an ONNX model", {}),
        ("text.onnx", "cannot be read as an ONNX model", {}),
        ("cut.onnx", "ONNX model", {}),
        ("m.onnx", "metadata holds no labels", {"labels": None}),
        ("m.onnx", "metadata holds no sample rate", {"sample_rate": None}),
        ("m.onnx", r"expected scores of shape \(batch, 3\) for 3 labels", {"labels": ("a", "b", "c")}),
        ("m.onnx", "labels: got 'a' twice", {"labels": ("a", "a")}),
        ("m.onnx", "takes: a victim of kind onnx has no such option", {"options": {"takes": "torch"}}),
        ("m.onnx", "gives: got 'joy'", {"options": {"gives": "joy"}}),
        ("m.onnx", "features: got 'mfcc'", {"features": "mfcc"}),
    ):
        with pytest.raises(SubterfugeError, match=wrong):
            import_victim(path, out="victims/x", **{**said, **changed})
        assert not Path("victims/x").exists()
    save_level(Path("image.onnx"), shape=("batch", 3, 32, 32))
    save_level(Path("stereo.onnx"), shape=("batch", 2, "samples"))
    for path in ("image.onnx", "stereo.onnx"):
        with pytest.raises(SubterfugeError, match=r"takes shape .*, expected \(batch, samples\), "):
            import_victim(path, out="victims/x", **said)
    save_level(Path("vectors.onnx"), shape=("batch", 13))
    with pytest.raises(SubterfugeError, match=r"librosa25 gives 25 numbers, but vectors\.onnx takes 13"):
        import_victim("vectors.onnx", out="victims/x", features="librosa25", **said)


def test_a_missing_runtime_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    save_level(Path("m.onnx"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SubterfugeError, match=r"pip install 'sonic-subterfuge\[onnx\]'"):
        OnnxVictim("m.onnx", labels=LABELS, sample_rate=RATE)
