"""Kaldi's log-mel filter bank with gradients, as speech models take it: pre-emphasis, no centring."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError


def log_fbank(
    y: Tensor,
    *,
    window: Tensor,
    filters: Tensor,
    n_fft: int = 512,
    hop_length: int = 160,
    preemphasis: float = 0.97,
    floor: float = 2.0**-23,
) -> Tensor:
    """Logarithm of the energy in mel bands of each frame, whose mean is taken away before.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
        At least a frame long.
    window : Tensor, shape (frame,)
    filters : Tensor, shape (1 + n_fft // 2, bands)
    n_fft, hop_length : int
        Length of the transform (frames are followed by zeros) and step, in samples.
    preemphasis : float
        How much of each sample the next one is lessened by.
    floor : float
        Least energy of a band.

    Returns
    -------
    Tensor, shape (batch, frames, bands)
        In the precision of ``y``; what lies between is in double precision, as near-silent bands need it.

    Raises
    ------
    SubterfugeError
        If ``y`` is shorter than a frame.

    References
    ----------
    Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011.

    Examples
    --------
    >>> filters = torch.ones(257, 4)
    >>> tuple(log_fbank(torch.zeros(2, 720), window=torch.ones(400), filters=filters).shape)
    (2, 3, 4)
    """
    length = len(window)
    if y.shape[-1] < length:
        raise SubterfugeError(f"got {y.shape[-1]} samples, expected at least a frame, {length}")
    frames = y.double().unfold(-1, length, hop_length)
    frames = frames - frames.mean(-1, keepdim=True)
    # The sample before the first is taken to be like it.
    before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
    spectrum = torch.fft.rfft((frames - preemphasis * before) * window.to(frames), n_fft)
    energy = (spectrum.real.square() + spectrum.imag.square()) @ filters.to(frames)
    bands: Tensor = energy.clamp(min=floor).log().to(y.dtype)
    return bands
