"""What a transform is: it draws its parameters, applies them, and can be frozen (draw once, apply often)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError

# Plain numbers, in units of time, level or share: the same draw means the same at any length and rate.
Parameters = Mapping[str, float]


class Transform(Protocol):
    """Something that happens to a clip: encoding it, playing it louder, cutting some of it off.

    Examples
    --------
    >>> from subterfuge.transforms.gain import Gain
    >>> louder = Gain(6.0, 6.0)
    >>> drawn = louder.draw(torch.Generator().manual_seed(0))
    >>> float(louder.apply(torch.full((1, 4), 0.1), sr=8000, drawn={"db": 20.0})[0, 0])
    1.0
    """

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """Parameters for :meth:`apply`, from that generator alone."""
        ...

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The clips changed as was drawn, every row alike.

        Parameters
        ----------
        y : Tensor, shape (batch, samples)
            In [-1, 1]. The result follows its gradient, if need be by a stand-in.
        sr : int
            Its rate in Hz.
        drawn : mapping of str to float
            What :meth:`draw` gave.

        Returns
        -------
        Tensor, shape (batch, at least one sample)
        """
        ...


@dataclass(frozen=True)
class Frozen:
    """A transform with what it drew: whatever it is given, and however often, it does just the same.

    Attributes
    ----------
    transform : Transform
    drawn : mapping of str to float
    """

    transform: Transform
    drawn: Parameters

    def __call__(self, y: Tensor, *, sr: int) -> Tensor:
        """The clips changed, shape (batch, samples); see :meth:`Transform.apply`."""
        return self.transform.apply(y, sr=sr, drawn=self.drawn)


def freeze(transform: Transform, generator: torch.Generator) -> Frozen:
    """Draw once.

    Examples
    --------
    >>> from subterfuge.transforms.noise import Noise
    >>> hiss = freeze(Noise(), torch.Generator().manual_seed(0))
    >>> y = 0.1 * torch.ones(1, 100)
    >>> torch.equal(hiss(y, sr=8000), hiss(y, sr=8000))
    True
    """
    return Frozen(transform, transform.draw(generator))


def between(low: float, high: float, generator: torch.Generator) -> float:
    """A number drawn evenly between two."""
    share = float(torch.rand((), generator=generator, dtype=torch.float64))
    return low + (high - low) * share


def sign(generator: torch.Generator) -> float:
    """1 or -1, as likely."""
    return 1.0 - 2.0 * float(torch.randint(2, (), generator=generator))


def check_range(what: str, low: float, high: float, least: float, most: float) -> None:
    """Refuse a range of parameters that is upside down or goes beyond what makes sense.

    Raises
    ------
    SubterfugeError
    """
    if not least <= low <= high <= most:
        raise SubterfugeError(
            f"{what}: got {low:g} to {high:g}, expected a range within {least:g} to {most:g}"
        )
