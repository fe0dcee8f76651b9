"""``subterfuge imagine``, end to end on short sounds: files, page, JSON, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_band import RATE, Command, sound

FAST = ("--victim", "victims/band", "--seconds", "0.3", "--steps", "40", "--no-survive")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is asked, which takes longer than such short sounds."""
    monkeypatch.setattr("subterfuge.synthesis.cross_examination.at_hand", lambda: [])


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_a_sound_for_each_style_with_its_page(command: Command, tmp_path: Path) -> None:
    answer = command("imagine", "trumpet", *FAST, "--style", "all", "--out", "out")
    told = {str(one["style"]): one for one in records(tmp_path / "out")}
    assert set(told) == {"free", "spectral", "harmonic", "mosaic"}
    reached = [bool(one["reached"]) for one in told.values()]
    assert answer.code == (0 if all(reached) else 1)
    assert sum(reached) >= 2
    for style, one in told.items():
        path = tmp_path / "out" / f"tru-{style}.wav"
        y, sr = soundfile.read(path, dtype="int16")
        assert (sr, len(y), y.ndim) == (RATE, round(0.3 * RATE), 1)
        assert int(np.abs(y.astype(int)).max()) <= 10 ** (-1 / 20) * 32768
        assert abs(float(y.mean())) < 1
        heard = json.loads(command("predict", path, "--victim", "victims/band", "--json").out)[0]
        assert heard["probabilities"]["tru"] == pytest.approx(one["probability"], abs=1e-9)
        assert (heard["predicted"] == "tru") == one["reached"]
        assert one["ceiling"] is not None
        assert set(one) >= {"label", "style", "output", "survives", "seconds", "seed", "victim", "version"}
        assert "orchestra-svc" in one["heard_by"]  # type: ignore[operator]
        assert "band" not in one["heard_by"]  # type: ignore[operator]
        assert f"tru-{style}.wav: " in answer.out
    page = (tmp_path / "out" / "index.html").read_text()
    assert "trumpet" in page
    assert "subterfuge imagine trumpet" in page
    assert answer.out.rstrip().endswith("Listen: out/index.html")


@pytest.mark.usefixtures("alone")
def test_json_and_nothing_else(command: Command) -> None:
    answer = command("imagine", "flu", "cel", *FAST, "--json")
    told = json.loads(answer.out)
    assert [one["label"] for one in told] == ["flu", "cel"]
    assert answer.code == (0 if all(one["reached"] for one in told) else 1)


@pytest.mark.usefixtures("alone")
def test_all_labels_on_two_processes_as_flac(command: Command, tmp_path: Path) -> None:
    short = ("--seconds", "0.1", "--steps", "3", "--workers", "2", "--format", "flac")
    answer = command("imagine", "--all", *FAST[:2], *short)
    assert answer.code in (0, 1)
    assert sorted(path.name for path in (tmp_path / "imagined").glob("*.flac")) == [
        f"{label}-free.flac" for label in ("cel", "cla", "flu", "tru")
    ]


