"""Level and zero crossings, frame by frame, as librosa's, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import by_blocks, checked, positive

# librosa takes samples within this of zero for zero, and zero for positive.
THRESHOLD = 1e-10

# Width of the soft sign that stands in for the sign in the backward pass, as a part of the clip's level.
SOFTNESS = 0.05


def rms(
    *,
    y: Tensor,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    pad_mode: str = "constant",
) -> Tensor:
    """Root mean square of each frame, ``librosa.feature.rms``.

    Parameters
    ----------
    y : Tensor, shape (..., samples)
    frame_length, hop_length : int
        In samples.
    center, pad_mode
        As in :func:`~subterfuge.features.stft.stft`.

    Returns
    -------
    Tensor, shape (..., 1, frames)
        In the samples' own unit. The gradient of a frame of silence is zero.

    Examples
    --------
    >>> import torch
    >>> float(rms(y=torch.full((4096,), 0.5))[0, 4])
    0.5
    """

    def of_frames(frames: Tensor) -> Tensor:
        power = frames.square().mean(-1).unsqueeze(-2)
        nothing = power == 0
        return torch.where(nothing, 0.0, power.masked_fill(nothing, 1.0).sqrt())

    return by_blocks(
        y, of_frames, frame_length=frame_length, hop_length=hop_length, center=center, pad_mode=pad_mode
    )


def soft_width(y: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Width of the soft sign for each clip, shape (..., 1)."""
    level = torch.linalg.vector_norm(y.detach(), dim=-1, keepdim=True) / y.shape[-1] ** 0.5
    width: Tensor = (SOFTNESS * level).clamp_min(threshold)
    return width


class _ZeroCrossingRate(torch.autograd.Function):
    """Share of each frame's steps that cross zero; backward that of soft signs, ``(1 - s[i-1] s[i]) / 2``."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, frame_length: int, hop_length: int, half: int, threshold: float
    ) -> Tensor:
        ctx.save_for_backward(y)
        ctx.sizes = frame_length, hop_length, half, threshold
        # Copies of the end samples beyond the ends cross nothing, so that counting needs no padding.
        negative = y < -threshold
        count = negative.new_zeros((*y.shape[:-1], y.shape[-1] + 1), dtype=torch.int32)
        crossing = negative[..., 1:] != negative[..., :-1]
        torch.cumsum(crossing, -1, dtype=torch.int32, out=count[..., 2:])
        frames = 1 + (y.shape[-1] + 2 * half - frame_length) // hop_length
        first = torch.arange(frames, device=y.device) * hop_length - half
        # count[i + 1] is the number of crossings that end at sample i or before.
        upto = (first + frame_length).clamp(1, y.shape[-1])
        since = (first + 1).clamp(1, y.shape[-1])
        inside = count.index_select(-1, upto) - count.index_select(-1, since)
        return (inside.to(y.dtype) / frame_length).unsqueeze(-2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (y,) = ctx.saved_tensors
        frame_length, hop_length, half, threshold = ctx.sizes
        samples, frames = y.shape[-1], grad.shape[-1]
        first = torch.arange(frames, device=y.device) * hop_length - half
        # The weight of the step that ends at sample i: the gradients of the frames that hold all of it.
        weight = grad.new_zeros((*y.shape[:-1], samples + 1), dtype=torch.float64)
        each = grad.squeeze(-2).double() / frame_length
        weight.index_add_(-1, (first + 1).clamp(0, samples), each)
        weight.index_add_(-1, (first + frame_length).clamp(0, samples), -each)
        weight = weight.cumsum(-1)[..., 1:samples].to(y.dtype)
        width = soft_width(y, threshold)
        soft = torch.tanh(y / width)
        slope = (1 - soft.square()) / width
        out = torch.zeros_like(y)
        out[..., 1:] -= weight * soft[..., :-1]
        out[..., :-1] -= weight * soft[..., 1:]
        return out.mul_(slope).mul_(0.5), None, None, None, None


def zero_crossing_rate(
    y: Tensor,
    *,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    threshold: float = THRESHOLD,
) -> Tensor:
    """Share of the steps between samples that cross zero, ``librosa.feature.zero_crossing_rate``.

    The value is librosa's, a count, whose true gradient is zero. The backward pass is that of the count
    ``(1 - s[i-1] s[i]) / 2`` of soft signs ``s = tanh(y / width)``, with a width of a twentieth of the clip's
    root mean square: what a change of that size would do, and so where a change is best made.

    Parameters
    ----------
    y : Tensor, shape (..., samples)
    frame_length, hop_length : int
        In samples.
    center : bool
        Whether frame ``t`` is centred on sample ``t * hop_length``; the end samples go on beyond the ends.
    threshold : float >= 0
        Samples within this of zero count as zero, and zero as positive.

    Returns
    -------
    Tensor, shape (..., 1, frames)

    Examples
    --------
    >>> import torch
    >>> float(zero_crossing_rate(torch.tensor([1.0, -1.0] * 2048))[0, 4])
    0.99951171875
    """
    positive(frame_length=frame_length, hop_length=hop_length)
    if threshold < 0:
        raise SubterfugeError(f"threshold is {threshold}; zero or more was expected.")
    half = frame_length // 2 if center else 0
    if checked(y).shape[-1] + 2 * half < frame_length:
        raise SubterfugeError(
            f"The audio has {y.shape[-1]} samples; without centring, at least one frame of {frame_length} "
            "was expected."
        )
    out: Tensor = _ZeroCrossingRate.apply(y, frame_length, hop_length, half, threshold)  # type: ignore[no-untyped-call]
    return out
