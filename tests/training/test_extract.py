"""Features of files: librosa's, remembered by content, the same by any number of workers, bad files named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made import RATE, coloured, made_corpus

from subterfuge.audio import load_plain
from subterfuge.corpora import embedded
from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError
from subterfuge.training import extract
from subterfuge.training.cache import Cache
from subterfuge.training.extract import features_of, librosa25_of


def of(clips, cache, **options):
    return features_of(clips, sample_rate=RATE, cache=cache, **options)


def test_they_are_librosas(tmp_path: Path, scale: np.ndarray) -> None:
    clips = embedded.clips()[::3]
    found = features_of(clips, cache=Cache(tmp_path))
    plain = librosa25_of([clip.path for clip in clips])
    assert found.clips == clips and found.skipped == () and found.cached == 0
    # In the units that a classifier sees: a ten-thousandth of the spread over real clips.
    assert np.abs((found.vectors - plain) / scale).max() < 1e-4


@pytest.mark.filterwarnings("ignore:n_fft")
def test_lengths_rates_and_channels_are_mixed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = []
    for number, (size, sr, channels) in enumerate(
        [(1, 8000, 1), (700, 8000, 2), (2400, 8000, 1), (2400, 192000, 8), (44100, 44100, 2)] * 4
    ):
        path = tmp_path / f"{number}.wav"
        y = np.stack([coloured(rng, 0.5, max(size, 2))[:size] for _ in range(channels)], axis=1)
        soundfile.write(path, 0.1 * y + 0.01, sr)
        clips.append(Clip(path, "a", str(number)))
    found = of(clips, Cache(tmp_path / "none"))
    assert len(found.clips) == len(clips)
    from subterfuge.victims.plain import librosa25_plain

    for clip, vector in list(zip(found.clips, found.vectors, strict=True))[:5]:
        y = load_plain(clip.path, RATE)[0].numpy()
        np.testing.assert_allclose(vector, librosa25_plain(y, RATE), rtol=1e-3, atol=2e-3)


def test_files_of_no_use_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    corpus = made_corpus(tmp_path / "c", labels=("a", "b"), recordings=2, clips=2)
    good = list(corpus.clips)
    silent, cut, nan, text, gone, tiny, huge = (tmp_path / f"{name}.wav" for name in "sintgeh")
    soundfile.write(silent, np.zeros(2400), RATE)
    cut.write_bytes(good[0].path.read_bytes()[:30])
    soundfile.write(nan, np.array([0.1, np.nan] * 1200), RATE, subtype="FLOAT")
    text.write_text("no audio at all")
    soundfile.write(tiny, np.zeros(0), RATE)
    soundfile.write(huge, np.array([1e30, -1e30] * 1200), RATE, subtype="FLOAT")
    bad = [Clip(path, "a", path.stem) for path in (silent, cut, nan, text, gone, tiny, huge)]
    said: list[tuple[str, int, int]] = []
    mixed = [bad[0], *good[:3], *bad[1:], *good[3:]]
    cache = Cache(tmp_path)
    for workers in (1, 2):
        found = of(mixed, cache, workers=workers, progress=lambda *now: said.append(now))
        assert found.clips == tuple(good) and np.isfinite(found.vectors).all()
        why = {one.path: one.why for one in found.skipped}
        assert set(why) == {clip.path for clip in bad}
        assert why[silent] == "is silent" and "not finite" in why[nan] and "no such file" in why[gone]
        assert why[huge] == "has features that are not finite"
        assert all(str(path) not in reason and "\n" not in reason for path, reason in why.items())
    assert ("features", len(mixed) - 1, len(mixed) - 1) in said


def test_what_was_computed_once_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, cache = made_corpus(tmp_path / "c", recordings=2), Cache(tmp_path)
    first = of(corpus.clips, cache)
    shutil.copytree(tmp_path / "c", tmp_path / "moved")
    moved = [
        Clip(tmp_path / "moved" / clip.path.relative_to(tmp_path / "c"), "x", "y") for clip in corpus.clips
    ]

    def computed(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr(extract, "_extract", computed)
        again = of(moved, cache)  # by content, not by name
        assert again.cached == len(moved) == first.vectors.shape[0]
        np.testing.assert_array_equal(again.vectors, first.vectors)
        for sample_rate, code in ((RATE + 1, 1), (RATE, 2)):
            patched.setattr(extract, "CODE", code)
            with pytest.raises(AssertionError):
                features_of(moved, sample_rate=sample_rate, cache=cache)
    soundfile.write(corpus.clips[0].path, coloured(np.random.default_rng(9), 1.0, 2400), RATE)
    changed = of(corpus.clips, cache)
    assert changed.cached == len(moved) - 1
    assert not np.array_equal(changed.vectors[0], first.vectors[0])
    np.testing.assert_array_equal(changed.vectors[1:], first.vectors[1:])


def test_an_entry_of_the_wrong_size_is_computed_again(tmp_path: Path) -> None:
    corpus, cache = made_corpus(tmp_path / "c", recordings=1), Cache(tmp_path)
    first = of(corpus.clips, cache)
    keys = extract._keys([clip.path for clip in corpus.clips], RATE, 1, lambda *_: None)[0]
    cache.put({keys[corpus.clips[0].path]: b"123"})
    again = of(corpus.clips, cache)
    assert again.cached == len(corpus.clips) - 1
    np.testing.assert_array_equal(again.vectors, first.vectors)


def test_any_number_of_workers_gives_the_same(tmp_path: Path) -> None:
    corpus = made_corpus(tmp_path / "c", recordings=12)
    one = of(corpus.clips, Cache(tmp_path / "none"))
    two = of(corpus.clips, Cache(tmp_path / "none"), workers=3)
    assert one.clips == two.clips == corpus.clips
    np.testing.assert_array_equal(one.vectors, two.vectors)
    with pytest.raises(SubterfugeError, match="workers: got 0"):
        of(corpus.clips, Cache(tmp_path / "none"), workers=0)


def test_no_clips_give_no_vectors(tmp_path: Path) -> None:
    assert of([], Cache(tmp_path)).vectors.shape == (0, 25)


def test_what_is_computed_before_an_interrupt_is_kept(tmp_path: Path) -> None:
    corpus = made_corpus(tmp_path / "c", recordings=8)  # 72 clips, three jobs

    def progress(what: str, done: int, total: int) -> None:
        if what == "features" and done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        of(corpus.clips, Cache(tmp_path), progress=progress)
    again = of(corpus.clips, Cache(tmp_path))
    assert again.cached == 32
    np.testing.assert_array_equal(again.vectors, of(corpus.clips, Cache(tmp_path / "none")).vectors)


INTERRUPTED = """
import sys, os, signal
from pathlib import Path
from subterfuge.corpora.corpus import Clip
from subterfuge.training.cache import Cache
from subterfuge.training.extract import features_of

clips = [Clip(path, "a", path.stem) for path in sorted(Path(sys.argv[1]).glob("*/*.wav"))]

def progress(what, done, total):
    if what == "features" and done >= 32:
        os.killpg(os.getpgrp(), signal.SIGINT)  # as a terminal does it: to the workers as well

features_of(clips, sample_rate=8000, workers=2, cache=Cache(Path(sys.argv[2])), progress=progress)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
def test_ctrl_c_in_a_terminal_ends_workers_quietly_and_keeps_what_is_computed(tmp_path: Path) -> None:
    corpus = made_corpus(tmp_path / "c", recordings=24, seconds=0.1)  # 216 clips, seven jobs
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "c"), str(tmp_path)],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=400,
    )
    assert child.returncode == -signal.SIGINT and child.stderr.count("Traceback") == 1, child.stderr
    again = of(corpus.clips, Cache(tmp_path))
    assert 32 <= again.cached < len(corpus.clips)
