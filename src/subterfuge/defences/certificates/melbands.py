"""How far the log-mel energies of a clip can be moved, band by band, upward and downward.

A cell's energy is a weighted sum of ``|X_k + D_k|^2``, the square of a norm; so its root changes by at most
the same norm of the perturbation's spectrum D (the triangle inequality). The triangles of the filter bank,
all made of height one, add up to one at most, so the squares of all those norms in a frame add up to no
more than ``|D|^2``: one shared budget for all cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from subterfuge.defences.certificates.curves import Curves
from subterfuge.defences.certificates.duelling import Array
from subterfuge.features.mel import mel_basis

N_FFT, MELS = 2048, 128
DECIBELS = 10 / np.log(10)
MULTIPLIERS = 90
# dB by which the floor may move before every cell is taken to hang on it.
LOOSE = 1.0


@dataclass(frozen=True)
class MelBands:
    """The log-mel energies of one clip and what they can become.

    Attributes
    ----------
    decibels : array, shape (bands, frames)
    upward, downward : Curves
        Of the sum over frames of each band's change, in dB, price in units of ``|D|^2``.
    hanging : array, shape (bands,)
        How many of a band's cells are at the floor that hangs from the loudest cell, or less than ``LOOSE``
        over it.
    tops, heights : array, shape (bands,)
        Root of each band's greatest energy, and by how much roots in it change for a unit of ``|D|``; no
        tops where the floor is a fixed one.
    """

    decibels: Array
    upward: Curves
    downward: Curves
    hanging: Array
    tops: Array
    heights: Array

    def floor_shift(self, frame: Array) -> Array:
        """dB by which the floor can move where no frame of the perturbation is larger than ``frame``."""
        if not len(self.tops):
            return np.zeros_like(frame)
        top = max(float(self.tops.max()), 1e-300)
        higher = (self.tops + self.heights * frame[:, None]).max(1) / top
        lower = 1 - np.minimum(self.heights[self.tops.argmax()] * frame / top, 1 - 1e-15)
        return np.asarray(2 * DECIBELS * np.maximum(np.log(higher), -np.log(lower)))

    def floored(self, shift: Array) -> Array:
        """Most that each band's sum over frames changes as the floor moves by ``shift`` dB, (bands, sizes).

        Cells that are over the floor by more than it moves do not follow it: upward they stay as they are,
        and downward they have to pay for the way to it, which :func:`mel_bands` counts down to ``LOOSE``
        below it.
        """
        frames = self.decibels.shape[1]
        return np.asarray(np.where(shift <= LOOSE, self.hanging[:, None], frames) * shift)


def mel_bands(
    spectrum: Array, *, sr: float, floor: float = 0.0, top_db: float | None = 80.0, amin: float = 1e-10
) -> MelBands:
    """Bound the log-mel energies of a clip.

    Parameters
    ----------
    spectrum : array, shape (1025, frames)
        Magnitudes.
    sr : float
    floor : float
        Energy added to every cell before the logarithm, as hardened features have it.
    top_db, amin
        As in :func:`~subterfuge.features.cepstral.power_to_db`.
    """
    basis, plain = _basis(sr, "slaney"), _basis(sr, None)
    used = plain > 0
    heights = np.where(used, basis / np.where(used, plain, 1), 0).max(1) * (1 + 1e-6)
    empty = heights == 0
    heights[empty] = 1.0
    energy = basis @ spectrum**2
    peak = float(energy.max()) + floor
    bottom = amin if top_db is None else max(amin, peak * 10 ** (-top_db / 10))
    decibels = 10 * np.log10(np.maximum(energy + floor, bottom))
    root = np.sqrt(energy / heights[:, None])
    multipliers = _multipliers(root, bottom / heights.max())
    moving = top_db is not None
    loose = 10 ** (LOOSE / 10) if moving else 1.0
    hanging = energy + floor < bottom * loose
    up, down = np.zeros((2, MELS, len(multipliers)))
    for m in np.flatnonzero(~empty):
        lift, least = floor / heights[m], bottom / heights[m]
        up[m] = most_up(root[m], multipliers, lift=lift, least=least).sum(1)
        down[m] = most_down(root[m, hanging[m]], multipliers, lift=lift, least=least).sum(1)
        down[m] += most_down(root[m, ~hanging[m]], multipliers, lift=lift, least=least / loose).sum(1)
    return MelBands(
        decibels,
        Curves(multipliers, up),
        Curves(multipliers, down),
        np.where(hanging, 1.0, 0.0).sum(1),
        np.sqrt(energy.max(1) + floor) if moving else np.zeros(0),
        np.sqrt(heights),
    )


def _basis(sr: float, norm: str | None) -> Array:
    basis = mel_basis(sr, N_FFT, MELS, 0.0, None, norm, torch.float64, torch.device("cpu")).numpy().copy()
    # At the ends the triangles are zero but for rounding, and there a bin of the spectrum counts otherwise.
    basis[:, [0, -1]] = 0
    return np.asarray(basis, dtype=np.float64)


def _multipliers(root: Array, bottom: float) -> Array:
    """From where a whole clip moves by tens of dB to where no cell moves by a thousandth."""
    loud = max(float((root**2).max()), bottom)
    typical = max(float(np.quantile(root**2, 0.02)), bottom, loud * 1e-12)
    return np.geomspace(1e-3 * DECIBELS / loud, 1e5 * DECIBELS / typical, MULTIPLIERS)


def _level(z: Array, lift: float, least: float) -> Array:
    return np.asarray(DECIBELS * np.log(np.maximum(z * z + lift, least)))


def most_up(root: Array, multipliers: Array, *, lift: float = 0.0, least: float = 1e-10) -> Array:
    """Greatest rise in dB, less its price times a multiplier, of cells whose energies have these roots.

    The level of a cell is ``10 log10(max(root^2 + lift, least))``; to change the root by h costs h^2.
    Exact: the derivative is zero at one place above the root at most.

    Parameters
    ----------
    root : array, shape (cells,)
    multipliers : array, shape (n,)

    Returns
    -------
    array, shape (n, cells)
    """
    cost = multipliers[:, None]
    z = np.maximum(_stationary(root, lift - DECIBELS / cost, lift).max(0), root)
    z = np.maximum(z, np.sqrt(max(least - lift, 0.0)))
    gain = _level(z, lift, least) - _level(root, lift, least) - cost * (z - root) ** 2
    return np.asarray(np.maximum(gain, 0))


def most_down(root: Array, multipliers: Array, *, lift: float = 0.0, least: float = 1e-10) -> Array:
    """As :func:`most_up`, for the greatest fall: the places where the derivative is zero, and the floor."""
    cost = multipliers[:, None]
    end = np.minimum(np.sqrt(max(least - lift, 0.0)), root)
    tried = [*_stationary(root, lift + DECIBELS / cost, lift), np.broadcast_to(end, (len(cost), len(root)))]
    before = _level(root, lift, least)
    gains = [
        before - _level(z, lift, least) - cost * (z - root) ** 2
        for z in (np.clip(one, end, root) for one in tried)
    ]
    return np.asarray(np.maximum(np.max(gains, axis=0), 0))


def _stationary(root: Array, linear: Array, lift: float) -> Array:
    """Real roots z of ``z^3 - root z^2 + linear z - root lift``, (2 or 3, n, cells), repeated if fewer.

    There the derivative of the level by z, ``2 c z / (z^2 + lift)`` (or its negative), equals that of the
    price.
    """
    if lift == 0:
        split = np.sqrt(np.maximum(root**2 - 4 * linear, 0))
        return np.stack([(root + split) / 2, (root - split) / 2])
    third = root / 3
    p = linear - root * third
    q = third * (linear - 2 * third**2) - root * lift
    inside = (q / 2) ** 2 + (p / 3) ** 3
    # One real root, by Cardano without cancellation; or three, by cosines.
    side = np.where(q > 0, -1.0, 1.0)
    u = side * np.cbrt(np.abs(q) / 2 + np.sqrt(np.maximum(inside, 0)))
    single = u - np.where(u == 0, 0, p / np.where(u == 0, 1, 3 * u))
    size = np.sqrt(np.maximum(-p / 3, 0))
    cosine = np.clip(-q / 2 / np.where(size > 0, size**3, 1), -1, 1)
    angle = np.arccos(cosine) / 3
    turns = 2 * np.pi / 3 * np.arange(3)[:, None, None]
    three = 2 * size * np.cos(angle - turns)
    z = np.where(inside > 0, single, three) + third
    for _ in range(2):  # what rounding has left
        slope = (3 * z - 2 * root) * z + linear
        step = (((z - root) * z + linear) * z - root * lift) / np.where(slope == 0, 1, slope)
        z = np.where(np.abs(step) < 1e-3 * np.abs(z), z - step, z)
    return np.asarray(z)
