"""Functions of the user's as victims: what they take and give, gradients, folders, and what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.victims.function import FunctionVictim, function_victim
from subterfuge.victims.own_code import is_reference
from subterfuge.victims.store import import_victim, load_victim, victim_info
from subterfuge.victims.victim import Victim

LABELS = ("down", "up")
RATE = 8000
Y = torch.stack([torch.full((100,), -0.5), torch.full((100,), 0.25), torch.full((100,), 0.125)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def level(y: Any) -> Any:
    return np.stack([-y.mean(1), y.mean(1)], 1)


def numpy_batch(y: np.ndarray) -> np.ndarray:
    assert y.dtype == np.float32 and y.ndim == 2
    return level(y)


def torch_batch(y: torch.Tensor) -> torch.Tensor:
    assert y.dtype == torch.float32 and y.ndim == 2
    return torch.stack([-y.mean(1), y.mean(1)], 1)


WAYS: dict[str, tuple[Any, str]] = {
    "numpy": (numpy_batch, "numpy"),
    "lists": (lambda y: level(y).tolist(), "numpy"),
    "torch": (torch_batch, "torch"),
    "numpy-clip": (lambda y: level(y[None])[0], "numpy-clip"),
    "torch-clip": (lambda y: torch_batch(y[None])[0], "torch-clip"),
    "dict": (lambda y: {"up": y.mean(), "down": -y.mean()}, "numpy-clip"),
    "one-left-out": (lambda y: {"up" if y.mean() > 0 else "down": 1}, "numpy-clip"),
    "name": (lambda y: LABELS[int(y.mean() > 0)], "numpy-clip"),
    "index": (lambda y: int(y.mean() > 0), "numpy-clip"),
    "torch-index": (lambda y: (y.mean() > 0).int(), "torch-clip"),
    "names": (lambda y: [LABELS[int(one)] for one in y.mean(1) > 0], "numpy"),
    "array-of-names": (lambda y: np.array(LABELS)[(y.mean(1) > 0).astype(int)], "numpy"),
    "indices": (lambda y: (y.mean(1) > 0).astype(np.int64), "numpy"),
    "torch-indices": (lambda y: (y.mean(1) > 0).long(), "torch"),
    "integer-scores": (lambda y: np.round(100 * level(y)).astype(int), "numpy"),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_it_takes_and_gives_it_hears_the_same(way: str) -> None:
    function, takes = WAYS[way]
    victim = FunctionVictim(function, labels=LABELS, sample_rate=RATE, takes=takes)
    assert isinstance(victim, Victim)
    heard = victim.hear(Y, probabilities=True)
    assert heard.predicted.tolist() == [0, 1, 1] == victim.predict(Y).tolist()
    assert heard.scores.shape == (3, 2) and heard.scores.argmax(1).tolist() == [0, 1, 1]
    assert heard.probabilities is None
    assert victim.verdict(Y).predicted.tolist() == [0, 1, 1]
    assert victim.differentiable == (way in ("torch", "torch-clip"))


@pytest.mark.parametrize("way", ["torch", "torch-clip"])
def test_the_graph_of_what_it_returns_is_the_gradient(way: str) -> None:
    function, takes = WAYS[way]
    victim = FunctionVictim(function, labels=LABELS, sample_rate=RATE, takes=takes)
    y = Y.clone().requires_grad_()
    victim.scores(y)[:, 1].sum().backward()
    assert y.grad is not None
    torch.testing.assert_close(y.grad, torch.full_like(Y, 0.01))


def test_a_module_s_own_weights_are_no_gradient_by_the_audio() -> None:
    """Weights that want a gradient make the output want one, which says nothing of the input."""

    class Deaf(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(2))

        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return self.bias + y.detach().mean(1, keepdim=True)

    deaf = Deaf()
    victim = FunctionVictim(deaf, labels=LABELS, sample_rate=RATE)
    assert victim.takes == "torch" and not victim.differentiable and not deaf.training


def test_torch_is_told_from_the_annotation() -> None:
    assert FunctionVictim(torch_batch, labels=LABELS, sample_rate=RATE).takes == "torch"
    assert FunctionVictim(numpy_batch, labels=LABELS, sample_rate=RATE).takes == "numpy"


def test_what_is_changed_in_place_is_a_copy() -> None:
    def spoil(y: Any) -> Any:
        scores = level(y)
        y[:] = 7
        return scores

    y = Y.clone()
    FunctionVictim(spoil, labels=LABELS, sample_rate=RATE).predict(y)
    assert torch.equal(y, Y)


def test_windows_reach_it_at_the_length_that_it_takes() -> None:
    lengths: list[tuple[int, ...]] = []

    def strict(y: np.ndarray) -> np.ndarray:
        lengths.append(y.shape)
        return level(y)

    victim = FunctionVictim(strict, labels=LABELS, sample_rate=RATE, window=0.005)
    assert victim.hear(torch.full((2, 100), 0.5)).predicted.tolist() == [1, 1]
    assert victim.hear(torch.full((1, 10), 0.5)).scores.tolist() == [[-0.125, 0.125]]  # 10 of 40 samples
    assert lengths == [(6, 40), (1, 40)]


def test_its_attributes_say_what_is_not_said() -> None:
    def tagged(y: Any) -> Any:
        return level(y)

    tagged.labels, tagged.sample_rate = ["a", "b"], 16000  # type: ignore[attr-defined]
    tagged.thresholds, tagged.gives = 0.0, "logits"  # type: ignore[attr-defined]
    victim = FunctionVictim(tagged)
    assert (victim.labels, victim.sample_rate) == (("a", "b"), 16000)
    assert victim.hear(Y).multilabel and victim.hear(Y).tags.tolist()[0] == [True, False]
    assert FunctionVictim(tagged, labels=LABELS, sample_rate=8000).labels == LABELS


MODULE = """
import numpy as np
labels = ["down", "up"]
sample_rate = 8000
hop = 512  # something of the module's own

