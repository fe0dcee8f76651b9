"""What a perturbation can do to the hardened features: Lipschitz bounds, since nothing in them is steep.

A clip is brought to a root mean square of one, ``v -> v / s(v)``, whose slope is ``1 / s`` at most; from
there on a perturbation has the size ``epsilon / s``. Windows two to a sample have squares that add up to
one at most, so all frames share one budget. The excitation ``ln(1 + z^2 / F)`` of a band has a slope of at
most ``1 / sqrt(F)`` in the root z of its energy, and the triangles of the filter bank add up to one, so
that the changes of a frame's excitations are, as a vector, no longer than that slope times the size of the
frame's perturbation.

A mean that leaves out frames at either end moves as the mean over *some* K frames does at each moment.
Whichever they are, for each coefficient others, the cosines being orthonormal the cepstrum's means stay in
a ball (:meth:`HardenedMoves.most`); the rest are bounded frame by frame with a Lagrangian over the K that
gain the most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subterfuge.defences.certificates.curves import Curves
from subterfuge.defences.certificates.duelling import Array
from subterfuge.defences.certificates.waveform import Norm, one_clip, together
from subterfuge.features import hardened as features

# Of float32 arithmetic, in each feature: far more than was ever seen.
ROUNDING = np.array([1e-5] * 5 + [5e-5] * 20)
# Sizes of one frame's perturbation that are worked out, in roots of energy of a clip of unit level.
SIZES = np.geomspace(1e-5, 1e3, 160)
MULTIPLIERS = np.geomspace(1e-9, 1e9, 240)
SMALLEST = features.MELS * features._FAINT
PLACE = np.linspace(0, 1, features.MELS)


@dataclass(frozen=True)
class HardenedBounds:
    """Bounds on what the hardened features of one clip can become. Made by :func:`hardened_bounds`.

    Attributes
    ----------
    features : array, shape (25,)
    y : array, shape (samples,)
    roots : array, shape (bands, frames)
        Of the energies of the clip at unit level.
    floor : float
    kept : int
        Frames that a mean is taken over.
    shape : Curves
        Of the sums over ``kept`` frames of the rise of centroid, bandwidth and rolloff, then of the fall of
        each.
    """

    features: Array
    y: Array
    roots: Array
    floor: float
    kept: int
    shape: Curves

    def within(self, epsilons: Array, *, norm: Norm = "l2") -> HardenedMoves:
        """What perturbations of these sizes can do; as of ``FeatureBounds.within``."""
        samples = len(self.y)
        size = epsilons * (np.sqrt(samples) if norm == "linf" else 1.0)
        level = float(np.linalg.norm(self.y))
        left = np.maximum(level - size, 0)
        unit = size / np.sqrt(left**2 / samples + features._SILENCE**2)
        # In roots of energy: |D|^2 / 2048 over bins 1 to 1023 is half of the windowed frame's own square.
        # (The triangles were rounded to float32.)
        budget = unit**2 / 2 * (1 + 1e-6)
        shape = np.stack(
            [Curves(MULTIPLIERS, row[None]).most(np.ones(1), budget) for row in self.shape.values]
        )
        # Level: root of the mean over 1025 bins, mirror images not counted.
        evenness = unit / np.sqrt((features.N_FFT // 2 + 1) * self.kept)
        rise, fall = _crossings(self.y, size, float(self.features[4]))
        alone = np.stack(
            [
                np.stack([evenness, *(shape[:3] / self.kept), rise]),
                np.stack([evenness, *(shape[3:] / self.kept), fall]),
            ]
        )
        slopes = [_steepest(self.roots, np.sqrt(one), self.floor).max(0) for one in budget]
        most = np.array([np.sort(one**2)[-self.kept :].sum() for one in slopes])
        return HardenedMoves(alone, np.sqrt(budget * most) / self.kept)


@dataclass(frozen=True)
class HardenedMoves:
    """What perturbations of some sizes can do to the hardened features of one clip.

    Attributes
    ----------
    alone : array, shape (2, 5, sizes)
        Rise and fall of the first five features.
    ball : array, shape (sizes,)
        How far the means of the cepstrum can move together.
    """

    alone: Array
    ball: Array

    def most(self, weights: Array) -> Array:
        """Most that ``weights . change of the features`` can be, for each size; shape (sizes,)."""
        out = np.abs(weights) @ ROUNDING + np.maximum(weights[:5], 0) @ self.alone[0]
        out = out + np.maximum(-weights[:5], 0) @ self.alone[1]
        return np.asarray(out + float(np.linalg.norm(weights[5:])) * self.ball)

    def ellipsoid(self, matrix: Array, size: int) -> Array:
        """A Q such that ``v . matrix . change <= sqrt(v . Q . v)`` for every v, for one of the sizes."""
        shapes = [matrix[:, 5:] @ matrix[:, 5:].T * self.ball[size] ** 2]
        half = self.alone[:, :, size].max(0) + ROUNDING[:5]
        shapes += [np.outer(column, column) * b**2 for column, b in zip(matrix.T[:5], half, strict=True)]
        rounded = np.abs(matrix[:, 5:]) @ ROUNDING[5:]
        shapes.append(np.diag(rounded * rounded.sum()))
        return together(shapes)


def hardened_bounds(
    y: Array, *, sr: float, floor_db: float = features.FLOOR_DB, trim: float = features.TRIM
) -> HardenedBounds:
    """Bound what perturbations can do to the hardened features of a clip.

    Parameters
    ----------
    y : array, shape (samples,)
        Mono, as the victim hears it, at the victim's rate.
    sr : float
        In Hz.
    floor_db, trim : float
        As of :func:`~subterfuge.features.hardened.hardened25`.

    Raises
    ------
    SubterfugeError
        If the clip is empty or not finite.

    Examples
    --------
    >>> y = 0.1 * np.random.default_rng(0).normal(size=8192)
    >>> moves = hardened_bounds(y, sr=44100).within(np.array([1e-3, 1e-2]))
    >>> bool((moves.most(np.eye(25)[7]) > 0).all())
    True
    """
    import torch

    from subterfuge.features.mel import mel_basis

    y = one_clip(y)
    row = torch.from_numpy(y)[None]
    x = row / (row.square().mean() + features._SILENCE**2).sqrt()
    basis = mel_basis(
        float(sr), features.N_FFT, features.MELS, features.LOWEST, None, None, row.dtype, row.device
    )
    energies = (basis @ features._power(x)[0]).numpy()
    floor = 10 ** (floor_db / 10)
    excitation = np.log1p(energies / floor)
    roots = np.sqrt(energies)
    frames = excitation.shape[1]
    kept = frames - 2 * int(trim * frames)
    vector = features.hardened25(row, sr=sr, floor_db=floor_db, trim=trim)[0].numpy()
    slopes = np.stack([_steepest(roots, size, floor).max(0) for size in SIZES], axis=1)
    moved = slopes * SIZES
    # By the sum of the changes: of the excitations no more than of the energies over the floor.
    energy = (2 * np.sqrt(energies.sum(0))[:, None] * SIZES + SIZES**2) / floor
    steps = _steps(excitation.T, moved, np.minimum(np.sqrt(features.MELS) * moved, energy))
    curves = Curves(MULTIPLIERS, np.stack([_largest(one, kept) for one in steps]))
    return HardenedBounds(vector, y, roots, floor, kept, curves)


def _steepest(roots: Array, size: float, floor: float) -> Array:
    """Greatest slope of ``ln(1 + z^2 / floor)`` within ``size`` of each root, shape as ``roots``."""
    top = np.sqrt(floor)
    nearest = np.clip(top, np.maximum(roots - size, 0), roots + size)
    return np.asarray(2 * nearest / (nearest**2 + floor))


def _steps(c: Array, moved: Array, added: Array) -> Array:
    """Rise of centroid, bandwidth, rolloff and fall of each, shape (6, frames, sizes).

    The excitations ``c`` (frames, bands) move by a vector of a length of at most ``moved`` (frames, sizes)
    whose sum is at most ``added``.

    Each is that times the greatest slope on the way: the ranges of centroid and variance that the slopes
    hang on are at first all that is possible, then what that makes of them.
    """
    total = (c.sum(1) + SMALLEST)[:, None]
    share = c / total
    least = np.maximum(total - added, SMALLEST)

    def change(slope: Array) -> Array:
        """Of what has slopes of at most these by each band, (frames, sizes, bands), over ``least``."""
        by_length = moved * np.linalg.norm(slope, axis=-1)
        return np.asarray(np.minimum(by_length, added * slope.max(-1)) / least)

    centre = (share @ PLACE)[:, None]
    variance = np.einsum("tm,tm->t", share, (PLACE - centre) ** 2)[:, None]
    low, high = np.zeros_like(moved), np.ones_like(moved)
    near, far = low, high
    for _ in range(3):
        spread = np.maximum(PLACE - low[..., None], high[..., None] - PLACE)
        reach = change(spread)
        low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach, 1)
    spread = np.maximum(PLACE - low[..., None], high[..., None] - PLACE)
    inner = np.maximum(np.maximum(low[..., None] - PLACE, PLACE - high[..., None]), 0)
    for _ in range(3):
        # |d V / d c_m| S <= |(u_m - centre)^2 - V| + 2 centre (S_0 / S) |u_m - centre|
        bend = np.maximum(spread**2 - near[..., None], far[..., None] - inner**2)
        reach = change(bend + (2 * high * SMALLEST / least)[..., None] * spread)
        near, far = np.maximum(variance - reach, 0), np.minimum(variance + reach, 1)
    width = np.sqrt(variance + 1e-4)
    wide, narrow = np.sqrt(far + 1e-4) - width, width - np.sqrt(near + 1e-4)
    up, down = _rolloff(share.cumsum(1), moved / least, added / least)
    highs = np.stack([high - centre, wide, up])
    lows = np.stack([centre - low, narrow, down])
    return np.maximum.accumulate(np.maximum(np.concatenate([highs, lows]), 0), axis=-1)


def _rolloff(running: Array, moved: Array, added: Array) -> tuple[Array, Array]:
    """Rise and fall of the soft rolloff, each running share within what its own slope allows."""
    count = np.arange(1, running.shape[1] + 1)
    # The slopes are 1 - C by the bands up to m and -C by the rest: one at most, and their square
    # (m + 1)(1 - C)^2 + (rest) C^2, convex in C and so the greatest at an end of its range.
    reach = np.maximum(np.sqrt(count), np.sqrt(len(count) - count))[None, :, None] * moved[:, None, :]
    reach = np.minimum(reach, added[:, None, :])
    now = running[:, :, None]
    for _ in range(2):
        ends = [np.clip(now + side * reach, 0, 1) for side in (-1, 1)]
        square = [count[:, None] * (1 - c) ** 2 + (len(count) - count)[:, None] * c**2 for c in ends]
        reach = np.minimum(reach, np.sqrt(np.maximum(*square)) * moved[:, None, :])
    soft = [
        _step(np.clip(now + side * reach, 0, 1)).mean(1) - _step(running).mean(1)[:, None] for side in (-1, 1)
    ]
    return soft[0], -soft[1]


def _step(running: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-(features.ROLLOFF - running) / features.SOFTNESS)))


def _largest(gains: Array, kept: int) -> Array:
    """D of the sum over the ``kept`` frames that gain the most; ``gains`` are (frames, sizes)."""
    # Up to SIZES[p] the gain is gains[p], and it begins to be had just over SIZES[p - 1]; then the last.
    least = np.concatenate([[0.0], SIZES[:-1] ** 2])
    return np.array([np.sort((gains - m * least).max(1))[-kept:].clip(0).sum() for m in MULTIPLIERS])


def _crossings(y: Array, size: Array, now: float) -> tuple[Array, Array]:
    """Rise and fall of the soft crossing rate, ``acos(r) / pi``.

    With D the denominator of r, ``(r' - r) D'`` is ``2 d . (S - q) y + d . (S - q) d`` of the perturbation
    d, S being half the sum of the shift by one sample and its reverse, and q next to r: no larger than 2 in
    norm.
    """
    silence = features._SILENCE**2
    energy = float(y @ y) * (1 + silence) + len(y) * silence**2
    r = float(y[1:] @ y[:-1]) / energy
    q = r * (1 + silence)
    shifted = np.zeros_like(y)
    shifted[1:] += y[:-1] / 2
    shifted[:-1] += y[1:] / 2
    pull = float(np.linalg.norm(shifted - q * y))
    left = np.maximum(float(np.linalg.norm(y)) - size, 0)
    change = (2 * size * pull + 2 * size**2) / (left**2 * (1 + silence) + len(y) * silence**2 + 1e-300)

    def rate(r: Array) -> Array:
        return np.asarray(np.arccos(np.clip(np.clip(r, -1, 1) * (1 - 1e-4), -1 + 1e-6, 1 - 1e-6)) / np.pi)

    return rate(r - change) - now + 1e-12, now - rate(r + change) + 1e-12
