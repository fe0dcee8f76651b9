"""Bootstrap intervals that resample whole recordings: clips of one recording are never independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subterfuge.training.measures import Estimate

CHUNK = 128  # resamples at a time, so that memory stays small however many there are
TAIL = 0.025  # left out on either side of a 95 % interval


def recording_indices(recordings: Sequence[str] | None, clips: int) -> tuple[NDArray[np.int64], int]:
    """The number of each clip's recording, and how many recordings there are.

    ``None`` means that every clip is a recording of its own.
    """
    if recordings is None:
        return np.arange(clips), clips
    names, index = np.unique(np.asarray(recordings, dtype=str), return_inverse=True)
    return index.reshape(-1).astype(np.int64), len(names)


def resampled_counts(
    cells: NDArray[np.int64],
    recordings: NDArray[np.int64],
    *,
    shape: tuple[int, int],
    seed: int,
    resamples: int,
) -> NDArray[np.float64]:
    """Counts over cells (of a confusion matrix, say), with recordings drawn with replacement.

    As many recordings as there are, of any size: the cluster bootstrap (Davison and Hinkley, 1997, 3.8). The
    counts of each recording are taken once; a resample is then one weighted sum of them.

    Parameters
    ----------
    cells : array of int, shape (counted,)
        The cell that each counted thing falls into, from 0 to ``shape[1] - 1``.
    recordings : array of int, shape (counted,)
        Its recording, from 0 to ``shape[0] - 1``.
    shape : tuple of int
        Numbers of recordings and of cells.
    seed : int
    resamples : int

    Returns
    -------
    array, shape (resamples, cells)
    """
    from scipy.sparse import coo_array

    among = shape[0]
    counts = coo_array((np.ones(len(cells)), (recordings, cells)), shape=shape).tocsr().T
    rng = np.random.default_rng(seed)
    out = np.empty((resamples, shape[1]))
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        drawn = rng.integers(among, size=(rows, among)) + among * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * among).reshape(rows, among)
        out[start : start + rows] = (counts @ weights.T.astype(np.float64)).T
    return out


def estimate(value: float, resampled: ArrayLike) -> Estimate:
    """A value with the middle 95 % of what its resamples gave; those that say nothing (NaN) are left out.

    Examples
    --------
    >>> estimate(0.5, [0.4, 0.5, 0.6, float("nan")])
    Estimate(value=0.5, low=0.405, high=0.595)
    """
    known = np.asarray(resampled, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(known, (TAIL, 1 - TAIL))
    return Estimate(float(value), float(low), float(high))
