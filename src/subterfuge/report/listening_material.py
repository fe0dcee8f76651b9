"""What a listening test plays: pairs of files as they are, cut to one excerpt, told apart by their hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.audibility.listening import Draws
from subterfuge.audio import AudioFile, read_audio
from subterfuge.errors import SubterfugeError
from subterfuge.labels import full_name
from subterfuge.report.excerpt import as_base64

BUDGET_BYTES = 64_000_000  # of embedded sound: beyond that, browsers and mail alike give up
SHORTEST = 0.2  # seconds: less cannot be judged
SECONDS = (10.0, 8.0, 6.0, 5.0, 4.0, 3.0)
_EXACT = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24"}


@dataclass(frozen=True)
class Files:
    """Two files to be told apart, and what to call them together."""

    a: Path
    b: Path
    name: str


@dataclass(frozen=True)
class Pair:
    """An excerpt of two files, as the page plays it.

    Attributes
    ----------
    id : str
        16 hex digits over every sample, the rate and the gains.
    name : str
    a, b : str
        FLAC of 24 bits (WAV at rates that FLAC cannot hold) in base64, one or two channels.
    rate : int
        In Hz.
    seconds : float
    start : float
        Where in the files the excerpt begins, in seconds.
    level_db : float
        How much louder the second is, by the root mean square over the excerpt; 0 where one is silent.
    gains : tuple of float
        What each is multiplied by when played, at most 1: the louder one is turned down.
    notes : tuple of str
        What differs from the files, a sentence each.
    """

    id: str
    name: str
    a: str
    b: str
    rate: int
    seconds: float
    start: float
    level_db: float
    gains: tuple[float, float]
    notes: tuple[str, ...]


def files_in(folder: Path) -> tuple[list[Files], list[str]]:
    """The pairs that ``subterfuge attack`` left in a folder, and a note on each that is of no use.

    Those whose attack did not succeed are left out: nobody asks whether those can be heard.

    Raises
    ------
    SubterfugeError
        If it is no folder, cannot be read, or holds no pair that can be listened to.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise SubterfugeError(f"{folder}: {what}, expected a folder that subterfuge attack wrote")
    records = [(path, record) for path in sorted(folder.glob("*.json")) if (record := _record(path))]
    if not records:
        raise SubterfugeError(f"{folder}: holds no results, expected a folder that subterfuge attack wrote")
    pairs: list[Files] = []
    notes: list[str] = []
    for path, record in records:
        name = f"{Path(record['input']).name} → {full_name(str(record.get('target', '')))}".rstrip(" →")
        original = _there(record["input"], folder)
        changed = _there(record["output"], folder)
        missing = record["input"] if original is None else record["output"] if changed is None else None
        if not record["success"]:
            notes.append(f"{path.name} is left out: its attack did not succeed.")
        elif original is None or changed is None:
            notes.append(f"{path.name} is left out: {missing} is not there.")
        else:
            pairs.append(Files(original, changed, name))
    if not pairs:
        raise SubterfugeError(f"{folder}: holds no pair to listen to: {' '.join(notes)}")
    return pairs, notes


def in_pairs(paths: Sequence[Path]) -> list[Files]:
    """Files two by two, in order.

    Raises
    ------
    SubterfugeError
        If their number is odd.
    """
    if not paths or len(paths) % 2:
        raise SubterfugeError(f"--pair: got {len(paths)} files, expected two for each pair")
    return [Files(a, b, f"{a.name} / {b.name}") for a, b in zip(paths[::2], paths[1::2], strict=True)]


def drawn(pairs: Sequence[Files], most: int, seed: int) -> list[Files]:
    """At most so many of the pairs, drawn by the seed, in their order."""
    chosen = sorted(Draws(seed, 0).shuffled(len(pairs))[:most])
    return [pairs[i] for i in chosen]


def load(
    files: Sequence[Files],
    *,
    seconds: float | None = None,
    strict: bool = True,
    report: Callable[[int, int], None] | None = None,
) -> tuple[list[Pair], list[str]]:
    """Excerpts of pairs of files, and a note on each pair that is of no use.

    Parameters
    ----------
    files : sequence of Files
    seconds : float, optional
        Longest excerpt; if None, 10 s, or as much less (to 3 s) as keeps the page within its budget.
    strict : bool
        Whether a pair of no use is an error, not a note.
    report : callable, optional
        Told how many of how many are done.

    Raises
    ------
    SubterfugeError
        If a pair is of no use and ``strict``, if none is of any, or if together they are too large.
    """
    if seconds is not None and not SHORTEST <= seconds <= 60:
        raise SubterfugeError(f"seconds: got {seconds:g}, expected {SHORTEST:g} to 60")
    longest = seconds if seconds is not None else _that_fit(files)
    pairs: list[Pair] = []
    notes: list[str] = []
    size = 0
    for number, one in enumerate(files, 1):
        try:
            pair = load_pair(one, seconds=longest)
        except SubterfugeError as error:
            if strict:
                raise
            notes.append(f"{one.name} is left out: {error}.")
        else:
            known = next((other for other in pairs if other.id == pair.id), None)
            if known is not None:
                notes.append(f"{one.name} is left out: it sounds the same as {known.name}.")
            else:
                pairs.append(pair)
                size += len(pair.a) + len(pair.b)
        if size > BUDGET_BYTES:
            raise SubterfugeError(
                f"page: {number} of {len(files)} pairs already take {size / 1e6:.1f} MB, expected at most "
                f"{BUDGET_BYTES / 1e6:g} MB for all: fewer pairs, or shorter excerpts (--seconds)"
            )
        if report is not None:
            report(number, len(files))
    if not pairs:
        raise SubterfugeError(f"listen: no pair is left to listen to: {' '.join(notes)}")
    return pairs, notes


