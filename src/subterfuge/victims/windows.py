"""Clips longer or shorter than what a victim takes: cut into windows, followed by silence, put together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError


@dataclass(frozen=True)
class Windows:
    """What a victim hears at once.

    Attributes
    ----------
    length : int
        Samples; a shorter clip is followed by silence up to that length.
    hop : int
        Samples between the beginnings of two windows. The last one ends with the clip, so that every sample
        is heard.

    Raises
    ------
    SubterfugeError
        If either is less than one sample.

    Examples
    --------
    >>> Windows(4, 4).cut(torch.arange(6.0)[None])
    tensor([[[0., 1., 2., 3.],
             [2., 3., 4., 5.]]])
    """

    length: int
    hop: int

    def __post_init__(self) -> None:
        """Check both as soon as they are named."""
        for name, value in (("window", self.length), ("hop", self.hop)):
            if value < 1:
                raise SubterfugeError(f"{name}: got {value} samples, expected at least one")

    def starts(self, samples: int) -> list[int]:
        """Where the windows of a clip begin."""
        last = samples - self.length
        return [0] if last <= 0 else [*range(0, last, self.hop), last]

    def cut(self, y: Tensor) -> Tensor:
        """The windows of each clip, differentiable: (batch, samples) to (batch, windows, length)."""
        short = self.length - y.shape[1]
        if short > 0:
            y = torch.nn.functional.pad(y, (0, short))
        return torch.stack([y[:, at : at + self.length] for at in self.starts(y.shape[1])], 1)


def windows_of(seconds: float | None, hop: float | None, sample_rate: int) -> Windows | None:
    """Windows of so many seconds, one after another or ``hop`` seconds apart; None for clips as they are.

    Raises
    ------
    SubterfugeError
        If one is not a positive number, or only a hop is given.
    """
    if seconds is None:
        if hop is not None:
            raise SubterfugeError(f"hop: got {hop} s without a window, expected both or neither")
        return None
    for name, value in (("window", seconds), ("hop", seconds if hop is None else hop)):
        if not 0 < value < 1e6:
            raise SubterfugeError(f"{name}: got {value} s, expected a positive number of seconds")
    length = max(1, round(seconds * sample_rate))
    return Windows(length, length if hop is None else max(1, round(hop * sample_rate)))
