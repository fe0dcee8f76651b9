"""``subterfuge listen``: a page from what an attack really wrote, and listeners' results put together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from small_band import RATE, Command, sound

from listeners_made import PAIRS, knowing, result, saved
from subterfuge.audibility.listening import score


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two files that differ."""
    y = sound("flu", seed=1)
    for name, gain in (("a.wav", 1.0), ("b.wav", 0.9)):
        soundfile.write(tmp_path / name, gain * y, RATE)
    return [tmp_path / "a.wav", tmp_path / "b.wav"]


def test_what_an_attack_wrote_becomes_a_page(command: Command, flute: Path, tmp_path: Path) -> None:
    done = command("attack", flute, "--to", "tru", "--victim", "victims/band", "--steps", 60)
    assert done.code == 0
    made = command("listen", "subterfuge-out", "--abx", "--trials", 8, "--seed", 3)
    assert made.code == 0 and made.err == ""
    assert made.out.splitlines()[:2] == [
        "1 pair, 8 trials that count and 5 controls",
        "Listen: subterfuge-out/listen.html",
    ]
    page = (tmp_path / "subterfuge-out" / "listen.html").read_text("utf-8")
    assert (
        "flute.wav → trumpet" in page and "subterfuge listen subterfuge-out --abx --trials 8 --seed 3" in page
    )
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")
    told = json.loads(command("listen", "subterfuge-out", "--trials", 8, "--seed", 3, "--json").out)
    assert told["seed"] == 3 and told["pairs"][0]["name"] == "flute.wav → trumpet"
    assert abs(told["pairs"][0]["level_db"]) < 0.1 and max(told["pairs"][0]["gains"]) == 1
    assert (tmp_path / "subterfuge-out" / "listen.html").read_text("utf-8").count(told["page"]) >= 1


def test_files_two_by_two(command: Command, pair: list[Path], tmp_path: Path) -> None:
    made = command("listen", "--pair", *pair, "--out", "new/test.html")
    assert made.code == 0 and "Listen: new/test.html" in made.out
    assert "a.wav / b.wav" in (tmp_path / "new" / "test.html").read_text("utf-8")
    # The option may stand before each pair, and one file may stand in several.
    other = tmp_path / "c.wav"
    soundfile.write(other, sound("cel", seed=1), RATE)
    made = command("listen", "--pair", pair[0], pair[1], "--pair", pair[0], other)
    assert made.code == 0 and made.out.startswith("2 pairs, ") and (tmp_path / "listen.html").is_file()


def test_results_are_pooled(command: Command, tmp_path: Path) -> None:
    saved(tmp_path, "ada.json", result(knowing(9, identical=1), listener=1, name="Ada"))
    saved(tmp_path, "copy.json", result(knowing(9, identical=1), listener=1, name="Ada"))
    saved(tmp_path, "bob.json", result(knowing(16, audible=1), listener=2, name="Bob"))
    read = command("listen", "--read", "*.json")
    assert read.code == 0 and read.err == ""
    lines = read.out.splitlines()
    assert lines[0].split() == [
        "listener",
        "right",
        "p",
        "95",
        "%",
        "interval",
        "audible",
        "identical",
        "time",
    ]
    assert lines[1].split() == ["Ada", "9/16", "0.40", "30", "to", "80", "%", "3/3", "1/2", "1.0", "s"]
    assert lines[2].split()[0] == "Bob" and lines[2].endswith("LEFT OUT")
    assert "flute.wav → trumpet" in read.out and "copy.json is the same session as ada.json" in lines[-1]
    assert lines[-1].startswith("1 listener, 16 trials, 9 right (56.2 %). That is no evidence")
    told = json.loads(command("listen", "--read", "ada.json", "bob.json", "--keep-all", "--json").out)
    assert [one["pooled"]["right"] for one in told] == [25]
    assert told[0]["pooled"] == {**score(25, 32).as_json(), "listeners": 2}


def test_results_of_other_sounds_are_told_apart(command: Command, tmp_path: Path) -> None:
    saved(tmp_path, "one.json", result(knowing(9)))
    saved(tmp_path, "two.json", result(knowing(15), pairs=PAIRS[:1]))
    read = command("listen", "--read", "one.json", "two.json")
    assert read.out.count("(material ") == 2
    assert "9 right (56.2 %)" in read.out and "15 right (93.8 %)" in read.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none",), "none: does not exist, expected a folder that subterfuge attack wrote"),
        (("a.wav",), "a.wav: is a file, expected a folder that subterfuge attack wrote"),
        ((".",), "holds no results"),
        ((".", "victims"), "got 2 folders, expected one"),
        (("--pair", "a.wav"), "--pair: got 1 files, expected two for each pair"),
        (("--pair", "a.wav", "none.wav"), "none.wav"),
        (("--pair", "a.wav", "a.wav"), "the same, nothing to tell apart"),
        (("--pair", "a.wav", "b.wav", "--trials", "7"), "trials: got 7, expected 8 to 32"),
        (("--pair", "a.wav", "b.wav", "--seed", "4294967296"), "seed: got 4294967296, expected"),
        (("--pair", "a.wav", "b.wav", "--seconds", "100"), "seconds: got 100, expected 0.2 to 60"),
        (("--pair", "a.wav", "b.wav", "--out", "victims"), "victims: is a folder, expected a file"),
        (("--pair", "a.wav", "b.wav", "--keep-all"), "got --keep-all without --read"),
        (("--read", "a.wav"), "a.wav: is not JSON, expected the result that the page saved"),
        (("--read", "ok.json", "--out", "x.html"), "got --out with --read, which makes no page"),
        (("--read", "ok.json", "--abx"), "got --abx with --read"),
        (("--read", "ok.json", "*.none"), "fits no file"),
        (("--read", "spoilt.json"), "spoilt.json: contradicts itself: its checksum does not fit"),
    ],
)
def test_bad_input(
    command: Command, pair: list[Path], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    data = result(knowing(9))
    saved(tmp_path, "ok.json", data)
    data["trials"][0]["milliseconds"] = 1
    saved(tmp_path, "spoilt.json", data)
    before = sorted(tmp_path.rglob("*"))
    done = command("listen", *arguments)
    assert done.code == 2 and done.out == ""
    assert words in done.err and len(done.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_help_has_examples(command: Command) -> None:
    out = command("listen", "--help").out
    assert "subterfuge listen --read results/*.json" in out.partition("Examples:")[2]
