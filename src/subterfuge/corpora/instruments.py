"""The instruments of the orchestra: the presets that sound a class, their ranges, and how each is played."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """A preset that can stand for an instrument.

    Attributes
    ----------
    program : int
        General MIDI program, from 0.
    low, high : int
        Range, as MIDI pitches, in which it is at home.
    weight : float
        How often it is taken, against the class's other voices.
    bank : int
        Variations are in other banks than 0; a soundfont that lacks them goes without.
    shift : float
        Semitones by which the whole sound is moved, formants and all: a viola played lower is nearly a cello.
    """

    program: int
    low: int
    high: int
    weight: float = 1.0
    bank: int = 0
    shift: float = 0.0


@dataclass(frozen=True)
class Instrument:
    """How a class is played.

    Attributes
    ----------
    voices : tuple of Voice
    ways : tuple of str
        Ways of playing in music; one named twice comes twice as often.
    alone : tuple of str
        Ways of playing for a recording of nothing else, as of a sample library or a lesson.
    family : str
        ``bowed``, ``blown``, ``sung``, ``plucked``, ``struck`` or ``keys``: what a tone does while it lasts.
    """

    voices: tuple[Voice, ...]
    ways: tuple[str, ...]
    alone: tuple[str, ...]
    family: str

    @property
    def sustained(self) -> bool:
        """Whether the tone can swell and take vibrato."""
        return self.family in ("bowed", "blown", "sung")


_LINE = ("melody", "melody", "melody", "long", "long", "scale", "broken", "repeated", "staccato", "trill")
_NOTES = (
    *("single",) * 7,
    *("long",) * 2,
    *("slow",) * 3,
    *("tongued",) * 2,
    *("melody", "scale", "staccato"),
)
_BOWED = (*_LINE, "double")
_BOWED_ALONE = (*_NOTES, "double", "plucked", "plucked", "plucked")

INSTRUMENTS = {
    "cel": Instrument(
        (
            Voice(42, 36, 72, 6),
            Voice(41, 43, 67, 0.8, shift=-5),
            Voice(43, 36, 55, 0.6, shift=5),
            Voice(48, 36, 67, 0.4, bank=40),
            Voice(44, 36, 67, 0.3, bank=40),
        ),
        _BOWED,
        _BOWED_ALONE,
        "bowed",
    ),
    "cla": Instrument(
        (Voice(71, 50, 89, 4), Voice(71, 46, 80, 0.7, shift=-5), Voice(71, 55, 91, 0.7, shift=4)),
        _LINE,
        _NOTES,
        "blown",
    ),
    "flu": Instrument(
        (
            Voice(73, 60, 96, 5),
            Voice(73, 60, 91, 0.7, shift=-4),
            Voice(73, 62, 96, 0.7, shift=4),
            Voice(72, 72, 96, 0.5, shift=-4),
            Voice(74, 67, 91, 0.4),
            Voice(77, 60, 86, 0.3),
        ),
        _LINE,
        _NOTES,
        "blown",
    ),
    "gac": Instrument(
        (Voice(24, 40, 76, 3), Voice(25, 40, 76, 3), Voice(25, 40, 74, 0.7, bank=8)),
        ("strum", "strum", "arpeggio", "arpeggio", "picked", "melody", "chords"),
        (*("ring",) * 6, *("chord",) * 5, "strum", "arpeggio", "picked", "melody"),
        "plucked",
    ),
    "gel": Instrument(
        (
            Voice(26, 40, 79),
            Voice(27, 40, 81, 1.5),
            Voice(28, 40, 72, 0.6),
            Voice(28, 40, 76, 0.5, bank=8),
            Voice(29, 40, 84, 1.5),
            Voice(30, 40, 84, 1.5),
            Voice(30, 45, 81, 0.3, bank=8),
        ),
        ("melody", "melody", "strum", "riff", "riff", "arpeggio", "picked", "repeated", "long"),
        (*("ring",) * 3, *("chord",) * 2, "riff", "strum", "melody", "arpeggio", "long"),
        "plucked",
    ),
    "org": Instrument(
        (
            Voice(16, 36, 88, 2),
            Voice(16, 36, 88, 1, bank=8),
            Voice(17, 36, 88, 2),
            Voice(17, 36, 88, 1, bank=8),
            Voice(18, 36, 88, 3),
            Voice(19, 36, 88, 2),
            Voice(19, 36, 88, 1, bank=8),
            Voice(20, 41, 84, 0.7),
        ),
        ("chords", "chords", "hands", "hands", "melody", "pad", "stabs"),
        ("chord", "ring", "hands", "chords", "pad", "melody"),
        "keys",
    ),
    "pia": Instrument(
        (
            Voice(0, 28, 96, 3),
            Voice(0, 28, 96, 1.5, bank=8),
            Voice(1, 28, 96, 2),
            Voice(2, 33, 93, 0.8),
            Voice(3, 33, 93, 0.7),
        ),
        ("hands", "hands", "hands", "chords", "arpeggio", "melody", "picked", "stabs"),
        ("ring", "ring", "chord", "chord", "hands", "arpeggio", "melody", "chords"),
        "struck",
    ),
    "sax": Instrument(
        (
            Voice(64, 58, 87),
            Voice(65, 50, 82, 1.7),
            Voice(66, 45, 76, 1.7),
            Voice(67, 37, 69),
            # A size up or down: soprano from alto, alto from tenor, tenor from alto, alto from soprano.
            Voice(65, 56, 87, 0.5, shift=5),
            Voice(66, 50, 82, 0.7, shift=5),
            Voice(65, 45, 76, 0.7, shift=-5),
            Voice(64, 50, 82, 0.5, shift=-6),
        ),
        _LINE,
        _NOTES,
        "blown",
    ),
    "tru": Instrument(
        (
            Voice(56, 54, 84, 5),
            Voice(56, 52, 80, 0.7, shift=-4),
            Voice(56, 57, 84, 0.7, shift=4),
            Voice(59, 54, 82, 1.5),
            Voice(57, 48, 72, 0.5, shift=6),
        ),
        _LINE,
        _NOTES,
        "blown",
    ),
    "vio": Instrument(
        (
            Voice(40, 55, 96, 4),
            Voice(40, 55, 96, 1, bank=8),
            Voice(110, 55, 88, 1.2),
            Voice(41, 52, 84, 0.8, shift=4),
            Voice(44, 55, 88, 0.3, bank=20),
        ),
        _BOWED,
        _BOWED_ALONE,
        "bowed",
    ),
    "voi": Instrument(
        (
            Voice(52, 45, 79, 2),
            Voice(53, 45, 79, 2),
            Voice(54, 45, 79, 1),
            Voice(85, 48, 81, 1.5),
            Voice(81, 43, 79, 5),
        ),
        ("melody", "melody", "melody", "melody", "long", "chords", "repeated", "scale"),
        ("long", "single", "melody", "melody", "scale", "chord"),
        "sung",
    ),
}

# For "plucked" on bowed strings: the pizzicato of the soundfont, whatever the voice.
PIZZICATO = {
    "cel": (Voice(45, 36, 67, bank=40), Voice(45, 36, 62)),
    "vio": (Voice(45, 55, 88, bank=20), Voice(45, 60, 88)),
}

# Voices that are a plain, rich tone: only what :mod:`subterfuge.corpora.timbre` makes of them is sung.
SOURCES = frozenset({81})


@dataclass(frozen=True)
class Backing:
    """One who plays along: what on, in which ways, how loud against the others, and for whom not.

    ``bars`` is who keeps time and is drawn apart: ``drums`` or ``bass``.
    """

    name: str
    voices: tuple[Voice, ...]
    ways: tuple[str, ...]
    not_for: tuple[str, ...] = ()


BACKING = (
    Backing("drums", tuple(Voice(p, 35, 59, bank=128) for p in (0, 8, 16, 25, 32, 40)), ("drums",)),
    Backing(
        "bass",
        (Voice(32, 28, 50), Voice(33, 28, 50), Voice(34, 28, 50), Voice(35, 28, 50), Voice(38, 28, 50, 0.4)),
        ("bass", "bass", "walk"),
    ),
    Backing(
        "piano",
        (Voice(0, 36, 79), Voice(4, 36, 76), Voice(5, 40, 76)),
        ("chords", "arpeggio", "stabs"),
        ("pia",),
    ),
    Backing(
        "guitar", (Voice(24, 40, 72), Voice(25, 40, 72)), ("strum", "arpeggio", "picked"), ("gac", "gel")
    ),
    Backing(
        "electric",
        (Voice(27, 40, 72), Voice(28, 40, 72), Voice(29, 40, 64)),
        ("strum", "riff", "picked"),
        ("gel", "gac"),
    ),
    Backing(
        "strings",
        (Voice(48, 40, 81), Voice(49, 40, 81), Voice(50, 45, 79)),
        ("pad", "chords"),
        ("vio", "cel"),
    ),
    Backing("pad", (Voice(89, 40, 76), Voice(88, 45, 76), Voice(95, 45, 76)), ("pad",), ("org",)),
    Backing("organ", (Voice(16, 40, 76), Voice(18, 40, 76)), ("pad", "chords"), ("org",)),
    Backing("brass", (Voice(61, 48, 77), Voice(60, 41, 70)), ("stabs", "pad"), ("tru", "sax")),
    Backing(
        "winds",
        (Voice(68, 58, 86), Voice(73, 62, 90), Voice(70, 36, 67)),
        ("long", "melody"),
        ("flu", "cla", "sax"),
    ),
    Backing("harpsichord", (Voice(6, 40, 81), Voice(46, 40, 84)), ("arpeggio", "chords"), ("pia",)),
)
