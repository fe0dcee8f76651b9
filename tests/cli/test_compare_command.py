"""subterfuge compare: the table, its verdict, and JSON of any two files that are alike in format."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_band import RATE, Command, sound

from subterfuge.audibility.compare import compare_files
from subterfuge.audibility.metrics import verdict
from subterfuge.audibility.thresholds import MEASURES


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A flute in stereo, and with noise that is plainly heard."""
    y = sound("flu", seed=1, channels=2)
    noise = np.random.default_rng(0).normal(0, 0.01, y.shape)
    soundfile.write(tmp_path / "a.flac", y, RATE, subtype="PCM_24")
    soundfile.write(tmp_path / "b.wav", y + noise, RATE, subtype="FLOAT")
    return tmp_path / "a.flac", tmp_path / "b.wav"


def test_the_table_has_values_thresholds_sources_and_a_verdict(
    command: Command, pair: tuple[Path, Path]
) -> None:
    answer = command("compare", *pair)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    found = compare_files(*pair)
    assert lines[0].startswith(f"{pair[0]} and {pair[1]}: 0.5 s, channels: 2, {RATE} Hz")
    assert "92 dB SPL" in lines[0]
    assert lines[1].split() == ["measure", "value", "unheard", "verdict", "source", "of", "the", "threshold"]
    rows = {line[2:31].strip(): line for line in lines[2:12]}
    for each in MEASURES:
        if each.name == "visqol":
            assert each.title not in answer.out
            continue
        row = rows[each.title]
        assert each.shown(getattr(found.audibility, each.name)) in row
        if each.threshold is None:
            assert not row.rstrip().endswith(("below", "ABOVE"))
        else:
            heard = each.unheard(getattr(found.audibility, each.name)) is False
            assert each.limit in row and each.source in row and ("ABOVE" in row) == heard
    assert "ABOVE" in rows["worst noise-to-mask ratio"]
    assert lines[-1] == f"Verdict: {verdict(found.audibility)}."


def test_json_is_strict_and_says_what_the_verdict_rests_on(command: Command, pair: tuple[Path, Path]) -> None:
    answer = command("compare", *pair, "--level", 70, "--json")
    assert (answer.code, answer.err) == (0, "")
    shown = json.loads(answer.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (shown["original"], shown["changed"]) == tuple(map(str, pair))
    assert (shown["sample_rate"], shown["channels"], shown["frames"]) == (RATE, 2, RATE // 2)
    assert shown["audibility"] == compare_files(*pair, level=70).audibility.as_json()
    assert set(shown["thresholds"]) == {"nmr_worst_db", "zimtohrli", "visqol"}
    assert shown["thresholds"]["zimtohrli"]["threshold"] == 0.0121
    assert shown["thresholds"]["visqol"]["unheard"] == "at least"


def test_level_moves_what_depends_on_it_alone(pair: tuple[Path, Path]) -> None:
    loud, soft = (compare_files(*pair, level=level).audibility.as_json() for level in (92, 40))
    moved = {name for name in loud if loud[name] != soft[name]}
    assert moved >= {"level_db", "nmr_worst_db", "nmr_mean_db", "nmr_share"}
    assert moved <= {"level_db", "nmr_worst_db", "nmr_mean_db", "nmr_share", "verdict"}
    assert soft["nmr_worst_db"] < loud["nmr_worst_db"]


def test_a_file_beside_itself(command: Command, pair: tuple[Path, Path]) -> None:
    answer = command("compare", pair[0], pair[0])
    assert answer.code == 0
    assert answer.out.splitlines()[-1].startswith("Verdict: nothing was changed: below threshold by 2 of 2")
    shown = json.loads(command("compare", pair[0], pair[0], "--json").out)
    assert shown["audibility"]["snr_db"] is None
    assert shown["audibility"]["notes"]["snr_db"] == "infinite, since nothing was changed"


def test_what_could_not_be_measured_is_said(command: Command, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(100, 0.25), RATE)
    answer = command("compare", "short.wav", "short.wav")
    assert answer.code == 0
    assert "Zimtohrli distance: not measured, the clip is shorter than 0.25 s" in answer.out
    assert "loudness of the change: not measured, the clip is shorter" in answer.out


def test_visqol_is_a_row_if_asked_for(
    command: Command, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "visqol" else find(name))
        answer = command("compare", *pair, "--visqol")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("subterfuge: visqol: is not installed") and "[visqol]" in answer.err
    monkeypatch.setattr("subterfuge.audibility.metrics.check_visqol", lambda: None)
    monkeypatch.setattr("subterfuge.audibility.compare.check_visqol", lambda: None)
    monkeypatch.setattr("subterfuge.audibility.metrics.visqol_mos", lambda *clips, sr: 4.5)
    answer = command("compare", *pair, "--visqol")
    (row,) = (line for line in answer.out.splitlines() if line.startswith("  ViSQOL opinion score  "))
    assert "4.50" in row and "at least 4.246" in row and "below" in row
    assert "of 3 measures" in answer.out.splitlines()[-1]