def classify(y):
    return np.stack([-y.mean(1), y.mean(1)], 1)
"""


def test_it_is_called_by_name_and_found_in_this_folder() -> None:
    Path("mine_a.py").write_text(MODULE)
    victim = load_victim("mine_a:classify")
    assert victim.labels == LABELS and victim.sample_rate == 8000
    assert victim.predict(Y).tolist() == [0, 1, 1]


def test_a_folder_names_the_function_and_how_it_is_asked() -> None:
    Path("mine_b.py").write_text(MODULE)
    folder = import_victim("mine_b:classify", out="victims/f", options={"window": 0.005, "gives": "logits"})
    info = victim_info("f")
    assert (info.kind, info.labels, info.features) == ("function", LABELS, "waveform")
    assert info.options == {
        "gives": "logits",
        "window": 0.005,
        "takes": "numpy",
        "callable": "mine_b:classify",
    }
    assert info.source["file"] == "mine_b.py" and len(info.source["sha256"]) == 64
    assert sorted(path.name for path in folder.iterdir()) == ["victim.json"]
    assert str(Path.cwd()) not in (folder / "victim.json").read_text()
    victim = load_victim("f")
    assert victim.predict(Y).tolist() == [0, 1, 1] and victim.info == info
    before = (folder / "victim.json").stat().st_mtime_ns
    import_victim("mine_b:classify", out="victims/f", options={"window": 0.005, "gives": "logits"})
    assert (folder / "victim.json").stat().st_mtime_ns == before
    with pytest.raises(SubterfugeError, match="a different victim is there"):
        import_victim("mine_b:classify", out="victims/f")


def test_what_names_code_is_told_from_files_and_addresses(tmp_path: Path) -> None:
    for text, is_it in (("a:b", True), ("a.b:c.d", True), ("a:", False), ("a b:c", False), ("a-b:c", False)):
        assert is_reference(text) == is_it
    for text in ("victims/a", "orchestra-svc", "https://host/a:b", "C:\\models\\a", "1a:b"):
        assert not is_reference(text)
    (tmp_path / "odd:name").mkdir()
    assert not is_reference("odd:name")


FAULTS = {
    "mine_none:f": "there is no module 'mine_none', expected one in this folder or installed",
    "mine_c:nothing": "there is no 'nothing' in .*mine_c.py",
    "mine_c:classfy": "did you mean classify",
    "mine_c:labels": "got a list, expected something that can be called",
    "mine_broken:f": "mine_broken cannot be imported .ZeroDivisionError: division by zero",
    "mine_needy:f": "mine_needy needs 'mine_missing', which is not installed",
    "mine_c:bare": "no labels known, expected them as an option or as its attribute labels",
}


@pytest.mark.parametrize("reference", FAULTS)
def test_what_is_wrong_with_a_name_is_told(reference: str) -> None:
    code = MODULE + "class bare:\n    pass\nbare.__module__ = 'builtins'\n"
    Path("mine_c.py").write_text(code)
    Path("mine_broken.py").write_text("1 / 0")
    Path("mine_needy.py").write_text("import mine_missing")
    with pytest.raises(SubterfugeError, match=FAULTS[reference]):
        function_victim(reference)


ANSWERS: list[tuple[Any, str, str]] = [
    (lambda y: y.mean(1), "numpy", r"shape \(3,\), expected scores of shape \(3, 2\) or one label a clip"),
    (lambda y: level(y).T, "numpy", r"shape \(2, 3\)"),
    (lambda y: level(y)[0], "numpy", "takes numpy-clip"),
    (lambda y: "up", "numpy", "gave 'up', expected scores"),
    (lambda y: None, "numpy", "an array of object"),
    (lambda y: "sideways", "numpy-clip", "gave the label 'sideways', expected one of down, up"),
    (lambda y: 2, "numpy-clip", "gave the label '2'"),
    (lambda y: 0.5, "numpy-clip", "gave the label '0.5'"),
    (lambda y: {"up": 1.0, "left": 2.0}, "numpy-clip", "gave the label 'left'"),
    (lambda y: level(y[None])[0] * np.nan, "numpy-clip", "gave NaN"),
    (lambda y: 1 / 0, "numpy", "failed on float32 audio of shape 3×100 .ZeroDivisionError"),
    (lambda y: 1 if y.mean() > 0 else level(y[None])[0], "numpy-clip", "scores for one clip and a label for"),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_what_is_wrong_with_an_answer_is_told(number: int) -> None:
    function, takes, wrong = ANSWERS[number]
    victim = FunctionVictim(function, labels=LABELS, sample_rate=RATE, takes=takes, reference="my:f")
    with pytest.raises(SubterfugeError, match=wrong):
        victim.hear(Y)


def test_what_is_wrong_is_told_at_the_import_and_nothing_is_made() -> None:
    Path("mine_d.py").write_text(MODULE.replace(", 1)", ", 0)"))
    with pytest.raises(SubterfugeError, match=r"mine_d:classify: gave shape \(2, 1\)"):
        import_victim("mine_d:classify", out="victims/d")
    with pytest.raises(SubterfugeError, match="rate: a victim of kind function has no such option"):
        import_victim("mine_d:classify", out="victims/d", options={"rate": 3})
    assert not Path("victims/d").exists()


def test_a_folder_that_was_tampered_with_is_refused_plainly() -> None:
    Path("mine_e.py").write_text(MODULE)
    folder = import_victim("mine_e:classify", out="victims/e")
    card = json.loads((folder / "victim.json").read_text())
    for change, wrong in (
        ({"callable": None}, "'callable' is missing"),
        ({"colour": 1}, "unknown option 'colour'"),
        ({"window": "long"}, "wrong type"),
        ({"takes": "money"}, "takes: got 'money'"),
        ({"callable": "mine_e:nothing"}, "there is no 'nothing'"),
    ):
        options = {**card["options"], **change}
        (folder / "victim.json").write_text(json.dumps({**card, "options": options}))
        with pytest.raises(SubterfugeError, match=wrong):
            load_victim("e")
