"""The commands on good input: what they print, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import librosa
import pytest
import soundfile
from small_band import LABELS, RATE, Command, sound

from subterfuge.labels import full_name
from subterfuge.victims.plain import librosa25_plain
from subterfuge.victims.store import read_skops


def test_predict_says_what_the_victim_s_own_model_says(
    command: Command, tmp_path: Path, victims: Path
) -> None:
    model = read_skops(victims / "band" / "model.skops")
    for label in LABELS:
        soundfile.write(tmp_path / f"{label}.flac", sound(label, seed=50, channels=2, sr=48000), 48000)
    answer = command("predict", "*.flac", "--victim", "band", "--json")
    assert (answer.code, answer.err) == (0, "")
    seen = json.loads(answer.out)
    assert [one["input"] for one in seen] == [f"{label}.flac" for label in sorted(LABELS)]
    for one in seen:
        y, _ = librosa.load(one["input"], sr=RATE)
        x = librosa25_plain(y, sr=RATE)[None]
        assert one["victim"] == "band"
        assert one["predicted"] == LABELS[model.predict(x)[0]]
        assert list(one["probabilities"]) == list(one["scores"]) == list(LABELS)
        assert list(one["probabilities"].values()) == pytest.approx(model.predict_proba(x)[0], abs=1e-9)


def test_predict_shows_a_table(command: Command, flute: Path) -> None:
    answer = command("predict", flute, "--victim", "band")
    lines = answer.out.splitlines()
    assert (answer.code, answer.err) == (0, "")
    assert lines[0] == f"{flute}: flute (flu)"
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(LABELS)
    assert all(full_name(line.split()[0]) in line for line in lines[1:])
    shares = [float(line.split()[2]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-3)
    assert [line.count("█") for line in lines[1:]] == [round(30 * p) for p in shares]


def test_predict_without_probabilities_shows_scores(command: Command, flute: Path) -> None:
    answer = command("predict", flute, "--victim", "mute")
    assert answer.code == 0 and answer.out.splitlines()[0].endswith("flute (flu)")
    assert "█" not in answer.out and len(answer.out.splitlines()) == 5
    seen = json.loads(command("predict", flute, "--victim", "mute", "--json").out)
    assert seen[0]["probabilities"] is None and set(seen[0]["scores"]) == set(LABELS)


def test_names_with_brackets_are_names_first(command: Command, tmp_path: Path) -> None:
    name = "008__[flu][nod]0393.wav"
    soundfile.write(tmp_path / name, sound("flu", seed=3), RATE)
    soundfile.write(tmp_path / "008__fn0393.wav", sound("cel", seed=3), RATE)  # what the pattern would fit
    answer = command("predict", name, "--victim", "band")
    assert answer.out.splitlines()[0] == f"{name}: flute (flu)"


def test_each_file_once(command: Command, flute: Path) -> None:
    seen = json.loads(
        command("predict", flute, "flute.wav", "*.wav", "./flute.wav", "--victim", "band", "--json").out
    )
    assert len(seen) == 1


def test_victim_import_list_info(command: Command, tmp_path: Path, victims: Path, flute: Path) -> None:
    source = victims / "band" / "model.skops"
    answer = command(
        "victim", "import", source, "--labels", "cel, cla,flu,tru", "--sample-rate", RATE, "--out", "mine"
    )
    assert answer.code == 0 and "mine" in answer.out and answer.err == ""
    info = json.loads(command("victim", "info", "mine", "--json").out)
    assert (info["labels"], info["sample_rate"]) == (list(LABELS), RATE)
    words = command("victim", "info", "mine").out
    assert "cel, cla, flu, tru" in words and str(RATE) in words
    listed = json.loads(command("victim", "list", "--json").out)
    assert {"band", "mute"} <= {one["name"] for one in listed}
    assert "band" in command("victim", "list").out
    assert (
        command("predict", flute, "--victim", "mine").out == command("predict", flute, "--victim", "band").out
    )
