"""What a gallery's page holds of each sound: its spectrogram, its length, and itself where it fits."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subterfuge.report import png, spectrogram
from subterfuge.report.colour import palette
from subterfuge.report.excerpt import Unplayable, as_base64

BUDGET_BYTES = 40_000_000  # of sound on one page; beyond it the files beside are played
PICTURE = (420, 112)
_SECONDS = 30.0  # drawn, at most


@dataclass(frozen=True)
class Sound:
    """One sound as the page has it.

    Attributes
    ----------
    picture : str or None
        Spectrogram, a PNG in base64; None where the file cannot be read.
    data : str or None
        The sound as FLAC in base64; None where the page is to play the file beside it.
    rate : int
    duration : float
        In seconds.
    peak_db : float
        In dB of full scale.
    note : str
        What is wrong with the file, a sentence; empty where nothing is.
    """

    picture: str | None
    data: str | None
    rate: int
    duration: float
    peak_db: float
    note: str = ""


def read_sounds(paths: list[Path], *, embed: bool) -> list[Sound]:
    """Read the sounds of a gallery, embedding as many as the page's budget allows."""
    sounds, spent = [], 0
    for path in paths:
        one = read_sound(path, embed=embed and spent < BUDGET_BYTES)
        spent += len(one.data or "")
        sounds.append(one)
    return sounds


def read_sound(path: Path, *, embed: bool = True) -> Sound:
    """One sound; what cannot be read has a note that says why, and never prevents the page."""
    from subterfuge.audio import read_audio
    from subterfuge.errors import SubterfugeError

    try:
        file = read_audio(path)
    except SubterfugeError as error:
        return Sound(None, None, 0, 0.0, 0.0, f"This file could not be read: {_without_path(error, path)}.")
    y = file.data.double().numpy()
    y = y if len(y) <= 2 else y.mean(0, keepdims=True)
    try:
        data = as_base64(y, file.sr) if embed else None
    except Unplayable:
        data = None
    peak = float(np.abs(y).max())
    drawn = y[:, : max(1, round(_SECONDS * file.sr))]
    return Sound(picture(drawn, file.sr), data, file.sr, file.seconds, 20 * np.log10(max(peak, 1e-9)))


def picture(y: NDArray[np.float64], rate: int) -> str:
    """A spectrogram of ``y``, shape (channels, samples), below its loudest place; a PNG in base64."""
    power = spectrogram.bands(y, rate, width=PICTURE[0], height=PICTURE[1])
    index = spectrogram.levels(power, float(power.max()))
    return base64.b64encode(png.encode(index, palette(spectrogram.LEVELS))).decode("ascii")


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").rstrip(".")
