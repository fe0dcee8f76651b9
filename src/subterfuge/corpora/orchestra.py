"""The orchestra: an IRMAS-shaped corpus that anyone can render offline from General MIDI soundfonts."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.instruments import BACKING, INSTRUMENTS, PIZZICATO, SOURCES, Voice
from subterfuge.corpora.mixing import (
    Audio,
    Chain,
    balance,
    draw_chain,
    finish,
    louder,
    record,
    respond,
    transform_size,
)
from subterfuge.corpora.phrases import Note, Piece, draw_phrase, draw_piece
from subterfuge.corpora.playing import (
    SAMPLE_RATE,
    Manner,
    Part,
    Slot,
    draw_manner,
    perform,
    render,
)
from subterfuge.corpora.soundfonts import SOUNDFONTS, Preset, Soundfont, installed_soundfonts, read_soundfont
from subterfuge.corpora.timbre import Throat, amplify, breath, brighten, draw_throat, sing
from subterfuge.errors import SubterfugeError
from subterfuge.files import file_sha256, make_folder, strict_json, why, write_text
from subterfuge.labels import FULL_NAMES, index_of
from subterfuge.workers import each

__all__ = ["SAMPLE_RATE", "SECONDS", "SOUNDFONTS", "build", "installed_soundfonts"]

SECONDS = 3.0
CLIPS_PER_RECORDING = 2
MANIFEST = "corpus.json"
VERSION = 3  # of what is drawn: the same seed gives other bytes in another version

_ALONE = 0.45  # share of recordings in which nobody plays along
_LEAD = 0.9  # seconds before the clip that are played too, so that it begins in the middle of things
_BATCH = 6  # recordings a rendering call

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Recording:
    """What the clips of one recording share: who plays on what and how, with whom, in which room."""

    label: str
    number: int
    font: int
    alone: bool
    voice: Voice
    shift: float
    piece: Piece
    manner: Manner
    throat: Throat | None
    air_db: float | None
    brightness_db: float
    drive_db: float | None
    cabinet_hz: float
    backing: tuple[tuple[int, Voice, float], ...]
    backing_db: float
    chain: Chain

    @property
    def name(self) -> str:
        """The first part of its clips' file names."""
        return f"{self.label}{self.number:04d}"


