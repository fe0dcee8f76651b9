"""Gradients of the psychoacoustic model against finite differences, and what ten minutes take of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made_sounds import noise, tone
from torch import Tensor

from subterfuge.audibility import spectra
from subterfuge.audibility.masking import band_power, masking_threshold, noise_to_mask

SR = 8000
STATUS = Path("/proc/self/status")


def clip() -> Tensor:
    """A tone that begins in the middle of noise: tones and noise, masking at once and afterwards."""
    y = noise(100, 3500, 70, sr=SR, seconds=0.06)
    y[:, 240:] += tone(1000, 80, sr=SR, seconds=0.03)
    y[:, 360:] *= 1e-3
    return y


def decibels(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """In dB, so that the softest band's slope counts as much as the loudest's."""
    return lambda y: 10 * torch.log10(function(y))


@pytest.mark.parametrize(
    "function",
    [
        lambda y: band_power(y, sr=SR),
        lambda y: masking_threshold(y, sr=SR),
        lambda y: masking_threshold(y, sr=SR, level=60.0),
        lambda y: noise_to_mask(clip(), y, sr=SR),
        lambda y: noise_to_mask(y, clip(), sr=SR),
    ],
    ids=["power", "threshold", "softer", "of the changed", "of the original"],
)
@pytest.mark.parametrize("kept", (0, 1 << 22))
def test_slopes_are_those_of_finite_differences(
    function: Callable[[Tensor], Tensor], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "_KEPT", kept)
    monkeypatch.setattr(spectra, "_BLOCK", 1500)
    generator = torch.Generator().manual_seed(1)
    y = clip() + 1e-3 * torch.randn(1, 480, generator=generator, dtype=torch.float64)
    y.requires_grad_()
    measure = decibels(function)
    weights = torch.randn(measure(y).shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((measure(y) * weights).sum(), y)
    with torch.no_grad():
        for sample in range(0, 480, 7):
            step = torch.zeros_like(y)
            step[0, sample] = 1e-7
            change = ((measure(y + step) - measure(y - step)) * weights).sum() / 2e-7
            assert float(gradient[0, sample]) == pytest.approx(
                float(change), rel=1e-3, abs=1e-4 * float(gradient.abs().max())
            )


def test_values_are_the_same_with_and_without_a_gradient() -> None:
    y = torch.cat([clip(), 0.1 * clip()])
    for function in (band_power, masking_threshold):
        torch.testing.assert_close(function(y.clone().requires_grad_(), sr=SR).detach(), function(y, sr=SR))


def test_silence_has_a_gradient_that_is_a_number() -> None:
    for function in (band_power, masking_threshold):
        y = torch.zeros(1, 2000, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(y, sr=SR).sum(), y)
        assert bool(gradient.isfinite().all())


PROGRAM = """
import re
import sys
import torch
from subterfuge.audibility.masking import noise_to_mask

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

torch.set_num_threads(1)
noise_to_mask(torch.rand(1, 9000), torch.rand(1, 9000, requires_grad=True), sr=44100).sum().backward()
before = peak()
minutes, slope = float(sys.argv[1]), sys.argv[2] == "slope"
y = torch.arange(int(minutes * 60 * 44100), dtype=torch.float32).mul_(0.01).sin_().view(1, -1)
z = (0.999 * y).requires_grad_(slope)
ratio = noise_to_mask(y, z, sr=44100)
if slope:
    (gradient,) = torch.autograd.grad(ratio.sum(), z)
    assert gradient.shape == y.shape and torch.isfinite(gradient).all()
print(peak() - before)
"""


@pytest.mark.skipif(not STATUS.is_file(), reason="this system does not tell how much memory a process used")
@pytest.mark.parametrize(("minutes", "slope", "most"), [(10, "no", 7.5e8), (3, "slope", 4e8)])
def test_long_clips_fit_in_little_memory(minutes: int, slope: str, most: float) -> None:
    told = [sys.executable, "-c", PROGRAM, str(minutes), slope]
    done = subprocess.run(told, capture_output=True, text=True, check=True)
    # The two clips alone take so much: less would mean that nothing was measured.
    assert 2 * 4 * 44100 * 60 * minutes < int(done.stdout) < most
