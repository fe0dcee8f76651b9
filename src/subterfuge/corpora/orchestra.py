"""The orchestra: an IRMAS-shaped corpus that anyone can render offline from General MIDI soundfonts."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.phrases import ACCOMPANIMENT, INSTRUMENTS, Note, Piece, draw_phrase, draw_piece
from subterfuge.errors import SubterfugeError
from subterfuge.labels import FULL_NAMES

SAMPLE_RATE = 44100
SECONDS = 3.0
CLIPS_PER_RECORDING = 4

# Where Debian and its kin put them; all of these are MIT-licensed.
SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/MuseScore_General_Full.sf2"),
)

_RENDER_RATE = 48000  # midirenderer's own
_PLAYED = 4.2  # seconds of playing in a slot, of which SECONDS are kept
_SLOT = 5.5  # the rest of a slot lets the last notes ring out
_BATCH = 8  # recordings a rendering call: the soundfont is parsed once for all of them

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """What the clips of one recording share. Everything in decibels but where named otherwise."""

    label: str
    number: int
    font: int
    program: int
    low: int
    high: int
    piece: Piece
    cents: float
    accompaniment: int | None
    accompaniment_db: float
    room_seconds: float
    room_db: float
    width: float
    tilt_db_per_octave: float
    lowpass_hz: float
    noise_db: float
    peak_db: float

    @property
    def name(self) -> str:
        """The first part of its clips' file names."""
        return f"{self.label}{self.number:04d}"


def installed_soundfonts() -> tuple[Path, ...]:
    """Those of :data:`SOUNDFONTS` that are there."""
    return tuple(path for path in SOUNDFONTS if path.is_file())


def build(
    out: Path,
    *,
    clips: int = 100,
    soundfonts: Sequence[Path] | None = None,
    labels: Iterable[str] = tuple(FULL_NAMES),
    seed: int = 0,
    workers: int = 1,
) -> Corpus:
    """Render the corpus into ``out``, one folder a class: 3 s, 44.1 kHz, stereo, 16-bit FLAC.

    Parameters
    ----------
    out : Path
        Files are named ``<label>/<recording>__<n>.flac``; existing ones of these names are replaced.
    clips : int
        Clips a class. They come in recordings of four, which share room, tone, level and key.
    soundfonts : sequence of Path, optional
        General MIDI soundfonts in SF2 format, taken in turn; by default those found installed.
    labels : iterable of str
        Classes to render.
    seed : int
        Same seed and soundfonts: same bytes, however many workers. More clips extend fewer.
    workers : int
        Processes.

    Raises
    ------
    SubterfugeError
        If there is no soundfont, or one is not SF2, or the renderer is not installed.
    """
    fonts = tuple(installed_soundfonts() if soundfonts is None else soundfonts)
    _check(fonts)
    jobs = []
    for label in labels:
        recordings = [
            _draw_recording(label, k, len(fonts), seed) for k in range(-(-clips // CLIPS_PER_RECORDING))
        ]
        for font in range(len(fonts)):
            mine = [r for r in recordings if r.font == font]
            jobs += [
                (out, fonts[font], mine[i : i + _BATCH], clips, seed) for i in range(0, len(mine), _BATCH)
            ]
    if workers == 1:
        for job in jobs:
            _render_batch(*job)
    else:
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_render_batch, *zip(*jobs, strict=True)))
    return folder.read(out)


def _check(fonts: Sequence[Path]) -> None:
    for needed in ("mido", "midirenderer"):
        if find_spec(needed) is None:
            raise SubterfugeError(
                f"the orchestra needs {needed}: install sonic-subterfuge with its extra 'orchestra'"
            )
    if not fonts:
        raise SubterfugeError(
            "no soundfont found: install Debian's fluid-soundfont-gm or name one in SF2 format; looked for "
            + ", ".join(map(str, SOUNDFONTS))
        )
    for path in fonts:
        try:
            with path.open("rb") as file:
                head = file.read(12)
        except OSError as error:
            raise SubterfugeError(f"cannot read soundfont {path}: {error.strerror}") from error
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise SubterfugeError(f"{path} is not a soundfont in SF2 format")


def _rng(seed: int, *key: str | int) -> Generator:
    """A generator of its own for each thing drawn, so that order and workers do not matter."""
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in key)])