def build(
    out: Path,
    *,
    clips: int = 100,
    soundfonts: Sequence[Path] | None = None,
    labels: Iterable[str] = tuple(FULL_NAMES),
    seed: int = 0,
    workers: int = 1,
    report: Report | None = None,
) -> Corpus:
    """Render the corpus into ``out``, one folder a class: 3 s, 44.1 kHz, stereo, 16-bit FLAC.

    A second run with the same settings goes on where the first was stopped; one with more clips adds to
    what is there. ``corpus.json`` in the folder says what it was made of.

    Parameters
    ----------
    out : Path
        Files are named ``<label>/<recording>__<n>.flac``.
    clips : int
        Clips a class, from 1 up. They come in recordings of two, which share player, room and chain.
    soundfonts : sequence of Path, optional
        General MIDI soundfonts in SF2 format, taken in turn; by default those found installed.
    labels : iterable of str
        Classes to render.
    seed : int
        Same seed and soundfonts: same bytes, however many workers. More clips extend fewer.
    workers : int
        Processes.
    report : callable, optional
        Told, after each batch, how many clips are done and how many there are to be.

    Raises
    ------
    SubterfugeError
        If there is no soundfont, or one is not SF2 or lacks a class, or a label is not known, or the
        renderer is not installed, or ``out`` holds another corpus or cannot be written in.
    """
    for name, value in (("clips", clips), ("workers", workers)):
        if value < 1:
            raise SubterfugeError(f"{name}: got {value}, expected a whole number from 1 up")
    if seed < 0:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 up")
    known = tuple(FULL_NAMES)
    named = tuple(dict.fromkeys(known[index_of(label, known)] for label in labels))
    if not named:
        raise SubterfugeError("labels: got none, expected at least one")
    fonts = _fonts(installed_soundfonts() if soundfonts is None else soundfonts)
    for font in fonts:
        for label in named:
            _voices(font, label)
    _begin(Path(out), fonts, named, clips, seed)
    jobs = []
    for label in named:
        for place, font in enumerate(fonts):
            mine = range(place, -(-clips // CLIPS_PER_RECORDING), len(fonts))
            jobs += [
                _Batch(Path(out), font, label, tuple(mine[i : i + _BATCH]), len(fonts), clips, seed)
                for i in range(0, len(mine), _BATCH)
            ]
    done, total = 0, clips * len(named)
    # After Ctrl-C or an error what is being rendered is finished, and what waits is not begun.
    with closing(each(_render_batch, jobs, workers=workers)) as results:
        for _, finished in results:
            done += finished
            if report is not None:
                report(done, total)
    return folder.read(Path(out))


@dataclass(frozen=True)
class _Batch:
    """Some recordings of one label and soundfont, rendered in one call."""

    out: Path
    font: Soundfont
    label: str
    numbers: tuple[int, ...]
    fonts: int
    clips: int
    seed: int

    def path(self, number: int, n: int) -> Path:
        return self.out / self.label / f"{self.label}{number:04d}__{n + 1}.flac"

    @property
    def plans(self) -> list[tuple[int, int]]:
        """Recording and clip of each file."""
        return [
            (number, n)
            for number in self.numbers
            for n in range(min(CLIPS_PER_RECORDING, self.clips - number * CLIPS_PER_RECORDING))
        ]


def _fonts(paths: Sequence[Path]) -> tuple[Soundfont, ...]:
    if find_spec("midirenderer") is None:
        raise SubterfugeError(
            "the orchestra needs midirenderer: install sonic-subterfuge with its extra 'orchestra'"
        )
    if not paths:
        raise SubterfugeError(
            "no soundfont found: install Debian's fluid-soundfont-gm or name one in SF2 format; looked for "
            + ", ".join(map(str, SOUNDFONTS))
        )
    return tuple(read_soundfont(Path(path)) for path in paths)


def _voices(font: Soundfont, label: str) -> tuple[Voice, ...]:
    """The class's voices that the soundfont has."""
    presets = font.presets
    found = tuple(v for v in INSTRUMENTS[label].voices if (v.bank, v.program) in presets)
    if not found:
        wanted = ", ".join(str(program) for program in sorted({v.program for v in INSTRUMENTS[label].voices}))
        raise SubterfugeError(
            f"{font.path}: has no preset for {FULL_NAMES[label]}, expected a General MIDI program of {wanted}"
        )
    return found


def _begin(out: Path, fonts: Sequence[Soundfont], labels: Sequence[str], clips: int, seed: int) -> None:
    """Make the folders and the manifest; or make sure that what is there was made in the same way."""
    make_folder(out)
    settings: dict[str, Any] = {
        "kind": "orchestra",
        "version": VERSION,
        "seed": seed,
        "clips_per_recording": CLIPS_PER_RECORDING,
        "soundfonts": [{"name": font.path.name, "sha256": file_sha256(font.path)} for font in fonts],
    }
    counts = dict.fromkeys(labels, clips)
    path = out / MANIFEST
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
            before = dict(old.pop("clips"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SubterfugeError(
                f"{path}: is damaged, expected the manifest of a corpus; take another folder"
            ) from None
        if old != settings:
            differs = [key for key in settings if old.get(key) != settings[key]]
            raise SubterfugeError(
                f"{out}: holds a corpus made with another {' and '.join(differs).replace('_', ' ')}, "
                "expected an empty folder or the same settings"
            )
        counts = {**before, **{label: max(clips, before.get(label, 0)) for label in labels}}
    elif any((out / label).is_dir() and any((out / label).iterdir()) for label in labels):
        raise SubterfugeError(f"{out}: holds files of another corpus, expected an empty folder")
    for label in labels:
        make_folder(out / label)
    write_text(path, strict_json({**settings, "clips": counts}) + "\n")


def _rng(seed: int, *key: str | int) -> Generator:
    """A generator of its own for each thing drawn, so that order and workers do not matter."""
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in key)])


def _pick(rng: Generator, voices: Sequence[Voice]) -> Voice:
    weights = np.array([voice.weight for voice in voices])
    return voices[int(rng.choice(len(voices), p=weights / weights.sum()))]


def draw_recording(font: Soundfont, label: str, number: int, fonts: int, seed: int) -> Recording:
    """Draw all that the clips of a recording share; of nothing but the seed, the label and the number."""
    rng = _rng(seed, label, number)
    instrument = INSTRUMENTS[label]
    alone = rng.random() < _ALONE
    voice = _pick(rng, _voices(font, label))
    # Moved, blown over and brightened tones widen the corpus, and mislead a classifier where they are the
    # rule: a network that was taught with most tones so changed heard a third of real recordings, not half.
    changed = rng.random() < 0.1
    shift = voice.shift + (float(rng.normal(0, 1.0)) if changed else 0.0)
    source = voice.program in SOURCES
    electric = label == "gel"
    return Recording(
        label=label,
        number=number,
        font=number % fonts,
        alone=alone,
        voice=voice,
        shift=float(np.clip(shift, voice.shift - 3, voice.shift + 3)),
        piece=draw_piece(rng),
        manner=draw_manner(rng, instrument.family, plain=alone and rng.random() < 0.8),
        throat=draw_throat(rng, plain=source) if label == "voi" else None,
        air_db=float(rng.uniform(-70, -42)) if instrument.sustained and changed else None,
        brightness_db=float(rng.uniform(0.5, 2.5)) if instrument.sustained and changed else 0.0,
        drive_db=float(rng.uniform(-6, 30)) if electric and rng.random() < 0.5 else None,
        cabinet_hz=float(rng.uniform(2800, 6500)),
        backing=() if alone else _draw_backing(rng, font, label),
        backing_db=-float(rng.uniform(3, 20)),
        chain=draw_chain(rng, alone=alone),
    )


def _draw_backing(rng: Generator, font: Soundfont, label: str) -> tuple[tuple[int, Voice, float], ...]:
    """One to three who play along, each with a voice that the soundfont has, and a level."""
    presets = font.presets
    able = [
        (i, voices)
        for i, backing in enumerate(BACKING)
        if label not in backing.not_for
        and (voices := [v for v in backing.voices if (v.bank, v.program) in presets])
    ]
    if not able:
        return ()
    # Drums and bass, the first two, come more often than the others.
    weights = np.array([2.5 if i < 2 else 1.0 for i, _ in able])
    count = min(int(rng.integers(1, 4)), len(able))
    chosen = rng.choice(len(able), count, replace=False, p=weights / weights.sum())
    return tuple((able[k][0], _pick(rng, able[k][1]), float(rng.uniform(0.45, 1))) for k in sorted(chosen))


@dataclass(frozen=True)
class _Take:
    """What is rendered for one clip: the solo, what plays along, and from when on it is kept."""

    solo: Slot
    backing: Slot | None
    onsets: list[float]
    start: float


def draw_take(rng: Generator, recording: Recording, presets: Iterable[Preset]) -> _Take:
    """Draw what is played in one clip of a recording."""
    instrument, voice = INSTRUMENTS[recording.label], recording.voice
    way = str(rng.choice(instrument.alone if recording.alone else instrument.ways))
    # Of a player alone half the clips begin with the sound, the others in the middle of things.
    fresh = way in ("single", "slow", "tongued", "ring", "chord", "plucked") or (
        recording.alone and rng.random() < 0.4
    )
    start = 0.0 if fresh else float(rng.uniform(0, _LEAD))
    delay = float(rng.uniform(0, 0.3)) if fresh and rng.random() < 0.5 else 0.0
    seconds = start + SECONDS - delay
    if way == "plucked":
        there = set(presets)
        options = [v for v in PIZZICATO[recording.label] if (v.bank, v.program) in there]
        if options:
            voice = options[0]
        else:
            way = "staccato"
    notes = draw_phrase(rng, way, voice.low, voice.high, recording.piece, seconds)
    # The sound as a whole is moved by the shift; the notes, written the other way, stay where they are.
    up = -round(recording.shift)
    notes = [Note(n.start + delay, n.seconds, min(max(n.pitch + up, 0), 127), n.velocity) for n in notes]
    speed = float(2 ** (recording.shift / 12))
    part = perform(rng, (voice.bank, voice.program), notes, recording.manner)
    solo = Slot((part,), start + SECONDS, speed)
    backing = None
    if recording.backing:
        parts: list[Part] = []
        for k, who, level in recording.backing:
            way = str(rng.choice(BACKING[k].ways))
            played = draw_phrase(rng, way, who.low, who.high, recording.piece, start + SECONDS)
            parts.append(Part((who.bank, who.program), played, level=level))
        backing = Slot(tuple(parts), start + SECONDS)
    return _Take(solo, backing, [n.start for n in notes], start)


def _render_batch(batch: _Batch) -> int:
    """Render the clips of a batch that are not there yet, write each whole, and say how many there are."""
    plans = batch.plans
    missing = {plan for plan in plans if not batch.path(*plan).is_file()}
    if not missing:
        return len(plans)
    presets = batch.font.presets
    recordings = {
        number: draw_recording(batch.font, batch.label, number, batch.fonts, batch.seed)
        for number in batch.numbers
    }
    takes = [
        draw_take(_rng(batch.seed, batch.label, number, n, "notes"), recordings[number], presets)
        for number, n in plans
    ]
    slots = [slot for take in takes for slot in (take.solo, take.backing) if slot is not None]
    played = iter(render(batch.font, slots))
    shared: dict[int, tuple[int, Any]] = {}
    for (number, n), take in zip(plans, takes, strict=True):
        recording = recordings[number]
        if number not in shared:
            size = transform_size(round((_LEAD + SECONDS) * SAMPLE_RATE), recording.chain, SAMPLE_RATE)
            room = _rng(batch.seed, batch.label, number, "room")
            shared = {number: (size, respond(room, recording.chain, size, SAMPLE_RATE))}
        solo = next(played)
        backing = None if take.backing is None else next(played)
        if (number, n) not in missing:
            continue
        rng = _rng(batch.seed, batch.label, number, n, "sound")
        y = _produce(rng, recording, take, solo, backing, *shared[number])
        _write(batch.path(number, n), y)
    return len(plans)


def _produce(
    rng: Generator,
    recording: Recording,
    take: _Take,
    solo: Audio,
    backing: Audio | None,
    size: int,
    response: Any,
) -> Audio:
    """From rendered parts to a finished clip, shape (2, samples)."""
    if INSTRUMENTS[recording.label].sustained or recording.chain.width == 0:
        solo = solo.mean(axis=0, keepdims=True)
    if backing is not None and recording.chain.width == 0:
        backing = backing.mean(axis=0, keepdims=True)
    if recording.throat is not None:
        solo = sing(rng, solo, take.onsets, recording.throat, SAMPLE_RATE)
    if recording.air_db is not None:
        centre = float(np.exp(rng.uniform(np.log(600), np.log(4000))))
        solo = solo + breath(rng, solo, recording.air_db, centre, SAMPLE_RATE)
    if recording.brightness_db:
        solo = brighten(rng, solo, recording.brightness_db, SAMPLE_RATE)
    if recording.drive_db is not None:
        solo = amplify(solo, recording.drive_db, SAMPLE_RATE, recording.cabinet_hz)
    y = balance(solo, backing, recording.backing_db)
    y = record(y, recording.chain, response, size)
    begin = round(take.start * SAMPLE_RATE)
    y = y[:, begin : begin + round(SECONDS * SAMPLE_RATE)]
    return finish(rng, y, louder(recording.chain, float(rng.normal(0, 1.5))), SAMPLE_RATE)


def _write(path: Path, y: Audio) -> None:
    """Write a clip whole or not at all. (Not flushed to the disk: thousands of clips would wait for it.)"""
    import soundfile

    part = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part")
    try:
        try:
            # By its name, not as an open file: Ctrl-C would be lost in the library's callbacks.
            soundfile.write(part, y.T, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except (OSError, soundfile.LibsndfileError) as error:
        raise SubterfugeError(f"{path}: cannot be written ({why(error)})") from None
