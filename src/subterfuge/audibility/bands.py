"""Critical bands on the Bark scale, and what can be heard in quiet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.features.frames import positive

# Beyond these nobody hears, and the formula for the threshold in quiet says nothing.
LOWEST_HZ, HIGHEST_HZ = 20.0, 20000.0
# The formula goes to 160 dB at 20 kHz; the tables of ISO/IEC 11172-3, annex D, stop at 68.
MOST_IN_QUIET = 68.0


def bark(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Critical-band rate of a frequency, in Bark.

    Parameters
    ----------
    hz : float or ndarray
        Frequencies in Hz, from 0 up.

    Returns
    -------
    ndarray
        0 to about 24.6 at 20 kHz, of the same shape.

    References
    ----------
    Zwicker and Terhardt, "Analytical expressions for critical-band rate and critical bandwidth as a function
    of frequency", J. Acoust. Soc. Am. 68(5), 1980.

    Examples
    --------
    >>> bark(1000.0).round(1).item()
    8.5
    """
    f = np.asarray(hz, dtype=np.float64)
    return np.asarray(13 * np.arctan(0.76e-3 * f) + 3.5 * np.arctan((f / 7500) ** 2))


def hertz(z: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequency of a critical-band rate: the inverse of :func:`bark`, to a hundredth of a Hz.

    Examples
    --------
    >>> hertz(bark(440.0)).round(1).item()
    440.0
    """
    grid = np.arange(0.0, 32000.0, 2.0)
    return np.asarray(np.interp(z, bark(grid), grid))


def threshold_in_quiet(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of a tone that is just heard in quiet, in dB SPL.

    Terhardt's formula, held at :data:`MOST_IN_QUIET` where it explodes (both ends).

    References
    ----------
    Terhardt, "Calculating virtual pitch", Hearing Research 1(2), 1979; Painter and Spanias, "Perceptual
    coding of digital audio", Proc. IEEE 88(4), 2000, eq. 1.

    Examples
    --------
    >>> threshold_in_quiet(np.array([100.0, 1000.0, 3300.0, 20000.0])).round(1).tolist()
    [23.0, 3.4, -5.0, 68.0]
    """
    khz = np.maximum(np.asarray(hz, dtype=np.float64), LOWEST_HZ) / 1000
    level = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return np.asarray(np.minimum(level, MOST_IN_QUIET))


@dataclass(frozen=True, eq=False)
class CriticalBands:
    """Bands one Bark wide, every half Bark, so that neighbours overlap by half.

    Attributes
    ----------
    low, high, centre : Tensor of float64, shape (bands,)
        In Hz; the centre is that of the critical-band rate.
    quiet : Tensor of float64, shape (bands,)
        Threshold in quiet in dB SPL, where in the band the ear is sharpest.
    rate : Tensor of float64, shape (bands,)
        Critical-band rate of the centre, in Bark.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    quiet: Tensor
    rate: Tensor


@lru_cache(maxsize=32)
def half_bands(sr: float) -> tuple[float, ...]:
    """Edges of bands half a Bark wide up to half the sample rate (but no further than 20 kHz), in Hz.

    The last is as much wider as is left over.
    """
    positive(sr=sr)
    top = min(sr / 2, HIGHEST_HZ)
    number = max(2, math.floor(2 * float(bark(top))))
    edges = hertz(np.arange(number + 1) / 2.0)
    return (*edges[:-1].tolist(), top)


@lru_cache(maxsize=32)
def critical_bands(sr: float) -> CriticalBands:
    """The critical bands of audio at that sample rate.

    Parameters
    ----------
    sr : float
        In Hz.

    Returns
    -------
    CriticalBands

    Examples
    --------
    >>> len(critical_bands(44100).centre)
    48
    """
    edges = half_bands(sr)
    low, high = np.array(edges[:-2]), np.array(edges[2:])
    rate = np.arange(1, len(edges) - 1) / 2.0
    quiet = [float(threshold_in_quiet(np.linspace(a, b, 64)).min()) for a, b in zip(low, high, strict=True)]
    return CriticalBands(
        torch.from_numpy(low),
        torch.from_numpy(high),
        torch.from_numpy(hertz(rate)),
        torch.tensor(quiet, dtype=torch.float64),
        torch.from_numpy(rate),
    )
