"""The rendered orchestra: the same bytes from the same seed, whatever stops it; sound where it should be."""

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
import tiny_soundfont

from subterfuge.corpora import orchestra
from subterfuge.corpora.instruments import INSTRUMENTS
from subterfuge.corpora.soundfonts import installed_soundfonts, read_soundfont
from subterfuge.errors import SubterfugeError

ALL = {(voice.bank, voice.program): 57 for player in INSTRUMENTS.values() for voice in player.voices}


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    """A soundfont of sines with every program that a class needs, and little to play along."""
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    path = tmp_path_factory.mktemp("font") / "tiny.sf2"
    return tiny_soundfont.write(path, {**ALL, (128, 0): 50, (0, 32): 40, (0, 89): 60})


@pytest.fixture(scope="module")
def corpus(font, tmp_path_factory):
    out = tmp_path_factory.mktemp("orchestra")
    return orchestra.build(out, clips=9, labels=("gac", "vio"), soundfonts=[font], seed=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_layout(corpus):
    assert corpus.labels == ("gac", "vio")
    assert [clip.path.name for clip in corpus.clips if clip.label == "vio"] == [
        f"vio000{k}__{n}.flac" for k, n in [*((k, n) for k in range(4) for n in (1, 2)), (4, 1)]
    ]
    assert len({clip.recording for clip in corpus.clips}) == 10
    folder = corpus.clips[0].path.parents[1]
    assert {p.name for p in folder.iterdir()} == {"gac", "vio", "corpus.json"}


def test_each_clip_is_three_seconds_of_sound(corpus):
    seen = set()
    for clip in corpus.clips:
        y, sr = soundfile.read(clip.path)
        assert sr == 44100 and y.shape == (132300, 2)
        assert soundfile.info(clip.path).subtype == "PCM_16"
        assert np.abs(y).max() < 0.99
        assert np.sqrt(np.mean(y**2)) > 10 ** (-58 / 20)
        seen.add(y.tobytes())
    assert len(seen) == len(corpus.clips)


def test_the_manifest_says_what_it_was_made_of(corpus, font):
    import hashlib

    told = json.loads((corpus.clips[0].path.parents[1] / "corpus.json").read_text())
    digest = hashlib.sha256(font.read_bytes()).hexdigest()
    assert told["soundfonts"] == [{"name": "tiny.sf2", "sha256": digest}]
    assert told["seed"] == 3 and told["clips"] == {"gac": 9, "vio": 9}
    assert told["version"] == orchestra.VERSION and told["clips_per_recording"] == 2


def test_same_seed_same_bytes_in_parallel_and_as_part_of_more(font, corpus, tmp_path):
    again = orchestra.build(tmp_path / "a", clips=5, labels=("vio",), soundfonts=[font], seed=3, workers=2)
    first = [clip.path.read_bytes() for clip in corpus.clips if clip.label == "vio"][:5]
    assert [clip.path.read_bytes() for clip in again.clips] == first
    other = orchestra.build(tmp_path / "b", clips=1, labels=("vio",), soundfonts=[font], seed=4)
    assert other.clips[0].path.read_bytes() != first[0]


def test_more_clips_extend_fewer_and_what_is_there_is_not_rendered_again(font, corpus, tmp_path):
    orchestra.build(tmp_path, clips=4, labels=("vio",), soundfonts=[font], seed=3)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.flac")}
    told: list[tuple[int, int]] = []
    more = orchestra.build(
        tmp_path, clips=9, labels=("vio",), soundfonts=[font], seed=3, report=lambda *t: told.append(t)
    )
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert [clip.path.read_bytes() for clip in more.clips] == [
        clip.path.read_bytes() for clip in corpus.clips if clip.label == "vio"
    ]
    assert told[-1] == (9, 9) and [t[0] for t in told] == sorted(t[0] for t in told)
    # Fewer clips again take nothing away.
    orchestra.build(tmp_path, clips=2, labels=("vio",), soundfonts=[font], seed=3)
    assert json.loads((tmp_path / "corpus.json").read_text())["clips"] == {"vio": 9}


def test_a_lost_clip_is_rendered_again_alike(font, corpus, tmp_path):
    orchestra.build(tmp_path, clips=6, labels=("gac",), soundfonts=[font], seed=3)
    whole = contents(tmp_path)
    (tmp_path / "gac" / "gac0001__1.flac").unlink()
    orchestra.build(tmp_path, clips=6, labels=("gac",), soundfonts=[font], seed=3)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_whole_clips_and_the_next_run_goes_on(font, tmp_path, workers):
    code = (
        "import sys; from pathlib import Path; from subterfuge.corpora import orchestra; "
        "orchestra.build(Path(sys.argv[1]), clips=150, labels=('flu', 'tru'), "
        f"soundfonts=[Path(sys.argv[2])], workers={workers})"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(out), str(font)], stderr=subprocess.PIPE, start_new_session=True
    )
    for _ in range(4000):
        if len(list(out.glob("*/*.flac"))) >= 5:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode != 0 and said.count(b"Traceback") <= 1
    kept = list(out.glob("*/*"))
    assert 5 <= len(kept) < 300
    for path in kept:
        assert path.suffix == ".flac" and soundfile.info(path).frames == 132300
    begun = kept[0].parent.name
    orchestra.build(out, clips=14, labels=(begun,), soundfonts=[font])
    fresh = orchestra.build(tmp_path / "fresh", clips=14, labels=(begun,), soundfonts=[font])
    for clip in fresh.clips:
        assert (out / clip.label / clip.path.name).read_bytes() == clip.path.read_bytes()


