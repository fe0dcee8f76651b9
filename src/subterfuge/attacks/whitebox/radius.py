"""How large a change a fixed-budget attack may make, and the search for the smallest that will do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError


def radius_of(
    y: Tensor, eps: float | Tensor | None, snr_db: float | Tensor | None, norm: float
) -> Tensor | None:
    """The radius of each row, shape (batch,), from a length or a signal-to-noise ratio; None from neither.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    eps : float or Tensor of shape (batch,), optional
        Radius in ``norm``.
    snr_db : float or Tensor of shape (batch,), optional
        Instead of ``eps``: the radius at which a perturbation that fills it has this ratio to the clip.
    norm : float
        2 or ``inf``.

    Raises
    ------
    SubterfugeError
        If both are given, one is not positive and finite, a clip is silent (it has no ratio), or the norm
        is another.

    Examples
    --------
    >>> radius_of(torch.ones(1, 100), None, 20.0, 2.0)
    tensor([1.])
    """
    if norm not in (2, math.inf):
        raise SubterfugeError(f"norm: got {norm}, expected 2 or inf")
    if eps is not None and snr_db is not None:
        raise SubterfugeError("eps and snr_db: got both, expected one of them or neither")
    if eps is not None:
        radius = torch.as_tensor(eps, dtype=y.dtype, device=y.device)
        if not bool(((radius > 0) & torch.isfinite(radius)).all()):
            raise SubterfugeError(f"eps: got {eps}, expected a positive length")
        return radius.expand(len(y)).clone()
    if snr_db is None:
        return None
    ratio = torch.as_tensor(snr_db, dtype=y.dtype, device=y.device)
    size: Tensor = torch.linalg.vector_norm(y, dim=1) / (math.sqrt(y.shape[1]) if norm == math.inf else 1)
    if not bool(torch.isfinite(ratio).all()):
        raise SubterfugeError(f"snr_db: got {snr_db}, expected a finite number")
    if not bool((size > 0).all()):
        raise SubterfugeError("snr_db: a silent clip has no signal-to-noise ratio; give eps instead")
    radius = size * 10 ** (-ratio / 20)
    return radius


class Bracket:
    """Bisection, row by row, for the smallest radius at which an attack succeeds.

    The radius doubles (and doubles faster) until the first success, then halves the interval on a
    logarithmic scale. A failure proves nothing, so a closed interval is opened downwards again.

    Parameters
    ----------
    first : Tensor, shape (rows,)
        First guess.
    largest : float
        Radius beyond which there is nothing: the diameter of [-1, 1] in the norm in use.
    """

    def __init__(self, first: Tensor, largest: float) -> None:
        self.radius = first.clone()
        self.low, self.high = torch.zeros_like(first), torch.full_like(first, math.inf)
        self.growth = torch.full_like(first, 2.0)
        self.largest = largest

    def learn(self, over: Tensor, reached: Tensor, distance: Tensor) -> None:
        """Move the radii of the rows that are ``over``, by whether, and how near, they were ``reached``.

        All three have shape (rows,); ``distance`` matters only where reached.
        """
        self.high = torch.where(over & reached, torch.minimum(self.high, distance), self.high)
        failed = over & ~reached
        self.low = torch.where(failed, torch.maximum(self.low, self.radius), self.low)
        self.low = torch.where(self.low > 0.98 * self.high, 0.9 * self.high, self.low)
        bounded = torch.isfinite(self.high)
        between = torch.where(self.low > 0, (self.low * self.high).sqrt(), 0.7 * self.high)
        guess = torch.where(bounded, between, (self.radius * self.growth).clamp(max=self.largest))
        self.growth = torch.where(failed & ~bounded, self.growth**1.5, self.growth)
        self.radius = torch.where(over, guess, self.radius)


def diameter(y: Tensor, norm: float) -> float:
    """Length of the diagonal of [-1, 1]^samples."""
    return 2.0 if norm == math.inf else 2 * math.sqrt(y.shape[1])
