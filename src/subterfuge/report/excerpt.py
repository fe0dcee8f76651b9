"""What of two files is played on the page: both in step, cut to where the change is largest."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

_SIXTEEN_BIT = {"PCM_S8", "PCM_U8", "PCM_16"}
_LOUDEST_DBFS = -3.0


class Unplayable(Exception):
    """Why a file cannot be put on the page, as a sentence for the reader."""


@dataclass(frozen=True)
class Excerpt:
    """Two files, or one, as the page plays them.

    Attributes
    ----------
    original, adversarial : ndarray of float64, shape (channels, samples); the latter may be None
        One or two channels, at ``rate``.
    rate : int
    start, total : float
        Where the excerpt begins, and how long the file is, in seconds.
    notes : list of str
        What a listener must know of how the excerpt differs from the file.
    """

    original: NDArray[np.float64]
    adversarial: NDArray[np.float64] | None
    rate: int
    start: float
    total: float
    notes: list[str] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """In seconds."""
        return float(self.original.shape[1] / self.rate)


def cut(
    original: Path,
    adversarial: Path,
    *,
    seconds: float = 30.0,
    moment: Callable[[], float | None] | None = None,
) -> Excerpt:
    """Read what the page plays of a pair of files, never more than ``seconds`` of it.

    Parameters
    ----------
    original, adversarial : Path
    seconds : float
    moment : callable, optional
        Asked only of longer files: which instant, in seconds, must be in the excerpt. Where it is not given
        or knows none, the excerpt is the stretch with most energy of the change.

    Raises
    ------
    Unplayable
        If the original cannot be read or holds no samples. An adversarial file that cannot be read, or not
        be laid over the original, is left out with a note.
    """
    before = _look(original, "original")
    notes: list[str] = []
    try:
        after: sf._SoundFileInfo | None = _look(adversarial, "adversarial file")
        assert after is not None
        if after.samplerate != before.samplerate:
            raise Unplayable(
                "The adversarial file has another sample rate, so the two cannot be laid over each other."
            )
    except Unplayable as reason:
        notes.append(str(reason))
        after = None
    frames = before.frames if after is None else min(before.frames, after.frames)
    channels = before.channels if after is None else max(before.channels, after.channels)
    mono = channels > 2
    if mono:
        notes.append(f"The file has {channels} channels; for listening here they are mixed down to one.")
    if after is not None and after.channels != before.channels:
        mono = True
        notes.append("The two files differ in their number of channels; here both are mixed down to one.")
    if after is not None and after.frames != before.frames:
        notes.append("The two files differ in length; here both end with the shorter one.")
    rate = before.samplerate
    length = min(frames, max(1, round(seconds * rate)))
    first = 0
    if length < frames:
        at = None if after is None or moment is None else moment()
        if at is None:
            first = _loudest(original, None if after is None else adversarial, rate, frames, length)
            why = "where the perturbation is strongest" if after is not None else "where it is loudest"
        else:
            first = min(max(0, round(at * rate) - length // 2), frames - length)
            why = "around the instant where the perturbation stands out most from what the clip hides"
        where = f"from {_minutes(first / rate)} to {_minutes((first + length) / rate)}"
        notes.append(f"Played and drawn here: {where} of {_minutes(frames / rate)}, {why}.")
    known = [before.subtype] + ([] if after is None else [after.subtype])
    if not mono and any(subtype not in {*_SIXTEEN_BIT, "PCM_24"} for subtype in known):
        notes.append("For listening here the samples are rounded to 24 bits.")
    return Excerpt(
        original=_read(original, first, length, mono=mono),
        adversarial=None if after is None else _read(adversarial, first, length, mono=mono),
        rate=rate,
        start=first / rate,
        total=frames / rate,
        notes=notes,
    )


def listening_gain(original: NDArray[np.float64], perturbation: NDArray[np.float64]) -> int | None:
    """Whole dB by which the perturbation is amplified to be heard, or None where there is nothing to hear.

    As much as leaves it no louder than the original, neither in RMS nor in peak, and below -3 dBFS; it is
    turned down only where it would clip.
    """
    peak = float(np.abs(perturbation).max(initial=0.0))
    if peak == 0.0:
        return None
    reference = float(np.abs(original).max(initial=0.0))
    ceiling = min(10 ** (_LOUDEST_DBFS / 20), reference) if reference > 0 else 0.1
    gain = 20 * math.log10(ceiling / peak)
    if reference > 0:
        rms = math.sqrt(float(np.mean(original**2)) / float(np.mean(perturbation**2)))
        gain = min(gain, 20 * math.log10(rms))
    loudest = 20 * math.log10(1.0 / peak)
    return math.floor(min(max(gain, 0.0), loudest) + 1e-9)


def as_base64(y: NDArray[np.float64], rate: int) -> str:
    """Samples of shape (channels, samples) as a FLAC file (WAV at rates that FLAC cannot hold), in base64.

    Always 24 bits: FLAC does not store the lower ones where they are zero, and browsers turn 24 bits into
    floats exactly, while some scale 16-bit samples by 1/32767 above zero and 1/32768 below.
    """
    whole = np.clip(np.round(y.T * 2**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
    for container in ("FLAC", "WAV"):
        buffer = io.BytesIO()
        try:
            sf.write(buffer, whole, rate, format=container, subtype="PCM_24")
        except (sf.LibsndfileError, ValueError):
            continue
        return base64.b64encode(buffer.getvalue()).decode("ascii")
    raise Unplayable(f"A rate of {rate} Hz is more than this page can play.")


def raw_bytes(path: Path, seconds: float) -> int:
    """About what ``seconds`` of a file take on the page: FLAC gains what base64 costs."""
    try:
        info = sf.info(path)
    except (sf.LibsndfileError, OSError):
        return 0
    width = 2 if info.subtype in _SIXTEEN_BIT and info.channels <= 2 else 3
    return (
        int(min(info.frames, seconds * info.samplerate)) * (1 if info.channels > 2 else info.channels) * width
    )


def _look(path: Path, role: str) -> sf._SoundFileInfo:
    if not path.is_file():
        raise Unplayable(f"The {role}, {path.name}, was not there when this page was made.")
    try:
        info = sf.info(path)
    except (sf.LibsndfileError, OSError) as error:
        raise Unplayable(f"The {role}, {path.name}, could not be read as audio.") from error
    if info.frames == 0:
        raise Unplayable(f"The {role}, {path.name}, holds no samples.")
    return info


def _read(path: Path, first: int, length: int, *, mono: bool) -> NDArray[np.float64]:
    y, _ = sf.read(path, frames=length, start=first, dtype="float64", always_2d=True)
    y = np.nan_to_num(y.T, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.asarray(y.mean(0, keepdims=True) if mono else y)


def _loudest(original: Path, adversarial: Path | None, rate: int, frames: int, length: int) -> int:
    """First sample of the stretch of ``length`` that holds most energy of the change; read in blocks."""
    block = max(1, rate // 10)
    before = sf.blocks(original, block, dtype="float64", always_2d=True, frames=frames)
    if adversarial is None:
        energy = [float(np.sum(np.nan_to_num(x) ** 2)) for x in before]
    else:
        after = sf.blocks(adversarial, block, dtype="float64", always_2d=True, frames=frames)
        same = sf.info(original).channels == sf.info(adversarial).channels
        pairs = ((x, z) if same else (x.mean(1), z.mean(1)) for x, z in zip(before, after, strict=False))
        energy = [float(np.sum(np.nan_to_num(z - x) ** 2)) for x, z in pairs]
    span = max(1, length // block)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    best = int(np.argmax(total[span:] - total[:-span])) if len(total) > span else 0
    return min(best * block, frames - length)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
