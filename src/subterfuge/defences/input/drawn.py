"""``gain``, ``shift``, ``crop``, ``noise``: by chance, and attacked in expectation over it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from subterfuge.transforms.crop import Crop
from subterfuge.transforms.gain import Gain
from subterfuge.transforms.noise import Noise
from subterfuge.transforms.shift import Shift
from subterfuge.transforms.transform import Parameters


@dataclass(frozen=True)
class RandomGain(Gain):
    """Louder or softer by between ``low`` and ``high`` decibels; see :class:`Gain`."""

    random = True
    adaptive = "expectation"


@dataclass(frozen=True)
class RandomShift(Shift):
    """Later or earlier by between ``low`` and ``high`` seconds; see :class:`Shift`."""

    random = True
    adaptive = "expectation"


@dataclass(frozen=True)
class RandomNoise(Noise):
    """White noise, ``low`` to ``high`` decibels below the clip; see :class:`Noise`."""

    low: float = 20.0
    high: float = 30.0
    random = True
    adaptive = "expectation"


@dataclass(frozen=True)
class RandomCrop(Crop):
    """Between ``low`` and ``high`` of the clip cut off; what is left goes round until the length is full.

    Silence instead would be heard as a part of the clip, and change every mean over time.

    Examples
    --------
    >>> RandomCrop().apply(torch.arange(8.0)[None], sr=8000, drawn={"off": 0.5, "first": 0.25})
    tensor([[1., 2., 3., 4., 1., 2., 3., 4.]])
    """

    random = True
    adaptive = "expectation"

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """A part of the samples, over and over; differentiable."""
        kept = super().apply(y, sr=sr, drawn=drawn)
        return kept.repeat(1, -(-y.shape[1] // kept.shape[1]))[:, : y.shape[1]]