def _draw_recording(label: str, number: int, fonts: int, seed: int) -> Recording:
    rng = _rng(seed, label, number)
    voices = INSTRUMENTS[label].voices
    # Fonts and programs go round in turn, so that every pair of them comes equally often.
    program, low, high = voices[(number // fonts) % len(voices)]
    return Recording(
        label=label,
        number=number,
        font=number % fonts,
        program=program,
        low=low,
        high=high,
        piece=draw_piece(rng),
        cents=float(rng.uniform(-25, 25)),
        accompaniment=int(rng.integers(len(ACCOMPANIMENT))) if rng.random() < 0.4 else None,
        accompaniment_db=float(rng.uniform(-20, -6)),
        room_seconds=float(np.exp(rng.uniform(np.log(0.15), np.log(2.0)))),
        room_db=float(rng.uniform(-30, -8)),
        width=float(rng.uniform(0, 1)),
        tilt_db_per_octave=float(rng.normal(0, 1.2)),
        lowpass_hz=float(np.exp(rng.uniform(np.log(7000), np.log(20000)))),
        noise_db=float(rng.uniform(-95, -62)),
        peak_db=float(rng.uniform(-15, -1)),
    )


def _render_batch(out: Path, font: Path, recordings: Sequence[Recording], clips: int, seed: int) -> None:
    """Render some recordings of one label and soundfont in one call, and write their clips."""
    import soundfile

    plans = [
        (recording, n)
        for recording in recordings
        for n in range(min(CLIPS_PER_RECORDING, clips - recording.number * CLIPS_PER_RECORDING))
    ]
    slots: list[_Slot] = []
    for recording, n in plans:
        rng = _rng(seed, recording.label, recording.number, n, "notes")
        slots.append(_draw_solo(rng, recording))
        if recording.accompaniment is not None:
            slots.append(_draw_accompaniment(rng, recording))
    played = iter(_render(font, slots))
    for recording, n in plans:
        rng = _rng(seed, recording.label, recording.number, n, "room")
        solo = next(played)
        backing = None if recording.accompaniment is None else next(played)
        path = out / recording.label / f"{recording.name}__{n + 1}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, _finish(rng, recording, solo, backing).T, SAMPLE_RATE, subtype="PCM_16")


@dataclass(frozen=True)
class _Slot:
    """One phrase to render: program, tuning, notes; vibrato (0 to 127) and swell (0 to 1)."""

    program: int
    cents: float
    notes: list[Note]
    vibrato: int = 0
    swell: float = 0.0


def _draw_solo(rng: Generator, recording: Recording) -> _Slot:
    instrument = INSTRUMENTS[recording.label]
    way = str(rng.choice(instrument.ways))
    notes = draw_phrase(rng, way, recording.low, recording.high, recording.piece, _PLAYED)
    if not instrument.sustained:
        return _Slot(recording.program, recording.cents, notes)
    return _Slot(
        recording.program, recording.cents, notes, int(rng.integers(0, 80)), float(rng.uniform(0, 0.5))
    )


def _draw_accompaniment(rng: Generator, recording: Recording) -> _Slot:
    assert recording.accompaniment is not None
    instrument = ACCOMPANIMENT[recording.accompaniment]
    program, low, high = instrument.voices[recording.number % len(instrument.voices)]
    notes = draw_phrase(rng, str(rng.choice(instrument.ways)), low, high, recording.piece, _PLAYED)
    return _Slot(program, recording.cents, notes)


def _render(font: Path, slots: Sequence[_Slot]) -> list[Audio]:
    """Each slot as stereo audio at SAMPLE_RATE, shape (2, samples of a slot), all in one call."""
    import midirenderer
    import soundfile
    import soxr

    wave = midirenderer.render_wave_from(font.read_bytes(), _midi(slots))
    whole, _ = soundfile.read(io.BytesIO(wave), dtype="float32")
    length = round(_SLOT * _RENDER_RATE)
    pieces = [whole[i * length : (i + 1) * length] for i in range(len(slots))]
    return [np.ascontiguousarray(soxr.resample(piece, _RENDER_RATE, SAMPLE_RATE).T) for piece in pieces]


def _midi(slots: Sequence[_Slot]) -> bytes:
    """A MIDI file with one phrase a slot, the synthesiser's own reverb and chorus off."""
    import mido

    ticks = 960  # a second: 480 a beat at mido's default tempo of 120 beats a minute
    timed: list[tuple[int, int, int, Any]] = []

    def at(seconds: float, order: int, kind: str, **values: int) -> None:
        # Of events at one instant, set-up comes first, then note ends, then note beginnings.
        timed.append((round(seconds * ticks), order, len(timed), mido.Message(kind, **values)))

    for i, slot in enumerate(slots):
        begin = i * _SLOT
        at(begin, 0, "program_change", program=slot.program)
        for control, value in ((91, 0), (93, 0), (1, slot.vibrato), (11, 127)):
            at(begin, 0, "control_change", control=control, value=value)
        at(begin, 0, "pitchwheel", pitch=round(slot.cents / 200 * 8191))
        for step in range(int(_PLAYED / 0.1) if slot.swell else 0):
            breath = 0.5 - 0.5 * np.cos(2 * np.pi * step * 0.1 / 2.8)
            at(
                begin + step * 0.1,
                1,
                "control_change",
                control=11,
                value=round(127 * (1 - slot.swell * breath)),
            )
        for note in slot.notes:
            at(begin + note.start, 3, "note_on", note=note.pitch, velocity=note.velocity)
            at(begin + note.start + note.seconds, 2, "note_off", note=note.pitch)
    at(
        len(slots) * _SLOT + 0.5, 0, "control_change", control=123, value=0
    )  # rendering stops at the last event

    file, track, now = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack(), 0
    file.tracks.append(track)
    for tick, _, _, message in sorted(timed, key=lambda event: event[:3]):
        track.append(message.copy(time=tick - now))
        now = tick
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def _finish(rng: Generator, recording: Recording, solo: Audio, backing: Audio | None) -> Audio:
    """Mix, narrow, put in the room, colour, cut three seconds and set the level; shape (2, samples)."""
    y = solo / max(_rms(solo), 1e-9)
    if backing is not None:
        y = y + backing / max(_rms(backing), 1e-9) * 10 ** (recording.accompaniment_db / 20)
    middle = y.mean(axis=0)
    y = middle + recording.width * (y - middle)
    y = _room(_rng(recording.number, recording.label, "room"), y, recording.room_seconds, recording.room_db)
    y = _colour(y, recording.tilt_db_per_octave, recording.lowpass_hz)
    length = round(SECONDS * SAMPLE_RATE)
    start = int(rng.uniform(0, 0.95) * SAMPLE_RATE)
    y = y[:, start : start + length]
    y = y * (10 ** ((recording.peak_db + rng.uniform(-1, 0)) / 20) / np.abs(y).max())
    y = y + 10 ** (recording.noise_db / 20) * rng.standard_normal(y.shape)
    ramp = np.sin(np.linspace(0, np.pi / 2, round(0.008 * SAMPLE_RATE))) ** 2
    y[:, : len(ramp)] *= ramp
    y[:, -len(ramp) :] *= ramp[::-1]
    return np.asarray(np.clip(y, -1, 1), dtype=np.float32)


def _rms(y: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(y))))


