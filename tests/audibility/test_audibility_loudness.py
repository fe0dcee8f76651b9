"""Loudness of a perturbation: the standard's own filter, its gate, and clips that it knows nothing of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import freqz
from torch import Tensor

from subterfuge.audibility.loudness import loudness_lu
from subterfuge.audibility.unmeasured import Unmeasured

# The two filters of ITU-R BS.1770-4, tables 1 and 2, for 48 kHz.
STAGES = (
    ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585]),
    ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621]),
)


def weight(hz: float) -> float:
    """K-weighting in dB at a frequency, from the standard's coefficients."""
    response = [freqz(b, a, worN=[hz], fs=48000)[1][0] for b, a in STAGES]
    return float(20 * np.log10(np.abs(np.prod(response))))


def sine(
    hz: float, *, amplitude: float = 1.0, seconds: float = 2.0, sr: int = 48000, channels: int = 1
) -> Tensor:
    t = torch.arange(round(seconds * sr), dtype=torch.float64) / sr
    return (amplitude * torch.sin(2 * torch.pi * hz * t)).expand(channels, -1)


@pytest.mark.parametrize("hz", [60.0, 200.0, 1000.0, 3000.0, 10000.0])
def test_frequencies_weigh_as_the_standard_says(hz: float) -> None:
    y = sine(997, amplitude=0.5)
    expected = weight(hz) - weight(997) + 20 * math.log10(0.001 / 0.5)
    assert loudness_lu(y, y + sine(hz, amplitude=0.001), sr=48000) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("decibels", [-20.0, -60.0, -110.0])
def test_a_quiet_perturbation_is_no_silence(decibels: float) -> None:
    """The absolute gate (-70 LUFS) would make all of these infinitely quiet beside a quiet clip."""
    y = sine(997, amplitude=0.003, channels=2)
    assert loudness_lu(y, y * (1 + 10 ** (decibels / 20)), sr=48000) == pytest.approx(decibels, abs=0.01)


def test_silence_around_a_perturbation_is_gated_out() -> None:
    y = sine(997, seconds=10.0)
    noise = torch.zeros_like(y)
    noise[:, 96000:192000] = 0.01 * y[:, 96000:192000]
    # The average over all ten seconds would be 7 dB lower; blocks at the edges hold some of the burst.
    assert loudness_lu(y, y + noise, sr=48000) == pytest.approx(-40, abs=1.0)


def test_a_clip_of_five_channels_weighs_the_back_ones_more() -> None:
    y = sine(997, channels=5).clone()
    front, back = y.clone(), y.clone()
    front[0] *= 1.01
    back[3] *= 1.01
    difference = loudness_lu(y, back, sr=48000) - loudness_lu(y, front, sr=48000)
    assert difference == pytest.approx(10 * math.log10(1.41), abs=0.01)


@pytest.mark.parametrize("sr", [8000, 22050, 96000, 192000])
def test_other_rates(sr: int) -> None:
    y = sine(997, amplitude=0.5, sr=sr)
    assert loudness_lu(y, 1.01 * y, sr=sr) == pytest.approx(-40, abs=0.01)


def test_nothing_changed_is_infinitely_quiet() -> None:
    assert loudness_lu(sine(997), sine(997), sr=48000) == -math.inf


@pytest.mark.parametrize(
    ("y", "sr", "reason"),
    [
        (sine(997, seconds=0.39), 48000, "shorter than a gating block of 0.4 s"),
        (torch.ones(1, 1), 48000, "shorter"),
        (torch.zeros(2, 48000), 48000, "silent"),
        (sine(997, channels=6), 48000, "6 channels"),
        (sine(100, sr=2000), 2000, "2000 Hz"),
    ],
)
def test_what_the_standard_knows_nothing_of(y: Tensor, sr: int, reason: str) -> None:
    with pytest.raises(Unmeasured, match=reason):
        loudness_lu(y, y + 0.1, sr=sr)
