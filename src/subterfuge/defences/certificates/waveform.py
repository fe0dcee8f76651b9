"""What a perturbation of a clip can do to its 25 features: bounds for every direction and every size.

A perturbation is ``||delta||_2 <= epsilon`` (``norm="l2"``) or ``|delta_n| <= epsilon`` for every sample
(``"linf"``). For any weights v the most that ``v . (features(y + delta) - features(y))`` can be is bounded
by the sum of

- level: the mean over frames of ``|delta_t| / sqrt(2048)``, by Cauchy and Schwarz, a sample being in four
  frames;
- centroid, bandwidth and rolloff: each by a Lagrangian over frames of one shared budget, since a Hann
  window with four frames to its length has ``sum_t w^2 = 1.5`` at every sample: ``sum_t |D_t|^2 <= 1536
  epsilon^2``;
- zero crossings: by a Lagrangian over samples;
- cepstrum: the weights of its rows are first added up, band by band, so that what they cancel is not counted,
  and then one Lagrangian goes over all cells.

The features are those of exact arithmetic; ``ROUNDING`` is allowed for on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from subterfuge.defences.certificates.crossings import crossing_rate, crossings, within
from subterfuge.defences.certificates.curves import Curves, half_axes
from subterfuge.defences.certificates.duelling import Array
from subterfuge.defences.certificates.melbands import MELS, MelBands, mel_bands
from subterfuge.defences.certificates.spectrum import Spectral, spectral
from subterfuge.errors import SubterfugeError
from subterfuge.features.constants import HOP, N_FFT

Norm = Literal["l2", "linf"]


class Movable(Protocol):
    """What is known of what some sizes of perturbations can do to a clip's features."""

    def most(self, weights: Array) -> Array:
        """Most that ``weights . change of the features`` can be, for each size."""
        ...

    def ellipsoid(self, matrix: Array, size: int) -> Array:
        """A Q such that ``v . matrix . change <= sqrt(v . Q . v)`` for every v, for one of the sizes."""
        ...


class Bounded(Protocol):
    """A clip whose features are bounded."""

    @property
    def features(self) -> Array:
        """In float64, shape (features,)."""
        ...

    @property
    def y(self) -> Array:
        """The clip, shape (samples,)."""
        ...

    def within(self, epsilons: Array, *, norm: Norm = "l2") -> Movable:
        """What perturbations of these sizes, ascending, can do."""
        ...


# What librosa's float32 arithmetic and ours may differ by: level, three in Hz, rate, cepstral coefficients.
ROUNDING = np.array([1e-6, 0.05, 0.05, 0.05, 1e-7, *[2e-3] * 20])

# sum over frames of the window's square, and over all of it; frames that a sample is in.
OVERLAP, WINDOW, SHARED = 1.5, 768.0, N_FFT // HOP


@dataclass(frozen=True)
class FeatureBounds:
    """Bounds on what the 25 features of one clip can become. Made by :func:`feature_bounds`.

    Attributes
    ----------
    features : array, shape (25,)
        In float64.
    frames : int
    hertz : float
        Of one bin.
    y : array, shape (samples,)
    """

    features: Array
    frames: int
    hertz: float
    mel: MelBands
    spectral: Spectral
    zero: Curves
    y: Array

    def within(self, epsilons: Array, *, norm: Norm = "l2") -> Moves:
        """What perturbations of each of these sizes can do.

        Parameters
        ----------
        epsilons : array, shape (sizes,)
            In the samples' own unit, ascending.
        norm : {'l2', 'linf'}
        """
        budget = spectral_budget(epsilons, self.frames, norm)
        level = epsilons if norm == "linf" else epsilons * np.sqrt(SHARED / (N_FFT * self.frames))
        shape = [self._spectral(row, epsilons, budget, norm) * self.hertz / self.frames for row in range(6)]
        rate = self._zero(epsilons, norm)
        alone = np.stack([level, *shape[:3], rate[0], level, *shape[3:], rate[1]]).reshape(2, 5, -1)
        return Moves(self.mel, self.frames, budget, alone, self.mel.floor_shift(frame_size(epsilons, norm)))

    def _spectral(self, row: int, epsilons: Array, budget: Array, norm: Norm) -> Array:
        curve = Curves(self.spectral.curves.multipliers, self.spectral.curves.values[row : row + 1])
        shared = curve.most(np.ones(1), budget)
        if norm == "l2":
            return shared
        return np.minimum(
            shared, coarsely(lambda one: self._each(row, float(frame_size(one, norm))), epsilons)
        )

    def _each(self, row: int, size: float) -> float:
        """Sum over frames where every one of them may have a perturbation of that size."""
        sizes = self.spectral.sizes
        place = np.minimum((sizes < size).sum(1), sizes.shape[1] - 1)
        return float(self.spectral.steps[row, np.arange(len(sizes)), place].sum())

    def _zero(self, epsilons: Array, norm: Norm) -> Array:
        """Rise and fall of the crossing rate, shape (2, sizes)."""
        if norm == "linf":
            return coarsely(lambda one: np.array(within(self.y, float(one))), epsilons).T
        rows = [Curves(self.zero.multipliers, row[None]) for row in self.zero.values]
        return np.stack([one.most(np.ones(1), epsilons**2) for one in rows])


