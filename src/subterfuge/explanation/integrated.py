"""Integrated gradients: the difference of a function's values at two places, divided among what differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.gradients import Function, gradient

# Gauss-Legendre nodes to a stretch of the path; stretches are what grows with the number of steps.
_NODES = 4


@dataclass(frozen=True, eq=False)
class Integrated:
    """What integrated gradients say.

    Attributes
    ----------
    attribution : Tensor of float64, shape (n,)
        Adds up to ``value - baseline_value``, but for the residual.
    slope : Tensor of float64, shape (n,)
        The mean gradient over the path: the attribution is it times what differs.
    value, baseline_value : float
    residual : float
        ``value - baseline_value`` less the sum of the attributions: what the sum over the path's nodes missed
        of the integral, where the function bends faster than they lie.
    steps : int
        Gradients taken.
    """

    attribution: Tensor
    slope: Tensor
    value: float
    baseline_value: float
    residual: float
    steps: int

    @property
    def difference(self) -> float:
        """What is divided."""
        return self.value - self.baseline_value


def integrated_gradients(
    function: Function,
    x: Tensor,
    *,
    baseline: Tensor | None = None,
    steps: int = 64,
    spread: float = 1e6,
    chunk: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Integrated:
    """Attributions by the mean gradient over the straight path from a baseline to ``x``.

    Parameters
    ----------
    function : callable
        Takes (batch, n), gives (batch,); rows never influence each other.
    x : Tensor, shape (n,)
    baseline : Tensor, shape (n,), optional
        Zeros (silence) by default.
    steps : int
        Gradients to take, rounded up to a multiple of 4.
    spread : float
        How much faster the path is walked at its end than at its beginning. The integral is the same; but
        what hears levels in decibels bends as much between a thousandth and a hundredth of a clip as between
        a tenth and all of it, and 1e6 (120 dB) has as many nodes there as here. 1 for even steps.
    chunk : int
        Places on the path that are asked about at once.
    progress : callable, optional
        Told how many of how many steps are done.

    Returns
    -------
    Integrated

    Raises
    ------
    SubterfugeError
        If the shapes differ or a gradient is not finite.

    References
    ----------
    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017, eq. 1 and proposition 1
    (completeness).

    Examples
    --------
    A linear function is divided exactly:

    >>> found = integrated_gradients(lambda x: x @ torch.tensor([2.0, -1.0]), torch.tensor([3.0, 4.0]))
    >>> found.attribution.round(decimals=6).tolist(), found.value
    ([6.0, -4.0], 2.0)
    """
    start = torch.zeros_like(x) if baseline is None else baseline.to(x)
    if x.ndim != 1 or start.shape != x.shape:
        raise SubterfugeError(
            f"integrated gradients: got shapes {tuple(x.shape)} and {tuple(start.shape)}, expected (n,) twice"
        )
    places, weights = path(steps, spread)
    change = x - start
    total = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    for first in range(0, len(places), chunk):
        some = torch.from_numpy(places[first : first + chunk]).to(x)
        slopes = gradient(function, start + some[:, None] * change)[1]
        # Added up one by one, so that the chunk has no say in the sum.
        for slope, weight in zip(slopes, weights[first : first + chunk].tolist(), strict=True):
            total += weight * slope.double()
        if progress is not None:
            progress(min(first + chunk, len(places)), len(places))
    if not bool(total.isfinite().all()):
        raise SubterfugeError("integrated gradients: a gradient is not finite, expected finite ones")
    with torch.no_grad():
        ends = function(torch.stack([x, start])).double()
    attribution = total * change.double()
    value, baseline_value = (float(one) for one in ends)
    return Integrated(
        attribution,
        total,
        value,
        baseline_value,
        value - baseline_value - float(attribution.sum()),
        len(places),
    )


def path(steps: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Places between 0 and 1 and their weights, which add up to 1: Gauss-Legendre, four to a stretch.

    Examples
    --------
    >>> places, weights = path(8, 1.0)
    >>> (weights @ places**6).round(6).item(), weights.sum().round(12).item()
    (0.142857, 1.0)
    """
    if steps < 1 or not 1 <= spread < math.inf:
        raise SubterfugeError(
            f"integrated gradients: got {steps} steps and a spread of {spread:g}, expected at least 1 of each"
        )
    stretches = math.ceil(steps / _NODES)
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    u = ((np.arange(stretches)[:, None] + (node + 1) / 2) / stretches).ravel()
    w = np.tile(weight / 2 / stretches, stretches)
    if spread == 1:
        return u, w
    # The place after a part u of the way is (spread^u - 1) / (spread - 1).
    rate = math.log(spread)
    w = w * rate * np.exp(rate * u) / (spread - 1)
    return np.expm1(rate * u) / (spread - 1), w / w.sum()
