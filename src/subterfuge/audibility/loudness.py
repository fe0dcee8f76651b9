"""Loudness of a perturbation beside that of its clip, after ITU-R BS.1770-4."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from subterfuge.audibility.unmeasured import Unmeasured

# The gate of BS.1770 works on blocks of this length, in seconds.
BLOCK = 0.4
_MOST_CHANNELS = 5
# Below this rate the K-weighting's high shelf (1.5 kHz) has no room left.
_LEAST_RATE = 4000


def loudness_lu(original: Tensor, changed: Tensor, *, sr: int) -> float:
    """Integrated loudness of the perturbation minus that of the clip, in LU; ``-inf`` where nothing changed.

    Either is first brought to a peak of full scale, and what that adds is taken off again: a difference of
    loudnesses is to depend on no level, but the absolute gate of BS.1770 (-70 LUFS) would take a quiet
    perturbation for silence.

    Parameters
    ----------
    original, changed : Tensor, shape (channels, samples)
        Up to five channels: left, right, centre, and two at the back, which count 1.5 dB more.
    sr : int
        Sample rate in Hz.

    Raises
    ------
    Unmeasured
        If the clip is shorter than 0.4 s, silent, or of more channels or a lower rate than BS.1770 knows.

    References
    ----------
    ITU-R BS.1770-4, "Algorithms to measure audio programme loudness and true-peak audio level", 2015; by
    pyloudnorm (Steinmetz and Reiss, AES 150, 2021).

    Examples
    --------
    >>> y = torch.randn(2, 48000, generator=torch.Generator().manual_seed(0)) / 10
    >>> round(loudness_lu(y, 1.01 * y, sr=48000), 2)
    -40.0
    """
    channels, samples = original.shape
    if channels > _MOST_CHANNELS:
        raise Unmeasured(f"the clip has {channels} channels, of which at most {_MOST_CHANNELS} have a weight")
    if sr < _LEAST_RATE:
        raise Unmeasured(f"the clip's sample rate is {sr} Hz, and its weighting needs {_LEAST_RATE}")
    if samples < BLOCK * sr:
        raise Unmeasured(f"the clip is shorter than a gating block of {BLOCK} s")
    clip = _loudness(original, sr)
    if clip == -math.inf:
        raise Unmeasured("the clip is silent")
    return _loudness(changed - original, sr) - clip


def _loudness(y: Tensor, sr: int) -> float:
    """Integrated loudness in LUFS, without the absolute gate but for digital silence."""
    from pyloudnorm import Meter

    peak = float(y.abs().max())
    if peak == 0:
        return -math.inf
    x = torch.div(y.detach(), peak).T.float().cpu().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(Meter(sr).integrated_loudness(x))
    return value + 20 * math.log10(peak)
