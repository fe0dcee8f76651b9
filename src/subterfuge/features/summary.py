"""The 25 numbers that a clip is judged by: time means of librosa's features."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.cepstral import mfcc
from subterfuge.features.frames import checked, positive
from subterfuge.features.spectral import spectral_bandwidth, spectral_centroid, spectral_rolloff
from subterfuge.features.temporal import rms, zero_crossing_rate

NAMES = ("rms", "centroid", "bandwidth", "rolloff", "zcr", *(f"mfcc{n}" for n in range(1, 21)))


def composed25(y: Tensor, *, sr: float) -> Tensor:
    """The 25 features by the single functions, one after the other: slow, and the measure of the fast way."""
    parts = (
        rms(y=y),
        spectral_centroid(y=y, sr=sr),
        spectral_bandwidth(y=y, sr=sr),
        spectral_rolloff(y=y, sr=sr),
        zero_crossing_rate(y),
        mfcc(y=y, sr=sr),
    )
    return torch.cat([part.mean(-1) for part in parts], dim=-1)


def librosa25(y: Tensor, *, sr: float, chunk_seconds: float | None = None) -> Tensor:
    """The 25 features of each clip, shape (batch, 25)."""
    positive(sr=sr)
    if checked(y).ndim != 2:
        raise SubterfugeError(f"The audio's shape is {tuple(y.shape)}; (batch, samples) was expected.")
    return composed25(y, sr=sr)
