"""Playing notes on a soundfont: vibrato, glides and swells as MIDI, and many phrases rendered in one call."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from subterfuge.corpora.phrases import Note
from subterfuge.corpora.soundfonts import DRUMS, Preset, Soundfont, excerpt

SAMPLE_RATE = 44100

_RENDER_RATE = 48000  # midirenderer's own
_TICKS = 2000  # a second: 1000 a beat at MIDI's own tempo of 120 beats a minute
_GRID = 100  # points a second at which bends and swells are given
_BEND_RANGE = 12  # semitones
_BLOCK = 64  # samples that the renderer makes at once; events fall on their boundaries
_DRUM_CHANNEL = 9

Audio = NDArray[np.float32]
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Manner:
    """How a player shapes a tone; all zeros is a machine.

    Attributes
    ----------
    vibrato_hz, vibrato_cents, vibrato_delay : float
        Rate, depth, and seconds until it sets in.
    tremor_db : float
        How much the loudness follows the vibrato.
    scoop_cents, scoop_seconds : float
        Notes begin so much too low (or high) and how long they take to settle.
    glide_seconds : float
        Time constant of gliding from one note to the next; 0 for none.
    slur : float
        Share of small steps that are played on one breath or bow, without a new attack.
    swell_db, swell_hz : float
        Slow waxing and waning.
    onset_seconds : float
        Time over which a note fades in, on top of the sample's own attack.
    decay_db : float
        How much a long note dies away (or grows) in a second.
    drift_cents : float
        How far the tuning wanders.
    """

    vibrato_hz: float = 5.5
    vibrato_cents: float = 0.0
    vibrato_delay: float = 0.3
    tremor_db: float = 0.0
    scoop_cents: float = 0.0
    scoop_seconds: float = 0.06
    glide_seconds: float = 0.0
    slur: float = 0.0
    swell_db: float = 0.0
    swell_hz: float = 0.4
    onset_seconds: float = 0.0
    decay_db: float = 0.0
    drift_cents: float = 0.0


@dataclass(frozen=True)
class Part:
    """One preset playing notes: bend in semitones and loudness in dB (0 at most), 100 points a second."""

    preset: Preset
    notes: Sequence[Note]
    bend: Curve | None = None
    loudness: Curve | None = None
    level: float = 1.0


@dataclass(frozen=True)
class Slot:
    """Parts that are heard together, for so many seconds of sound.

    ``speed`` is how much faster the sound is played than rendered: it moves pitch and formants alike.
    """

    parts: Sequence[Part]
    seconds: float
    speed: float = 1.0


def draw_manner(rng: Generator, family: str, *, plain: bool = False) -> Manner:
    """Draw how a player of a family (:class:`subterfuge.corpora.instruments.Instrument`) shapes tones.

    ``plain`` is how notes are played for a sample library, or by a pupil: mostly straight.
    """
    often = 0.45 if plain else 1.0

    def some(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance * often else 0.0

    if family in ("bowed", "blown", "sung"):
        deep = {"bowed": (8, 45), "blown": (5, 30), "sung": (15, 90)}[family]
        return Manner(
            vibrato_hz=float(rng.uniform(4.2, 7.2)),
            vibrato_cents=some(0.55 if family == "blown" else 0.75, *deep),
            vibrato_delay=float(rng.uniform(0.0, 0.7)),
            tremor_db=some(0.5, 0.5, 5 if family == "blown" else 3),
            scoop_cents=some(0.4, 10, 120) * (1 if rng.random() < 0.8 else -0.5),
            scoop_seconds=float(rng.uniform(0.02, 0.12)),
            glide_seconds=some({"bowed": 0.3, "blown": 0.15, "sung": 0.7}[family], 0.015, 0.07),
            slur=some(0.5, 0.2, 0.9),
            swell_db=some(0.6, 2, 14),
            swell_hz=float(rng.uniform(0.15, 0.7)),
            onset_seconds=some(0.5, 0.01, 0.25),
            decay_db=float(rng.normal(0, 2.5)),
            drift_cents=float(rng.uniform(0, 9)),
        )
    if family == "plucked":
        bends = rng.random() < 0.35
        return Manner(
            vibrato_hz=float(rng.uniform(3.5, 6.5)),
            vibrato_cents=some(0.35, 5, 35),
            vibrato_delay=float(rng.uniform(0.1, 0.5)),
            scoop_cents=float(rng.uniform(30, 210)) if bends else 0.0,
            scoop_seconds=float(rng.uniform(0.03, 0.15)),
            slur=some(0.25, 0.1, 0.5),
            drift_cents=float(rng.uniform(0, 3)),
        )
    if family == "keys":  # an organ's rotating loudspeaker, its swell pedal
        return Manner(
            vibrato_hz=float(rng.choice((0.8, 6.3))) * float(rng.uniform(0.85, 1.15)),
            vibrato_cents=some(0.5, 3, 20),
            vibrato_delay=0.0,
            tremor_db=some(0.5, 1, 6),
            swell_db=some(0.4, 2, 12),
            swell_hz=float(rng.uniform(0.1, 0.5)),
        )
    return Manner()


def perform(rng: Generator, preset: Preset, notes: Sequence[Note], manner: Manner) -> Part:
    """Notes as a player of that manner would sound them.

    Parameters
    ----------
    rng : Generator
        Of what differs from note to note.
    preset : (bank, program)
    notes : sequence of Note
    manner : Manner
        Notes that sound together share their bends, as they share a channel; only one line is slurred.
    """
    notes = sorted(notes, key=lambda note: (note.start, note.pitch))
    if not notes:
        return Part(preset, ())
    end = max(note.start + note.seconds for note in notes)
    t = np.arange(int(np.ceil((end + 0.5) * _GRID))) / _GRID
    bend, loud = np.zeros_like(t), np.zeros_like(t)
    single = all(b.start >= a.start + min(a.seconds, 0.1) for a, b in pairwise(notes))
    sounded: list[Note] = []
    before = notes[0].pitch
    for i, note in enumerate(notes):
        until = notes[i + 1].start if single and i + 1 < len(notes) else end + 0.5
        here = slice(int(note.start * _GRID), int(np.ceil(until * _GRID)))
        since = t[here] - note.start
        held = sounded[-1] if sounded else note
        gap = note.start - (held.start + held.seconds)
        if (
            single
            and sounded
            and gap < 0.06
            and abs(note.pitch - held.pitch) <= 3
            and rng.random() < manner.slur
        ):
            sounded[-1] = replace(held, seconds=note.start + note.seconds - held.start)
            shift, fresh = float(note.pitch - held.pitch), False
            loud[here] = loud[max(here.start - 1, 0)]
        else:
            sounded.append(note)
            shift, fresh = 0.0, True
        if not single and i:
            continue
        if fresh:
            loud[here] = 0.0
        curve = np.full_like(since, shift)
        if manner.glide_seconds and single and i and abs(note.pitch - before) <= 7:
            curve += (before - note.pitch) * np.exp(-since / manner.glide_seconds)
        elif fresh and manner.scoop_cents and rng.random() < 0.7:
            curve -= manner.scoop_cents / 100 * rng.uniform(0.3, 1) * np.exp(-since / manner.scoop_seconds)
        shake = np.zeros_like(since)
        if manner.vibrato_cents or manner.tremor_db:
            rate = manner.vibrato_hz * float(rng.uniform(0.93, 1.07))
            # It sets in after a while and, on short notes, not at all.
            depth = np.clip((since - manner.vibrato_delay * float(rng.uniform(0.6, 1.3))) / 0.35, 0, 1)
            shake = depth * np.sin(2 * np.pi * rate * since + float(rng.uniform(0, 2 * np.pi)))
            curve += manner.vibrato_cents / 100 * shake
        bend[here] = curve
        loud[here] += manner.tremor_db / 2 * (shake - 1) + manner.decay_db * np.minimum(since, 3)
        if fresh and manner.onset_seconds:
            loud[here] += 30 * (np.clip(since / manner.onset_seconds, 0.02, 1) - 1)
    if manner.swell_db:
        phase = float(rng.uniform(0, 2 * np.pi))
        loud += manner.swell_db / 2 * (np.sin(2 * np.pi * manner.swell_hz * t + phase) - 1)
    if manner.drift_cents:
        walk = np.cumsum(rng.normal(0, 1, len(t)))
        bend += manner.drift_cents / 100 * (walk - walk.mean()) / max(float(np.abs(walk).max()), 1e-9)
    return Part(preset, tuple(sounded), bend, loud - float(loud.max()))


def render(font: Soundfont, slots: Sequence[Slot]) -> list[Audio]:
    """Each slot as stereo audio at :data:`SAMPLE_RATE`, shape (2, samples), all rendered in one call."""
    import midirenderer
    import soxr

    keys: dict[Preset, set[int]] = {}
    for slot in slots:
        for part in slot.parts:
            keys.setdefault(part.preset, set()).update(note.pitch for note in part.notes)
    keys = {preset: pitches for preset, pitches in keys.items() if pitches}
    if not keys:
        return [np.zeros((2, round(slot.seconds * SAMPLE_RATE)), dtype=np.float32) for slot in slots]
    wave = midirenderer.render_wave_from(excerpt(font, keys), midi(slots))
    whole = _stereo(wave)
    pieces, begin = [], 0
    for slot in slots:
        end = begin + _blocks(slot) * _BLOCK
        heard = whole[begin:end].astype(np.float32) * np.float32(2**-15)
        piece = soxr.resample(heard, _RENDER_RATE * slot.speed, SAMPLE_RATE, quality="MQ")
        kept = np.zeros((2, round(slot.seconds * SAMPLE_RATE)), dtype=np.float32)
        length = min(kept.shape[1], len(piece))
        kept[:, :length] = piece[:length].T
        pieces.append(kept)
        begin = end
    return pieces


def _stereo(wave: bytes) -> NDArray[np.int16]:
    """The samples of a WAV file of 16 bits and two channels, shape (samples, 2), without a copy."""
    at = 12
    while wave[at : at + 4] != b"data":
        at += 8 + int.from_bytes(wave[at + 4 : at + 8], "little")
    count = min(int.from_bytes(wave[at + 4 : at + 8], "little"), len(wave) - at - 8) // 4 * 2
    return np.frombuffer(wave, dtype="<i2", count=count, offset=at + 8).reshape(-1, 2)


def _blocks(slot: Slot) -> int:
    return int(np.ceil(slot.seconds * slot.speed * _RENDER_RATE / _BLOCK)) + 1


def midi(slots: Sequence[Slot]) -> bytes:
    """A MIDI file with one slot after the other, the synthesiser's own reverb and chorus off."""
    events: list[tuple[int, int, int, bytes]] = []
    begin = 0.0
    for slot in slots:
        channel = 0
        for part in slot.parts:
            if part.preset[0] == DRUMS:
                _write(events, _DRUM_CHANNEL, part, begin, slot.speed)
            else:
                _write(events, channel, part, begin, slot.speed)
                channel += 2 if channel == _DRUM_CHANNEL - 1 else 1
        begin += _blocks(slot) * _BLOCK / _RENDER_RATE
        for used in range(16):
            # All sound off, a little before the end, so that nothing rings into the next slot.
            events.append(
                (
                    int((begin - 2 * _BLOCK / _RENDER_RATE) * _TICKS),
                    4,
                    len(events),
                    bytes((0xB0 | used, 120, 0)),
                )
            )
    # Rendering stops at the last event.
    events.append((int(begin * _TICKS) + _TICKS // 2, 0, len(events), bytes((0xB0, 123, 0))))
    body, now = bytearray(), 0
    for tick, _, _, message in sorted(events):
        body += _variable(tick - now) + message
        now = tick
    body += b"\0\xff\x2f\0"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS // 2)
    return head + b"MTrk" + struct.pack(">I", len(body)) + bytes(body)


def _write(
    events: list[tuple[int, int, int, bytes]], channel: int, part: Part, begin: float, speed: float
) -> None:
    """A part's messages; of those at one instant, set-up comes first, then note ends, then beginnings."""

    def at(seconds: float, order: int, *message: int) -> None:
        tick = max(0, round((begin + seconds * speed) * _TICKS))
        events.append((tick, order, len(events), bytes((message[0] | channel, *message[1:]))))

    bank, program = part.preset
    at(0, 0, 0xB0, 0, 0 if bank == DRUMS else bank)
    at(0, 0, 0xC0, program)
    level = round(127 * min(part.level, 1.0))
    for control, value in (
        (101, 0),
        (100, 0),
        (6, _BEND_RANGE),
        (38, 0),
        (91, 0),
        (93, 0),
        (1, 0),
        (7, level),
        (11, 127),
    ):
        at(0, 0, 0xB0, control, value)
    at(0, 0, 0xE0, 0, 64)
    if part.bend is not None:
        bends = np.clip(np.round(part.bend / _BEND_RANGE * 8192), -8192, 8191).astype(int) + 8192
        for i in np.flatnonzero(np.diff(bends, prepend=8192)):
            at(i / _GRID, 1, 0xE0, int(bends[i]) & 127, int(bends[i]) >> 7)
    if part.loudness is not None:
        # The synthesiser squares the expression.
        steps = np.clip(np.round(127 * 10 ** (part.loudness / 40)), 0, 127).astype(int)
        for i in np.flatnonzero(np.diff(steps, prepend=127)):
            at(i / _GRID, 1, 0xB0, 11, int(steps[i]))
    for note in part.notes:
        at(note.start, 3, 0x90, note.pitch, note.velocity)
        at(note.start + note.seconds, 2, 0x80, note.pitch, 0)


def _variable(value: int) -> bytes:
    """A MIDI file's variable-length number: seven bits a byte, the highest set on all but the last."""
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))
