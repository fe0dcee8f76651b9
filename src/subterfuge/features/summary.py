"""The 25 numbers that a clip is judged by: time means of librosa's features."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.cepstral import mfcc
from subterfuge.features.frames import checked, positive
from subterfuge.features.fused import Fused25
from subterfuge.features.spectral import spectral_bandwidth, spectral_centroid, spectral_rolloff
from subterfuge.features.temporal import rms, zero_crossing_rate

NAMES = ("rms", "centroid", "bandwidth", "rolloff", "zcr", *(f"mfcc{n}" for n in range(1, 21)))

# Frames to a block: what stays in a core's cache, and what keeps an accelerator busy.
CPU_BLOCK, DEVICE_BLOCK = 256, 1 << 14


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


def librosa25(y: Tensor, *, sr: float, block_frames: int | None = None) -> Tensor:
    """Time means of librosa's features, the 25 numbers that the seed's classifier hears.

    In order: ``rms``, ``spectral_centroid``, ``spectral_bandwidth``, ``spectral_rolloff``,
    ``zero_crossing_rate`` and ``mfcc`` 1 to 20, all with librosa's defaults (frames of 2048 samples, 512
    apart, centred) at the rate given. Values are librosa's; gradients are those of the single functions of
    this package, surrogates included. All come from one transform, taken a block of frames at a time, so that
    a file of ten minutes needs a few hundred megabytes, gradient included.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (batch, samples)
        Clips of one length, from one sample up; each is its own problem.
    sr : float
        Sample rate in hertz.
    block_frames : int, optional
        Frames, over all rows, transformed at once: by default what suits the device.

    Returns
    -------
    Tensor, shape (batch, 25)
        Named in :data:`NAMES`.

    Raises
    ------
    SubterfugeError
        The audio is not a batch of clips, or the rate is not positive.

    Examples
    --------
    >>> import torch
    >>> y = 0.1 * torch.randn(2, 44100, generator=torch.Generator().manual_seed(0))
    >>> tuple(librosa25(y, sr=44100).shape)
    (2, 25)
    """
    positive(sr=sr, block_frames=block_frames)
    if checked(y).ndim != 2 or len(y) == 0:
        raise SubterfugeError(f"The audio's shape is {tuple(y.shape)}; (batch, samples) was expected.")
    if block_frames is None:
        block_frames = CPU_BLOCK if y.device.type == "cpu" else DEVICE_BLOCK
    out: Tensor = Fused25.apply(y, float(sr), block_frames)  # type: ignore[no-untyped-call]
    return out
