"""How far the spectral centroid, bandwidth and rolloff of a clip can be moved, frame by frame.

Magnitudes change by no more than the perturbation's own, so the vector of a frame's magnitudes stays in a
ball of radius ``eta`` about what it is. A mean ``sum a s / sum s`` over such magnitudes exceeds c just if
``sum (a - c) s' > 0`` for one of them, whose greatest value is ``sum (a - c) s + eta |a - c|``: a quadratic
equation in c. (That magnitudes are not negative is left unused, which makes the bounds wider, never wrong.)
The first and the last bin stand for themselves alone, all others for their mirror images too: where a
budget is the sum of squares with those two halved, their weight in a norm is two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subterfuge.defences.certificates.curves import Curves, stepwise
from subterfuge.defences.certificates.duelling import Array

BINS = 1025
LAST = BINS - 1
# Sizes of perturbation that are worked out, as parts of the sum of a frame's magnitudes.
PARTS = np.geomspace(1e-8, 1.0, 300)
MULTIPLIERS = 120
# Rounding of a float32 running sum, as a part of the whole sum.
ROUNDING = BINS * 2.0**-24
SHARE = 0.85

_WEIGHTS = np.ones(BINS)
_WEIGHTS[[0, -1]] = 2.0
_K = np.arange(BINS, dtype=np.float64)
_MOMENTS = np.array([float((_WEIGHTS * _K**j).sum()) for j in range(5)])


@dataclass(frozen=True)
class Spectral:
    """Centroid, bandwidth and rolloff of one clip's frames in bins, and what they can become.

    Attributes
    ----------
    values : array, shape (3, frames)
        In bins.
    sizes : array, shape (frames, n)
        Sizes of a frame's perturbation that were worked out, ascending.
    steps : array, shape (6, frames, n)
        For each up to which: rise of centroid, bandwidth, rolloff, then the fall of each.
    curves : Curves
        Six rows in the same order: of the sums over frames, price in units of ``eta^2``.
    """

    values: Array
    sizes: Array
    steps: Array
    curves: Curves


def spectral(spectrum: Array) -> Spectral:
    """Bound the three of a clip with magnitudes ``spectrum``, shape (1025, frames)."""
    s = spectrum.T
    total = s.sum(1)
    sizes = total[:, None] * PARTS
    centre, spread = _centre(s, total)
    variance = np.where(
        total > 0, ((_K - centre[:, None]) ** 2 * s).sum(1) / np.where(total > 0, total, 1), 0
    )
    low, high = _extremes(total, centre * total, sizes, np.broadcast_to(_MOMENTS[:3, None], (3, len(s))))
    low, high = np.clip(low, 0, LAST), np.clip(high, 0, LAST)
    about = _about(centre)
    least, most = _extremes(total, variance * total, sizes, about)
    away = np.maximum(high - centre[:, None], centre[:, None] - low)
    narrow = np.sqrt(np.maximum(least - away**2, 0))
    wide = np.minimum(np.sqrt(np.maximum(most, 0)), LAST / 2)
    rolloff, fewer, more = _rolloffs(s, total, sizes)
    values = np.stack([centre, spread, rolloff])
    highs, lows = np.stack([high, wide, more]), np.stack([low, narrow, fewer])
    ceiling = np.array([LAST, LAST / 2, LAST])[:, None]
    highs[..., -1], lows[..., -1] = ceiling, 0.0  # whatever is larger than the largest size
    steps = np.concatenate([highs - values[..., None], values[..., None] - lows])
    steps = np.maximum.accumulate(np.maximum(steps, 0), axis=-1)
    multipliers = _multipliers(total)
    costs = np.square(sizes)
    return Spectral(
        values,
        sizes,
        steps,
        Curves(multipliers, np.stack([stepwise(costs, one, multipliers) for one in steps])),
    )


def _centre(s: Array, total: Array) -> tuple[Array, Array]:
    """Centroid and bandwidth in bins; 0 for silence."""
    whole = np.where(total > 0, total, 1)
    centre = s @ _K / whole
    variance = ((_K - centre[:, None]) ** 2 * s).sum(1) / whole
    return centre, np.sqrt(variance)


def _about(centre: Array) -> Array:
    """Sums over bins of 1, a and a^2 for ``a = (k - centre)^2``, weighed; shape (3, frames)."""
    c, m = centre, _MOMENTS
    second = m[2] - 2 * c * m[1] + c**2 * m[0]
    fourth = m[4] - 4 * c * m[3] + 6 * c**2 * m[2] - 4 * c**3 * m[1] + c**4 * m[0]
    return np.stack([np.full_like(c, m[0]), second, fourth])


def _extremes(total: Array, moment: Array, sizes: Array, sums: Array) -> tuple[Array, Array]:
    """Least and greatest ``sum a s' / sum s'`` within each size, infinite where the sum of s' may vanish.

    ``moment`` is ``sum a s``; ``sums`` those of 1, a, a^2 over the bins, weighed, shape (3, frames).
    """
    square = sizes**2
    n0, n1, n2 = (x[:, None] for x in sums)
    a = total[:, None] ** 2 - square * n0
    b = (total * moment)[:, None] - square * n1
    c = moment[:, None] ** 2 - square * n2
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    bounded = a > 1e-9 * total[:, None] ** 2
    safe = np.where(bounded, a, 1)
    return (
        np.where(bounded, (b - root) / safe, -np.inf),
        np.where(bounded, (b + root) / safe, np.inf),
    )


def _rolloffs(s: Array, total: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """The rolloff in bins: now, at least, at most. Bin k is under it while its running sum is under 0.85."""
    running = s.cumsum(1)
    height = running - SHARE * total[:, None]
    weight = _WEIGHTS.cumsum()
    norm = np.sqrt(weight * (1 - SHARE) ** 2 + (weight[-1] - weight) * SHARE**2)
    slack = ROUNDING * total[:, None]
    now = (height < 0).sum(1).astype(np.float64)
    more, fewer = np.empty(sizes.shape), np.empty(sizes.shape)
    # Bin k may come under within a size from this on, and may be over from that on.
    comes, goes = np.sort((height - slack) / norm, axis=1), np.sort((-height - slack) / norm, axis=1)
    for t, size in enumerate(sizes):
        more[t] = np.searchsorted(comes[t], size, side="right")
        fewer[t] = BINS - np.searchsorted(goes[t], size, side="right")
    return now, np.minimum(fewer, LAST), np.minimum(more, LAST)


def _multipliers(total: Array) -> Array:
    loud = max(float(total.max()), 1e-9) ** 2
    typical = max(float(np.quantile(total, 0.02)) ** 2, loud * 1e-10)
    return np.geomspace(1e-3 / loud, 1e10 / typical, MULTIPLIERS)
