"""Phrases for the orchestra: what each instrument plays, as notes, drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

# Semitones above the tonic.
SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 6, 7, 10),
)


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch and velocity."""

    start: float
    seconds: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Instrument:
    """How a class is played.

    Attributes
    ----------
    voices : tuple of (program, lowest pitch, highest pitch)
        General MIDI programs (from 0) with the range in which each is at home.
    ways : tuple of str
        Ways of playing to draw from; one named twice comes twice as often.
    sustained : bool
        Bowed, blown or sung: the tone can swell and take vibrato.
    """

    voices: tuple[tuple[int, int, int], ...]
    ways: tuple[str, ...]
    sustained: bool = False


_LINE = ("melody", "melody", "melody", "long")

INSTRUMENTS = {
    "cel": Instrument(((42, 36, 69),), _LINE, True),
    "cla": Instrument(((71, 50, 86),), _LINE, True),
    "flu": Instrument(((73, 60, 93),), _LINE, True),
    "gac": Instrument(((24, 40, 74), (25, 40, 74)), ("strum", "arpeggio", "arpeggio", "melody")),
    "gel": Instrument(
        tuple((program, 40, 81) for program in (26, 27, 28, 29, 30)), ("melody", "strum", "riff", "arpeggio")
    ),
    "org": Instrument(
        tuple((program, 36, 84) for program in (16, 17, 18, 19, 20)), ("chords", "hands", "melody")
    ),
    "pia": Instrument(
        tuple((program, 33, 93) for program in (0, 1, 2, 3)), ("hands", "chords", "arpeggio", "melody")
    ),
    "sax": Instrument(((64, 58, 86), (65, 50, 80), (66, 45, 75), (67, 37, 67)), _LINE, True),
    "tru": Instrument(((56, 55, 82), (56, 55, 82), (59, 55, 79)), _LINE, True),
    "vio": Instrument(((40, 56, 95),), _LINE, True),
    "voi": Instrument(
        ((52, 48, 77), (53, 48, 77), (54, 48, 77)), ("melody", "melody", "chords", "long"), True
    ),
}

# What may play along, quietly: keys, guitar, basses, strings and a pad.
ACCOMPANIMENT = (
    Instrument(((0, 36, 72), (4, 36, 72)), ("chords", "arpeggio")),
    Instrument(((24, 40, 70), (25, 40, 70)), ("strum", "arpeggio")),
    Instrument(((32, 28, 48), (33, 28, 48), (43, 28, 50)), ("melody",)),
    Instrument(((48, 40, 76), (89, 40, 76)), ("chords",)),
)


@dataclass(frozen=True)
class Piece:
    """What the phrases of one recording share: a beat in seconds, a tonic (pitch class) and a scale."""

    beat: float
    tonic: int
    scale: tuple[int, ...]


def draw_piece(rng: Generator) -> Piece:
    """Draw a tempo of 60 to 150 beats a minute, a key and a scale."""
    scale = SCALES[int(rng.integers(len(SCALES)))]
    return Piece(60 / float(rng.uniform(60, 150)), int(rng.integers(12)), scale)


def draw_phrase(rng: Generator, way: str, low: int, high: int, piece: Piece, seconds: float) -> list[Note]:
    """Notes from time 0 to ``seconds`` in one way of playing, all within ``low`` to ``high``."""
    # A phrase lives in part of the range, as a player's hand or breath does.
    span = min(high - low, int(rng.integers(14, 22)))
    bottom = low + int(rng.integers(high - low - span + 1))
    pitches = [p for p in range(bottom, bottom + span + 1) if (p - piece.tonic) % 12 in piece.scale]
    loud = int(rng.integers(55, 112))
    match way:
        case "melody":
            return _line(rng, pitches, piece.beat, seconds, loud)
        case "long":
            return _line(rng, pitches, max(piece.beat, 0.6), seconds, loud, values=(2, 3, 4))
        case "riff":
            roots = _line(rng, pitches[: max(3, len(pitches) // 2)], piece.beat, seconds, loud)
            return [Note(n.start, n.seconds, n.pitch + up, n.velocity) for n in roots for up in (0, 7)]
        case "hands":
            split = len(pitches) // 2
            right = _line(
                rng, [p + 12 if p + 12 <= high else p for p in pitches[split:]], piece.beat, seconds, loud
            )
            return right + _chords(rng, pitches[:split], piece.beat, seconds, loud - 18, "chords")
    return _chords(rng, pitches, piece.beat, seconds, loud, way)


def _line(
    rng: Generator,
    pitches: list[int],
    beat: float,
    seconds: float,
    loud: int,
    values: tuple[float, ...] = (0.25, 0.5, 0.5, 1, 1, 2),
) -> list[Note]:
    """One voice: a random walk on the scale with a few leaps, one articulation for the phrase."""
    notes = []
    at, place, held = 0.0, int(rng.integers(len(pitches))), float(rng.uniform(0.55, 1.03))
    while at < seconds:
        length = min(max(float(rng.choice(values)) * beat, 0.1), seconds - at)
        # Gaps stay short, as they do in music: rests of under half a second, and no long note cut by half.
        if rng.random() < 0.93 or at == 0 or length > 0.5:
            lasts = max(length * held, length - 0.3, 0.06)
            notes.append(Note(at, lasts, pitches[place], _touch(rng, loud)))
        at += length
        step = int(rng.choice((-4, -2, -1, -1, 1, 1, 2, 4, 0)))
        place = min(max(place + step, 0), len(pitches) - 1)
    return notes


def _chords(
    rng: Generator, pitches: list[int], beat: float, seconds: float, loud: int, way: str
) -> list[Note]:
    """Stacked thirds of the scale, struck together, strummed over the strings or broken."""
    notes: list[Note] = []
    at = 0.0
    size = int(rng.integers(4, 7)) if way == "strum" else int(rng.integers(2, 5))
    stroke = float(rng.uniform(0.006, 0.03)) if way == "strum" else 0.0
    spread = float(rng.choice((0.25, 0.5))) * beat if way == "arpeggio" else stroke
    while at < seconds:
        length = min(float(rng.choice((0.5, 1, 1) if way == "strum" else (1, 2, 2, 4))) * beat, seconds - at)
        root = int(rng.integers(max(1, len(pitches) - 2 * (size - 1))))
        chord = pitches[root : root + 2 * size : 2]
        if way == "strum" and rng.random() < 0.4:
            chord = chord[::-1]
        strikes = max(1, int(length / spread)) if way == "arpeggio" else len(chord)
        for i in range(strikes):
            begin = at + i * spread
            ring = at + length - begin
            if ring > 0.04:
                notes.append(Note(begin, ring * 0.97, chord[i % len(chord)], _touch(rng, loud)))
        at += length
    return notes


def _touch(rng: Generator, loud: int) -> int:
    return int(min(max(loud + rng.normal(0, 7), 20), 124))
