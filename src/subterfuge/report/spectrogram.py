"""Spectrograms to look at: mel-spaced rows, one column a pixel, levels in dB."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RANGE_DB = 90.0
STEP_DB = 1.5
LEVELS = int(RANGE_DB / STEP_DB) + 1
_BREAK_HZ = 700.0  # the mel scale is linear well below this and logarithmic well above
_WINDOW_SECONDS = 0.046


def bands(y: NDArray[np.float64], rate: int, *, width: int = 840, height: int = 168) -> NDArray[np.float64]:
    """Power in mel-spaced bands over time, averaged over channels.

    A Hann window of 46 ms, padded to twice its length; a row is the mean of the spectrum between its
    edges, found from the running integral, so that rows narrower than a bin and wider than many are
    treated by one formula.

    Parameters
    ----------
    y : ndarray, shape (channels, samples)
        At least one sample.
    rate : int
        In Hz.
    width, height : int
        Columns (evenly spaced over the clip) and rows (0 Hz to half the rate, on the mel scale).

    Returns
    -------
    ndarray, shape (height, width)
        Power per bin, linear, the lowest frequency first; a full-scale sine is about 0.1 to 1.
    """
    window = max(16, round(_WINDOW_SECONDS * rate))
    size = scipy.fft.next_fast_len(2 * window, real=True)
    hann = np.hanning(window + 2)[1:-1].astype(np.float32)
    # Mirrored at both ends, since a sudden start would draw a click there.
    padded = np.pad(y, ((0, 0), (window // 2, window - window // 2)), mode="symmetric").astype(np.float32)
    starts = np.floor((np.arange(width) + 0.5) * y.shape[1] / width).astype(np.int64)
    edges = mel_to_hz(np.linspace(0.0, hz_to_mel(rate / 2), height + 1)) * size / rate
    below = np.minimum(np.floor(edges).astype(np.int64), size // 2)
    part = edges - below
    spread = np.diff(edges)[:, None]
    out = np.empty((height, width))
    for first in range(0, width, 64):  # in parts, so that a long clip costs no more memory than a short one
        frames = padded[:, starts[first : first + 64, None] + np.arange(window)] * hann
        spectrum = scipy.fft.rfft(frames, size, axis=2)
        power = (spectrum.real**2 + spectrum.imag**2).mean(0) * (2 / hann.sum()) ** 2
        total = np.zeros((power.shape[0], size // 2 + 3))
        np.cumsum(power, axis=1, dtype=np.float64, out=total[:, 1 : size // 2 + 2])
        total[:, -1] = total[:, -2]
        at_edges = total[:, below] * (1 - part) + total[:, below + 1] * part
        out[:, first : first + 64] = np.diff(at_edges, axis=1).T / spread
    return np.maximum(out, 0.0)


def levels(power: NDArray[np.float64], reference: float) -> NDArray[np.uint8]:
    """Power as palette indices, row 0 the highest frequency: ``LEVELS - 1`` at the reference, 0 at -90 dB."""
    floor = max(reference, 1e-30) * 10 ** (-RANGE_DB / 10)
    db = 10 * np.log10(np.maximum(power, floor) / max(reference, 1e-30))
    index = np.round((np.clip(db, -RANGE_DB, 0.0) + RANGE_DB) / STEP_DB)
    return np.ascontiguousarray(index[::-1], dtype=np.uint8)


def hz_to_mel(hz: float) -> float:
    """Mels of O'Shaughnessy's formula, without its scale factor."""
    return math.log1p(hz / _BREAK_HZ)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_mel`."""
    return _BREAK_HZ * np.expm1(mel)


def frequency_ticks(rate: int) -> list[tuple[str, float]]:
    """Labels and heights (0 bottom, 1 top) for the frequency axis, spread so that they do not touch."""
    top = hz_to_mel(rate / 2)
    ticks: list[tuple[str, float]] = []
    for hz in (100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000):
        at = hz_to_mel(hz) / top
        if at < 0.985 and (not ticks or at - ticks[-1][1] > 0.085):
            ticks.append((f"{hz // 1000}k" if hz >= 1000 else str(hz), at))
    return ticks


def time_ticks(start: float, duration: float) -> list[tuple[str, float]]:
    """Labels and places (0 left, 1 right) for the time axis of a clip that begins at ``start`` seconds."""
    step = next((s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if duration / s <= 8), 10.0)
    first = math.ceil(start / step - 1e-9)
    places = [step * k for k in range(first, math.floor((start + duration) / step + 0.02) + 1)]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(_clock(at, decimals), (at - start) / duration) for at in places]


def _clock(seconds: float, decimals: int) -> str:
    if seconds < 60:
        return f"{seconds:.{decimals}f}"
    minutes, rest = divmod(round(seconds, decimals), 60)
    return f"{int(minutes)}:{rest:0{2 if decimals == 0 else decimals + 3}.{decimals}f}"
