"""Reading soundfonts, and cutting out of them just what is played: it must sound the same to the last bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import tiny_soundfont

from subterfuge.corpora.phrases import Note
from subterfuge.corpora.playing import Part, Slot, midi
from subterfuge.corpora.soundfonts import excerpt, installed_soundfonts, read_soundfont
from subterfuge.errors import SubterfugeError


@pytest.fixture
def tiny(tmp_path):
    return tiny_soundfont.write(tmp_path / "tiny.sf2", {(0, 40): 60, (8, 40): 55, (128, 0): 50, (0, 7): 62})


def rendered(soundfont: bytes, preset, notes):
    midirenderer = pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    wave = midirenderer.render_wave_from(soundfont, midi([Slot((Part(preset, notes),), 1.0)]))
    return soundfile.read(io.BytesIO(wave))[0]


def test_presets_of_all_banks(tiny):
    assert read_soundfont(tiny).presets == {(0, 7): "P3", (0, 40): "P0", (8, 40): "P1", (128, 0): "P2"}


@pytest.mark.parametrize("preset", [(0, 40), (8, 40), (128, 0)])
@pytest.mark.parametrize("pitch", [52, 63, 64, 77])
def test_an_excerpt_sounds_the_same(tiny, preset, pitch):
    notes = [Note(0.1, 0.5, pitch, 100)]
    whole = rendered(tiny.read_bytes(), preset, notes)
    part = excerpt(read_soundfont(tiny), {preset: [pitch]})
    assert len(part) < tiny.stat().st_size / 3
    assert np.abs(whole).max() > 0.01
    np.testing.assert_array_equal(rendered(part, preset, notes), whole)


def test_an_excerpt_of_several_presets_holds_each(tiny):
    part = excerpt(read_soundfont(tiny), {(8, 40): [50, 70], (0, 7): [64]})
    for preset, pitch in (((8, 40), 50), ((8, 40), 70), ((0, 7), 64)):
        notes = [Note(0.0, 0.4, pitch, 90)]
        np.testing.assert_array_equal(
            rendered(part, preset, notes), rendered(tiny.read_bytes(), preset, notes)
        )


@pytest.mark.parametrize("font", installed_soundfonts(), ids=lambda path: path.stem)
def test_an_excerpt_of_an_installed_soundfont_sounds_the_same(font):
    read = read_soundfont(font)
    for preset, pitch in (((0, 0), 61), ((128, 0), 38)):
        notes = [Note(0.0, 0.6, pitch, 90)]
        part = excerpt(read, {preset: [pitch]})
        assert len(part) < 8e6
        np.testing.assert_array_equal(
            rendered(part, preset, notes), rendered(font.read_bytes(), preset, notes)
        )


def test_a_preset_that_is_not_there_is_named(tiny):
    with pytest.raises(SubterfugeError, match="bank 3 and program 9"):
        excerpt(read_soundfont(tiny), {(3, 9): [60]})


def test_every_cut_is_noticed(tiny, tmp_path):
    whole, cut = tiny.read_bytes(), tmp_path / "cut.sf2"
    for length in [*range(0, len(whole) - 1, 997), len(whole) - 1, len(whole) - 40]:
        cut.write_bytes(whole[:length])
        with pytest.raises(SubterfugeError, match=r"cut\.sf2: .*expected"):
            read_soundfont(cut)


def test_what_is_no_soundfont_is_said(tmp_path):
    (tmp_path / "text.sf2").write_text("not a soundfont at all")
    with pytest.raises(SubterfugeError, match="is not a soundfont"):
        read_soundfont(tmp_path / "text.sf2")
    with pytest.raises(SubterfugeError, match=r"none\.sf2.*cannot be read"):
        read_soundfont(tmp_path / "none.sf2")
    with pytest.raises(SubterfugeError, match="cannot be read"):
        read_soundfont(tmp_path)
    compressed = tiny_soundfont.write(tmp_path / "packed.sf2", {(0, 0): 60}, compressed=True)
    with pytest.raises(SubterfugeError, match="SF3"):
        read_soundfont(compressed)
    with pytest.raises(SubterfugeError, match="no preset"):
        read_soundfont(tiny_soundfont.write(tmp_path / "empty.sf2", {}))
