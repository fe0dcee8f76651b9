"""Each kind of outside victim from end to end: import, info, predict and attack, as they are typed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from small_band import Answer

from hearing_server import Act, Service, serve_hearing
from subterfuge.attacks.registry import ATTACKS
from subterfuge.cli.main import run

LABELS = ("early", "late")
MODULE = '''
import numpy as np
import torch

labels = ["early", "late"]
sample_rate = 8000

def energies(y, sr):
    """Log energies of the two halves of a clip."""
    half = len(y) // 2
    return [np.log(np.mean(y[:half] ** 2) + 1e-6), np.log(np.mean(y[half:] ** 2) + 1e-6)]

def classify(y):
    return np.array([energies(row, 8000) for row in y])

def name_it(y):
    return labels[int(np.argmax(energies(y, 8000)))]
name_it.takes = "numpy-clip"

def strict(y: torch.Tensor) -> torch.Tensor:
    assert y.shape[1] == 4000, y.shape
    return torch.stack([y[:, :2000].square().mean(1), y[:, 2000:].square().mean(1)], 1).add(1e-6).log()

def tags(y: torch.Tensor) -> torch.Tensor:
    half = y.shape[1] // 2
    return torch.stack([y[:, :half].abs().mean(1), y[:, half:].abs().mean(1)], 1)
tags.thresholds = [0.05, 0.2]
'''


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Any]:
    """Run a command line in this process, in a folder that holds ``mine_ends.py`` and two clips."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    Path("mine_ends.py").write_text(MODULE)
    tones = sum(np.sin(2 * np.pi * f * np.arange(22050) / 44100) for f in (300, 700)) / 2
    loud_first = np.repeat([0.5, 0.3], 11025)[:, None] * np.stack([tones, 0.9 * tones], 1)
    soundfile.write("early.wav", loud_first, 44100, subtype="PCM_16")  # half a second, stereo
    soundfile.write("late.wav", loud_first[::-1, :1], 44100, subtype="PCM_16")

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    yield call
    sys.modules.pop("mine_ends", None)


def hear(y: np.ndarray, sr: int) -> Any:
    import mine_ends

    return {"scores": dict(zip(LABELS, map(float, mine_ends.energies(y, sr)), strict=True))}


def import_sklearn(stack: ExitStack) -> tuple[list[str], int]:
    import mine_ends
    import skops.io
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    clips = [rng.uniform(-1, 1, 800) * np.repeat(rng.uniform(0.05, 0.5, 2), 400) for _ in range(80)]
    x = np.array([mine_ends.energies(clip, 8000) for clip in clips])
    y = np.array(LABELS)[(x[:, 1] > x[:, 0]).astype(int)]
    skops.io.dump(RandomForestClassifier(15, random_state=0).fit(x, y), "forest.skops")
    return ["forest.skops", "--features", "mine_ends:energies", "--sample-rate", "16000"], 16000


def import_function(stack: ExitStack) -> tuple[list[str], int]:
    return ["mine_ends:classify"], 8000


