"""``subterfuge corpus``: its table, its JSON, its exit codes, and a fetch that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from small_band import Command

from irmas_like import TESTING, TRAINING, pack_all, write
from shaky_server import Act, serve
from subterfuge.corpora import irmas, orchestra, zenodo
from subterfuge.corpora.corpus import Clip, Corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: ``cel`` of two clips of one recording, ``dog`` of one, longer and in stereo."""
    for name, seconds, channels, rate in (
        ("cel/a__1.wav", 1, 1, 8000),
        ("cel/a__2.wav", 2, 1, 8000),
        ("dog/b.flac", 3, 2, 44100),
    ):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros((seconds * rate, channels)), rate)
    return tmp_path / "mine"


def rows(out: str) -> list[list[str]]:
    return [line.split("  ") for line in out.splitlines()]


def test_check_shows_a_table(command: Command, folder: Path) -> None:
    answer = command("corpus", "check", "mine")
    assert (answer.code, answer.err) == (0, "")
    table = [[cell.strip() for cell in row if cell.strip()] for row in rows(answer.out)]
    assert table[0] == ["mine: a folder a class"]
    assert table[1] == ["class", "clips", "recordings", "time", "a clip", "rate", "channels"]
    assert table[3] == ["cel", "cello", "2", "1", "3.0 s", "1.0 to 2.0 s", "8 kHz", "1"]
    assert table[4] == ["dog", "1", "1", "3.0 s", "3.0 s", "44.1 kHz", "2"]
    assert table[6] == ["all", "3", "2", "6.0 s", "1.0 to 3.0 s", "8, 44.1 kHz", "1, 2"]
    lines = answer.out.splitlines()[1:]
    assert len({len(line) for line in lines}) == 1  # all columns end where they should


def test_check_as_json(command: Command, folder: Path) -> None:
    (folder / "dog" / "broken.wav").touch()
    answer = command("corpus", "check", "mine", "--json")
    assert (answer.code, answer.err) == (1, "")
    seen = json.loads(answer.out)
    assert (seen["path"], seen["kind"], seen["labels"]) == ("mine", "folder", ["cel", "dog"])
    assert seen["skipped"] == [{"path": "mine/dog/broken.wav", "why": "is empty"}]
    assert seen["total"]["clips"] == 3 and seen["total"]["rates"] == {"8000": 2, "44100": 1}
    cel = seen["classes"][0]
    assert (cel["label"], cel["clips"], cel["recordings"], cel["seconds"]) == ("cel", 2, 1, 3.0)
    assert (cel["shortest"], cel["longest"], cel["published"]) == (1.0, 2.0, None)


def test_check_groups_what_was_skipped(command: Command, folder: Path) -> None:
    for n in range(40):
        (folder / "cel" / f"empty{n:02d}.wav").touch()
    (folder / "flu").mkdir()
    answer = command("corpus", "check", "mine")
    assert answer.code == 1
    said = answer.out.partition("\n\n")[2].splitlines()
    assert said[0] == "Skipped, 41 in all (--json names each):"
    assert said[1] == "  40 times: is empty"
    assert said[2] == "    cel/empty00.wav"
    assert said[-2:] == ["    and 32 more", "  flu: holds no sound file"]
    few = command("corpus", "check", "mine", "--lines", 2).out.partition("\n\n")[2].splitlines()
    assert few[1:] == ["  40 times: is empty", "    cel/empty00.wav", "  and 2 more lines"]
    assert len(json.loads(command("corpus", "check", "mine", "--json").out)["skipped"]) == 41


def test_check_tells_files_apart_by_their_details(command: Command, folder: Path) -> None:
    whole = (folder / "cel" / "a__1.wav").read_bytes()
    for cut in (10, 20):
        (folder / "cel" / f"cut{cut}.wav").write_bytes(whole[:-cut])
    out = command("corpus", "check", "mine").out
    assert "  2 times: is cut short\n" in out
    assert "    cel/cut10.wav (its header promises 16000, it holds 15990)\n" in out


