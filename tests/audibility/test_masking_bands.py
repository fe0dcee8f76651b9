"""The Bark scale against Zwicker's table, the threshold in quiet against ISO 226, and the bands there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_sounds import band_at, noise, spl, tone

from subterfuge.audibility.bands import bark, half_bands, hertz, threshold_in_quiet
from subterfuge.audibility.masking import LEVEL, critical_bands, masking_threshold, noise_to_mask
from subterfuge.errors import SubterfugeError

# Edges of the critical bands 1 to 24: Zwicker, "Subdivision of the audible frequency range into critical
# bands (Frequenzgruppen)", J. Acoust. Soc. Am. 33(2), 1961.
EDGES = (100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700)
EDGES += (4400, 5300, 6400, 7700, 9500, 12000, 15500)
# Thresholds of hearing in dB SPL: ISO 226:2003, table 1.
QUIET = {50: 44.0, 100: 26.5, 200: 14.4, 500: 4.4, 1000: 2.4, 2000: -1.3, 3150: -6.0, 4000: -5.4}


def test_bark_is_zwickers() -> None:
    found = bark(np.array(EDGES, dtype=float))
    np.testing.assert_allclose(found, np.arange(1, 25), atol=0.25)  # the formula's own error is 0.2
    assert bark(0.0) == 0 and (np.diff(bark(np.linspace(0, 20000, 5000))) > 0).all()


def test_hertz_takes_bark_back() -> None:
    hz = np.geomspace(20, 20000, 3000)
    np.testing.assert_allclose(hertz(bark(hz)), hz, atol=0.01)


def test_quiet_is_near_the_standard() -> None:
    for hz, level in QUIET.items():
        assert float(threshold_in_quiet(float(hz))) == pytest.approx(level, abs=4.2)
    hz = np.linspace(20, 16000, 8000)
    assert 2500 < hz[threshold_in_quiet(hz).argmin()] < 4500


def test_quiet_by_hand() -> None:
    # 3.64 * 0.5 ** -0.8 = 6.338; 6.5 * exp(-0.6 * 2.8 ** 2) = 0.0589; 0.001 * 0.5 ** 4 = 0.0001
    assert float(threshold_in_quiet(500.0)) == pytest.approx(6.338 - 0.0589 + 0.0001, abs=1e-3)
    # 3.64 * 10 ** -0.8 = 0.577; the second term is nothing; 0.001 * 10 ** 4 = 10
    assert float(threshold_in_quiet(10000.0)) == pytest.approx(10.577, abs=1e-3)


def test_quiet_is_capped_where_its_formula_explodes() -> None:
    hz = np.array([0.0, 1.0, 20.0, 16500.0, 18000.0, 20000.0, 24000.0, 96000.0])
    assert (threshold_in_quiet(hz) == 68).all()
    assert float(threshold_in_quiet(15500.0)) < 68
    for sr in (44100, 192000):
        assert float(critical_bands(sr).quiet.max()) <= 68


@pytest.mark.parametrize("sr", (1000, 8000, 22050, 44100, 48000, 96000, 192000, 44100.5))
def test_bands_are_one_bark_wide_every_half_bark(sr: float) -> None:
    bands = critical_bands(sr)
    top = min(sr / 2, 20000)
    assert float(bands.low[0]) == 0 and float(bands.high[-1]) == top
    low, high = bark(bands.low.numpy()), bark(bands.high.numpy())
    np.testing.assert_allclose(np.diff(low), 0.5, atol=1e-3)
    np.testing.assert_allclose((high - low)[:-1], 1.0, atol=1e-3)
    assert 1.0 - 1e-3 <= (high - low)[-1] < 1.5 + 1e-3
    np.testing.assert_allclose(bark(bands.centre.numpy()), bands.rate.numpy(), atol=1e-3)
    assert bool((bands.low < bands.centre).all() and (bands.centre < bands.high).all())
    assert len(half_bands(sr)) == len(bands.rate) + 2


def test_in_silence_the_threshold_is_that_in_quiet() -> None:
    bands = critical_bands(44100)
    for level in (60.0, 92.0, 110.0):
        hidden = spl(masking_threshold(torch.zeros(1, 20000), sr=44100, level=level), level=level)
        expected = bands.quiet[None, :, None].expand_as(hidden)
        torch.testing.assert_close(hidden, expected.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("hz", (60, 125, 250, 500, 1000, 2000, 4000, 8000, 12000, 15000))
def test_a_tone_in_silence_is_heard_just_above_the_threshold_in_quiet(hz: int) -> None:
    quiet = float(threshold_in_quiet(float(hz)))
    silence = torch.zeros(1, 44100, dtype=torch.float64)
    heard = noise_to_mask(silence, tone(hz, quiet + 2), sr=44100)[0, :, 20:-20]
    assert bool((heard.amax(0) > 1).all())
    unheard = noise_to_mask(silence, tone(hz, quiet - 2), sr=44100)[0, :, 20:-20]
    # A band's threshold is the lowest within it: where the ear's changes fast with frequency, and in the
    # neighbour's band that the tone leaks to, less is hidden than could be.
    if 250 <= hz <= 8000:
        assert bool((unheard < 1).all())


def test_what_is_played_softer_is_hidden_by_the_quiet() -> None:
    y = noise(900, 1100, 20)
    silence = torch.zeros_like(y)
    i = band_at(1000)
    assert float(noise_to_mask(silence, y, sr=44100)[0, i].median()) > 10
    assert float(noise_to_mask(silence, y, sr=44100, level=LEVEL - 30)[0, i].median()) < 0.1


def test_the_cap_can_be_lowered() -> None:
    y = torch.zeros(1, 4000)
    hidden = spl(masking_threshold(y, sr=44100, quiet_at_most=5.0))
    assert float(hidden.max()) == pytest.approx(5.0, abs=1e-3)
    quiet = critical_bands(44100).quiet.clamp(max=5.0).float()
    torch.testing.assert_close(hidden[0, :, 0], quiet, atol=1e-3, rtol=0)


def test_bad_input_is_named() -> None:
    with pytest.raises(SubterfugeError, match=r"shape \(100,\).*\(batch, samples\)"):
        masking_threshold(torch.zeros(100), sr=44100)
    with pytest.raises(SubterfugeError, match="at least one sample"):
        masking_threshold(torch.zeros(2, 0), sr=44100)
    with pytest.raises(SubterfugeError, match="int16"):
        masking_threshold(torch.zeros(2, 100, dtype=torch.int16), sr=44100)
    with pytest.raises(SubterfugeError, match="sr is 0"):
        masking_threshold(torch.zeros(2, 100), sr=0)
    with pytest.raises(SubterfugeError, match="level: got nan"):
        masking_threshold(torch.zeros(2, 100), sr=44100, level=float("nan"))
