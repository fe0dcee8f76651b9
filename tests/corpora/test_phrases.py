"""What is played stays in the instrument's range, in the key and in time, and is the same again."""

from __future__ import annotations

import numpy as np
import pytest

from subterfuge.corpora.phrases import ACCOMPANIMENT, INSTRUMENTS, draw_phrase, draw_piece
from subterfuge.labels import FULL_NAMES

PLAYERS = [*INSTRUMENTS.items(), *((f"accompaniment {i}", player) for i, player in enumerate(ACCOMPANIMENT))]


def test_every_class_has_an_instrument():
    assert set(INSTRUMENTS) == set(FULL_NAMES)


@pytest.mark.parametrize(("name", "player"), PLAYERS, ids=[name for name, _ in PLAYERS])
def test_in_range_in_key_in_time(name, player):
    for seed in range(30):
        for _, low, high in player.voices:
            for way in player.ways:
                rng = np.random.default_rng(seed)
                piece = draw_piece(rng)
                notes = draw_phrase(rng, way, low, high, piece, 4.2)
                assert notes
                for note in notes:
                    # A power chord's fifth may lie above the range and outside the scale.
                    assert low <= note.pitch <= high + (7 if way == "riff" else 0)
                    assert way == "riff" or (note.pitch - piece.tonic) % 12 in piece.scale
                    assert 0 <= note.start < 4.2 and note.seconds > 0.03 and note.start + note.seconds < 4.4
                    assert 1 <= note.velocity <= 127


def test_the_same_generator_plays_the_same():
    def phrase(seed):
        rng = np.random.default_rng(seed)
        return draw_phrase(rng, "melody", 40, 80, draw_piece(rng), 4.2)

    assert phrase(1) == phrase(1) != phrase(2)


def test_one_voice_never_overlaps_itself_much_nor_rests_long():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        notes = draw_phrase(rng, "melody", 55, 80, draw_piece(rng), 4.2)
        ends = [note.start + note.seconds for note in notes]
        gaps = [b.start - end for b, end in zip(notes[1:], ends, strict=False)]
        assert all(-0.07 < gap < 1.6 for gap in gaps)
