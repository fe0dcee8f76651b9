"""``shift``: a little later or earlier, silence where there was nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.transforms.transform import Parameters, between, check_range, sign


@dataclass(frozen=True)
class Shift:
    """Later or earlier, as likely, by between ``low`` and ``high`` seconds; the length stays.

    Raises
    ------
    SubterfugeError
        If that is no range within 0 to 3600 s.

    Examples
    --------
    >>> Shift(0.001, 0.001).apply(torch.arange(1.0, 5.0)[None], sr=1000, drawn={"seconds": 0.001})
    tensor([[0., 1., 2., 3.]])
    """

    low: float = 0.0
    high: float = 0.05
    name = "shift"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("shift (s)", self.low, self.high, 0, 3600)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``seconds``: later if positive."""
        return {"seconds": between(self.low, self.high, generator) * sign(generator)}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Whole samples later or earlier; differentiable."""
        n = round(drawn["seconds"] * sr)
        n = max(-y.shape[1], min(y.shape[1], n))
        if n >= 0:
            return torch.nn.functional.pad(y, (n, 0))[:, : y.shape[1]]
        return torch.nn.functional.pad(y, (0, -n))[:, -y.shape[1] :]