def import_onnx(stack: ExitStack) -> tuple[list[str], int]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    import onnx

    n = 8000  # half a second at its rate; the weights pick the halves
    halves = np.repeat(np.eye(2, dtype=np.float32), n // 2, 0) * 2 / n
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "x"], ["squares"]),
            helper.make_node("MatMul", ["squares", "halves"], ["energies"]),
        ],
        "ends",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", n])],
        [helper.make_tensor_value_info("energies", onnx.TensorProto.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(halves, "halves")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, "ends.onnx")
    return ["ends.onnx", "--labels", "early,late", "--sample-rate", "16000"], 16000


def import_http(stack: ExitStack) -> tuple[list[str], int]:
    service = stack.enter_context(serve_hearing(hear))
    return [service.url, "--sample-rate", "8000", "--timeout", "20"], 8000


def by(access: str) -> str:
    """An attack that does with so much access."""
    able = [
        name for name in ("square", "cmaes", *ATTACKS) if name in ATTACKS and ATTACKS[name].access == access
    ]
    if not able:
        pytest.skip(f"no attack by {access} alone is there yet")
    return able[0]


KINDS = {"sklearn": import_sklearn, "function": import_function, "onnx": import_onnx, "http": import_http}


@pytest.mark.parametrize("kind", KINDS)
def test_from_import_to_attack(command: Any, kind: str) -> None:
    with ExitStack() as stack:
        arguments, rate = KINDS[kind](stack)
        answer = command("victim", "import", *arguments, "--out", "victims/mine")
        assert answer.code == 0 and "victims/mine: made" in answer.out, answer
        info = json.loads(command("victim", "info", "mine", "--json").out)
        assert (info["kind"], info["labels"], info["sample_rate"]) == (kind, list(LABELS), rate)
        assert ["kind", kind] in [line.split() for line in command("victim", "info", "mine").out.splitlines()]
        assert f"  {kind}, 2 labels, {rate} Hz" in command("victim", "list").out

        answer = command("predict", "early.wav", "late.wav", "--victim", "mine", "--json")
        assert answer.code == 0, answer.err
        early, late = json.loads(answer.out)
        assert (early["predicted"], late["predicted"]) == LABELS
        assert set(early["scores"]) == set(LABELS) and (early["probabilities"] is None) == (kind != "sklearn")

        answer = command("attack", "early.wav", "--to", "late", "--victim", "mine", "--attack", "ddn")
        assert answer.code == 2 and "no gradients" in answer.err and not Path("subterfuge-out").exists()

        blind = ("--access", "scores", "--attack", by("scores"), "--budget", 40)
        answer = command("attack", "early.wav", "--to", "late", "--victim", "mine", *blind, "--json")
        assert answer.code in (0, 1), answer.err
        (record,) = json.loads(answer.out)
        assert record["success"] == (answer.code == 0) and record["queries"]["forward"] <= 42
        again = json.loads(command("predict", record["output"], "--victim", "mine", "--json").out)
        assert again[0]["predicted"] == record["predicted_after"]
        assert record["success"] == (record["predicted_after"] == "late")


def test_a_function_is_a_victim_without_a_folder(command: Any) -> None:
    (seen,) = json.loads(command("predict", "late.wav", "--victim", "mine_ends:name_it", "--json").out)
    assert seen["predicted"] == "late" and seen["scores"] == {"early": 0.0, "late": 1.0}
    answer = command("predict", "late.wav", "--victim", "mine_ends:nothing")
    assert answer.code == 2 and "there is no 'nothing'" in answer.err and "Traceback" not in answer.err


def test_a_torch_function_of_a_fixed_window_is_attacked_with_gradients(command: Any) -> None:
    """Half a second at 44.1 kHz in stereo is one whole window for who hears half a second at 8 kHz."""
    made = command("victim", "import", "mine_ends:strict", "--window", 0.5, "--out", "victims/strict")
    assert made.code == 0, made.err
    answer = command(
        "attack",
        "early.wav",
        "--to",
        "late",
        "--victim",
        "strict",
        "--attack",
        "ddn",
        "--steps",
        30,
        "--json",
    )
    assert answer.code == 0, answer.err
    (record,) = json.loads(answer.out)
    assert record["predicted_before"] == "early" and record["snr_db"] > 3
    y, sr = soundfile.read(record["output"])
    assert y.shape == (22050, 2) and sr == 44100
    half = y.mean(1)
    assert np.mean(half[11025:] ** 2) > 0.95 * np.mean(half[:11025] ** 2)


def test_tags_of_a_multi_label_function_are_added_and_taken_away(command: Any) -> None:
    assert command("victim", "import", "mine_ends:tags", "--out", "victims/tags").code == 0
    (seen,) = json.loads(command("predict", "early.wav", "--victim", "tags", "--json").out)
    assert seen["tags"] == ["early"] and seen["predicted"] == "early"
    quick = ("--attack", "ddn", "--steps", 30, "--json")
    (record,) = json.loads(command("attack", "early.wav", "--to", "late", "--victim", "tags", *quick).out)
    assert record["success"] and record["predicted_after"] == "late"
    (seen,) = json.loads(command("predict", record["output"], "--victim", "tags", "--json").out)
    assert set(seen["tags"]) == {"early", "late"}
    (record,) = json.loads(command("attack", "early.wav", "--away", "--victim", "tags", *quick).out)
    assert record["success"] and record["target"] == "not-early" and record["predicted_after"] == "nothing"
    assert "early: nothing" not in command("predict", "early.wav", "--victim", "tags").out


def test_one_threshold_for_all_labels_can_be_typed(command: Any) -> None:
    made = command("victim", "import", "mine_ends:tags", "--threshold", "0.01", "--out", "victims/low")
    assert made.code == 0, made.err
    answer = command("predict", "early.wav", "--victim", "low")
    assert answer.out.splitlines()[0] == "early.wav: early, late"
    info = json.loads(command("victim", "info", "low", "--json").out)
    assert info["options"]["thresholds"] == [0.01, 0.01]


def attack_by_scores(command: Any, service: Service, *more: object) -> dict[str, Any]:
    made = command(
        "victim", "import", service.url, "--labels", "early,late", "--sample-rate", 8000, "--out", "v"
    )
    assert made.code == 0 and service.requests == 0
    answer = command("attack", "early.wav", "--to", "late", "--victim", "v", *more, "--json", "--out", "out")
    assert answer.code in (0, 1), answer.err
    (record,) = json.loads(answer.out)
    return dict(record)


def test_queries_of_a_shaky_service_agree_to_the_unit(command: Any) -> None:
    attack = by("scores")
    acts = [Act(), Act(500), Act(), Act(drop_after=5), Act(429, {"Retry-After": "0"}), Act()]
    with serve_hearing(hear, *acts) as service:
        record = attack_by_scores(command, service, "--access", "scores", "--attack", attack, "--budget", 20)
        assert record["queries"]["forward"] == service.answered
        assert record["queries"]["attempts"] == service.requests == service.answered + 3


def test_a_file_that_is_heard_so_already_costs_two_requests(command: Any) -> None:
    with serve_hearing(hear) as service:
        made = command("victim", "import", service.url, "--sample-rate", 8000, "--out", "v")
        assert made.code == 0 and service.requests == 1
        blind = ("--access", "label", "--attack", by("label"))
        answer = command("attack", "late.wav", "--to", "late", "--victim", "v", *blind, "--json")
        (record,) = json.loads(answer.out)
        assert record["queries"] == {"forward": 2, "backward": 0, "attempts": 2} and service.requests == 3


def test_a_service_that_is_gone_is_said_in_one_line_and_nothing_is_left(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBTERFUGE_TOKEN", "s3cr3t")
    with serve_hearing(hear) as service:
        options = ("--retries", 0, "--labels", "early,late", "--sample-rate", 8000)
        assert command("victim", "import", service.url, *options, "--out", "v").code == 0
        assert command("predict", "early.wav", "--victim", "v").code == 0
    answer = command("predict", "early.wav", "--victim", "v")
    assert answer.code == 2 and answer.err.count("\n") == 1 and "cannot be reached" in answer.err
    assert "s3cr3t" not in answer.out + answer.err + Path("v/victim.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("none.onnx",), "none.onnx: no such file"),
        (("late.wav",), "got a .wav file, expected .skops, .pkl, .joblib or .onnx"),
        (("mine_ends:classify", "--rate", "3"), "rate: a victim of kind function has no such option"),
        (("mine_ends:classify", "--kind", "magic"), "kind: got 'magic', expected sklearn, onnx, function"),
        (("mine_ends:classify", "--features", "librosa25"), "which takes audio"),
        (("http://127.0.0.1:1/", "--labels", "a,b"), "sample rate: got none for a service"),
        (("http://127.0.0.1:1/", "--sample-rate", "8000", "--retries", "0"), "cannot be reached"),
        (("mine_ends:tags", "--threshold", "x"), "thresholds: got 'x', expected numbers"),
        (("mine_ends:tags", "--threshold", "1,2,3"), "thresholds: got 3 for 2 labels"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(command: Any, arguments: tuple[str, ...], wrong: str) -> None:
    answer = command("victim", "import", *arguments, "--out", "victims/x")
    assert answer.code == 2 and wrong in answer.err and answer.err.count("\n") == 1
    assert not Path("victims").exists()
