"""Bad input, kind by kind: exit code 2, one plain line on standard error, nothing written, no traceback."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_band import LABELS, RATE, Command, sound

Arguments = tuple[object, ...]
Case = Callable[[Path], Arguments]

ATTACK = ("attack", "--victim", "band")
TO = (*ATTACK, "--to", "tru")


def audio(path: Path, **options: object) -> Path:
    soundfile.write(path, sound("flu"), RATE, subtype="PCM_16", **options)
    return path


def blob(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    audio(path)
    return blob(path, path.read_bytes()[: int(share * path.stat().st_size)])


def floats(path: Path, value: float) -> Path:
    x = np.zeros((100, 1))
    x[7] = value
    soundfile.write(path, x, RATE, subtype="FLOAT")
    return path


def silent(path: Path, frames: int) -> Path:
    soundfile.write(path, np.zeros((frames, 1)), RATE)
    return path


def sounding(path: Path, *, sr: int = RATE, channels: int = 1) -> Path:
    soundfile.write(path, sound("flu", sr=sr, channels=channels), sr)
    return path


def twins(folder: Path) -> tuple[Path, Path]:
    for name in ("a", "b"):
        (folder / name).mkdir()
    return audio(folder / "a" / "same.wav"), audio(folder / "b" / "same.flac")


def made(path: Path, make: Callable[[Path], object]) -> Path:
    make(path)
    return path


def imports(source: Path, **changes: str) -> Arguments:
    options = {"labels": ",".join(LABELS), "sample-rate": str(RATE), "features": "librosa25", "out": "new"}
    flags = [text for key, value in (options | changes).items() for text in (f"--{key}", value)]
    return ("victim", "import", source, *flags)


def model(folder: Path) -> Path:
    return folder / "victims" / "band" / "model.skops"


# What is wrong -> the arguments, and a word or two that the sentence must hold.
CASES: dict[str, tuple[Case, str]] = {
    # files
    "no such file": (lambda d: (*TO, d / "none.wav"), "none.wav"),
    "a folder": (lambda d: (*TO, made(d / "folder.wav", Path.mkdir)), "is a folder"),
    "a pipe": (lambda d: (*TO, made(d / "pipe.wav", os.mkfifo)), "not a regular file"),
    "a pattern that fits nothing": (lambda d: (*TO, "*.nothing"), "fits no file"),
    "an empty name": (lambda d: (*TO, ""), "fits no file"),
    "an endless name": (lambda d: (*TO, "a" * 5000), "aaa"),
    "an empty file": (lambda d: (*TO, blob(d / "a.wav", b"")), "is empty"),
    "text called wav": (lambda d: (*TO, blob(d / "a.wav", b"some text " * 99)), "not audio"),
    "text called mp3": (lambda d: (*TO, blob(d / "a.mp3", b"some text " * 99)), "not audio"),
    "text called raw": (lambda d: (*TO, blob(d / "a.raw", b"some text " * 99)), "not audio"),
    "zeros called flac": (lambda d: (*TO, blob(d / "a.flac", bytes(999))), "not audio"),
    "a page called ogg": (lambda d: (*TO, blob(d / "a.ogg", b"<!doctype html>")), "not audio"),
    "a header alone": (lambda d: (*TO, blob(d / "a.wav", b"RIFF\x24\0\0\0WAVE")), "not audio"),
    "no samples": (lambda d: (*TO, silent(d / "a.wav", 0)), "holds no samples"),
    "a wav cut short": (lambda d: (*TO, cut(d / "a.wav", 0.5)), "cut short"),
    "an aiff cut short": (lambda d: (*TO, cut(d / "a.aiff", 0.5)), "cut short"),
    "a flac cut short": (lambda d: (*TO, cut(d / "a.flac", 0.5)), "damaged"),
    "NaN samples": (lambda d: (*TO, floats(d / "a.wav", np.nan)), "NaN"),
    "infinite samples": (lambda d: (*TO, floats(d / "a.wav", -np.inf)), "infinite"),
    "one bad file of two": (lambda d: (*TO, audio(d / "good.wav"), cut(d / "bad.wav", 0.3)), "bad.wav"),
    "two files, one name": (lambda d: (*TO, *twins(d)), "same.flac"),
    # what is wanted
    "neither --to nor --away": (lambda d: (*ATTACK, audio(d / "a.wav")), "--away"),
    "both --to and --away": (lambda d: (*TO, "--away", audio(d / "a.wav")), "both --to and --away"),
    "no file": (lambda d: TO, "FILE"),
    "an unknown label": (lambda d: (*ATTACK, "--to", "trumpit", audio(d / "a.wav")), "trumpet"),
    "a label of another victim": (lambda d: (*ATTACK, "--to", "piano", audio(d / "a.wav")), "unknown label"),
    "an ambiguous label": (lambda d: (*ATTACK, "--to", "c", audio(d / "a.wav")), "cello"),
    "an empty label": (lambda d: (*ATTACK, "--to", "", audio(d / "a.wav")), "label"),
    "a confidence of 1.5": (lambda d: (*TO, "--confidence", 1.5, audio(d / "a.wav")), "1.5"),
    "a confidence of 0": (lambda d: (*TO, "--confidence", 0, audio(d / "a.wav")), "between 0 and 1"),
    "a confidence of NaN": (lambda d: (*TO, "--confidence", "nan", audio(d / "a.wav")), "nan"),
    "a confidence in words": (lambda d: (*TO, "--confidence", "high", audio(d / "a.wav")), "--confidence"),
    "a confidence with --away": (
        lambda d: (*ATTACK, "--away", "--confidence", 0.9, audio(d / "a.wav")),
        "--confidence",
    ),
    "a confidence that none gives": (
        lambda d: ("attack", "--victim", "mute", "--to", "tru", "--confidence", 0.9, audio(d / "a.wav")),
        "probabilities",
    ),
    # how
    "an unknown attack": (lambda d: (*TO, "--attack", "minimum", audio(d / "a.wav")), "minimal"),
    "an unknown audibility": (lambda d: (*TO, "--audibility", "loud", audio(d / "a.wav")), "masked or l2"),
    "an audibility and another attack": (
        lambda d: (*TO, "--audibility", "l2", "--attack", "ddn", audio(d / "a.wav")),
        "'l2' with the attack 'ddn'",
    ),
    "scores alone": (
        lambda d: (*TO, "--attack", "minimal", "--access", "scores", audio(d / "a.wav")),
        "gradients",
    ),
    "labels alone": (
        lambda d: (*TO, "--attack", "minimal", "--access", "label", audio(d / "a.wav")),
        "gradients",
    ),
    "an unknown access": (lambda d: (*TO, "--access", "root", audio(d / "a.wav")), "root"),
    "no steps": (lambda d: (*TO, "--steps", 0, audio(d / "a.wav")), "--steps"),
    "half a step": (lambda d: (*TO, "--steps", 0.5, audio(d / "a.wav")), "--steps"),
    "a budget below nothing": (lambda d: (*TO, "--budget", -5, audio(d / "a.wav")), "--budget"),
    "a seed in words": (lambda d: (*TO, "--seed", "lucky", audio(d / "a.wav")), "--seed"),
    "a seed below nothing": (lambda d: (*TO, "--seed", -1, audio(d / "a.wav")), "--seed"),
    "a seed too large": (lambda d: (*TO, "--seed", 2**64, audio(d / "a.wav")), "seed"),
    "an unknown device": (lambda d: (*TO, "--device", "gpu", audio(d / "a.wav")), "gpu"),
    "an unknown option": (lambda d: (*TO, "--loud", audio(d / "a.wav")), "--loud"),
    "an unknown command": (lambda d: ("atack", audio(d / "a.wav")), "atack"),
    "a level beyond bearing": (lambda d: (*TO, "--level", 200, audio(d / "a.wav")), "from 0 to 140"),
    "a level of NaN": (lambda d: (*TO, "--level", "nan", audio(d / "a.wav")), "level"),
    # compare
    "compare: one file": (lambda d: ("compare", audio(d / "a.wav")), "CHANGED"),
    "compare: no such file": (lambda d: ("compare", audio(d / "a.wav"), d / "b.wav"), "b.wav: "),
    "compare: a folder": (lambda d: ("compare", d, audio(d / "a.wav")), "folder"),
    "compare: a damaged file": (
        lambda d: ("compare", audio(d / "a.wav"), cut(d / "b.wav", 0.5)),
        "cut short",
    ),
    "compare: a NaN": (lambda d: ("compare", silent(d / "a.wav", 100), floats(d / "b.wav", np.nan)), "NaN"),
    "compare: another length": (
        lambda d: ("compare", audio(d / "a.wav"), silent(d / "b.wav", 7)),
        "its length is 7 frames, expected",
    ),
    "compare: another rate": (
        lambda d: ("compare", audio(d / "a.wav"), sounding(d / "b.wav", sr=8000)),
        f"its sample rate is 8000 Hz, expected {RATE} Hz",
    ),
    "compare: other channels": (
        lambda d: ("compare", audio(d / "a.wav"), sounding(d / "b.wav", channels=2)),
        "its number of channels is 2, expected 1",
    ),
    "compare: a level below hearing": (
        lambda d: ("compare", audio(d / "a.wav"), d / "a.wav", "--level", -1),
        "level: got -1",
    ),
    "compare: a level in words": (
        lambda d: ("compare", audio(d / "a.wav"), d / "a.wav", "--level", "loud"),
        "--level",
    ),
    # where to
    "an output that is a file": (lambda d: (*TO, "--out", audio(d / "a.wav"), d / "a.wav"), "is a file"),
    "an output under a file": (lambda d: (*TO, "--out", audio(d / "a.wav") / "x", d / "a.wav"), "is a file"),
    "an output nowhere": (lambda d: (*TO, "--out", "/proc/nowhere", audio(d / "a.wav")), "/proc/nowhere"),
    "a result over an input": (
        lambda d: (*TO, "--out", d, audio(d / "a.wav"), audio(d / "a-to-tru.wav")),
        "written over the input",
    ),
    "a result where a folder is": (
        lambda d: (*TO, "--out", made(d / "a-to-tru.json", Path.mkdir).parent, audio(d / "a.wav")),
        "is a folder",
    ),
    # victims
    "an unknown victim": (lambda d: ("predict", "--victim", "bund", audio(d / "a.wav")), "band"),
    "a folder without a victim": (lambda d: ("predict", "--victim", d, audio(d / "a.wav")), "victim.json"),
    "a file for a victim": (lambda d: ("predict", "--victim", audio(d / "a.wav"), d / "a.wav"), "a.wav"),
    "a broken card": (
        lambda d: ("victim", "info", blob(made(d / "v", Path.mkdir) / "victim.json", b"{").parent),
        "victim.json",
    ),
    "predict: a damaged file": (
        lambda d: ("predict", "--victim", "band", cut(d / "a.wav", 0.5)),
        "cut short",
    ),
    "import: no such model": (lambda d: imports(d / "none.skops"), "none.skops"),
    "import: a pickle": (lambda d: imports(blob(d / "m.pkl", pickle.dumps({}))), "--trust-pickle"),
    "import: a pickle called skops": (lambda d: imports(blob(d / "m.skops", pickle.dumps({}))), "m.skops"),
    "import: audio called skops": (lambda d: imports(audio(d / "m.skops", format="WAV")), "m.skops"),
    "import: too few labels": (lambda d: imports(model(d), labels="a,b"), "4"),
    "import: a label twice": (lambda d: imports(model(d), labels="a,b,c,c"), "c"),
    "import: an empty label": (lambda d: imports(model(d), labels="a,b,c,"), "label"),
    "import: unknown features": (lambda d: imports(model(d), features="librosa26"), "librosa25"),
    "import: no rate": (lambda d: imports(model(d), **{"sample-rate": "0"}), "--sample-rate"),
    "import: a folder that is taken": (lambda d: imports(model(d), out=str(d / "victims")), "victims"),
    "import: no labels": (lambda d: ("victim", "import", model(d), "--out", "new"), "--"),
    # the demonstration
    "demo: an output that is a file": (lambda d: ("demo", "--out", audio(d / "a.wav")), "is a file"),
}


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder, with the bytes of files; links followed, so that victims count too."""
    return {
        str(path := Path(where, name)): path.read_bytes() if path.is_file() else None
        for where, folders, names in os.walk(folder, followlinks=True)
        for name in (*folders, *names)
    }


@pytest.mark.parametrize("what", CASES)
def test_bad_input_is_answered_in_one_line(command: Command, tmp_path: Path, what: str) -> None:
    case, word = CASES[what]
    arguments = case(tmp_path)
    before = contents(tmp_path)
    answer = command(*arguments)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("subterfuge: ") and answer.err.count("\n") == 1, answer.err
    assert "Traceback" not in answer.err
    assert word in answer.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("what", ["text called mp3", "an unknown option", "an unknown label"])
def test_the_same_from_a_real_process(command: Command, tmp_path: Path, what: str) -> None:
    case, word = CASES[what]
    arguments = [sys.executable, "-m", "subterfuge", *map(str, case(tmp_path))]
    before = contents(tmp_path)
    child = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (child.returncode, child.stdout) == (2, "")
    assert child.stderr.startswith("subterfuge: ") and child.stderr.count("\n") == 1, child.stderr
    assert word in child.stderr
    assert contents(tmp_path) == before


def test_there_are_thirty_kinds_and_more() -> None:
    assert len(CASES) > 30
