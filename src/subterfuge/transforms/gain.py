"""``gain``: played louder or softer, clipped where that goes beyond full scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.transforms.transform import Parameters, between, check_range, sign


@dataclass(frozen=True)
class Gain:
    """Louder or softer, as likely, by between ``low`` and ``high`` decibels.

    Raises
    ------
    SubterfugeError
        If that is no range within 0 to 120 dB.

    Examples
    --------
    >>> Gain(6, 6).draw(torch.Generator().manual_seed(1))
    {'db': 6.0}
    """

    low: float = 0.0
    high: float = 9.0
    name = "gain"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("gain (dB)", self.low, self.high, 0, 120)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``db``: what is added to the level."""
        return {"db": between(self.low, self.high, generator) * sign(generator)}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Times a factor, and clipped, as a file of integers would be; differentiable."""
        return (y * 10 ** (drawn["db"] / 20)).clamp(-1, 1)
