"""Cutting a pair of clips into short pieces at the rate that a measure wants, so that memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def pieces(original: Tensor, changed: Tensor, *, sr: int, rate: int, longest: float) -> Iterator[Pair]:
    """The fewest pieces of equal length that are no longer than ``longest``, resampled, in order.

    Parameters
    ----------
    original, changed : Tensor, shape (samples,)
        One channel of each.
    sr : int
        Their sample rate in Hz.
    rate : int
        The sample rate wanted; by soxr (HQ), as librosa resamples.
    longest : float
        In seconds.

    Yields
    ------
    pair of ndarray of float32
        A piece of either, of the same length.
    """
    samples = original.shape[0]
    number = max(1, math.ceil(samples / (sr * longest)))
    edges = [samples * i // number for i in range(number + 1)]
    for start, end in pairwise(edges):
        yield (
            _resampled(original[start:end], sr, rate),
            _resampled(changed[start:end], sr, rate),
        )


def _resampled(y: Tensor, sr: int, rate: int) -> NDArray[np.float32]:
    import soxr

    x = np.ascontiguousarray(y.detach().cpu().numpy(), dtype=np.float32)
    return x if sr == rate else np.asarray(soxr.resample(x, sr, rate, quality="HQ"), dtype=np.float32)
