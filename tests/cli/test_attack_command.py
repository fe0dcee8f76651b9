"""``subterfuge attack`` from end to end: files in, files out, judged again here by other means."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from small_band import LABELS, RATE, Command, sound

from subterfuge.victims.plain import librosa25_plain
from subterfuge.victims.store import read_skops

FIELDS = [
    "input",
    "output",
    "victim",
    "attack",
    "target",
    "success",
    "predicted_before",
    "predicted_after",
    "probabilities_before",
    "probabilities_after",
    "snr_db",
    "audibility",
    "queries",
    "seconds",
    "seed",
    "version",
]
QUICK = ("--victim", "band", "--steps", 60)


def heard(path: Path, victims: Path) -> str:
    """What scikit-learn itself says of a file, from librosa's features."""
    model = read_skops(victims / "band" / "model.skops")
    y, _ = librosa.load(path, sr=RATE)
    return LABELS[model.predict(librosa25_plain(y, sr=RATE)[None])[0]]


# name, rate, channels, subtype, format
GOOD = [
    ("u8.wav", 22050, 1, "PCM_U8", "WAV"),
    ("s8.aiff", 22050, 1, "PCM_S8", "AIFF"),
    ("16.wav", 22050, 2, "PCM_16", "WAV"),
    ("24.flac", 22050, 1, "PCM_24", "FLAC"),
    ("32.wav", 22050, 1, "PCM_32", "WAV"),
    ("float.wav", 22050, 1, "FLOAT", "WAV"),
    ("double.wav", 22050, 1, "DOUBLE", "WAV"),
    ("phone.wav", 8000, 1, "PCM_16", "WAV"),
    ("studio.wav", 192000, 2, "PCM_24", "WAVEX"),
    ("eight.wav", 44100, 8, "PCM_16", "WAV"),
    ("vorbis.ogg", 44100, 2, "VORBIS", "OGG"),
    ("mp3.mp3", 44100, 1, "MPEG_LAYER_III", "MP3"),
]


@pytest.mark.parametrize(("name", "sr", "channels", "subtype", "container"), GOOD)
def test_every_kind_of_file_comes_back_in_kind(
    command: Command,
    tmp_path: Path,
    victims: Path,
    name: str,
    sr: int,
    channels: int,
    subtype: str,
    container: str,
) -> None:
    path = tmp_path / name
    soundfile.write(
        path, sound("flu", seed=100, sr=sr, channels=channels), sr, subtype=subtype, format=container
    )
    before = path.read_bytes()
    answer = command("attack", path, "--to", "cel", *QUICK, "--json", "--out", "out")
    assert answer.code in (0, 1), answer.err
    (record,) = json.loads(answer.out)
    assert set(FIELDS) <= set(record)
    assert json.loads((tmp_path / "out" / f"{path.stem}-to-cel.json").read_text()) == record
    out = tmp_path / record["output"]
    lossy = subtype in ("VORBIS", "MPEG_LAYER_III")
    assert out.name == f"{path.stem}-to-cel{'.flac' if lossy else path.suffix}"
    a, b = soundfile.info(path), soundfile.info(out)
    assert (a.samplerate, a.channels, a.frames) == (b.samplerate, b.channels, b.frames)
    assert (b.format, b.subtype) == (("FLAC", "PCM_24") if lossy else (container, subtype))
    assert any("FLAC" in note for note in record["notes"]) == lossy
    # The claims, judged again from disk by other means.
    assert record["predicted_before"] == heard(path, victims)
    assert record["predicted_after"] == heard(out, victims)
    assert record["success"] == (heard(out, victims) == "cel") == (answer.code == 0)
    x, y = (np.asarray(soundfile.read(p, dtype="float64")[0]) for p in (path, out))
    snr = 10 * math.log10((x**2).sum() / ((y - x) ** 2).sum())
    assert record["snr_db"] == pytest.approx(snr, abs=0.01)
    assert path.read_bytes() == before
    assert (tmp_path / "out" / "index.html").is_file()


