"""The data that ship with the package: complete, small, credited, and heard as they are labelled."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import soundfile

from subterfuge.audio import load_plain
from subterfuge.corpora import embedded
from subterfuge.labels import FULL_NAMES
from subterfuge.victims.store import load_victim, victim_info

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def victim():
    return load_victim("orchestra-svc")


def test_two_clips_of_each_of_the_eleven_labels():
    assert sorted(clip.label for clip in embedded.clips()) == sorted([*FULL_NAMES] * 2)


def test_both_stereo_and_mono_are_there():
    assert {soundfile.info(clip.path).channels for clip in embedded.clips()} == {1, 2}


@pytest.mark.parametrize("clip", embedded.clips(), ids=lambda clip: clip.recording)
def test_the_victim_hears_each_clip_as_its_label(victim, clip):
    hearing = victim.verdict(load_plain(clip.path, victim.sample_rate))
    assert victim.labels[int(hearing.predicted)] == clip.label


@pytest.mark.parametrize("clip", embedded.clips(), ids=lambda clip: clip.recording)
def test_each_clip_is_fit_to_be_heard(clip):
    info = soundfile.info(clip.path)
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_16", 44100)
    assert info.frames == 3 * 44100
    y, _ = soundfile.read(clip.path)
    peak = abs(y).max()
    assert 10 ** (-3 / 20) <= peak <= 10 ** (-1 / 20)
    # No click at the cuts, and no one sample that stands out of its neighbours.
    assert abs(y[0]).max() < 0.01 and abs(y[-1]).max() < 0.01


def test_the_card_says_how_it_was_made_and_what_it_scores():
    info = victim_info("orchestra-svc")
    assert info.embedded
    assert info.labels == tuple(sorted(FULL_NAMES))
    assert "subterfuge.training.embedded" in info.source["recipe"]
    assert any(name.startswith("soundfont ") for name in info.source)
    assert 1 / 11 < info.accuracy["real_recordings"] < info.accuracy["orchestra_held_out"] < 1


def test_weights_need_no_trust():
    skops_io = pytest.importorskip("skops.io")
    assert skops_io.get_untrusted_types(file=embedded.victim_folder() / "model.skops") == []


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in embedded.root().rglob("*") if path.is_file()) < 4_000_000


def test_the_soundfonts_are_credited():
    notice = (embedded.root() / "NOTICE.md").read_text(encoding="utf-8")
    for holder in ("Frank Wen", "S. Christian Collins", "Michael Cowgill", "Permission is hereby granted"):
        assert holder in notice
    for name in victim_info("orchestra-svc").source:
        if name.startswith("soundfont "):
            assert name.removeprefix("soundfont ") in notice
    assert "embedded/NOTICE.md" in (CHECKOUT / "NOTICE").read_text(encoding="utf-8")


def test_the_wheel_takes_all_of_it():
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    patterns = settings["tool"]["setuptools"]["package-data"]["subterfuge"]
    package = embedded.root().parent
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in embedded.root().rglob("*") if path.is_file()} <= taken
    assert "NOTICE*" in settings["project"]["license-files"]


def test_the_real_accuracy_is_as_the_card_says(shared, victim):
    """Measured again with scikit-learn on the same recordings."""
    folder_of_recordings = shared / "recordings"
    if not folder_of_recordings.is_dir():
        pytest.skip(f"the recordings {folder_of_recordings} are missing")
    from subterfuge.corpora import folder
    from subterfuge.training.extract import librosa25_of
    from subterfuge.victims.store import read_skops

    corpus = folder.read(folder_of_recordings)
    model = read_skops(embedded.victim_folder() / "model.skops")
    heard = model.predict(librosa25_of([clip.path for clip in corpus.clips]))
    right = sum(a == clip.label for a, clip in zip(heard, corpus.clips, strict=True)) / len(corpus.clips)
    assert right == pytest.approx(victim_info("orchestra-svc").accuracy["real_recordings"], abs=0.012)