def test_check_of_irmas(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(irmas, "PUBLISHED", {"cel": 4, "flu": 2, "gel": 1, "tru": 2, "voi": 1})
    write(tmp_path / "irmas", TRAINING | TESTING)
    answer = command("corpus", "check", "irmas")
    assert answer.code == 1
    assert "irmas: IRMAS, training part" in answer.out
    assert "IRMAS-TrainingData/cel: holds 3 clips, 4 were published: 1 missing" in answer.out
    testing = command("corpus", "check", "irmas", "--part", "testing")
    assert "irmas: IRMAS, testing part" in testing.out and "counts for each of them" in testing.out
    total = next(line for line in testing.out.splitlines() if line.startswith("  all"))
    assert total.split()[1:3] == ["6", "5"]


def test_check_says_what_is_unusable(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4 and no more")
    for path, said in (
        ("none", "none: there is no such folder or archive"),
        ("empty", "expected one folder a class with sound files in it"),
        ("bad.zip", "bad.zip: is damaged or no zip archive"),
    ):
        answer = command("corpus", "check", path)
        assert (answer.code, answer.out) == (2, "")
        assert said in answer.err and answer.err.count("\n") == 1
    assert command("corpus", "check", "empty", "--part", "drums").code == 2


def test_check_needs_no_torch(folder: Path) -> None:
    code = f"import sys; from subterfuge.cli.main import run; run(['corpus', 'check', {str(folder)!r}])\n"
    code += "print([name for name in ('torch', 'librosa', 'sklearn') if name in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert child.stdout.splitlines()[-1] == "[]"


def test_fetch_then_check(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, packed = write(tmp_path / "made", TRAINING | TESTING), tmp_path / "served"
    packed.mkdir()
    archives = sorted(pack_all(root, packed), key=lambda archive: archive.part, reverse=True)
    monkeypatch.setattr(zenodo, "ARCHIVES", tuple(archives))
    with serve(packed, Act(drop_after=2000)) as server:
        answer = command("corpus", "fetch", "irmas", "--url", server.url)
        assert answer.code == 0
        assert "CC BY-NC-SA 3.0" in answer.err and "no commercial use" in answer.err
        assert "IRMAS-TrainingData.zip: unpacking ..." in answer.err
        assert answer.out.splitlines()[-1] == "Look at it with: subterfuge corpus check irmas"
        again = command("corpus", "fetch", "irmas", "--url", server.url)
        assert again.code == 0
        assert again.out.splitlines()[0] == "irmas: all of it is there already, nothing was done"
        assert len(server.log) == 5
    assert command("corpus", "check", "irmas").code == 1  # far fewer than were published
    wrong = command("corpus", "fetch", "jamendo")
    assert (wrong.code, wrong.out) == (2, "") and "got 'jamendo', expected irmas" in wrong.err
    assert command("corpus", "fetch", "irmas", "--part", "x").code == 2


def test_fetch_interrupted_is_gone_on_from(tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit code 130, what has come is kept, and the rest alone is asked for next."""
    packed = tmp_path / "served"
    packed.mkdir()
    archives = pack_all(write(tmp_path / "made", TRAINING), packed)
    code = (
        "import sys; from subterfuge.corpora import zenodo; from subterfuge.cli.main import run\n"
        f"zenodo.ARCHIVES = (zenodo.Archive({archives[0].name!r}, {archives[0].md5!r}, 'training'),)\n"
        "sys.exit(run(['corpus', 'fetch', 'irmas', '--out', sys.argv[1], '--url', sys.argv[2]]))"
    )
    part = tmp_path / "irmas" / "IRMAS-TrainingData.zip.part"
    with serve(packed, Act(hang_after=8192)) as server:
        arguments: list[Any] = [sys.executable, "-c", code, str(tmp_path / "irmas"), server.url]
        child = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 20
        while not part.is_file() or not server.log:
            assert time.monotonic() < until and child.poll() is None
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=20)
        assert child.returncode == 130 and "interrupted, what has come is kept" in err.splitlines()[-1]
        assert part.stat().st_size == 8192
        assert subprocess.run(arguments, capture_output=True).returncode == 0
        assert server.ranges == [None, "bytes=8192-"]
    assert (tmp_path / "irmas" / "IRMAS-TrainingData" / "cel").is_dir()


def test_build_hands_on_what_was_asked(
    command: Command, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def build(out: Path, **options: Any) -> Corpus:
        asked.update(options, out=out)
        options["report"](1, 1)
        return Corpus("orchestra", ("cel",), (Clip(folder / "cel" / "a__1.wav", "cel", "a"),))

    monkeypatch.setattr(orchestra, "build", build)
    answer = command(
        *("corpus", "build", "orchestra", "--clips", 7, "--out", "new", "--seed", 3, "--workers", 2),
        *("--soundfont", "a.sf2", "--soundfont", "b.sf2"),
    )
    assert answer.code == 0 and answer.out.startswith("new: a folder a class\n")
    del asked["report"]
    assert asked == {
        "out": Path("new"),
        "clips": 7,
        "seed": 3,
        "workers": 2,
        "soundfonts": [Path("a.sf2"), Path("b.sf2")],
    }
    assert command("corpus", "build", "orchestra", "--out", "new").code == 0
    assert asked["soundfonts"] is None and asked["workers"] == os.cpu_count()
    wrong = command("corpus", "build", "choir", "--out", "new")
    assert wrong.code == 2 and "got 'choir', expected orchestra" in wrong.err


@pytest.mark.parametrize("words", [(), ("build", "--help"), ("fetch", "--help"), ("check", "--help")])
def test_every_help_has_examples(command: Command, words: tuple[str, ...]) -> None:
    answer = command("corpus", *words)
    assert answer.code == 0
    assert answer.out.partition("Examples:\n")[2].lstrip().startswith("subterfuge corpus ")
