"""The cheapest numbers at which duels with known slopes come up to a level, within reach of where one is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subterfuge.attacks.blackbox.prices import Prices

Array = NDArray[np.float64]

# Rounds of a quadratic model of the price; what the price is probed over, as a share of the reach.
_ROUNDS, _PROBE = 6, 0.1
# The share of what a duel alone could rise by that is asked of it where the level is out of reach.
_HALF = 0.5


def cheapest(
    prices: Prices, gains: Array, duels: Array, slopes: Array, level: float, reach: float
) -> tuple[Array, float]:
    """Gains that cost least among those within ``reach`` where every duel is expected at ``level`` or above.

    Parameters
    ----------
    prices : Prices
    gains : ndarray, shape (size,)
        Where one is.
    duels : ndarray, shape (duels,)
        There.
    slopes : ndarray, shape (duels, size)
        Of the duels.
    level : float
        Where it cannot be had within reach, half of what can be had is asked for.
    reach : float
        Most length of the step, in nepers.

    Returns
    -------
    gains : ndarray, shape (size,)
    worth : float
        By how much of itself the price grows for each unit that the level is raised.

    Notes
    -----
    The price is nearly a sum over the gains, so that each round is a quadratic programme with a diagonal
    form, whose dual, a small least-squares problem of weights that are not negative, is solved by Lawson and
    Hanson's method.
    """
    probe = max(0.02, _PROBE * reach)
    # Where nothing has been changed yet the price is nought, but no step's is.
    whole = max(prices.of(gains), 1e-12 * prices.of(gains + probe), 1e-300)
    lengths = np.linalg.norm(slopes, axis=1)
    wanted = np.minimum(level, duels + _HALF * reach * lengths)
    here, worth, tie = gains.copy(), 0.0, 0.0
    for turn in range(_ROUNDS):
        middle, above, below = prices.each(here), prices.each(here + probe), prices.each(here - probe)
        slope = (above - below) / (2 * probe * whole)
        bend = np.maximum((above - 2 * middle + below) / (probe**2 * whole), 0)
        if turn == 0:
            tie = float(np.linalg.norm(slope)) / (4 * reach) + 1e-9
        root = np.sqrt(bend + tie)
        # In units in which the form is a square: the nearest point to the free one beyond all planes.
        free = -(slope + tie * (here - gains)) / root
        normals = slopes / root
        found = _nearest(normals, wanted - duels - slopes @ (here - gains) - normals @ free)
        if found is None:
            break
        worth = float(found[1].sum())
        here = here + (free + found[0]) / root
        far = float(np.linalg.norm(here - gains))
        if far > reach:
            here = gains + (here - gains) * (reach / far)
    return here, worth


def _nearest(normals: Array, lacking: Array) -> tuple[Array, Array] | None:
    """The shortest ``v`` with ``normals @ v >= lacking`` and the planes' weights in it, or None.

    Lawson and Hanson, "Solving least squares problems", 1974, chapter 23: the non-negative least-squares
    fit of the last unit vector by the columns of ``[normals' ; lacking']`` has a residual that points to it.
    """
    from scipy.optimize import nnls

    if (lacking <= 0).all():
        return np.zeros(normals.shape[1]), np.zeros(len(lacking))
    lengths = np.linalg.norm(normals, axis=1)
    size = float((lacking / np.maximum(lengths, 1e-12 * lengths.max() + 1e-300)).max())
    # Each plane by its own length, so that scores of any size are told apart.
    lengths = np.maximum(lengths, 1e-12 * lengths.max() + 1e-300)
    columns = np.vstack([(normals / lengths[:, None]).T, lacking / (lengths * size)])
    last = np.zeros(len(columns))
    last[-1] = 1.0
    try:
        weights, _ = nnls(columns, last, maxiter=50 * columns.shape[1])
    except RuntimeError:
        return None
    rest = columns @ weights - last
    if -rest[-1] < 1e-9:
        return None
    return -size * rest[:-1] / rest[-1], size * weights / (-rest[-1] * lengths)
