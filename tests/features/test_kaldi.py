"""Kaldi's filter bank: against its steps written out with NumPy, one frame at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.features.kaldi import log_fbank

WINDOW = np.hanning(400)
FILTERS = np.abs(np.random.default_rng(0).normal(size=(257, 8)))


def by_hand(y: np.ndarray, start: int) -> np.ndarray:
    """Log energies of the frame that begins at ``start``."""
    frame = y[start : start + 400] - y[start : start + 400].mean()
    emphasised = np.array([frame[i] - 0.97 * frame[max(i - 1, 0)] for i in range(400)])
    power = np.abs(np.fft.fft(np.pad(emphasised * WINDOW, (0, 112)))[:257]) ** 2
    return np.log(np.maximum(FILTERS.T @ power, 2.0**-23))


def taken(y: torch.Tensor) -> torch.Tensor:
    return log_fbank(y, window=torch.from_numpy(WINDOW), filters=torch.from_numpy(FILTERS))


def test_each_frame_is_as_by_hand() -> None:
    y = 0.1 * np.random.default_rng(1).normal(size=1200) + 0.3
    found = taken(torch.from_numpy(y)[None])
    assert found.shape == (1, 6, 8)  # what is left of the last step is not heard
    for i in range(6):
        np.testing.assert_allclose(found[0, i], by_hand(y, 160 * i), rtol=1e-9)
    single = taken(torch.from_numpy(y).float()[None])
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, found, atol=1e-4)


def test_a_constant_is_nothing_and_stays_at_the_floor_without_a_gradient() -> None:
    y = torch.full((1, 400), 0.5, dtype=torch.float64, requires_grad=True)
    found = taken(y)
    torch.testing.assert_close(found, torch.full((1, 1, 8), -23 * np.log(2), dtype=torch.float64))
    found.sum().backward()
    assert bool((y.grad == 0).all())


def test_the_gradient_is_that_of_finite_differences() -> None:
    y = torch.randn(
        1, 560, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: taken(x).sum((0, 1)), y, atol=1e-6)


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(SubterfugeError, match="got 399 samples, expected at least a frame, 400"):
        taken(torch.zeros(1, 399))