def test_the_default_succeeds_on_each_clip_and_says_so(command: Command, tmp_path: Path) -> None:
    for label in ("cla", "flu"):
        soundfile.write(tmp_path / f"{label}.wav", sound(label, seed=7), RATE, subtype="PCM_16")
    answer = command("attack", "*.wav", "--to", "trumpet", "--victim", "band", "--steps", 100, "--out", "out")
    assert answer.code == 0, answer
    lines = answer.out.splitlines()
    said = [line for line in lines if line.startswith("  audibility: ")]
    assert len(said) == 2 and all("below threshold by " in line and " of 2 measures" in line for line in said)
    for line, name in zip(lines[::2], ("clarinet", "flute"), strict=False):
        assert f"heard as {name}, now trumpet (verified from disk), SNR " in line
        assert line.endswith("-to-tru.wav")
    assert lines[-1] == f"Listen: {Path('out') / 'index.html'}"
    assert "\x1b" not in answer.err  # no terminal, no paint


@pytest.mark.parametrize(
    ("options", "attack"),
    [
        ((), "masked"),
        (("--audibility", "masked"), "masked"),
        (("--audibility", "l2"), "minimal"),
        (("--audibility", "l2", "--attack", "minimal"), "minimal"),
    ],
)
def test_what_a_change_is_small_by_may_be_chosen(
    command: Command, flute: Path, options: tuple[str, ...], attack: str
) -> None:
    answer = command("attack", flute, "--to", "cel", "--victim", "band", "--steps", 20, *options, "--json")
    (record,) = json.loads(answer.out)
    assert record["attack"] == attack and record["success"] == (answer.code == 0)


def test_away_leaves_what_was_heard(command: Command, flute: Path, victims: Path) -> None:
    (record,) = json.loads(command("attack", flute, "--away", *QUICK, "--json").out)
    assert record["success"] and record["target"] == "not-flu"
    assert heard(Path(record["output"]), victims) == record["predicted_after"] != "flu"


def test_confidence_is_reached_or_denied(command: Command, flute: Path) -> None:
    answer = command("attack", flute, "--to", "cel", "--confidence", 0.6, *QUICK, "--json")
    (record,) = json.loads(answer.out)
    assert record["success"] == (record["probabilities_after"]["cel"] >= 0.6) == (answer.code == 0)


def test_the_same_seed_gives_the_same_file(command: Command, flute: Path) -> None:
    outs = []
    for folder in ("one", "two"):
        command("attack", flute, "--to", "cel", *QUICK, "--out", folder, "--seed", 5)
        outs.append(Path(folder, "flute-to-cel.wav").read_bytes())
    assert outs[0] == outs[1]


def test_a_file_that_is_heard_so_already_is_left_as_it_is(command: Command, flute: Path) -> None:
    answer = command("attack", flute, "--to", "flu", *QUICK)
    assert answer.code == 0 and "already" in answer.out
    before, after = (soundfile.read(p)[0] for p in (flute, "subterfuge-out/flute-to-flu.wav"))
    assert np.array_equal(before, after)


@pytest.mark.parametrize(("name", "frames"), [("one", 1), ("few", 17), ("silent", 11025)])
def test_next_to_nothing_is_attacked_or_said_to_be_beyond_it(
    command: Command, tmp_path: Path, name: str, frames: int
) -> None:
    """One sample, few, or silence: no traceback; success only where the file on disk bears it out."""
    x = np.zeros((frames, 1)) if name == "silent" else np.full((frames, 1), 0.25)
    soundfile.write(tmp_path / "a.wav", x, RATE, subtype="PCM_16")
    answer = command("attack", "a.wav", "--to", "cel", *QUICK, "--json")
    assert answer.code in (0, 1) and "Traceback" not in answer.err
    (record,) = json.loads(answer.out)
    assert record["success"] == (answer.code == 0)
    assert Path(record["output"]).is_file()
    if name == "silent" and record["success"] and record["predicted_before"] != "cel":
        assert record["snr_db"] is None  # minus infinity, for which JSON has no word


def test_ctrl_c_in_a_real_process_keeps_the_best_attempt(command: Command, tmp_path: Path) -> None:
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", sound("flu", seed=7, seconds=3), RATE, subtype="PCM_16")
    arguments = ["attack", "a.wav", "b.wav", "--to", "tru", "--victim", "band", "--steps", "100000", "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "subterfuge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert child.stderr is not None
    assert child.stderr.readline().startswith("[1/2] a.wav")
    time.sleep(10)  # into the search
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err and err.splitlines()[-1].startswith("subterfuge: interrupted")
    (record,) = json.loads(out)
    assert any(note.startswith("interrupted") for note in record["notes"])
    assert (tmp_path / record["output"]).is_file()
    assert (tmp_path / "subterfuge-out" / "index.html").is_file()
    assert not list((tmp_path / "subterfuge-out").glob(".*"))
