"""Pictures of an explanation: a spectrogram whose cells are tinted by what they say, and the legend of it."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from subterfuge.explanation.cells import Grid
from subterfuge.report import png, spectrogram
from subterfuge.report.colour import palette, tinted

GREYS, TINTS = 28, 4
SIZE = (840, 168)
_RANGE_DB = 75.0
# Cells beyond this quantile of all are shown as if they were at it.
_MOST = 0.998


def plain(power: NDArray[np.float64], reference: float) -> str:
    """A spectrogram as a PNG in base64."""
    return _encoded(spectrogram.levels(power, reference), palette(spectrogram.LEVELS))


def tinted_spectrogram(
    power: NDArray[np.float64],
    reference: float,
    attribution: NDArray[np.float64],
    grid: Grid,
    *,
    rate: int,
    start: float,
    seconds: float,
) -> str:
    """A grey spectrogram, orange where a cell speaks for the label and blue where against; a PNG in base64.

    Parameters
    ----------
    power : ndarray, shape (height, width)
        Of :func:`subterfuge.report.spectrogram.bands`.
    reference : float
    attribution : ndarray, shape (bands, moments)
    grid : Grid
        Where its cells lie.
    rate : int
        That the spectrogram was taken at, in Hz.
    start, seconds : float
        The stretch of the clip that it shows.
    """
    db = 10 * np.log10(np.maximum(power, 1e-30) / max(reference, 1e-30))
    grey = np.round(np.clip(1 + db / _RANGE_DB, 0.0, 1.0) * (GREYS - 1))
    tint = np.round(np.clip(tints(attribution, grid, power.shape, rate, start, seconds), -1, 1) * TINTS)
    index = grey * (2 * TINTS + 1) + tint + TINTS
    return _encoded(np.ascontiguousarray(index[::-1], dtype=np.uint8), tinted(GREYS, TINTS))


def tints(
    attribution: NDArray[np.float64],
    grid: Grid,
    shape: tuple[int, ...],
    rate: int,
    start: float,
    seconds: float,
) -> NDArray[np.float64]:
    """Attributions by row and column of a picture, the lowest row first, held to [-1, 1].

    Square roots, so that a cell with a quarter of the largest share has half its tint.
    """
    height, width = shape
    most = (
        float(np.quantile(np.abs(attribution), _MOST, method="higher"))
        or float(np.abs(attribution).max())
        or 1.0
    )
    known = np.clip(attribution / most, -1.0, 1.0)
    known = np.sign(known) * np.sqrt(np.abs(known))
    edges = np.linspace(0.0, spectrogram.hz_to_mel(rate / 2), height + 1)
    hz = spectrogram.mel_to_hz((edges[:-1] + edges[1:]) / 2)
    band = np.searchsorted(np.asarray(grid.edges[1:-1]), hz, side="right")
    at = start + (np.arange(width) + 0.5) / width * seconds
    moment = np.clip(np.floor(at / grid.seconds * grid.moments), 0, grid.moments - 1).astype(np.int64)
    out = known[band][:, moment]
    out[hz > grid.edges[-1]] = 0.0
    return out


def legend() -> str:
    """All tints of a middling grey, from the strongest blue to the strongest orange."""
    return _encoded(
        np.arange(2 * TINTS + 1, dtype=np.uint8)[None], tinted(GREYS, TINTS)[GREYS // 2 * 9 :][:9]
    )


def _encoded(index: NDArray[np.uint8], colours: NDArray[np.uint8]) -> str:
    return base64.b64encode(png.encode(index, colours)).decode("ascii")
