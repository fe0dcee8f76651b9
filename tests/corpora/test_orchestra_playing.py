"""What is written as MIDI is heard: pitch, time, bends, loudness; and a player's tone does what it says."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tiny_soundfont

from subterfuge.corpora.phrases import Note
from subterfuge.corpora.playing import (
    SAMPLE_RATE,
    Manner,
    Part,
    Slot,
    draw_manner,
    midi,
    perform,
    render,
)
from subterfuge.corpora.soundfonts import read_soundfont


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    # Key 57 of a sample at 220 Hz: below key 64 it sounds plainly as MIDI says.
    path = tmp_path_factory.mktemp("font") / "tiny.sf2"
    return read_soundfont(tiny_soundfont.write(path, {(0, 40): 57, (128, 0): 57}))


def hertz(y, begin, end):
    """The strongest frequency between two seconds, to a fraction of a hertz."""
    piece = y.mean(axis=0)[int(begin * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 19))
    return np.fft.rfftfreq(1 << 19, 1 / SAMPLE_RATE)[spectrum.argmax()]


def level(y, begin, end):
    return 20 * np.log10(
        np.sqrt(np.mean(np.square(y[:, int(begin * SAMPLE_RATE) : int(end * SAMPLE_RATE)]))) + 1e-9
    )


def test_notes_are_heard_where_they_are_written_and_nowhere_else(font):
    part = Part((0, 40), [Note(0.5, 0.6, 57, 100), Note(1.4, 0.5, 60, 100)])
    empty, one, other = render(
        font, [Slot((), 1.0), Slot((part,), 2.5), Slot((Part((0, 40), [Note(0.0, 9.0, 59, 90)]),), 1.0)]
    )
    assert [y.shape for y in (empty, one, other)] == [(2, 44100), (2, 110250), (2, 44100)]
    assert np.abs(empty).max() < 1e-3
    assert np.abs(one[:, : int(0.49 * SAMPLE_RATE)]).max() < 1e-3
    assert hertz(one, 0.6, 1.0) == pytest.approx(220.0, abs=0.5)
    assert hertz(one, 1.5, 1.8) == pytest.approx(261.6, abs=0.7)
    assert hertz(other, 0.2, 0.9) == pytest.approx(246.9, abs=0.5)


def test_a_note_left_on_does_not_ring_into_the_next_slot(font):
    held = Slot((Part((0, 40), [Note(0.0, 9.0, 57, 100)]),), 1.0)
    _, silent = render(font, [held, Slot((), 1.0)])
    assert np.abs(silent).max() < 1e-3


def test_speed_moves_pitch_and_keeps_time(font):
    slot = Slot((Part((0, 40), [Note(0.5, 1.0, 57, 100)]),), 2.0, speed=2 ** (3 / 12))
    (y,) = render(font, [slot])
    assert y.shape == (2, 88200)
    assert hertz(y, 0.7, 1.3) == pytest.approx(220 * 2 ** (3 / 12), abs=0.6)
    assert level(y, 0.0, 0.48) < -55 < -40 < level(y, 0.6, 1.4)


def test_bends_and_loudness_are_followed(font):
    t = np.arange(200) / 100
    bend = np.where(t < 1, 0.0, 2.0)
    loud = np.where(t < 1, 0.0, -12.0)
    (y,) = render(font, [Slot((Part((0, 40), [Note(0.0, 2.0, 57, 100)], bend, loud),), 2.0)])
    assert hertz(y, 0.3, 0.9) == pytest.approx(220.0, abs=0.5)
    assert hertz(y, 1.2, 1.9) == pytest.approx(220 * 2 ** (2 / 12), abs=0.5)
    assert level(y, 0.3, 0.9) - level(y, 1.2, 1.9) == pytest.approx(12, abs=0.5)


def test_drums_and_a_tone_play_together(font):
    parts = (Part((128, 0), [Note(0.0, 0.1, 57, 100)]), Part((0, 40), [Note(0.5, 0.5, 57, 100)]))
    (y,) = render(font, [Slot(parts, 1.0)])
    assert level(y, 0.0, 0.1) > -45 and level(y, 0.6, 0.9) > -45


def test_vibrato_has_its_rate_and_depth_and_sets_in_late():
    manner = Manner(vibrato_hz=5.0, vibrato_cents=40, vibrato_delay=0.5)
    part = perform(np.random.default_rng(0), (0, 40), [Note(0.0, 4.0, 60, 90)], manner)
    assert part.bend is not None
    cents = 100 * part.bend
    assert np.abs(cents[:25]).max() < 0.01
    steady = cents[150:350]
    assert np.abs(steady).max() == pytest.approx(40, rel=0.05)
    crossings = np.sum(np.diff(np.sign(steady)) != 0)
    assert crossings == pytest.approx(2 * 5.0 * 2.0, abs=3)


def test_slurred_notes_are_one_note_bent():
    notes = [Note(0.0, 0.5, 60, 90), Note(0.5, 0.5, 62, 90), Note(1.0, 0.5, 69, 90)]
    part = perform(np.random.default_rng(0), (0, 40), notes, Manner(slur=1.0))
    assert part.bend is not None
    # A step of two semitones is slurred; one of seven is not.
    assert [(n.start, n.seconds, n.pitch) for n in part.notes] == [(0.0, 1.0, 60), (1.0, 0.5, 69)]
    assert part.bend[25] == 0 and part.bend[75] == 2 and part.bend[125] == 0


def test_a_scoop_comes_from_below_and_settles():
    part = perform(
        np.random.default_rng(1),
        (0, 40),
        [Note(0.1 + k, 0.8, 60, 90) for k in range(8)],
        Manner(scoop_cents=100, scoop_seconds=0.05),
    )
    assert part.bend is not None
    begins = [part.bend[round((0.1 + k) * 100) + 1] for k in range(8)]
    assert sum(b < -0.1 for b in begins) >= 4 and max(begins) <= 1e-9
    assert all(abs(part.bend[int((0.1 + k) * 100) + 60]) < 0.01 for k in range(8))


def test_a_machine_changes_nothing():
    notes = (Note(0.0, 0.5, 60, 90), Note(0.0, 0.5, 64, 80))
    part = perform(np.random.default_rng(0), (0, 0), notes, Manner())
    assert part.notes == notes
    assert not part.bend.any() and not part.loudness.any()


@pytest.mark.parametrize("family", ["bowed", "blown", "sung", "plucked", "keys", "struck"])
def test_manners_stay_within_reason_and_plain_ones_shake_less(family):
    drawn = [draw_manner(np.random.default_rng(i), family) for i in range(300)]
    plain = [draw_manner(np.random.default_rng(i), family, plain=True) for i in range(300)]
    for manner in drawn + plain:
        assert 0 <= manner.vibrato_cents <= 90 and 0.5 < manner.vibrato_hz < 8
        assert manner.glide_seconds < 0.08 and manner.swell_db <= 14
    if family in ("bowed", "blown", "sung"):
        shaking = [np.mean([m.vibrato_cents > 0 for m in group]) for group in (drawn, plain)]
        assert shaking[1] < 0.6 * shaking[0]


def test_the_file_is_standard_midi():
    mido = pytest.importorskip("mido", reason="mido is not installed")
    part = Part((8, 40), [Note(0.25, 0.5, 60, 100)], np.full(100, -1.5), np.full(100, -6.0))
    file = mido.MidiFile(file=io.BytesIO(midi([Slot((part,), 1.0), Slot((part,), 1.0)])))
    at, seen = 0.0, []
    for message in file:
        at += message.time
        seen.append((round(at, 2), message))
    notes = [(at, m.note, m.velocity) for at, m in seen if m.type == "note_on"]
    assert [(note, velocity) for _, note, velocity in notes] == [(60, 100)] * 2
    assert notes[0][0] == 0.25 and notes[1][0] == pytest.approx(1.25, abs=0.01)
    assert {m.program for _, m in seen if m.type == "program_change"} == {40}
    assert {m.value for _, m in seen if m.type == "control_change" and m.control == 0} == {8}
    assert {m.pitch for _, m in seen if m.type == "pitchwheel"} == {0, -1024}
    # -6 dB where the synthesiser squares the expression
    quiet = min(m.value for _, m in seen if m.type == "control_change" and m.control == 11)
    assert quiet == pytest.approx(127 * 10 ** (-6 / 40), abs=0.5)
