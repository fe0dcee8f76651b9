"""Sounds of a known level for tests of the psychoacoustic model."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.audibility.masking import LEVEL, critical_bands


def tone(hz: float, spl: float, *, sr: float = 44100, seconds: float = 1.0) -> Tensor:
    """A sine at ``spl`` dB where one of full scale is at ``LEVEL``, float64, shape (1, samples)."""
    t = torch.arange(round(seconds * sr), dtype=torch.float64) / sr
    return (10 ** ((spl - LEVEL) / 20) * torch.sin(2 * math.pi * hz * t))[None]


def noise(
    low: float, high: float, spl: float, *, sr: float = 44100, seconds: float = 1.0, seed: int = 0
) -> Tensor:
    """Noise between two frequencies, with nothing beyond; of the level that :func:`tone` would have."""
    n = round(seconds * sr)
    spectrum = torch.fft.rfft(
        torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )
    hz = torch.fft.rfftfreq(n, 1 / sr, dtype=torch.float64)
    y = torch.fft.irfft(spectrum * ((hz >= low) & (hz <= high)), n)
    return (y / y.square().mean().sqrt() * 10 ** ((spl - LEVEL) / 20) / math.sqrt(2))[None]


def band(rate: float, *, sr: float = 44100) -> int:
    """Number of the critical band whose centre is at that rate in Bark."""
    return int((critical_bands(sr).rate - rate).abs().argmin())


def band_at(hz: float, *, sr: float = 44100) -> int:
    """Number of the critical band whose centre is next to a frequency."""
    return int((critical_bands(sr).centre - hz).abs().argmin())


def spl(power: Tensor, *, level: float = LEVEL) -> Tensor:
    """Mean squares as dB SPL."""
    return 10 * torch.log10(2 * power) + level
