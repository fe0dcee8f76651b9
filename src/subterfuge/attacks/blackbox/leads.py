"""How every duel changes with every number, learnt from answers: slopes with error bars, kept up to date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Share of a slope that a step of length 1 may turn it by.
_CURVE = 0.5
# Answers that the size of the slopes is averaged over.
_MEMORY = 60
# A rounding: of a step's length.
_ROUGH = 1e-3


class Leads:
    """A Kalman filter of the slopes of some duels, all with the same errors but for a scale of their own.

    Slopes are as likely in any direction as the prior says; they drift as the search moves, and what an
    answer tells of them is the less certain the further away it was got.

    Parameters
    ----------
    alike : ndarray, shape (size, size)
        Prior covariance of a slope: neighbouring bands have similar ones.
    duels : int

    Attributes
    ----------
    slopes : ndarray, shape (duels, size)

    References
    ----------
    Kalman, "A new approach to linear filtering and prediction problems", Journal of Basic Engineering 82,
    1960; without errors it is the update of Broyden, "A class of methods for solving nonlinear simultaneous
    equations", Mathematics of Computation 19, 1965.

    Examples
    --------
    >>> leads = Leads(np.eye(2), duels=1)
    >>> leads.hear(np.array([0.1, 0.0]), np.array([0.3]))
    >>> leads.slopes.round(1)
    array([[3., 0.]])
    """

    def __init__(self, alike: Array, duels: int) -> None:
        self.alike, self.errors = alike, alike.copy()
        self.slopes = np.zeros((duels, len(alike)))
        self.scales, self.heard = np.zeros(duels), 0

    def hear(self, step: Array, change: Array) -> None:
        """Take in how much each duel changed, shape (duels,), over a step, shape (size,)."""
        length = float(np.linalg.norm(step))
        if length < 1e-9:
            return
        towards = self.errors @ step
        doubt = float(step @ towards) + (_CURVE / 2 * length**2) ** 2 + (_ROUGH * length) ** 2
        surprise = change - self.slopes @ step
        self.heard += 1
        part = 1 / min(self.heard, _MEMORY)
        self.scales += part * (np.square(surprise) / doubt - self.scales)
        self.slopes += np.outer(surprise, towards / doubt)
        self.errors -= np.outer(towards, towards) / doubt
        self.errors = (self.errors + self.errors.T) / 2

    def move(self, step: Array) -> None:
        """The search goes on from elsewhere, where slopes are somewhat others."""
        self.errors += (_CURVE * float(np.linalg.norm(step))) ** 2 * self.alike

    def draw(self, chance: np.random.Generator, heat: float) -> Array:
        """Slopes that may be the true ones, shape (duels, size), as far off as ``heat`` of their errors."""
        values, vectors = np.linalg.eigh(self.errors)
        root = vectors * np.sqrt(np.maximum(values, 0))
        noise = chance.standard_normal(self.slopes.shape) @ root.T
        return np.asarray(self.slopes + heat * np.sqrt(self.scales)[:, None] * noise)

    def unit(self) -> float:
        """How much a duel changes over a step of length 1 along its slope, on average."""
        return float(np.linalg.norm(self.slopes, axis=1).mean())