@dataclass(frozen=True)
class Moves:
    """What perturbations of some sizes can do to the features of one clip; see :meth:`FeatureBounds.within`.

    Attributes
    ----------
    alone : array, shape (2, 5, sizes)
        Rise and fall of the mean level, centroid, bandwidth, rolloff and zero crossing rate.
    budget : array, shape (sizes,)
        Of all cells of the log-mel together.
    shift : array, shape (sizes,)
        Of the log-mel's floor, in dB.
    """

    mel: MelBands
    frames: int
    budget: Array
    alone: Array
    shift: Array

    def most(self, weights: Array) -> Array:
        """Most that ``weights . change of the features`` can be, for each size; shape (sizes,).

        Parameters
        ----------
        weights : array, shape (25,)
        """
        out = np.abs(weights) @ ROUNDING + np.maximum(weights[:5], 0) @ self.alone[0]
        out = out + np.maximum(-weights[:5], 0) @ self.alone[1]
        band = weights[5:] @ cosines() / self.frames
        values = np.where(band[:, None] > 0, self.mel.upward.values, self.mel.downward.values)
        out = out + Curves(self.mel.upward.multipliers, values).most(np.abs(band), self.budget)
        floored = self.mel.floored(self.shift)
        # The floor moves one way, and all that hangs on it that way.
        return np.asarray(out + np.maximum(np.maximum(band, 0) @ floored, np.maximum(-band, 0) @ floored))

    def box(self) -> tuple[Array, Array]:
        """How far each feature by itself can fall and rise, two arrays of shape (sizes, 25)."""
        unit = np.eye(25)
        return np.stack([self.most(-one) for one in unit], 1), np.stack([self.most(one) for one in unit], 1)

    def ellipsoid(self, matrix: Array, size: int) -> Array:
        """A symmetric Q with ``v . matrix . change <= sqrt(v . Q . v)`` for every v, for one of the sizes.

        That is an ellipsoid that holds all the displacements. The bands of the log-mel are in one of their
        own, see :func:`~subterfuge.defences.certificates.curves.half_axes`. Each of the other features is
        in a segment; and the sum of sets in ellipsoids Q_i is in that of ``sum Q_i / p_i`` for any shares
        p_i of one, the traces' roots being the best shares.

        Parameters
        ----------
        matrix : array, shape (d, 25)
            From features to the space that is asked about.
        size : int
            Which of the sizes.
        """
        bands = matrix[:, 5:] @ cosines() / self.frames
        both = np.maximum(self.mel.upward.values, self.mel.downward.values)
        axes = half_axes(Curves(self.mel.upward.multipliers, both), float(self.budget[size]))
        shapes = [(bands * axes**2) @ bands.T]
        half = self.alone[:, :, size].max(0) + ROUNDING[:5]
        shapes += [np.outer(column, column) * b**2 for column, b in zip(matrix.T[:5], half, strict=True)]
        # What hangs on the floor moves with it: a box, in the ellipsoid of half-axes ``sqrt(b_m sum b)``.
        loose = self.mel.floored(self.shift[size : size + 1])[:, 0]
        shapes.append((bands * loose * loose.sum()) @ bands.T)
        rounded = np.abs(matrix[:, 5:]) @ ROUNDING[5:]
        shapes.append(np.diag(rounded * rounded.sum()))
        return together(shapes)


