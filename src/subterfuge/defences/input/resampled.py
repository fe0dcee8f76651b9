"""``resample``: to a lower sample rate and back, as librosa does it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from subterfuge.defences.input.defence import Undrawn
from subterfuge.transforms.resample import Resample
from subterfuge.transforms.transform import Parameters


@dataclass(frozen=True)
class Resampled(Undrawn):
    """To ``hertz`` and back; one number, where :class:`subterfuge.transforms.resample.Resample` draws it.

    Raises
    ------
    SubterfugeError
        If it is not within 1,000 to 1,000,000 Hz.

    Examples
    --------
    >>> tuple(Resampled(16000).apply(torch.zeros(1, 4410), sr=44100, drawn={}).shape)
    (1, 4410)
    """

    hertz: float = 16000.0
    name = "resample"
    adaptive = "differentiable"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        Resample(self.hertz, self.hertz)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """There and back, at the clip's own length; differentiable."""
        return Resample(self.hertz, self.hertz).apply(y, sr=sr, drawn={"sr": self.hertz})
