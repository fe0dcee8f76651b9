"""SNR, segmental SNR, peak and dB_x: by hand, by definition, and whatever the length of the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from subterfuge.audibility import snr
from subterfuge.audibility.snr import db_x, peak_db, segmental_snr_db, snr_db


def test_snr_counts_all_channels_together() -> None:
    y = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # energy 25
    z = y + torch.tensor([[0.3, 0.0], [0.0, -0.4]])  # noise 0.25
    assert snr_db(y, z) == pytest.approx(20, abs=1e-5)


def test_nothing_changed_and_nothing_there() -> None:
    y, silence = torch.ones(2, 50), torch.zeros(2, 50)
    assert snr_db(y, y) == math.inf and snr_db(silence, y) == -math.inf
    assert snr_db(silence, silence) == math.inf
    assert peak_db(y, y) == -math.inf and db_x(y, y) == -math.inf and db_x(silence, silence) == -math.inf
    assert db_x(silence, y) == math.inf and peak_db(silence, y) == 0
    assert segmental_snr_db(y, y, sr=1000) == 35
    assert (
        segmental_snr_db(silence, y, sr=1000) is None and segmental_snr_db(silence, silence, sr=1000) is None
    )


def test_segments_are_clamped_averaged_and_left_out_by_hand() -> None:
    # 20 samples a segment; 20 dB, beyond 35 dB, below -10 dB, silence with noise in it, and a last half one.
    signal = [1.0] * 60 + [0.0] * 20 + [1.0] * 10
    noise = [0.1] * 20 + [1e-4] * 20 + [100.0] * 20 + [0.5] * 20 + [0.01**0.5] * 10
    y, z = torch.tensor([signal]), torch.tensor([signal]) + torch.tensor([noise])
    assert segmental_snr_db(y, z, sr=1000) == pytest.approx((20 + 35 - 10 + 20) / 4, abs=1e-4)


def test_segments_of_all_channels_count_together() -> None:
    y = torch.tensor([[1.0] * 20, [0.0] * 20])
    z = y + torch.tensor([[0.0] * 20, [0.1] * 20])
    assert segmental_snr_db(y, z, sr=1000) == pytest.approx(20, abs=1e-4)


def test_peaks_may_lie_in_different_channels_and_be_negative() -> None:
    y = torch.tensor([[0.1, -0.8], [0.0, 0.2]])
    z = y + torch.tensor([[0.0, 0.0], [-0.08, 0.01]])
    assert peak_db(y, z) == pytest.approx(20 * math.log10(0.08), abs=1e-5)
    assert db_x(y, z) == pytest.approx(-20, abs=1e-5)


def test_differences_are_taken_before_anything_is_rounded() -> None:
    y = torch.full((1, 1000), 0.7, dtype=torch.float64)
    assert snr_db(y, y * (1 + 1e-12)) == pytest.approx(240, abs=0.01)
    assert db_x(y, y * (1 + 1e-12)) == pytest.approx(-240, abs=0.01)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.integers(1, 200),
    st.integers(1, 3),
    st.sampled_from([50.0, 999.0, 1500.0]),
    st.integers(1, 90),
    st.integers(0, 99),
)
def test_blocks_change_nothing(samples: int, channels: int, sr: float, block: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(channels, samples, generator=generator)
    z = y + 0.1 * torch.randn(channels, samples, generator=generator)

    def all_of_them() -> list[float | None]:
        return [snr_db(y, z), peak_db(y, z), db_x(y, z), segmental_snr_db(y, z, sr=sr)]

    whole = all_of_them()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snr, "_BLOCK", block)
        assert all_of_them() == pytest.approx(whole, abs=1e-9)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.floats(1e-6, 1e3), st.floats(-80, 20), st.integers(0, 99))
def test_ratios_heed_no_level_and_follow_the_noise(gain: float, decibels: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(2, 500, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 500, generator=generator, dtype=torch.float64)
    louder = noise * 10 ** (decibels / 20)
    assert snr_db(gain * y, gain * (y + noise)) == pytest.approx(snr_db(y, y + noise), abs=1e-6)
    assert snr_db(y, y + louder) == pytest.approx(snr_db(y, y + noise) - decibels, abs=1e-6)
    assert db_x(gain * y, gain * (y + noise)) == pytest.approx(db_x(y, y + noise), abs=1e-6)
    assert db_x(y, y + louder) == pytest.approx(db_x(y, y + noise) + decibels, abs=1e-6)
    assert peak_db(gain * y, gain * (y + noise)) == pytest.approx(
        peak_db(y, y + noise) + 20 * math.log10(gain), abs=1e-6
    )


def by_definition(y: Tensor, z: Tensor, length: int) -> float:
    """Quackenbush, Barnwell and Clements's segmental SNR, a segment at a time."""
    found = []
    for start in range(0, y.shape[1], length):
        a, b = y[:, start : start + length].numpy(), z[:, start : start + length].numpy()
        if (a**2).sum() > 0:
            found.append(np.clip(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()), -10, 35))
    return float(np.mean(found))


@pytest.mark.parametrize("sr", [8000, 22050, 44100, 192000])
def test_segmental_snr_by_its_definition(sr: int) -> None:
    generator = torch.Generator().manual_seed(sr)
    y = torch.randn(2, 9999, generator=generator, dtype=torch.float64) * torch.linspace(0, 3, 9999)
    z = y + torch.randn(2, 9999, generator=generator)
    assert segmental_snr_db(y, z, sr=sr) == pytest.approx(by_definition(y, z, round(0.02 * sr)), abs=1e-9)
