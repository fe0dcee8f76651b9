"""``subterfuge train``: what it prints and makes, and one plain line for all that can be wrong."""

from __future__ import annotations

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from small_band import RATE, Answer, Command, sound

from subterfuge.corpora import embedded
from subterfuge.training.report import TrainingReport
from subterfuge.victims.store import victim_info
from subterfuge.workers import available_cores


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBTERFUGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def band(tmp_path: Path) -> Path:
    """Five recordings of each of two synthetic timbres, two clips each, and a file that is no audio."""
    root = tmp_path / "band"
    for label in ("flu", "cel"):
        (root / label).mkdir(parents=True)
        for number in range(10):
            name = f"{label}{number // 2}__{number % 2}.wav"
            soundfile.write(root / label / name, sound(label, seed=number)[:4000], RATE)
    (root / "flu" / "notes__1.wav").write_text("no audio")
    return root


def test_it_trains_measures_and_makes_a_victim(command: Command, band: Path) -> None:
    arguments = (
        "train",
        "--corpus",
        band,
        "--model",
        "forest",
        "--tune",
        "2",
        "--folds",
        "2",
        "--workers",
        "1",
    )
    answer = command(*arguments, "--sample-rate", RATE, "--out", "victims-of-mine/forest")
    assert answer.code == 0, answer.err
    assert "skipped" in answer.err and "notes__1.wav" in answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "band: 20 clips of 10 recordings, 2 labels, 1 files skipped"
    for what in ("cross-validated", "held out by recording", "held out clip by clip", "a random split adds"):
        assert any(line.startswith(f"  {what}") for line in lines), what
    assert lines[-1].endswith("look at victims-of-mine/forest/index.html")
    info = victim_info("victims-of-mine/forest")
    assert info.kind == "sklearn" and info.labels == ("cel", "flu")
    assert "--tune 2" in info.source["command"]
    assert sorted(path.name for path in info.folder.iterdir()) == [
        "index.html",
        "model.skops",
        "training.json",
        "victim.json",
    ]
    clip = band / "flu" / "flu0__0.wav"
    seen = json.loads(command("predict", clip, "--victim", "victims-of-mine/forest", "--json").out)
    assert seen[0]["predicted"] == "flu" and sum(seen[0]["probabilities"].values()) == pytest.approx(1)
    shown = command("victim", "info", "victims-of-mine/forest").out
    assert "sklearn" in shown and "accuracy, held out grouped" in shown
    refused = command("attack", clip, "--to", "cel", "--victim", "victims-of-mine/forest")
    assert refused.code == 2 and refused.err.count("\n") == 1 and "has no gradients" in refused.err
    assert not Path("subterfuge-out").exists()


def test_json_is_the_report(command: Command, band: Path) -> None:
    options = ("--tune", "0", "--sample-rate", RATE, "--workers", "1", "--out", "v", "--json")
    answer = command("train", "--corpus", band, *options)
    said = json.loads(answer.out)
    assert answer.code == 0 and said == json.loads(Path("v/training.json").read_text())
    assert said["model"] == "svc" and said["grouped"]["accuracy"]["value"] >= 0.5
    again = command("train", "--corpus", band, *options)
    assert again.code == 2 and "a different victim is there" in again.err and again.out == ""


def test_the_embedded_clips_make_a_victim(command: Command, tmp_path: Path) -> None:
    for clip in embedded.clips():
        (tmp_path / "clips" / clip.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, tmp_path / "clips" / clip.label / f"{clip.path.stem}__1.flac")
    answer = command("train", "--corpus", "clips", "--tune", "0", "--workers", "1", "--out", "v")
    assert answer.code == 0 and "22 clips of 22 recordings, 11 labels" in answer.out
    assert len(victim_info("v").labels) == 11
    searching = command("train", "--corpus", "clips", "--tune", "3", "--out", "w")
    assert searching.code == 2 and "has 1 recordings to train on, fewer than there are folds" in searching.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--corpus", "nowhere"), "nowhere"),
        (
            ("--corpus", "band", "--out", "v", "--model", "xgboost"),
            "model: got 'xgboost', expected svc, tree",
        ),
        (
            ("--corpus", "band", "--out", "v", "--epochs", "3"),
            "epochs: got it with model svc, expected it only",
        ),
        (("--model", "cnn", "--tune", "3"), "tune: got it with model cnn"),
        (("--labels", "flu,oboe"), "unknown label 'oboe'"),
        (("--labels", "flu"), "labels: got one only (flu)"),
        (("--folds", "9"), "fewer than there are folds (9)"),
        (
            ("--corpus", "band", "--out", "v", "--search", "bayes"),
            "search: got 'bayes', expected wide or seed",
        ),
        (("--out", "band"), "band: the folder holds other things"),
        (("--tune", "-1"), "--tune"),
        (("--out",), "--out"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    command: Command, band: Path, arguments: tuple[str, ...], said: str
) -> None:
    answer = command("train", "--corpus", "band", "--out", "v", *arguments)
    last = answer.err.splitlines()[-1]
    assert answer.code == 2 and answer.out == "" and said in last and last.startswith("subterfuge: ")
    assert "Traceback" not in answer.err and not Path("v").exists()


def test_ctrl_c_says_what_is_kept(command: Command, band: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from subterfuge.training import train

    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "permutation_importance", pressed)
    answer = command("train", "--corpus", band, "--tune", "0", "--workers", "1", "--out", "v")
    assert answer.code == 130 and "what was computed is kept" in answer.err and not Path("v").exists()


def test_a_network_is_trained_elsewhere(
    command: Command, band: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: dict[str, Any] = {}

    def train_cnn(corpus: Any, **options: Any) -> TrainingReport:
        got.update(options, corpus=corpus)
        options["report"]("epoch", 1, 2)
        return TrainingReport(
            "net",
            "cnn",
            corpus.name,
            corpus.labels,
            20,
            10,
            0,
            {},
            options["split"],
            grouped=None,
            random=None,
        )

    module = types.ModuleType("subterfuge.training.cnn")
    module.train_cnn = train_cnn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "subterfuge.training.cnn", module)
    options = ("--epochs", "2", "--resume", "--labels", "flu,cel", "--out", "n")
    answer: Answer = command("train", "--corpus", band, "--model", "cnn", *options)
    assert answer.code == 0, answer.err
    assert callable(got.pop("report")) and callable(got.pop("skip")) and callable(got.pop("epoch"))
    assert got.pop("corpus").labels == ("cel", "flu")
    assert got == {
        "labels": ["flu", "cel"],
        "out": Path("n"),
        "split": "grouped",
        "workers": available_cores(),
        "epochs": 2,
        "resume": True,
        "both": True,
        "command": f"subterfuge train --corpus {band} --model cnn {' '.join(options)}",
    }


def test_silent_and_broken_clips_are_named(command: Command, band: Path) -> None:
    soundfile.write(band / "cel" / "quiet__1.wav", np.zeros(4000), RATE)
    soundfile.write(band / "cel" / "nan__1.wav", np.full(4000, np.nan), RATE, subtype="FLOAT")
    answer = command("train", "--corpus", band, "--tune", "0", "--workers", "1", "--out", "v")
    assert answer.code == 0 and "3 files skipped" in answer.out
    for name in ("quiet__1.wav", "nan__1.wav", "notes__1.wav"):
        assert sum(line.startswith("skipped ") and name in line for line in answer.err.splitlines()) == 1
