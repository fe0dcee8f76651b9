"""``subterfuge victim evaluate``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import soundfile
from small_band import LABELS, RATE, sound

from subterfuge.training.codec import from_json
from subterfuge.training.evaluate import Evaluation


@pytest.fixture
def band(tmp_path: Path) -> Path:
    """Three clips a label in folders, one of them called by its full name, and one that is no audio."""
    root = tmp_path / "clips"
    for label in LABELS:
        folder = root / {"tru": "trumpet"}.get(label, label)
        folder.mkdir(parents=True)
        for n in range(3):
            soundfile.write(folder / f"{label}{n}__1.wav", sound(label, seed=50 + n), RATE)
    (root / "cel" / "bad.wav").write_bytes(b"RIFF")
    return root


def test_a_table(command, band):
    answer = command("victim", "evaluate", "band", "--corpus", band)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "band on clips [folder]"
    assert lines[1].split() == ["clips", "12,", "of", "12", "recordings"]
    assert any(line.split()[:3] == ["accuracy,", "among", "4"] and "%" in line for line in lines)
    assert [line.split()[0] for line in lines if line.count("%") >= 3] == list(LABELS)
    assert "1 file of no use, the first: bad.wav" in answer.out
    assert "Page:" not in answer.out and answer.out.isascii()


def test_a_page_and_json(command, band, tmp_path):
    answer = command(
        "victim", "evaluate", "band", "--corpus", band, "--out", "seen/here", "--json", "--workers", 2
    )
    assert answer.code == 0, answer.err
    done = from_json(Evaluation, answer.out)
    assert done == from_json(Evaluation, (tmp_path / "seen/here/evaluation.json").read_text("utf-8"))
    assert done.single.clips == 12 and done.single.accuracy.value > 0.8
    assert done.command.startswith("subterfuge victim evaluate band --corpus")
    page = (tmp_path / "seen/here/index.html").read_text("utf-8")
    assert "band on clips" in page and "default-src 'none'" in page
    assert json.loads(answer.out)["skipped"][0]["path"].endswith("bad.wav")


def test_a_victim_without_probabilities(command, band):
    answer = command("victim", "evaluate", "mute", "--corpus", band)
    assert answer.code == 0 and "log loss" not in answer.out


def test_what_is_not_known_is_said(command, band):
    (band / "cel").rename(band / "tuba")
    answer = command("victim", "evaluate", "band", "--corpus", band)
    assert answer.code == 0
    assert "Labels of the corpus that the victim does not know, left out: tuba (3 clips)." in answer.out
    assert "accuracy, among the 3 there" in answer.out


def test_ctrl_c_prints_what_was_measured(command, band, monkeypatch):
    from subterfuge.training import hearing

    heard = hearing._attempt

    def press(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return heard(*given)

    monkeypatch.setattr(hearing, "_attempt", press)
    answer = command("victim", "evaluate", "band", "--corpus", band)
    assert answer.code == 130
    assert "(PARTIAL)" in answer.out and "Cut short: 1 of 12 clips were heard" in answer.out
    assert "interrupted, 1 of 12 clips heard" in answer.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--corpus", "gone"], "gone"),
        (["--threshold", "0"], "threshold: got 0"),
        (["--window", "-1"], "window: got -1 s"),
        (["--workers", "0"], "workers: got 0"),
        (["--part", "middle"], "part: got 'middle'"),
        (["--device", "warp"], "device: got 'warp'"),
    ],
)
def test_bad_options(command, band, tmp_path, options, said):
    corpus = [] if "--corpus" in options else ["--corpus", band]
    answer = command("victim", "evaluate", "band", *corpus, *options)
    assert answer.code == 2 and answer.out == ""
    assert said in answer.err and answer.err.count("\n") == 1


def test_an_out_that_cannot_be_written_is_known_before_the_work(command, band, tmp_path):
    (tmp_path / "file").write_text("")
    answer = command("victim", "evaluate", "band", "--corpus", band, "--out", "file")
    assert answer.code == 2 and "is a file, expected a folder" in answer.err


def test_labels_that_do_not_meet(command, band):
    for folder in list(band.iterdir()):
        folder.rename(band / f"x{folder.name}")
    answer = command("victim", "evaluate", "band", "--corpus", band, "--out", "seen")
    assert answer.code == 2 and "none of its labels" in answer.err
