"""``resample``: to a lower rate and back, which takes the treble away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.resampling import resample
from subterfuge.transforms.transform import Parameters, between, check_range


@dataclass(frozen=True)
class Resample:
    """To a rate between ``low`` and ``high`` Hz and back again, as soxr does it.

    Raises
    ------
    SubterfugeError
        If that is no range within 1,000 to 1,000,000 Hz.

    Examples
    --------
    >>> tuple(Resample().apply(torch.zeros(1, 4410), sr=44100, drawn={"sr": 16000}).shape)
    (1, 4410)
    """

    low: float = 16000.0
    high: float = 32000.0
    name = "resample"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("resample (Hz)", self.low, self.high, 1000, 1_000_000)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``sr``: the rate between, in Hz; a whole hundred, since odd ratios are slow."""
        rate = between(self.low, self.high, generator)
        return {"sr": float(max(self.low, 100 * round(rate / 100)))}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """There and back, at the clip's own length; differentiable."""
        between_sr = int(drawn["sr"])
        if between_sr == sr:
            return y
        there = resample(y, orig_sr=sr, target_sr=between_sr)
        back = resample(there, orig_sr=between_sr, target_sr=sr)
        return torch.nn.functional.pad(back, (0, max(0, y.shape[1] - back.shape[1])))[:, : y.shape[1]]
