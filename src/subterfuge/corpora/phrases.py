"""Phrases for the orchestra: what each instrument plays, as notes, drawn from a generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

# Semitones above the tonic.
SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 6, 7, 10),
)

_SHORTEST = 0.05


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch and velocity."""

    start: float
    seconds: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Piece:
    """What the phrases of one recording share: a beat in seconds, a tonic (pitch class) and a scale."""

    beat: float
    tonic: int
    scale: tuple[int, ...]


def draw_piece(rng: Generator) -> Piece:
    """Draw a tempo of 60 to 160 beats a minute, a key and a scale."""
    scale = SCALES[int(rng.integers(len(SCALES)))]
    return Piece(60 / float(rng.uniform(60, 160)), int(rng.integers(12)), scale)


def draw_phrase(rng: Generator, way: str, low: int, high: int, piece: Piece, seconds: float) -> list[Note]:
    """Notes from time 0 to ``seconds`` in one of the :data:`WAYS` of playing, within ``low`` to ``high``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> notes = draw_phrase(rng, "scale", 60, 84, Piece(0.5, 0, (0, 2, 4, 5, 7, 9, 11)), 2.0)
    >>> all(60 <= note.pitch <= 84 and note.start < 2 for note in notes)
    True
    """
    # A phrase lives in part of the range, as a player's hand or breath does.
    widest = 30 if way in ("hands", "arpeggio", "strum") else 22
    span = min(high - low, int(rng.integers(14, widest)))
    bottom = low + int(rng.integers(high - low - span + 1))
    pitches = [p for p in range(bottom, bottom + span + 1) if (p - piece.tonic) % 12 in piece.scale]
    return WAYS[way](_Draw(rng, pitches, piece, seconds, int(rng.integers(40, 118))))


@dataclass
class _Draw:
    """What a way of playing draws from: pitches in the key from low to high, and how loud."""

    rng: Generator
    pitches: list[int]
    piece: Piece
    seconds: float
    loud: int

    def one(self, *values: float) -> float:
        return float(values[int(self.rng.integers(len(values)))])

    def touch(self, accent: int = 0) -> int:
        return int(min(max(self.loud + accent + self.rng.normal(0, 7), 15), 126))

    def place(self, last: int | None = None) -> int:
        return int(self.rng.integers(len(self.pitches) if last is None else max(1, last)))


# ------------------------------------------------------------- one voice


def _line(draw: _Draw, *, values: tuple[float, ...], slowest: float = 0.0, rests: float = 0.07) -> list[Note]:
    """A random walk on the scale with a few leaps, one articulation for the phrase."""
    rng, pitches = draw.rng, draw.pitches
    beat = max(draw.piece.beat, slowest)
    notes: list[Note] = []
    at, place, held = 0.0, draw.place(), float(rng.uniform(0.6, 1.03))
    while at < draw.seconds:
        length = min(max(draw.one(*values) * beat, 0.1), draw.seconds - at)
        # Gaps stay short, as they do in music: rests of under half a second, no long note cut by half.
        if rng.random() >= rests or at == 0 or length > 0.5:
            notes.append(Note(at, max(length * held, length - 0.3, _SHORTEST), pitches[place], draw.touch()))
        at += length
        place = min(max(place + int(draw.one(-4, -2, -1, -1, 1, 1, 2, 4, 0)), 0), len(pitches) - 1)
    return notes


def _melody(draw: _Draw) -> list[Note]:
    return _line(draw, values=(0.25, 0.5, 0.5, 1, 1, 2))


def _long(draw: _Draw) -> list[Note]:
    return _line(draw, values=(2, 3, 4), slowest=0.6)


def _single(draw: _Draw) -> list[Note]:
    """One note, nearly as long as there is time for, or quite short."""
    start = float(draw.rng.uniform(0, 0.15)) * draw.seconds
    length = (draw.seconds - start) * draw.one(1.0, 1.0, float(draw.rng.uniform(0.4, 1.0)))
    if draw.rng.random() < 0.1:
        length = float(draw.rng.uniform(0.15, 0.6))
    return [
        Note(
            start, max(min(length, draw.seconds - start), _SHORTEST), draw.pitches[draw.place()], draw.touch()
        )
    ]


