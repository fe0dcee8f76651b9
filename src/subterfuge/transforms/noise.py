"""``noise``: white noise at a stated distance below the clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.transforms.transform import Parameters, between, check_range


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise, the signal-to-noise ratio between ``low`` and ``high`` decibels.

    Raises
    ------
    SubterfugeError
        If that is no range within -40 to 200 dB.

    Examples
    --------
    >>> y = 0.1 * torch.ones(1, 1000)
    >>> noisy = Noise().apply(y, sr=8000, drawn={"snr_db": 20.0, "seed": 1})
    >>> round(float(20 * torch.log10(y.norm() / (noisy - y).norm())), 3)
    20.0
    """

    low: float = 40.0
    high: float = 60.0
    name = "noise"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("noise (dB SNR)", self.low, self.high, -40, 200)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``snr_db``, and the ``seed`` that the noise itself is drawn from."""
        seed = int(torch.randint(2**31, (), generator=generator))
        return {"snr_db": between(self.low, self.high, generator), "seed": seed}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Every row is given the same noise, at its own level; differentiable."""
        generator = torch.Generator().manual_seed(int(drawn["seed"]))
        hiss = torch.randn(y.shape[1], generator=generator, dtype=torch.float64).to(y)
        hiss = hiss / hiss.square().mean().sqrt()
        # The square root's slope at silence is infinite: a floor far below the quietest file's last bit.
        level = (y.square().mean(1, keepdim=True) + 1e-18).sqrt()
        return (y + level * 10 ** (-drawn["snr_db"] / 20) * hiss).clamp(-1, 1)