def together(shapes: Sequence[Array]) -> Array:
    """An ellipsoid that holds all sums of points of some ellipsoids, of the least trace there is."""
    roots = np.array([np.sqrt(np.trace(one)) for one in shapes])
    shares = np.maximum(roots / max(float(roots.sum()), 1e-300), 1e-9)
    shares /= shares.sum()
    return np.asarray(sum(one / share for one, share in zip(shapes, shares, strict=True)))


@lru_cache(maxsize=1)
def cosines() -> Array:
    """The rows of the cepstrum, shape (20, 128)."""
    import torch

    from subterfuge.features.mel import dct_basis

    return np.asarray(dct_basis(20, MELS, torch.float64, torch.device("cpu")).numpy())


def coarsely(rising: Callable[[Array], Array | float], at: Array, *, every: int = 8) -> Array:
    """Upper bounds of what rises, at ascending points: its values at some of them stand for those before."""
    chosen = np.minimum(np.arange(len(at)) // every * every + every - 1, len(at) - 1)
    known = {int(n): rising(at[n]) for n in np.unique(chosen)}
    return np.array([known[int(n)] for n in chosen])


def spectral_budget(epsilons: Array, frames: int, norm: Norm) -> Array:
    """What the squared sizes of all frames' spectra add up to at most (bins 1 to 1023, once each)."""
    if norm == "l2":
        return np.asarray(N_FFT / 2 * OVERLAP * epsilons**2)
    return np.asarray(frames * frame_size(epsilons, norm) ** 2)


def frame_size(epsilons: Array, norm: Norm) -> Array:
    """Largest size of one frame's spectrum."""
    return np.asarray(np.sqrt(N_FFT / 2 * (1.0 if norm == "l2" else WINDOW)) * epsilons)


def feature_bounds(y: Array, *, sr: float, floor: float = 0.0, top_db: float | None = 80.0) -> FeatureBounds:
    """Bound what perturbations can do to the 25 features of a clip.

    Parameters
    ----------
    y : array, shape (samples,)
        Mono, as the victim hears it, at the victim's rate.
    sr : float
        In Hz.
    floor : float
        Energy that hardened features add to every mel cell before the logarithm.
    top_db : float, optional
        Greatest range of the log-mel within a clip; None for none.

    Returns
    -------
    FeatureBounds

    Raises
    ------
    SubterfugeError
        If the clip is empty or not finite, or the floor is negative.

    Examples
    --------
    >>> y = 0.1 * np.random.default_rng(0).normal(size=8192)
    >>> bounds = feature_bounds(y, sr=44100)
    >>> moves = bounds.within(np.array([1e-3, 1e-2]))
    >>> bool((moves.most(np.eye(25)[1]) > 0).all())
    True
    """
    y = one_clip(y)
    if not floor >= 0:
        raise SubterfugeError(f"floor: got {floor}, expected an energy of 0 or more")
    spectrum = magnitudes(y)
    mel, shape, zero = (
        mel_bands(spectrum, sr=sr, floor=floor, top_db=top_db),
        spectral(spectrum),
        crossings(y),
    )
    hertz = sr / N_FFT
    features = np.concatenate(
        [
            [levels(y).mean()],
            shape.values.mean(1) * hertz,
            [crossing_rate(y)],
            cosines() @ mel.decibels.mean(1),
        ]
    )
    return FeatureBounds(features, spectrum.shape[1], hertz, mel, shape, zero, y)


def one_clip(y: Array) -> Array:
    """The samples in double precision, once they are seen to be one clip's, shape (samples,).

    Raises
    ------
    SubterfugeError
        If it is empty or not finite, or there are several.
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 1 or not len(y) or not np.isfinite(y).all():
        raise SubterfugeError(
            f"certificates: got audio of shape {y.shape}, expected one clip of finite samples"
        )
    return y


def _framed(y: Array) -> Array:
    padded = np.pad(y, N_FFT // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]


def levels(y: Array) -> Array:
    """Root mean square of each frame."""
    return np.asarray(np.sqrt((_framed(y) ** 2).mean(1)))


def magnitudes(y: Array) -> Array:
    """Of the short-time spectrum, float64, shape (1025, frames)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    return np.asarray(np.abs(np.fft.rfft(_framed(y) * window)).T)