def _tongued(draw: _Draw) -> list[Note]:
    """A few separate notes with silence between, often the same one again."""
    notes: list[Note] = []
    at, place = float(draw.rng.uniform(0, 0.3)), draw.place()
    step = int(draw.one(0, 0, 1, 1, -1, 2))
    length = float(draw.rng.uniform(0.3, 1.3))
    while at + 0.15 < draw.seconds:
        lasts = min(length * float(draw.rng.uniform(0.85, 1.1)), draw.seconds - at)
        notes.append(Note(at, lasts, draw.pitches[place], draw.touch()))
        at += lasts + float(draw.rng.uniform(0.02, 0.5))
        place = min(max(place + step, 0), len(draw.pitches) - 1)
    return notes


def _staccato(draw: _Draw) -> list[Note]:
    short = float(draw.rng.uniform(0.05, 0.16))
    notes = _line(draw, values=(0.5, 0.5, 1), rests=0.15)
    return [Note(n.start, min(n.seconds, short), n.pitch, n.velocity) for n in notes]


def _plucked(draw: _Draw) -> list[Note]:
    """Single plucked notes, one or some, with time to ring."""
    if draw.rng.random() < 0.5:
        return [Note(float(draw.rng.uniform(0, 0.3)), 0.4, draw.pitches[draw.place()], draw.touch())]
    return _line(draw, values=(1, 1, 2), rests=0.1)


def _scale(draw: _Draw) -> list[Note]:
    return _run(draw, list(range(len(draw.pitches))))


def _slow(draw: _Draw) -> list[Note]:
    """A scale as a beginner or a sample library plays it: even notes of some length, up or down."""
    step = float(draw.rng.uniform(0.3, 0.9))
    count = max(1, int(np.ceil(draw.seconds / step)))
    first = draw.place(max(1, len(draw.pitches) - count))
    order = [min(first + i, len(draw.pitches) - 1) for i in range(count)]
    held = float(draw.rng.uniform(0.85, 1.0))
    if draw.rng.random() < 0.5:
        order.reverse()
    return [
        Note(i * step, min(step * held, draw.seconds - i * step), draw.pitches[place], draw.touch())
        for i, place in enumerate(order)
        if draw.seconds - i * step > _SHORTEST
    ]


def _broken(draw: _Draw) -> list[Note]:
    """A chord's notes one after the other, up and down, each ending as the next begins."""
    first = draw.place(2)
    return _run(draw, list(range(first, len(draw.pitches), 2)))


def _run(draw: _Draw, order: list[int]) -> list[Note]:
    cycle = order + order[-2:0:-1]
    step = max(draw.one(0.25, 0.5, 0.5, 1) * draw.piece.beat, 0.09)
    held = float(draw.rng.uniform(0.5, 1.02))
    first = int(draw.rng.integers(len(cycle)))
    count = max(1, int(draw.seconds / step))
    return [
        Note(
            i * step, max(step * held, _SHORTEST), draw.pitches[cycle[(first + i) % len(cycle)]], draw.touch()
        )
        for i in range(count)
    ]


def _repeated(draw: _Draw) -> list[Note]:
    """The same note some times over, then another."""
    step = max(draw.one(0.25, 0.5, 0.5, 1) * draw.piece.beat, 0.1)
    held, notes, place = float(draw.rng.uniform(0.4, 0.95)), [], draw.place()
    for i in range(max(1, int(draw.seconds / step))):
        if i and draw.rng.random() < 0.15:
            place = draw.place()
        notes.append(
            Note(
                i * step,
                max(step * held, _SHORTEST),
                draw.pitches[place],
                draw.touch(10 if i % 4 == 0 else 0),
            )
        )
    return notes


def _trill(draw: _Draw) -> list[Note]:
    """A long note, a trill to the next one of the scale, and again."""
    notes: list[Note] = []
    at, place = 0.0, draw.place(len(draw.pitches) - 1)
    step = float(draw.rng.uniform(0.07, 0.13))
    while at < draw.seconds:
        until = min(at + float(draw.rng.uniform(0.5, 1.4)), draw.seconds)
        shaking = draw.rng.random() < 0.6
        i = 0
        while at < until - 0.04:
            length = min(step if shaking else until - at, until - at)
            notes.append(
                Note(at, max(length, _SHORTEST), draw.pitches[place + (i % 2)], draw.touch(-8 if i else 0))
            )
            at += length
            i += 1
        at = until
        place = draw.place(len(draw.pitches) - 1)
    return notes


# ------------------------------------------------------------- several voices


