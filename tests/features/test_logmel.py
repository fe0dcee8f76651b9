"""The network's front end: librosa's energies, deaf to the level, with the right gradients."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.features.logmel import logmel


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 0.1


@pytest.mark.parametrize("sr", [16000, 22050, 44100])
@pytest.mark.parametrize(("n_fft", "hop", "n_mels"), [(1024, 512, 96), (512, 160, 40), (2048, 512, 128)])
def test_is_librosas_mel_energy_of_a_clip_at_an_rms_of_one(
    sr: int, n_fft: int, hop: int, n_mels: int
) -> None:
    y = noise(2, 9000)
    ours = logmel(y, sr=sr, n_fft=n_fft, hop_length=hop, n_mels=n_mels, fmin=50.0, fmax=7000.0, floor_db=-30)
    for row, found in zip(y.numpy(), ours.numpy(), strict=True):
        one = row / np.sqrt(np.mean(row**2))
        mel = librosa.feature.melspectrogram(
            y=one, sr=sr, n_fft=n_fft, hop_length=hop, n_mels=n_mels, fmin=50.0, fmax=7000.0, norm=None
        )
        np.testing.assert_allclose(found, np.log(mel / n_fft + 1e-3), atol=1e-5)


def test_level_says_nothing_but_below_silence() -> None:
    y = noise(1, 8000, dtype=torch.float32)
    assert torch.allclose(logmel(y), logmel(y * 0.01), atol=1e-3)
    floor = -4 * np.log(10)
    assert torch.allclose(logmel(torch.zeros(1, 8000)), torch.tensor(floor, dtype=torch.float32))


def test_gradient_is_that_of_finite_differences() -> None:
    y = noise(1, 300).requires_grad_()

    def total(x: torch.Tensor) -> torch.Tensor:
        return logmel(x, sr=8000, n_fft=128, hop_length=64, n_mels=12, fmax=4000.0)

    assert torch.autograd.gradcheck(total, (y,), eps=1e-6, atol=1e-5)


def test_gradient_of_silence_is_a_number() -> None:
    y = torch.zeros(1, 4000, requires_grad=True)
    logmel(y).sum().backward()
    assert y.grad is not None and bool(y.grad.isfinite().all())


@pytest.mark.parametrize("samples", [1, 2, 511, 4096])
def test_any_length(samples: int) -> None:
    assert logmel(noise(1, samples)).shape == (1, 96, 1 + samples // 512)


def test_bad_options_are_named() -> None:
    with pytest.raises(SubterfugeError, match="n_mels"):
        logmel(noise(1, 100), n_mels=0)
    with pytest.raises(SubterfugeError, match="at least one sample"):
        logmel(noise(1, 0))
