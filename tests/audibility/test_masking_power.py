"""Power by critical band: sines and noise of known power at any rate and length, tones told bin by bin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sounds import noise, tone

from subterfuge.audibility import spectra
from subterfuge.audibility.bands import bark
from subterfuge.audibility.masking import (
    band_power,
    critical_bands,
    frame_times,
    masking_threshold,
    noise_to_mask,
)

RATES = (8000, 22050, 44100, 48000, 96000, 192000)


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_a_sine_has_half_its_amplitude_squared_in_its_band_and_nothing_afar(
    sr: int, dtype: torch.dtype
) -> None:
    bands = critical_bands(sr)
    t = torch.arange(round(0.25 * sr), dtype=torch.float64) / sr
    hz = torch.from_numpy(np.geomspace(60, min(0.45 * sr, 18000), 40))
    amplitude = torch.linspace(0.01, 1, 40, dtype=torch.float64)[:, None]
    y = amplitude * torch.sin(2 * math.pi * hz[:, None] * t)
    power = band_power(y.to(dtype), sr=sr)
    middle = power[..., power.shape[-1] // 2].double() / (amplitude**2 / 2)
    largest, where = middle.max(1)
    # 1.3 dB at the worst: on the edge between two windows. For most it is next to nothing.
    assert bool((10 * largest.log10()).abs().max() < 1.3)
    assert bool((10 * largest.log10()).abs().median() < 0.05)
    assert bool(((bands.low[where] <= hz) & (hz <= bands.high[where])).all())
    rate = torch.from_numpy(bark(hz.numpy()))[:, None]
    away = torch.maximum(torch.from_numpy(bark(bands.low.numpy())) - rate, rate - bark(bands.high.numpy()))
    assert float(middle[away > 1].max()) < 1e-4


@pytest.mark.parametrize("sr", RATES)
def test_white_noise_has_its_share_in_every_band(sr: int) -> None:
    y = torch.randn(1, 4 * sr, generator=torch.Generator().manual_seed(0)) / 10
    bands = critical_bands(sr)
    found = band_power(y, sr=sr)[0, :, 10:-10].mean(-1)
    expected = 0.01 * (bands.high - bands.low) / (sr / 2)
    assert float((10 * (found / expected).log10()).abs().max()) < 0.6


def test_a_constant_and_the_fastest_alternation_count_once() -> None:
    for y in (torch.full((1, 8000), 0.3), 0.3 * (-1.0) ** torch.arange(8000)[None]):
        power = band_power(y, sr=8000)[0, :, 60]
        assert float(power.max()) == pytest.approx(0.09, rel=0.2)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    samples=st.one_of(st.integers(1, 40), st.integers(1, 5000)),
    sr=st.sampled_from((100, 1000, 8000, 11025, 44100, 48000, 192000)),
    scale=st.sampled_from((0.0, 1e-6, 1e-3, 1.0)),
    dtype=st.sampled_from((torch.float32, torch.float64)),
)
def test_any_length_rate_and_loudness(samples: int, sr: int, scale: float, dtype: torch.dtype) -> None:
    y = scale * torch.randn(2, samples, generator=torch.Generator().manual_seed(samples), dtype=dtype)
    times = frame_times(samples, sr)
    shape = (2, len(critical_bands(sr).rate), len(times))
    power, hidden = band_power(y, sr=sr), masking_threshold(y, sr=sr)
    ratio = noise_to_mask(y, 1.5 * y, sr=sr)
    for one in (power, hidden, ratio):
        assert one.shape == shape and one.dtype == dtype and bool(one.isfinite().all())
    assert bool((power >= 0).all() and (ratio >= 0).all() and (hidden > 0).all())
    assert float(times[0]) == 0 and float(times[-1]) <= samples / sr
    assert scale > 0 or not power.any()


def test_frames_are_where_their_times_say() -> None:
    sr, at = 44100, 0.37
    y = torch.zeros(1, sr)
    y[0, round(at * sr)] = 1.0
    power = band_power(y, sr=sr)[0]
    times = frame_times(sr, sr)
    assert float(times.diff().max()) == pytest.approx(0.0058, abs=1e-4)
    for one in power:
        centre = float((one.double() * times).sum() / one.sum())
        assert centre == pytest.approx(at, abs=0.003)
    # 46 ms of window below, 12 ms above.
    width = [float(times[one > one.max() / 1000].diff().sum()) for one in power]
    assert 0.03 < width[0] <= 0.047 and 0.005 < width[-1] <= 0.012


def test_what_nobody_hears_does_not_count() -> None:
    sr = 96000
    y = noise(200, 8000, 60, sr=sr, seconds=0.5)
    high = tone(26000, 90, sr=sr, seconds=0.5)
    ramp = torch.hann_window(high.shape[1], dtype=torch.float64)  # its own switching on would be heard
    assert float(band_power(high * ramp, sr=sr).amax()) < 1e-9
    torch.testing.assert_close(masking_threshold(y + high * ramp, sr=sr), masking_threshold(y, sr=sr))
    assert float(noise_to_mask(y, y + high * ramp, sr=sr).max()) < 1e-3


def test_single_precision_is_enough() -> None:
    y = torch.cat([noise(100, 15000, 70), tone(1000, 80), tone(50, 92)])
    for function in (band_power, masking_threshold):
        exact = function(y, sr=44100)
        rough = function(y.float(), sr=44100).double()
        floor = 1e-10 * exact.amax((1, 2), keepdim=True)
        assert float(((rough - exact).abs() / (exact + floor)).max()) < 0.02  # 0.1 dB


def tones_by_definition(power: np.ndarray) -> np.ndarray:
    """Bins of tones: a loop over the definition, shape (bins,)."""
    n = len(power)

    def at(k: int) -> float:
        return float(power[k]) if 0 <= k < n else 0.0

    found = np.zeros(n, dtype=bool)
    for k in range(n):
        beside, far = max(at(k - 1), at(k + 1)), max(at(k - 2), at(k + 2), at(k - 3), at(k + 3))
        if at(k) > 0 and at(k) >= beside and 10 * math.log10(at(k) / max(far, 1e-300)) >= 7:
            found[max(0, k - 2) : k + 3] = True
    return found


def test_tones_are_told_by_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    size, hop, samples = 64, 16, 1000
    y = rng.standard_normal((2, samples)) / 30
    y[0] += np.sin(2 * np.pi * 5.3 * np.arange(samples) / size)
    y[1] += np.sin(2 * np.pi * 20 * np.arange(samples) / size)
    window = torch.hann_window(size, dtype=torch.float64)
    weights = torch.rand(size // 2 + 1, 4, dtype=torch.float64)
    power, tonal = spectra.power_and_tones(torch.from_numpy(y), window, weights, hop=hop)
    padded = np.pad(y, ((0, 0), (size // 2, size // 2)))
    seen = 0
    for row in range(2):
        for frame in range(1 + samples // hop):
            part = padded[row, frame * hop : frame * hop + size] * window.numpy()
            squares = np.abs(np.fft.rfft(part)) ** 2
            tones = tones_by_definition(squares)
            seen += int(tones.sum())
            np.testing.assert_allclose(power[row, :, frame], squares @ weights.numpy(), rtol=1e-9)
            np.testing.assert_allclose(
                tonal[row, :, frame], (squares * tones) @ weights.numpy(), rtol=1e-9, atol=1e-12
            )
    assert 5 * 2 * (samples // hop) < seen < 20 * 2 * (samples // hop)  # there are tones, and there is noise
    whole = spectra.power_in_bands(torch.from_numpy(y), window, weights, hop=hop)
    torch.testing.assert_close(whole, power)


@pytest.mark.parametrize("kept", (0, 1 << 22))
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    y = torch.randn(2, 9000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 10

    def both() -> list[torch.Tensor]:
        leaf = y.clone().requires_grad_()
        power, hidden = band_power(leaf, sr=8000), masking_threshold(leaf, sr=8000)
        return [power, hidden, *torch.autograd.grad(power.log().sum() + hidden.log().sum(), leaf)]

    whole = both()
    monkeypatch.setattr(spectra, "_BLOCK", 3000)
    monkeypatch.setattr(spectra, "_KEPT", kept)
    monkeypatch.setattr("subterfuge.audibility.masking._FRAMES", 7)
    for one, other in zip(whole, both(), strict=True):
        torch.testing.assert_close(one, other)
