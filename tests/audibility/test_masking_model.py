"""What every psychoacoustic model must say: slopes of masking, tones and noise, loudness, and time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sounds import band, band_at, noise, spl, tone
from scipy.signal import welch
from torch import Tensor

from subterfuge.audibility.bands import bark, threshold_in_quiet
from subterfuge.audibility.masking import (
    LEVEL,
    band_power,
    critical_bands,
    frame_times,
    masking_threshold,
    noise_to_mask,
)

SR = 44100
BANDS = critical_bands(SR)


def hidden_by(y: Tensor) -> Tensor:
    """Threshold without that in quiet, in the middle of a steady sound, in dB SPL, shape (bands,)."""
    threshold = masking_threshold(y, sr=SR)
    quiet = masking_threshold(torch.zeros_like(y), sr=SR)
    return spl((threshold - quiet)[0, :, threshold.shape[-1] // 2].clamp(min=1e-30))


# ---------------------------------------------------------------- over frequency


def slopes(hz: float, level: float) -> tuple[float, float]:
    """Slopes in dB a Bark below and above a tone, between one and two and a half Bark away."""
    hidden = hidden_by(tone(hz, level))
    here = band_at(hz)
    return float(hidden[here - 2] - hidden[here - 4]), float(hidden[here + 3] - hidden[here + 5])


def test_a_tone_at_1_khz_hides_more_above_than_below_and_the_more_the_louder_it_is() -> None:
    found = {level: slopes(1000, level) for level in (50, 60, 70, 80, 90)}
    for level, (below, above) in found.items():
        assert below == pytest.approx(27, abs=1.5)
        # Terhardt 1979: 24 dB a Bark at first, 0.2 less for each dB of level.
        assert above == pytest.approx(24 + 0.23 - 0.2 * level, abs=1.5)
        assert below > above + 8
    belows, aboves = zip(*found.values(), strict=True)
    assert max(belows) - min(belows) < 0.5
    assert all(a > b + 1.4 for a, b in itertools.pairwise(aboves))


@pytest.mark.parametrize("level", (55, 65, 75, 85, 95))
def test_far_above_a_tone_no_more_is_hidden_than_by_its_slope(level: int) -> None:
    """Between the levels at which slopes are worked out, too: 85 dB every 20 would be 5 dB too much."""
    at = band_at(1000)
    hidden = hidden_by(tone(1000, level))
    slope = 24 + 0.23 - 0.2 * level
    for away in (3, 4, 5):
        expected = float(hidden[at + 2]) - slope * (away - 1)
        assert float(hidden[at + 2 * away]) == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("sr", (22050, 44100, 48000))
def test_a_tone_of_any_frequency_masks_as_a_tone(sr: int) -> None:
    """Wherever it lies in its band: what its spectral line smears into the next one is no noise."""
    bands = critical_bands(sr)
    hz = np.geomspace(150, min(0.45 * sr, 15000), 60)
    y = torch.cat([tone(float(f), 75, sr=sr, seconds=0.2) for f in hz])
    hidden = spl(masking_threshold(y, sr=sr)[..., 17])
    for f, row in zip(hz, hidden, strict=True):
        rate = float(bark(f))
        own = float(row[(bands.rate - rate).abs() <= 0.5].max())
        assert -2.5 < own - (75 - 14.5 - rate) < 6


def test_low_tones_have_steeper_slopes_above() -> None:
    assert slopes(100, 70)[1] > slopes(1000, 70)[1] + 1  # Terhardt: by 230 Hz / f


@pytest.mark.parametrize("rate", (2.5, 5.5, 8.5, 12.5, 15.5, 18.5, 21.5))
@pytest.mark.parametrize("level", (60, 80))
def test_noise_masks_better_than_tones(rate: float, level: int) -> None:
    i = band(rate)
    loud = noise(float(BANDS.low[i]), float(BANDS.high[i]), level)
    inside = slice(20, -20)
    power, hidden = band_power(loud, sr=SR)[0, i, inside], masking_threshold(loud, sr=SR)[0, i, inside]
    by_noise = float(spl(power.mean()) - spl(hidden.mean()))
    steady = masking_threshold(tone(float(BANDS.centre[i]), level), sr=SR)[0, i, inside]
    by_tone = level - float(spl(steady.mean()))
    assert by_noise == pytest.approx(5.5, abs=2)
    assert by_tone == pytest.approx(14.5 + rate, abs=2)
    assert by_tone > by_noise + 10


def test_a_tone_beside_noise_is_heard_by_the_noises_figure_and_noise_beside_a_tone_by_the_tones() -> None:
    i = band(9.5)
    tonal = tone(float(BANDS.centre[i]), 70)
    noisy = noise(float(BANDS.low[i]), float(BANDS.high[i]), 70)

    def ratio(masker: Tensor, masked: Tensor, below: float) -> float:
        quiet = masked * 10 ** (-below / 20)
        return float(noise_to_mask(masker, masker + quiet, sr=SR)[0, i, 20:-20].median())

    assert ratio(noisy, tonal, 4) > 1 > ratio(noisy, tonal, 9)
    assert ratio(tonal, noisy, 21) > 1 > ratio(tonal, noisy, 27)


def test_maskers_add_up() -> None:
    one, other = noise(900, 1100, 60), noise(3000, 3300, 60, seed=1)
    both = masking_threshold(one + other, sr=SR)
    alone = [masking_threshold(y, sr=SR) for y in (one, other)]
    middle = slice(20, -20)
    near = both[..., middle] / torch.maximum(*alone)[..., middle]
    assert float(near.min()) > 0.7 and float(near.median()) < 1.6


# ---------------------------------------------------------------- a critical band, not a bin


def test_noise_that_fills_each_bin_is_far_above_the_threshold_of_its_band() -> None:
    """What is just unheard bin by bin (21.5 Hz), here of silence, whose answer is known in closed form."""
    size, n = 2048, 10 * SR
    generator = torch.Generator().manual_seed(0)
    hz = np.fft.rfftfreq(n, 1 / SR)
    line = 10 ** ((threshold_in_quiet(hz) - LEVEL) / 10) / 2  # power of a tone that is just not heard
    # White noise of unit power has 1.5 times a bin's width of it in a bin of a Hann window.
    each = 1.5 / (size / 2)
    spectrum = torch.fft.rfft(torch.randn(n, generator=generator, dtype=torch.float64))
    y = torch.fft.irfft(spectrum * torch.from_numpy(np.sqrt(line / each)), n)[None]
    centre, found = welch(y[0].numpy(), SR, window="hann", nperseg=size, scaling="spectrum")
    told = (centre > 300) & (centre < 15000)
    per_bin = 10 * np.log10(found[told] / (10 ** ((threshold_in_quiet(centre[told]) - LEVEL) / 10) / 2))
    assert np.abs(per_bin).max() < 1.2 and abs(np.median(per_bin)) < 0.3  # each bin is at its threshold

    ratio = noise_to_mask(torch.zeros_like(y), y, sr=SR)[0, :, 20:-20].mean(-1)
    for i in range(band_at(500), band_at(12000)):
        low, high = float(BANDS.low[i]), float(BANDS.high[i])
        inside = np.linspace(low, high, 400)
        mean = np.mean(10 ** ((threshold_in_quiet(inside) - LEVEL) / 10) / 2)
        expected = (
            mean * (high - low) / (1.5 * SR / size) / (10 ** ((float(BANDS.quiet[i]) - LEVEL) / 10) / 2)
        )
        assert 10 * np.log10(float(ratio[i]) / expected) == pytest.approx(0, abs=0.7)
    above = 10 * ratio.log10()
    assert float(above[band_at(1000)]) > 6
    assert float(above[band_at(4000)]) > 13
    assert float(above[band_at(10000)]) > 18


# ---------------------------------------------------------------- loudness


@settings(deadline=None, derandomize=True, max_examples=15)
@given(gain=st.floats(-60, 20), seed=st.integers(0, 99))
def test_scaling_the_clip_and_the_level_together_changes_nothing(gain: float, seed: int) -> None:
    y = noise(50, 9000, 60, seconds=0.2, seed=seed) + tone(440, 70, seconds=0.2)
    z = y + noise(20, 20000, 30, seconds=0.2, seed=seed + 1)
    scale = 10 ** (gain / 20)
    before = noise_to_mask(y, z, sr=SR)
    torch.testing.assert_close(
        noise_to_mask(scale * y, scale * z, sr=SR, level=LEVEL - gain), before, rtol=1e-6, atol=0
    )
    hidden = masking_threshold(scale * y, sr=SR, level=LEVEL - gain)
    torch.testing.assert_close(hidden, scale**2 * masking_threshold(y, sr=SR), rtol=1e-6, atol=0)


def test_a_softer_clip_hides_less_and_is_not_held_against_its_own_peak() -> None:
    y = noise(50, 15000, 60, seconds=0.3)
    z = y + noise(50, 15000, 52, seconds=0.3, seed=1)
    loud, soft = (noise_to_mask(gain * y, gain * z, sr=SR).median() for gain in (1.0, 0.01))
    assert float(loud) > 0.5
    assert float(soft) < float(loud) / 4  # what is 40 dB softer is below the threshold in quiet by far


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 2**16),
    up=st.floats(0.01, 40),
    sr=st.sampled_from((8000, 22050, 44100, 96000)),
    kind=st.sampled_from(("noise", "tone", "clicks")),
)
def test_a_louder_masker_hides_more(seed: int, up: float, sr: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(1, sr // 8, generator=generator, dtype=torch.float64)
    if kind == "clicks":
        y = y * (y.abs() > 3)
    if kind == "tone":
        y = torch.sin(torch.arange(sr // 8, dtype=torch.float64) * (0.05 + float(y[0, 0].abs())))[None]
    y = y * 10 ** float(-3 * torch.rand(1, generator=generator))
    soft, loud = masking_threshold(y, sr=sr), masking_threshold(y * 10 ** (up / 20), sr=sr)
    quiet = masking_threshold(torch.zeros_like(y), sr=sr)
    assert bool(loud.isfinite().all()) and bool((soft >= quiet * (1 - 1e-9)).all())
    assert bool((loud >= soft * (1 - 1e-9)).all()) and bool((loud > soft).any())
    # Nothing hides more than itself by its own power; what spreads above does so for its level alone.
    assert bool((loud.amax(1) <= band_power(y * 10 ** (up / 20), sr=sr).amax() + quiet.amax(1)).all())


@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=st.integers(0, 2**16), factor=st.floats(0.01, 100))
def test_the_ratio_is_of_powers(seed: int, factor: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    y, noise_ = torch.randn(2, 1, 4000, generator=generator, dtype=torch.float64) / 20
    one, more = (noise_to_mask(y, y + k * noise_, sr=16000) for k in (1.0, factor))
    torch.testing.assert_close(more, factor**2 * one, rtol=1e-6, atol=0)
    assert not noise_to_mask(y, y, sr=16000).any()
    torch.testing.assert_close(
        one, band_power(noise_, sr=16000) / masking_threshold(y, sr=16000), rtol=1e-6, atol=0
    )


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("hz", (200, 1000, 4000))
@pytest.mark.parametrize("sr", (22050, 44100, 48000))
def test_a_burst_masks_a_little_before_and_long_after(hz: int, sr: int) -> None:
    bands, i = critical_bands(sr), band_at(hz, sr=sr)
    burst = noise(float(bands.low[i]), float(bands.high[i]), 75, sr=sr)
    begin, end = 0.4, 0.6
    burst[:, : round(begin * sr)] = 0
    burst[:, round(end * sr) :] = 0
    above = (spl(masking_threshold(burst, sr=sr)[0, i]) - bands.quiet[i]).numpy()
    times = frame_times(burst.shape[1], sr).numpy()

    def at(ms: float, since: float) -> float:
        return float(np.interp(since + ms / 1000, times, above))

    during = at(100, begin)
    assert during > 45
    assert at(-5, begin) > 10
    assert at(-50, begin) < 0.5 and at(-100, begin) < 0.5
    assert 15 < at(50, end) < during - 25  # Zwicker and Fastl: most of it is lost within 50 ms
    assert 6 < at(100, end) < 20
    assert at(250, end) < 0.1
    later = [at(ms, end) for ms in range(30, 250, 10)]
    assert all(a >= b - 1e-6 for a, b in itertools.pairwise(later))


def test_nothing_is_hidden_before_an_onset() -> None:
    """Noise 30 ms before a loud onset: what a window of 46 ms over both would hide."""
    y = noise(100, 15000, 80)
    y[:, : SR // 2] = 0
    early = noise(1000, 15000, 45, seed=1)
    early[:, : SR // 2 - round(0.045 * SR)] = 0
    early[:, SR // 2 - round(0.025 * SR) :] = 0
    ratio = noise_to_mask(y, y + early, sr=SR)[0]
    times = frame_times(SR, SR)
    then = (times > 0.455) & (times < 0.475)
    assert float(ratio[band_at(1500) : band_at(9000), then].mean(-1).min()) > 100
    late = early.roll(round(0.1 * SR), 1)  # the same noise once the sound is there
    assert float(noise_to_mask(y, y + late, sr=SR)[0, band_at(1500) : band_at(9000)].max()) < 1


def test_a_delay_delays_and_no_more() -> None:
    y = noise(100, 15000, 70, seconds=0.3) * torch.hann_window(round(0.3 * SR), dtype=torch.float64)
    step = 512  # two frames
    pad = torch.zeros(1, 20 * step, dtype=torch.float64)
    early = torch.cat([pad, y, pad, pad[:, :step]], 1)
    late = torch.cat([pad, pad[:, :step], y, pad], 1)
    for function in (band_power, masking_threshold):
        a, b = function(early, sr=SR), function(late, sr=SR)
        torch.testing.assert_close(a[..., :-2], b[..., 2:], rtol=1e-6, atol=1e-18)


# ---------------------------------------------------------------- rows


def test_rows_do_not_influence_each_other() -> None:
    rows = [noise(50, 9000, 75, seconds=0.2), tone(1000, 40, seconds=0.2), torch.zeros(1, 8820)]
    rows = [row.float().to(torch.float64) for row in rows]
    together = masking_threshold(torch.cat(rows), sr=SR)
    for i, row in enumerate(rows):
        torch.testing.assert_close(together[i : i + 1], masking_threshold(row, sr=SR), rtol=1e-9, atol=0)
    y = torch.cat(rows).requires_grad_()
    (gradient,) = torch.autograd.grad(masking_threshold(y, sr=SR)[0].log().sum(), y)
    assert bool(gradient[0].any()) and not bool(gradient[1:].any())
