"""``subterfuge explain`` as it is typed: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from small_band import RATE, sound


def test_explain(command, flute, tmp_path):
    answer = command("explain", flute, "--victim", "band", "--out", "out")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"{flute}: flute ") and "log-odds +" in lines[0]
    for word in ("bands", "moments", "features", "from silence", "only the decisive 20 %", "without them"):
        assert any(word in line for line in lines), word
    assert lines[-1] == "Listen: out/index.html"
    assert "leaving out bands" in answer.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"flute-only.wav", "flute-without.wav", "flute-explained.json", "index.html"}
    assert "mfcc20" in (tmp_path / "out/index.html").read_text("utf-8")


def test_json_and_another_label(command, flute):
    answer = command("explain", flute, "--victim", "mute", "--label", "trumpet", "--share", "0.1", "--json")
    assert answer.code == 0, answer.err
    (told,) = json.loads(answer.out)
    assert (told["label"], told["predicted"], told["unit"]) == ("tru", "flu", "score")
    assert told["share"] == 0.1 and len(told["features"]["features"]) == 25
    total = told["completeness"]
    assert total["sum"] + total["residual"] == pytest.approx(total["value"] - total["baseline"], abs=1e-6)
    assert told["only"]["probability"] is None and told["only"]["output"] == "explained/flute-only.wav"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--label", "kazoo"), "unknown label 'kazoo'"),
        (("--share", "1.5"), "share: got 1.5"),
        (("--victim", "nobody"), "unknown victim"),
        (("--device", "abacus"), "device"),
        (("--out", "flute.wav"), "is a file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(command, flute, tmp_path, options, told):
    answer = command("explain", flute, "--victim", "band", *options)
    assert answer.code == 2 and answer.out == ""
    assert told in answer.err and answer.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"flute.wav", "victims"}


@pytest.mark.parametrize("kind", ["silent", "text", "empty", "nan", "missing"])
def test_wrong_files_are_refused_in_one_line(command, tmp_path, kind):
    path = tmp_path / "odd.wav"
    if kind in ("silent", "nan", "empty"):
        y = {"silent": np.zeros(999), "nan": np.full(999, np.nan), "empty": np.zeros(0)}[kind]
        soundfile.write(path, y, RATE, subtype="FLOAT")
    elif kind == "text":
        path.write_text("not audio at all")
    answer = command("explain", path, "--victim", "band")
    assert answer.code == 2 and "odd.wav" in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "explained").exists()


def test_two_files_of_one_name_and_a_result_over_an_input(command, tmp_path):
    for name in ("a/flute.wav", "b/flute.wav", "out/flute-only.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, sound("flu"), RATE)
    twins = command("explain", "a/flute.wav", "b/flute.wav", "--victim", "band")
    assert twins.code == 2 and "same names" in twins.err
    over = command("explain", "a/flute.wav", "out/flute-only.wav", "--victim", "band", "--out", "out")
    assert over.code == 2 and "over an input" in over.err
