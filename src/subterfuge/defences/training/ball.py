"""What adversarial training fears: all changes of a clip up to a size, in L2 or in what the clip masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.whitebox.hidden_norm import HiddenNorm, room
from subterfuge.attacks.whitebox.steps import heading, lengths, project
from subterfuge.errors import SubterfugeError


@dataclass(frozen=True)
class Sphere:
    """The changes of an L2 norm of no more than each row's radius.

    Attributes
    ----------
    radius : Tensor, shape (batch,)
    """

    radius: Tensor

    def step(self, slope: Tensor, seed: int) -> Tensor:
        """The change on the sphere that is steepest, by chance where there is no slope."""
        return self.radius[:, None] * heading(slope, seed, 0)

    def held(self, delta: Tensor) -> Tensor:
        """The nearest change within."""
        return project(delta, self.radius, 2.0)


@dataclass(frozen=True)
class Veil:
    """The changes whose noise-to-mask ratio is at most ``limit`` in every critical band at every moment.

    Attributes
    ----------
    norm : HiddenNorm
        Of the clips.
    limit : float
        A ratio of powers; at 1 what is within is below the masking threshold.
    """

    norm: HiddenNorm
    limit: float

    def step(self, slope: Tensor, seed: int) -> Tensor:
        """About the steepest change that reaches the limit at some place."""
        return self._scaled(self.norm.heading(heading(slope, seed, 0)), at_most=False)

    def held(self, delta: Tensor) -> Tensor:
        """The change made softer as a whole until it is within."""
        return self._scaled(delta, at_most=True)

    def _scaled(self, delta: Tensor, *, at_most: bool) -> Tensor:
        worst = self.norm.ratio(delta).amax((1, 2))
        gain = (self.limit / worst.clamp(min=torch.finfo(worst.dtype).tiny)).sqrt()
        return delta * (gain.clamp(max=1.0) if at_most else gain)[:, None]


Ball = Sphere | Veil


def sphere(y: Tensor, *, snr_db: float) -> Sphere:
    """The ball about each clip whose surface is at a signal-to-noise ratio.

    Raises
    ------
    SubterfugeError
        If the ratio is none.

    Examples
    --------
    >>> sphere(torch.tensor([[3.0, 4.0]]), snr_db=20.0).radius
    tensor([0.5000])
    """
    if not -40 <= snr_db <= 200:
        raise SubterfugeError(f"snr_db: got {snr_db}, expected -40 to 200")
    return Sphere(10 ** (-snr_db / 20) * lengths(y))


def veil(y: Tensor, *, sr: float, nmr_db: float) -> Veil:
    """The changes whose worst noise-to-mask ratio is no higher than that.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    sr : float
    nmr_db : float
        0 is the masking threshold.

    Raises
    ------
    SubterfugeError
        If the ratio is none.

    Examples
    --------
    >>> y = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    >>> within = veil(y, sr=8000, nmr_db=3.0)
    >>> round(float(within.norm.ratio(within.step(y, 0)).max().log10() * 10), 3)
    3.0
    """
    if not (math.isfinite(nmr_db) and -40 <= nmr_db <= 60):
        raise SubterfugeError(f"nmr_db: got {nmr_db}, expected -40 to 60")
    norm = HiddenNorm(room(y, sr=sr), sr, y.shape[1])
    # Near the worst cell's norm; nearer still, the steps lose what the gradient says.
    norm.set(depth=1.0, power=8.0, levelling=0.5)
    return Veil(norm, 10 ** (nmr_db / 10))
