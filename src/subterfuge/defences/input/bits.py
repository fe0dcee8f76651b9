"""``bits``: rounded to few bits, with the slope of what it rounds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from subterfuge.defences.input.defence import Undrawn, straight_through
from subterfuge.transforms.transform import Parameters, check_range


@dataclass(frozen=True)
class Bits(Undrawn):
    """Rounded to the samples of a file of ``bits`` bits; the slope, which is zero, is taken as one (BPDA).

    Raises
    ------
    SubterfugeError
        If it is not within 2 to 24.

    Examples
    --------
    >>> Bits(3).apply(torch.tensor([[0.3, -0.9, 1.0]]), sr=8000, drawn={})
    tensor([[ 0.2500, -1.0000,  0.7500]])
    """

    bits: int = 8
    name = "bits"
    adaptive = "straight-through"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("bits", self.bits, self.bits, 2, 24)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Rounded, within full scale."""
        steps = 2.0 ** (self.bits - 1)
        return straight_through(y, (y.detach() * steps).round().clamp(-steps, steps - 1) / steps)