def _double(draw: _Draw) -> list[Note]:
    """Two strings at once: sixths, thirds and fifths of the scale."""
    lower = _Draw(
        draw.rng, draw.pitches[: max(1, len(draw.pitches) - 5)], draw.piece, draw.seconds, draw.loud
    )
    apart = int(draw.one(2, 4, 5))
    notes = _line(lower, values=(0.5, 1, 2, 2, 4))
    upper = {p: draw.pitches[min(i + apart, len(draw.pitches) - 1)] for i, p in enumerate(draw.pitches)}
    return notes + [Note(n.start, n.seconds, upper[n.pitch], draw.touch()) for n in notes]


def _riff(draw: _Draw) -> list[Note]:
    """Power chords: root and fifth, often the octave; the upper notes leave the range for them."""
    low = _Draw(draw.rng, draw.pitches[: max(3, len(draw.pitches) // 2)], draw.piece, draw.seconds, draw.loud)
    ups = (0, 7, 12) if draw.rng.random() < 0.5 else (0, 7)
    roots = _line(low, values=(0.25, 0.5, 0.5, 1, 1, 2))
    return [Note(n.start, n.seconds, n.pitch + up, n.velocity) for n in roots for up in ups]


def _stack(draw: _Draw, size: int) -> list[int]:
    root = int(draw.rng.integers(max(1, len(draw.pitches) - 2 * (size - 1))))
    return draw.pitches[root : root + 2 * size : 2]


def _strike(draw: _Draw, chord: list[int], at: float, until: float, apart: float) -> list[Note]:
    """A chord whose notes begin ``apart`` one after the other and end together."""
    return [
        Note(at + i * apart, (until - at - i * apart) * 0.98, pitch, draw.touch())
        for i, pitch in enumerate(chord)
        if until - at - i * apart > _SHORTEST
    ]


def _block(
    draw: _Draw, values: tuple[float, ...], sizes: tuple[int, int], *, held: float = 1.0, stroke: float = 0.0
) -> list[Note]:
    notes: list[Note] = []
    at = 0.0
    size = int(draw.rng.integers(*sizes))
    chord = _stack(draw, size)
    while at < draw.seconds - 0.08 or not notes:
        length = min(draw.one(*values) * draw.piece.beat, draw.seconds - at)
        if stroke == 0 or draw.rng.random() < 0.5:
            chord = _stack(draw, size)
        up = stroke > 0 and draw.rng.random() < 0.4
        notes += _strike(draw, chord[::-1] if up else chord, at, at + max(length * held, 0.08), stroke)
        at += length
    return notes


def _chords(draw: _Draw) -> list[Note]:
    return _block(draw, (1, 2, 2, 4), (2, 5))


def _pad(draw: _Draw) -> list[Note]:
    return _block(draw, (4, 4, 8), (2, 5))


def _stabs(draw: _Draw) -> list[Note]:
    return _block(draw, (0.5, 1, 1, 1.5), (2, 5), held=float(draw.rng.uniform(0.2, 0.7)))


def _strum(draw: _Draw) -> list[Note]:
    return _block(draw, (0.5, 0.5, 1, 1), (4, 7), stroke=float(draw.rng.uniform(0.006, 0.03)))


def _chord(draw: _Draw) -> list[Note]:
    """One chord, left to ring."""
    start = float(draw.rng.uniform(0, 0.12)) * draw.seconds
    apart = draw.one(0.0, 0.005, 0.02, 0.06)
    return _strike(draw, _stack(draw, int(draw.rng.integers(2, 7))), start, draw.seconds, apart)


def _ring(draw: _Draw) -> list[Note]:
    """One note, or a few far apart, left to ring."""
    notes: list[Note] = []
    at = float(draw.rng.uniform(0, 0.12)) * draw.seconds
    often = draw.one(0.9, 4, 4, 4, 4)
    while at < draw.seconds - 0.1:
        notes.append(Note(at, draw.seconds - at, draw.pitches[draw.place()], draw.touch()))
        at += often * float(draw.rng.uniform(0.8, 1.2))
    return notes


def _arpeggio(draw: _Draw) -> list[Note]:
    """Chords broken over the strings or under the pedal: each note rings until the next chord."""
    notes: list[Note] = []
    at = 0.0
    size = int(draw.rng.integers(3, 6))
    apart = max(draw.one(0.25, 0.5) * draw.piece.beat, 0.07)
    while at < draw.seconds:
        until = min(at + draw.one(1, 2, 2, 4) * draw.piece.beat, draw.seconds)
        chord = _stack(draw, size)
        turn = chord + chord[-2:0:-1]
        for i in range(max(1, int((until - at) / apart))):
            begin = at + i * apart
            if until - begin > _SHORTEST:
                notes.append(Note(begin, (until - begin) * 0.97, turn[i % len(turn)], draw.touch()))
        at = until
    return notes


def _picked(draw: _Draw) -> list[Note]:
    """A bass note on the beat and two or three higher ones between."""
    notes: list[Note] = []
    apart = max(draw.one(0.25, 0.5) * draw.piece.beat, 0.08)
    half = max(1, len(draw.pitches) // 2)
    for i in range(max(1, int(draw.seconds / apart))):
        at = i * apart
        place = draw.place(half) if i % 4 == 0 else half + draw.place(len(draw.pitches) - half)
        place = min(place, len(draw.pitches) - 1)
        ring = min(float(draw.rng.uniform(1, 4)) * apart, draw.seconds - at)
        if ring > _SHORTEST:
            notes.append(Note(at, ring, draw.pitches[place], draw.touch(8 if i % 4 == 0 else 0)))
    return notes


def _hands(draw: _Draw) -> list[Note]:
    """A line in the upper half of the range over chords in the lower."""
    split = len(draw.pitches) // 2
    right = _Draw(draw.rng, draw.pitches[split:], draw.piece, draw.seconds, draw.loud)
    left = _Draw(draw.rng, draw.pitches[:split], draw.piece, draw.seconds, draw.loud - 18)
    return _melody(right) + (_chords(left) if draw.rng.random() < 0.6 else _arpeggio(left))


# ------------------------------------------------------------- who keeps time


def _bass(draw: _Draw) -> list[Note]:
    low = _Draw(draw.rng, draw.pitches[: max(3, len(draw.pitches) // 2)], draw.piece, draw.seconds, draw.loud)
    return _line(low, values=(0.5, 1, 1, 2))


def _walk(draw: _Draw) -> list[Note]:
    return _line(draw, values=(1,), rests=0.0)


# Kick, snare, closed and open hat, ride, by sixteenths of a bar: each hit and its chance.
_GROOVES: tuple[dict[int, dict[int, float]], ...] = (
    {36: {0: 1, 8: 0.9, 10: 0.4, 6: 0.3}, 38: {4: 1, 12: 1}, 42: dict.fromkeys(range(0, 16, 2), 0.95)},
    {
        36: {0: 1, 6: 0.8, 10: 0.8},
        40: {4: 1, 12: 1, 15: 0.2},
        42: dict.fromkeys(range(16), 0.85),
        46: {14: 0.5},
    },
    {
        36: {0: 0.6, 8: 0.4},
        38: {14: 0.2, 7: 0.2},
        51: {0: 1, 4: 1, 6: 0.8, 8: 1, 12: 1, 14: 0.8},
        44: {4: 1, 12: 1},
    },
    {36: {0: 1, 4: 1, 8: 1, 12: 1}, 39: {4: 0.8, 12: 0.8}, 46: {2: 0.9, 6: 0.9, 10: 0.9, 14: 0.9}},
    {
        36: {0: 1, 7: 0.6},
        37: {3: 0.6, 6: 0.6, 12: 0.7},
        42: dict.fromkeys(range(16), 0.7),
        54: {4: 0.6, 12: 0.6},
    },
)


def _drums(draw: _Draw) -> list[Note]:
    """A groove by sixteenths, each hit with its chance; pitches are a kit's, whatever the range."""
    groove = _GROOVES[int(draw.rng.integers(len(_GROOVES)))]
    step, first = draw.piece.beat / 4, int(draw.rng.integers(16))
    notes = []
    for i in range(int(draw.seconds / step)):
        for pitch, hits in groove.items():
            chance = hits.get((i + first) % 16, 0.0)
            if chance and draw.rng.random() < chance:
                notes.append(Note(i * step, 0.1, pitch, draw.touch(-12 if pitch in (42, 44, 51) else 0)))
    return notes or [Note(0.0, 0.1, 36, draw.touch())]


WAYS: dict[str, Callable[[_Draw], list[Note]]] = {
    "melody": _melody,
    "long": _long,
    "single": _single,
    "tongued": _tongued,
    "staccato": _staccato,
    "plucked": _plucked,
    "scale": _scale,
    "slow": _slow,
    "broken": _broken,
    "repeated": _repeated,
    "trill": _trill,
    "double": _double,
    "riff": _riff,
    "chords": _chords,
    "chord": _chord,
    "pad": _pad,
    "stabs": _stabs,
    "strum": _strum,
    "ring": _ring,
    "arpeggio": _arpeggio,
    "picked": _picked,
    "hands": _hands,
    "bass": _bass,
    "walk": _walk,
    "drums": _drums,
}
"""The ways of playing, by name."""