@pytest.mark.usefixtures("alone")
def test_the_same_seed_gives_the_same_sound_on_any_number_of_processes(
    command: Command, tmp_path: Path
) -> None:
    for out, workers in (("a", 1), ("b", 2)):
        command("imagine", "flu", "tru", *FAST, "--seed", 3, "--workers", workers, "--out", out)
    for name in ("flu-free.wav", "tru-free.wav"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.usefixtures("alone")
def test_a_clip_is_made_something_else_within_its_bound(
    command: Command, tmp_path: Path, flute: Path
) -> None:
    answer = command(
        "imagine",
        "tru",
        *FAST[:2],
        "--steps",
        "60",
        "--style",
        "clip",
        "--from",
        flute,
        "--snr",
        "15",
        "--json",
    )
    (told,) = json.loads(answer.out)
    y, _ = soundfile.read(tmp_path / "imagined" / "tru-clip.wav")
    clean = sound("flu", seed=100)[:, 0]
    clean = clean - clean.mean()
    assert len(y) == len(clean)
    snr = 10 * np.log10(np.sum(clean**2) / np.sum((y - clean) ** 2))
    assert snr >= 15
    assert told["snr_db"] == pytest.approx(snr, abs=0.1)


@pytest.mark.usefixtures("alone")
def test_several_seeds_keep_up_to_three(command: Command, tmp_path: Path) -> None:
    command("imagine", "flu", *FAST, "--seeds", "4")
    names = sorted(path.name for path in (tmp_path / "imagined").glob("*.wav"))
    assert names[0] == "flu-free-2.wav" or names == ["flu-free.wav"]
    assert len(names) <= 3
    assert len({one["seed"] for one in records(tmp_path / "imagined")}) == len(names)


@pytest.mark.usefixtures("alone")
def test_a_label_out_of_reach_is_exit_code_one(command: Command) -> None:
    """One step from silence, within a bound that allows nothing."""
    options = ("--style", "clip", "--snr", "100", "--from", "flute.wav", "--steps", "1")
    soundfile.write("flute.wav", sound("flu", seed=100), RATE, subtype="PCM_16")
    answer = command("imagine", "tru", *FAST[:2], *options)
    assert answer.code == 1
    assert "FAILED, heard as" in answer.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no label"),
        (("flu", "--all"), "both labels and --all"),
        (("oboe",), "unknown label"),
        (("flu", "--style", "jazz"), "style: got 'jazz'"),
        (("flu", "--style", "clip"), "expected --from CLIP"),
        (("flu", "--style", "clip", "--from", "silence"), "expected --from CLIP"),
        (("flu", "--from", "nowhere.wav"), "nowhere.wav"),
        (("flu", "--snr", "20"), "without the style clip"),
        (("flu", "--corpus", "nowhere"), "without the style mosaic"),
        (("flu", "--style", "mosaic", "--corpus", "nowhere"), "nowhere"),
        (("flu", "--seconds", "0"), "seconds: got 0"),
        (("flu", "--seconds", "nan"), "seconds: got nan"),
        (("flu", "--format", "mp3"), "format: got 'mp3'"),
        (("flu", "--victim", "mute"), "no probabilities"),
        (("flu", "--out", "victims/band/victim.json"), "is a file"),
        (("flu", "--steps", "0"), "steps"),
        (("flu", "--seed", "-1"), "seed"),
    ],
)
def test_bad_input_is_answered_in_one_line(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    given = arguments if "--victim" in arguments else (*arguments, "--victim", "band")
    answer = command("imagine", *given)
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""
    assert not (tmp_path / "imagined").exists()


def test_a_result_is_never_written_over_the_clip(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "out" / "flu-clip.wav"
    path.parent.mkdir()
    soundfile.write(path, sound("flu"), RATE, subtype="PCM_16")
    before = path.read_bytes()
    options = ("--style", "clip", "--from", path, "--out", "out", "--victim", "band")
    answer = command("imagine", "flu", *options)
    assert answer.code == 2
    assert "another --out" in answer.err
    assert path.read_bytes() == before


def test_ctrl_c_in_a_real_process_keeps_what_is_done_and_the_best_so_far(
    command: Command, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "subterfuge", "imagine", "flu", "tru", "cel", "--victim", "victims/band"),
            *("--seconds", "0.5", "--steps", "100000", "--seeds", "1000"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # Shells start what is in the background with Ctrl-C ignored, which would be handed on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert child.stderr is not None
    line = child.stderr.readline()
    assert "flu, free" in line
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=400)
    assert child.returncode == 130
    assert "interrupted, 1 of 3 sounds made" in err
    assert "Traceback" not in err
    assert "flu-free.wav" in out
    assert (tmp_path / "imagined" / "flu-free.wav").is_file()
    assert (tmp_path / "imagined" / "index.html").is_file()
    assert records(tmp_path / "imagined")[0]["interrupted"] is True
