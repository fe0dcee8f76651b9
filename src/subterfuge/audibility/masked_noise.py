"""Noise-to-mask ratio of a perturbation in three numbers: mean, worst, and how much lies above the mask."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from subterfuge.audibility.masking import LEVEL, noise_to_mask


class MaskedNoise(NamedTuple):
    """What :func:`masked_noise` finds.

    Attributes
    ----------
    mean_db : float
        Mean of the ratio over bands and frames, in dB: the total NMR of ITU-R BS.1387.
    worst_db : float
        Largest ratio, in dB.
    share : float
        Share of bands and frames whose ratio is above 0 dB.
    """

    mean_db: float
    worst_db: float
    share: float


def masked_noise(original: Tensor, changed: Tensor, *, sr: float, level: float = LEVEL) -> MaskedNoise:
    """How far a perturbation lies below what its clip masks, over all critical bands and frames.

    Each number is that of the channel where it is largest; ``-inf`` (and 0) where nothing changed.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)
    sr : float
        Sample rate in Hz.
    level : float
        Level in dB SPL at which a sine of full scale is played.

    Examples
    --------
    >>> y = torch.randn(1, 22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> masked_noise(y, 1.001 * y, sr=22050).share
    0.0
    """
    mean = worst = share = 0.0
    with torch.no_grad():
        # One channel after the other, so that their number costs no memory.
        for one, other in zip(original, changed, strict=True):
            ratio = noise_to_mask(one[None], other[None], sr=sr, level=level)
            mean = max(mean, float(ratio.mean(dtype=torch.float64)))
            worst = max(worst, float(ratio.max()))
            share = max(share, float((ratio > 1).double().mean()))
    return MaskedNoise(_db(mean), _db(worst), share)


def _db(ratio: float) -> float:
    return 10 * math.log10(ratio) if ratio > 0 else -math.inf
