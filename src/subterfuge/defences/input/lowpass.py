"""``lowpass``: the treble taken away by a linear-phase filter, which moves nothing in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.defences.input.defence import Undrawn
from subterfuge.transforms.transform import Parameters, check_range


@dataclass(frozen=True)
class LowPass(Undrawn):
    """What lies above ``hertz`` is taken away: a sinc of ``taps`` coefficients under a Hann window.

    Raises
    ------
    SubterfugeError
        If one is out of range.

    Examples
    --------
    >>> y = torch.tensor([[1.0, -1.0]]).repeat(1, 500)  # as high as can be
    >>> bool(LowPass(1000).apply(y, sr=8000, drawn={})[:, 300:-300].abs().max() < 1e-3)
    True
    """

    hertz: float = 6000.0
    taps: int = 255
    name = "lowpass"
    adaptive = "differentiable"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("lowpass (Hz)", self.hertz, self.hertz, 20, 400_000)
        check_range("lowpass (taps)", self.taps, self.taps, 3, 10_001)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The clips filtered, shape (batch, samples); as they are if there is nothing so high."""
        if self.hertz >= sr / 2:
            return y
        half = self.taps // 2
        n = torch.arange(-half, half + 1, dtype=torch.float64)
        share = 2 * self.hertz / sr
        kernel = share * torch.sinc(share * n) * (0.5 + 0.5 * torch.cos(math.pi * n / (half + 1)))
        kernel = (kernel / kernel.sum()).to(y)
        return functional.conv1d(y[:, None], kernel[None, None], padding=half)[:, 0]
