"""What is played stays in the instrument's range, in the key and in time, and is the same again."""

from __future__ import annotations

import numpy as np
import pytest

from subterfuge.corpora.instruments import BACKING, INSTRUMENTS, PIZZICATO
from subterfuge.corpora.phrases import WAYS, Piece, draw_phrase, draw_piece
from subterfuge.labels import FULL_NAMES

PLAYERS = [
    *((label, player.voices, (*player.ways, *player.alone)) for label, player in INSTRUMENTS.items()),
    *((backing.name, backing.voices, backing.ways) for backing in BACKING),
    *((f"{label} plucked", voices, ("plucked",)) for label, voices in PIZZICATO.items()),
]


def phrases(way, count=40, low=45, high=80, seconds=4.2):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        piece = draw_piece(rng)
        yield piece, draw_phrase(rng, way, low, high, piece, seconds)


def test_every_class_has_an_instrument_and_every_way_a_player():
    assert set(INSTRUMENTS) == set(FULL_NAMES)
    assert {way for _, _, ways in PLAYERS for way in ways} == set(WAYS)
    for backing in BACKING:
        assert set(backing.not_for) <= set(FULL_NAMES)


def test_nobody_is_accompanied_by_the_like():
    """Piano under a piano, or a guitar under a guitar, would make the label a matter of taste."""
    programs = {label: {v.program for v in player.voices} for label, player in INSTRUMENTS.items()}
    for backing in BACKING:
        for label in FULL_NAMES:
            if backing.name != "drums" and {v.program for v in backing.voices} & programs[label]:
                assert label in backing.not_for, (backing.name, label)


@pytest.mark.parametrize(("name", "voices", "ways"), PLAYERS, ids=[name for name, _, _ in PLAYERS])
def test_in_range_in_key_in_time(name, voices, ways):
    for seed in range(12):
        for voice in voices:
            for way in sorted(set(ways)):
                rng = np.random.default_rng(seed)
                piece = draw_piece(rng)
                seconds = float(rng.uniform(2.5, 4.2))
                notes = draw_phrase(rng, way, voice.low, voice.high, piece, seconds)
                assert notes
                for note in notes:
                    assert 0 <= note.start < seconds and note.seconds > 0.03
                    assert note.start + note.seconds < seconds + 0.35
                    assert 1 <= note.velocity <= 127
                    if way == "drums":
                        continue
                    # A power chord's fifth and octave may lie above the range and outside the scale.
                    assert voice.low <= note.pitch <= voice.high + (12 if way == "riff" else 0)
                    assert way == "riff" or (note.pitch - piece.tonic) % 12 in piece.scale


@pytest.mark.parametrize("way", sorted(WAYS))
def test_the_same_generator_plays_the_same(way):
    one, two = ([notes for _, notes in phrases(way, 3)] for _ in range(2))
    assert one == two
    if way != "drums":
        assert one[0] != one[1]


@pytest.mark.parametrize("way", ["melody", "long", "staccato", "repeated", "slow", "trill", "single", "walk"])
def test_one_voice_never_sounds_with_itself(way):
    for _, notes in phrases(way):
        ends = [note.start + note.seconds for note in notes]
        gaps = [after.start - end for after, end in zip(notes[1:], ends, strict=False)]
        assert all(-0.08 < gap < 1.6 for gap in gaps)


def test_long_notes_are_long_and_staccato_short():
    assert min(n.seconds for _, notes in phrases("long") for n in notes[:-1]) > 0.5
    assert max(n.seconds for _, notes in phrases("staccato") for n in notes) <= 0.16
    assert all(len(notes) == 1 for _, notes in phrases("single"))
    assert np.median([notes[0].seconds for _, notes in phrases("single")]) > 2


def test_a_slow_scale_goes_step_by_step():
    for piece, notes in phrases("slow"):
        places = [n.pitch for n in notes]
        steps = np.abs(np.diff(places))
        widest = max(np.diff([*piece.scale, piece.scale[0] + 12]))
        assert steps.size == 0 or steps.max() <= widest


def test_double_stops_and_chords_sound_together():
    for way, least in (("double", 2), ("chords", 2), ("strum", 3), ("riff", 2), ("chord", 2)):
        most = []
        for _, notes in phrases(way, 15):
            t = notes[len(notes) // 2].start + 0.045
            most.append(sum(n.start <= t < n.start + n.seconds for n in notes))
        assert np.median(most) >= least, way


def test_drums_keep_time():
    """Every hit falls on a sixteenth, and the bar comes again: most grooves have a kick and a backbeat."""
    for piece, notes in phrases("drums"):
        steps = np.array([n.start / (piece.beat / 4) for n in notes])
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert {n.pitch for n in notes} <= set(range(35, 60))


def test_a_narrow_range_is_enough():
    piece = Piece(0.5, 0, (0, 2, 4, 5, 7, 9, 11))
    for way in WAYS:
        for seed in range(20):
            assert draw_phrase(np.random.default_rng(seed), way, 60, 74, piece, 3.0), way