def load_pair(files: Files, *, seconds: float = SECONDS[0]) -> Pair:
    """One pair, cut to where the two differ most.

    Samples of 8 to 24 bits are embedded bit for bit. Of more than two channels, the two that differ most
    are played, not a mixture in which a difference might cancel.

    Raises
    ------
    SubterfugeError
        If a file cannot be read, is too short, the two do not lie over each other, or are the same.
    """
    a, b = read_audio(files.a), read_audio(files.b)
    _refuse_unlike(a, b)
    notes: list[str] = []
    frames = min(a.frames, b.frames)
    if a.frames != b.frames:
        notes.append("The two differ in length; both end with the shorter one.")
    x, y = (one.data[:, :frames].double().numpy() for one in (a, b))
    if len(x) > 2:
        kept = np.sort(np.argsort(-np.square(y - x).sum(1), kind="stable")[:2])
        x, y = x[kept], y[kept]
        notes.append(f"Of {a.channels} channels, numbers {kept[0] + 1} and {kept[1] + 1} differ most: these.")
    length = min(frames, max(1, round(seconds * a.sr)))
    first = _strongest(y - x, length)
    x, y = x[:, first : first + length], y[:, first : first + length]
    peak = max(float(np.abs(x).max()), float(np.abs(y).max()))
    if peak > 1.0:
        x, y = x / peak, y / peak
        notes.append(
            f"Beyond full scale by {20 * math.log10(peak):.2f} dB: both are turned down by that much."
        )
    if peak > 1.0 or not {a.subtype, b.subtype} <= _EXACT:
        notes.append("The samples are rounded to 24 bits.")
    whole = [np.clip(np.round(z * 2**23), -(2**23), 2**23 - 1).astype(np.int32) for z in (x, y)]
    if np.array_equal(*whole):
        raise SubterfugeError(f"{files.a} and {files.b}: sample for sample the same, nothing to tell apart")
    level, gains = _matched(x, y)
    return Pair(
        id=_hash(whole, a.sr, gains),
        name=files.name,
        a=as_base64(x, a.sr),
        b=as_base64(y, a.sr),
        rate=a.sr,
        seconds=length / a.sr,
        start=first / a.sr,
        level_db=level,
        gains=gains,
        notes=tuple(notes),
    )


def _record(path: Path) -> dict[str, Any] | None:
    """An attack's record, or None where a JSON file is something else."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("success"), bool):
        return None
    return data if all(isinstance(data.get(key), str) for key in ("input", "output")) else None


def _there(name: str, folder: Path) -> Path | None:
    """A file by its name in a record: as it stands, or beside the record where the folder was moved."""
    return next((path for path in (Path(name), folder / Path(name).name) if path.is_file()), None)


def _refuse_unlike(a: AudioFile, b: AudioFile) -> None:
    for what, one, other in (
        ("sample rate", f"{a.sr} Hz", f"{b.sr} Hz"),
        ("number of channels", str(a.channels), str(b.channels)),
    ):
        if one != other:
            raise SubterfugeError(
                f"{a.path} and {b.path}: differ in {what} ({one}, {other}), expected the same"
            )
    for file in (a, b):
        if file.seconds < SHORTEST:
            raise SubterfugeError(
                f"{file.path}: lasts {file.seconds:.3g} s, expected at least {SHORTEST:g} s to listen to"
            )


def _that_fit(files: Sequence[Files]) -> float:
    """The longest excerpt with which all pairs together stay within the page's budget, by their headers."""
    import soundfile

    rates: list[tuple[float, float]] = []  # bytes a second, and seconds, of each file
    for path in [path for one in files for path in (one.a, one.b)]:
        try:
            info = soundfile.info(path)
        except (soundfile.LibsndfileError, OSError):
            continue  # whoever reads it will say what is wrong with it
        width = 2 if info.subtype in ("PCM_S8", "PCM_U8", "PCM_16") else 3
        rates.append((info.samplerate * min(2, info.channels) * width, info.frames / info.samplerate))
    return next(
        (s for s in SECONDS if sum(rate * min(s, whole) for rate, whole in rates) <= 0.75 * BUDGET_BYTES),
        SECONDS[-1],
    )


def _strongest(change: NDArray[np.float64], length: int) -> int:
    """First sample of the stretch of ``length`` with most energy of the change."""
    total = np.concatenate([[0.0], np.cumsum(np.square(change).sum(0))])
    return int(np.argmax(total[length:] - total[:-length]))


def _matched(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Level of ``y`` over ``x`` in dB, and gains of at most 1 that make the two equally strong."""
    one, other = (math.sqrt(float(np.mean(np.square(z)))) for z in (x, y))
    if one == 0 or other == 0:
        return 0.0, (1.0, 1.0)
    return 20 * math.log10(other / one), (min(1.0, other / one), min(1.0, one / other))


def _hash(sounds: Sequence[NDArray[np.int32]], rate: int, gains: tuple[float, float]) -> str:
    digest = hashlib.sha256(f"{sounds[0].shape}{rate}{gains[0]:.9f}{gains[1]:.9f}".encode())
    for sound in sounds:
        digest.update(np.ascontiguousarray(sound, dtype="<i4").tobytes())
    return digest.hexdigest()[:16]
