"""``subterfuge train --model cnn``: from clips to a victim that every other command takes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import soundfile
from small_band import RATE, Command, sound

from subterfuge.cli import show_training
from subterfuge.training import cnn
from subterfuge.training.report import Epoch
from subterfuge.victims.store import victim_info

QUICK = ("--model", "cnn", "--workers", 1, "--epochs", 2, "--out", "v")


@pytest.fixture(autouse=True)
def small_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front end with which an epoch takes hundredths of a second."""
    monkeypatch.setattr(cnn, "SECONDS", 0.3)
    monkeypatch.setattr(cnn, "FRONT_END", cnn.FRONT_END | {"n_mels": 24, "hop_length": 256})


@pytest.fixture
def band(tmp_path: Path) -> Path:
    """Six recordings of each of two timbres, six clips each, and a file that is no audio."""
    root = tmp_path / "band"
    for label in ("flu", "cel"):
        (root / label).mkdir(parents=True)
        for number in range(36):
            name = f"{label}{number // 6}__{number % 6}.wav"
            soundfile.write(root / label / name, sound(label, seed=number, seconds=0.3), RATE)
    (root / "flu" / "notes__1.wav").write_text("no audio")
    return root


def test_a_network_is_a_victim_for_every_command(command: Command, band: Path, tmp_path: Path) -> None:
    arguments = ("train", "--corpus", band, *QUICK, "--epochs", 30, "--name", "net", "--seed", 3)
    answer = command(*arguments)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "band: 72 clips of 12 recordings, 2 labels, 1 files skipped"
    for what in ("held out by recording", "held out clip by clip", "a random split adds"):
        assert any(line.startswith(f"  {what}") for line in lines), what
    assert lines[-1] == f"v: made; look at {Path('v', 'index.html')}"
    said = answer.err.splitlines()
    assert sum(line.startswith("skipped ") and "notes__1.wav" in line for line in said) == 1
    told = [line for line in said if line.startswith("epoch ")]
    assert 2 <= len(told) <= 60 and all("% of the clips set aside heard rightly" in line for line in told)
    assert "epochs (grouped split) ..." in said and "epochs (random split) ..." in said
    info = victim_info("v")
    assert (info.name, info.kind, info.labels) == ("net", "cnn", ("cel", "flu"))
    assert "--epochs 30" in info.source["command"] and "seed 3" in info.trained
    shown = command("victim", "info", "v")
    assert shown.code == 0 and "cnn" in shown.out and "accuracy, held out grouped" in shown.out

    clips = [band / "flu" / f"flu0__{number}.wav" for number in range(6)]
    seen = json.loads(command("predict", *clips, "--victim", "v", "--json").out)
    heard = [one["predicted"] for one in seen]
    assert heard.count("flu") >= 4 and sum(seen[0]["probabilities"].values()) == pytest.approx(1)
    measured = json.loads(command("victim", "evaluate", "v", "--corpus", band, "--json").out)
    assert measured["single"]["clips"] == 72 and measured["single"]["accuracy"]["value"] > 0.7
    stereo = tmp_path / "flute.wav"
    soundfile.write(stereo, sound("flu", seed=2, seconds=0.3, sr=44100, channels=2), 44100)
    before = json.loads(command("predict", stereo, "--victim", "v", "--json").out)[0]["predicted"]
    to = "cel" if before == "flu" else "flu"
    few = ("--audibility", "l2", "--steps", 80)  # what SNR there is to expect, is to be expected of that
    attacked = command("attack", stereo, "--to", to, "--victim", "v", *few, "--json")
    assert attacked.code == 0, attacked.err
    (record,) = json.loads(attacked.out)
    again = json.loads(command("predict", record["output"], "--victim", "v", "--json").out)[0]
    assert again["predicted"] == to == record["predicted_after"] and record["snr_db"] > 10


def test_ctrl_c_says_how_to_go_on_and_resume_goes_on(
    command: Command, band: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(epoch: Epoch) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    arguments = ("train", "--corpus", band, *QUICK, "--one-split")
    with monkeypatch.context() as patched:
        patched.setattr(show_training, "epoch", press)
        answer = command(*arguments)
    assert answer.code == 130 and answer.out == "" and "Traceback" not in answer.err
    assert "the same command with --resume goes on from there" in answer.err
    assert not Path("v").exists()
    other = command(*arguments, "--resume", "--seed", 1)
    assert other.code == 2 and Path("v").exists() is False
    assert "the checkpoint is of a run with seed 0, expected 1 (or no --resume)" in other.err.splitlines()[-1]
    resumed = command(*arguments, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert "epoch 2:" in resumed.err and "epoch 1:" not in resumed.err
    report = json.loads(resumed.out)
    assert report == json.loads(Path("v/training.json").read_text())
    assert report["random"] is None and [one["number"] for one in report["epochs"]] == [1, 2]
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "cuda:99"), "device: got 'cuda:99', expected cpu"),
        (("--model", "svc", "--one-split"), "got it with model svc, expected it only with cnn"),
        (("--sample-rate", 16000), "sample-rate: got it with model cnn"),
        (("--labels", "flu"), "labels: got one only (flu)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    command: Command, band: Path, arguments: tuple[object, ...], said: str
) -> None:
    answer = command("train", "--corpus", band, *QUICK, *arguments)
    last = answer.err.splitlines()[-1]
    assert answer.code == 2 and answer.out == "" and said in last and last.startswith("subterfuge: ")
    assert "Traceback" not in answer.err and not Path("v").exists()
