"""``crop``: some of the clip cut off, at the beginning, the end, or both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.transforms.transform import Parameters, between, check_range


@dataclass(frozen=True)
class Crop:
    """Between ``low`` and ``high`` of the clip's duration is cut off; what is left begins anywhere.

    Raises
    ------
    SubterfugeError
        If that is no range within 0 to 0.99.

    Examples
    --------
    >>> Crop().apply(torch.arange(8.0)[None], sr=8000, drawn={"off": 0.5, "first": 0.25})
    tensor([[1., 2., 3., 4.]])
    """

    low: float = 0.0
    high: float = 0.2
    name = "crop"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("crop (share cut off)", self.low, self.high, 0, 0.99)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``off``: the share cut off; ``first``: how much of that at the beginning."""
        return {"off": between(self.low, self.high, generator), "first": between(0, 1, generator)}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """A part of the samples, at least one; differentiable."""
        kept = max(1, round(y.shape[1] * (1 - drawn["off"])))
        start = round((y.shape[1] - kept) * drawn["first"])
        return y[:, start : start + kept]