def test_two_soundfonts_take_turns(font, tmp_path):
    other = tiny_soundfont.write(tmp_path / "other.sf2", {**ALL, (0, 33): 40})
    both = orchestra.build(tmp_path / "out", clips=4, labels=("cel",), soundfonts=[font, other])
    assert len(both.clips) == 4
    fonts = [read_soundfont(path) for path in (font, other)]
    drawn = [orchestra.draw_recording(fonts[k % 2], "cel", k, 2, 0) for k in range(4)]
    assert [recording.font for recording in drawn] == [0, 1, 0, 1]


def test_who_plays_along_is_quieter_and_comes_in_most_recordings(font):
    read = read_soundfont(font)
    drawn = [orchestra.draw_recording(read, label, k, 1, 0) for label in INSTRUMENTS for k in range(60)]
    share = np.mean([not recording.alone for recording in drawn])
    assert 0.48 < share < 0.68
    for recording in drawn:
        assert -20 <= recording.backing_db <= -3
        assert bool(recording.backing) != recording.alone and len(recording.backing) <= 3


def test_a_soundfont_that_lacks_a_class_is_named_and_one_that_lacks_a_voice_does_without(tmp_path, font):
    bare = tiny_soundfont.write(tmp_path / "bare.sf2", {(0, 42): 57, (0, 66): 57})
    with pytest.raises(SubterfugeError, match=r"bare\.sf2: has no preset for violin, expected .*40"):
        orchestra.build(tmp_path / "out", clips=1, labels=("cel", "vio"), soundfonts=[font, bare])
    assert not (tmp_path / "out").exists()
    made = orchestra.build(tmp_path / "out", clips=3, labels=("cel", "saxophone"), soundfonts=[bare])
    assert made.labels == ("cel", "sax") and len(made.clips) == 6


def test_another_corpus_is_not_written_over(font, corpus, tmp_path):
    folder = corpus.clips[0].path.parents[1]
    before = contents(folder)
    with pytest.raises(SubterfugeError, match="another seed"):
        orchestra.build(folder, clips=1, labels=("vio",), soundfonts=[font], seed=5)
    assert contents(folder) == before
    (tmp_path / "vio").mkdir()
    (tmp_path / "vio" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(SubterfugeError, match="another corpus"):
        orchestra.build(tmp_path, clips=1, labels=("vio",), soundfonts=[font])
    assert contents(tmp_path) == {"vio/mine.wav": b"mine"}
    (tmp_path / "vio" / "mine.wav").unlink()
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(SubterfugeError, match="damaged"):
        orchestra.build(tmp_path, clips=1, labels=("vio",), soundfonts=[font])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"clips": 0}, "clips: got 0"),
        ({"clips": -3}, "clips: got -3"),
        ({"workers": 0}, "workers: got 0"),
        ({"seed": -1}, "seed: got -1"),
        ({"labels": ()}, "labels: got none"),
        ({"labels": ("violn",)}, "violn"),
        ({"soundfonts": []}, "no soundfont found"),
        ({"soundfonts": [Path("nowhere.sf2")]}, "nowhere.sf2"),
    ],
)
def test_what_is_wrong_is_said(font, tmp_path, given, said):
    with pytest.raises(SubterfugeError, match=said):
        orchestra.build(tmp_path / "out", **{"clips": 1, "soundfonts": [font], **given})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_said(font, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(SubterfugeError, match="is a file"):
        orchestra.build(tmp_path / "out", clips=1, soundfonts=[font])


def test_a_missing_renderer_is_said(font, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    with pytest.raises(SubterfugeError, match="extra 'orchestra'"):
        orchestra.build(tmp_path / "out", clips=1, soundfonts=[font])


@pytest.mark.parametrize("path", installed_soundfonts(), ids=lambda path: path.stem)
def test_every_class_of_an_installed_soundfont(path, tmp_path):
    made = orchestra.build(tmp_path, clips=1, soundfonts=[path], seed=1)
    assert len(made.clips) == 11
    for clip in made.clips:
        y, _ = soundfile.read(clip.path)
        assert np.isfinite(y).all() and np.abs(y).max() > 10 ** (-50 / 20)