def _room(rng: Generator, y: Audio, seconds: float, level_db: float) -> Audio:
    """Add a dark, diffuse tail that falls by 60 dB in ``seconds``, ``level_db`` under the dry sound."""
    from scipy.signal import fftconvolve, lfilter

    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal((2, len(t))) * 10 ** (-3 * t / seconds)
    tail = lfilter([0.3], [1, -0.7], tail)
    wet = fftconvolve(y, tail, axes=1)[:, : y.shape[1]]
    return np.asarray(y + wet * (_rms(y) / max(_rms(wet), 1e-9) * 10 ** (level_db / 20)))


def _colour(y: Audio, tilt_db_per_octave: float, lowpass_hz: float) -> Audio:
    """Tilt the spectrum about 1 kHz, by 12 dB at most, and roll the top off."""
    spectrum = np.fft.rfft(y, axis=1)
    hz = np.fft.rfftfreq(y.shape[1], 1 / SAMPLE_RATE)
    tilt = np.clip(tilt_db_per_octave * np.log2(np.maximum(hz, 20) / 1000), -12, 12)
    gain = 10 ** (tilt / 20) / np.sqrt(1 + (hz / lowpass_hz) ** 8)
    return np.fft.irfft(spectrum * gain, y.shape[1], axis=1).astype(np.float32)
