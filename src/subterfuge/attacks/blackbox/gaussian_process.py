"""What has been heard so far as a smooth function with error bars: a Gaussian process of one length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Process:
    """A fitted process; made by :func:`fit`.

    The kernel is ``l**2 exp(-|a - b|**2 / (2 l**2))``, so that slopes are as likely whatever the length is:
    the longer, the nearer to a plane.
    """

    points: Array
    length: float
    mean: Array
    scale: Array
    weights: Array
    factor: Array

    def predict(self, point: Array) -> tuple[Array, Array, float]:
        """Values, shape (outputs,), their slopes, shape (outputs, inputs), and one error, in scales."""
        from scipy.linalg import solve_triangular

        apart = point - self.points
        near = self.length**2 * np.exp(-np.square(apart).sum(1) / (2 * self.length**2))
        values = self.mean + near @ self.weights
        slopes = -(self.weights * near[:, None]).T @ apart / self.length**2
        known = solve_triangular(self.factor, near, lower=True, check_finite=False)
        return values, slopes, float(np.sqrt(max(0.0, self.length**2 - known @ known)))


def fit(points: Array, values: Array, *, lengths: Array, noise: float = 1e-5) -> Process:
    """The process that makes ``values`` at ``points`` likeliest, among some lengths.

    Parameters
    ----------
    points : ndarray, shape (n, inputs)
    values : ndarray, shape (n, outputs)
        Each output has a mean and a scale of its own, and the same kernel.
    lengths : ndarray
        To choose from.
    noise : float
        Variance of what the victim's roughness adds, as a share of the kernel's over the points.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections 2.2 and 5.4.

    Examples
    --------
    >>> x = np.linspace(0, 3, 12)[:, None]
    >>> process = fit(x, np.sin(x), lengths=np.array([0.3, 1.0, 3.0]))
    >>> round(float(process.predict(np.array([1.0]))[0][0]), 2)
    0.84
    """
    from scipy.linalg import solve_triangular

    mean = values.mean(0)
    rest = values - mean
    squares = np.square(points).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    spread = max(1e-12, float(apart.mean()))
    best: tuple[float, Process] | None = None
    for length in lengths:
        kernel = length**2 * np.exp(-apart / (2 * length**2))
        kernel[np.diag_indices(len(points))] += noise * min(spread, length**2)
        try:
            factor = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            continue
        half = solve_triangular(factor, rest, lower=True, check_finite=False)
        scale = np.sqrt(np.square(half).mean(0)) + 1e-12
        likelihood = -len(points) * np.log(scale).mean() - np.log(np.diag(factor)).sum()
        if best is None or likelihood > best[0]:
            weights = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
            best = likelihood, Process(points, float(length), mean, scale, weights, factor)
    assert best is not None, "every kernel of a process has a factor, if its noise is large enough"
    return best[1]
