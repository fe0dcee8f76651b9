"""The rendered orchestra: the same bytes from the same seed, and sound where the notes are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from subterfuge.corpora import orchestra
from subterfuge.errors import SubterfugeError


@pytest.fixture(scope="module")
def font() -> Path:
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    pytest.importorskip("mido", reason="the extra 'orchestra' is not installed")
    fonts = orchestra.installed_soundfonts()
    if not fonts:
        pytest.skip("no soundfont is installed (Debian: fluid-soundfont-gm)")
    return fonts[0]


@pytest.fixture(scope="module")
def corpus(font, tmp_path_factory):
    out = tmp_path_factory.mktemp("orchestra")
    return orchestra.build(out, clips=6, labels=("gac", "vio"), soundfonts=[font], seed=3)


def test_layout(corpus):
    assert corpus.labels == ("gac", "vio")
    assert [clip.path.name for clip in corpus.clips if clip.label == "vio"] == [
        f"vio000{k}__{n}.flac" for k, n in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]
    ]
    assert len({clip.recording for clip in corpus.clips}) == 4


def test_each_clip_is_three_seconds_of_sound(corpus):
    seen = set()
    for clip in corpus.clips:
        y, sr = soundfile.read(clip.path)
        assert sr == 44100 and y.shape == (132300, 2)
        assert 10 ** (-17 / 20) < np.abs(y).max() < 10 ** (-0.5 / 20)
        assert np.sqrt(np.mean(y**2)) > 10 ** (-45 / 20)
        seen.add(y.tobytes())
    assert len(seen) == len(corpus.clips)


def test_same_seed_same_bytes_in_parallel_and_as_part_of_fewer(font, corpus, tmp_path):
    again = orchestra.build(tmp_path, clips=5, labels=("vio",), soundfonts=[font], seed=3, workers=2)
    first = [clip.path.read_bytes() for clip in corpus.clips if clip.label == "vio"][:5]
    assert [clip.path.read_bytes() for clip in again.clips] == first
    other = orchestra.build(tmp_path / "b", clips=1, labels=("vio",), soundfonts=[font], seed=4)
    assert other.clips[0].path.read_bytes() != first[0]


def test_a_note_is_heard_where_it_is_written(font):
    """A4 in the second slot and nothing in the first: silence there, 440 Hz here."""
    note = orchestra.Note(1.0, 1.5, 69, 100)
    first, second = orchestra._render(font, [orchestra._Slot(73, 0.0, []), orchestra._Slot(73, 0.0, [note])])
    assert np.abs(first).max() < 1e-3
    rate = orchestra.SAMPLE_RATE
    assert np.abs(second[:, : int(0.95 * rate)]).max() < 1e-3 < 0.01 < np.abs(second).max()
    steady = second.mean(axis=0)[int(1.3 * rate) : int(2.3 * rate)]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.fft.rfftfreq(len(steady), 1 / rate)[spectrum.argmax()] == pytest.approx(440, abs=6)


def test_colour_tilts_and_rolls_off():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((1, 1 << 16)).astype(np.float32)
    flat, tilted = (np.abs(np.fft.rfft(z)) for z in (y, orchestra._colour(y, 3.0, 8000.0)))
    hz = np.fft.rfftfreq(1 << 16, 1 / 44100)

    def gain_db(at):
        near = np.argmin(np.abs(hz - at))
        return 20 * np.log10(tilted[0, near] / flat[0, near])

    assert gain_db(500) == pytest.approx(-3, abs=0.1)
    assert gain_db(2000) == pytest.approx(3, abs=0.1)
    assert gain_db(16000) < -10


def test_the_room_decays_as_it_says():
    """An impulse's tail, integrated backwards (Schroeder), falls 30 dB in half the reverberation time."""
    y = np.zeros((2, 44100), dtype=np.float32)
    y[:, 0] = 1
    tail = orchestra._room(np.random.default_rng(0), y, 0.6, 0.0) - y
    energy = np.cumsum(np.sum(tail**2, axis=0)[::-1])[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    assert np.argmax(level < -30) / 44100 == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: [], "no soundfont found"),
        (lambda path: [path / "none.sf2"], "none.sf2"),
        (lambda path: [path / "text.sf2"], "not a soundfont"),
    ],
)
def test_what_is_wrong_with_a_soundfont_is_said(tmp_path, make, said):
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    (tmp_path / "text.sf2").write_text("not a soundfont at all")
    with pytest.raises(SubterfugeError, match=said):
        orchestra.build(tmp_path / "out", clips=1, soundfonts=make(tmp_path))
