"""``median``: each sample the median of its neighbours, which takes away clicks and the finest detail."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.defences.input.defence import Undrawn
from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import Parameters


@dataclass(frozen=True)
class Median(Undrawn):
    """The median of ``size`` samples about each; the edges are held.

    The slope is one at the sample that was chosen: the true one almost everywhere.

    Raises
    ------
    SubterfugeError
        If the size is even, or not within 1 to 101.

    Examples
    --------
    >>> Median(3).apply(torch.tensor([[0.0, 9.0, 1.0, 2.0]]), sr=8000, drawn={})
    tensor([[0., 1., 2., 2.]])
    """

    size: int = 5
    name = "median"
    adaptive = "differentiable"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        if not 1 <= self.size <= 101 or self.size % 2 == 0:
            raise SubterfugeError(f"median (samples): got {self.size}, expected an odd number from 1 to 101")

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The medians, shape (batch, samples)."""
        half = self.size // 2
        held = torch.cat([y[:, :1].expand(-1, half), y, y[:, -1:].expand(-1, half)], 1)
        # By hand, since torch.median would choose another of equal samples for each number of threads.
        order = held.detach().unfold(1, self.size, 1).argsort(stable=True, dim=-1)[..., half]
        chosen = order + torch.arange(y.shape[1], device=y.device)
        return held.gather(1, chosen)
