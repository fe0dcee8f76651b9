"""Cutting audio into overlapping frames, a block at a time, so that length costs no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from subterfuge.errors import SubterfugeError

# Samples (rows times frames times frame length) worked on at once: 32 MB of doubles.
BLOCK = 1 << 22


def checked(y: Tensor) -> Tensor:
    """``y`` itself, if it is audio: floating point, one sample or more in its last dimension."""
    if not isinstance(y, Tensor):
        raise SubterfugeError(f"The audio is a {type(y).__name__}; a torch tensor was expected.")
    if y.dtype not in (torch.float32, torch.float64):
        raise SubterfugeError(f"The audio's dtype is {y.dtype}; float32 or float64 was expected.")
    if y.ndim == 0 or y.shape[-1] == 0:
        raise SubterfugeError(f"The audio's shape is {tuple(y.shape)}; at least one sample was expected.")
    return y


def positive(**numbers: float | None) -> None:
    """Raise unless each number that is given is positive (and whole, where it counts samples or bands)."""
    for name, number in numbers.items():
        if number is None:
            continue
        whole = name == "sr" or int(number) == number
        if not number > 0 or not whole:
            kind = "number" if name == "sr" else "whole number"
            raise SubterfugeError(f"{name} is {number}; a positive {kind} was expected.")


def padded(y: Tensor, *, frame_length: int, center: bool, pad_mode: str) -> Tensor:
    """``y`` with half a frame before and after it if ``center``, shape (..., samples + 2 * half).

    ``pad_mode`` is numpy's ``constant``, ``edge`` or ``reflect``; a reflection longer than the audio goes
    back and forth, as numpy's does.
    """
    half = frame_length // 2
    if not center:
        if y.shape[-1] < frame_length:
            raise SubterfugeError(
                f"The audio has {y.shape[-1]} samples; without centring, at least one frame of "
                f"{frame_length} was expected."
            )
        return y
    if pad_mode == "constant":
        return functional.pad(y, (half, half))
    if pad_mode not in ("edge", "reflect"):
        raise SubterfugeError(f"pad_mode is {pad_mode!r}; 'constant', 'edge' or 'reflect' was expected.")
    last = y.shape[-1] - 1
    index = torch.arange(-half, y.shape[-1] + half, device=y.device)
    if pad_mode == "reflect" and last:
        index = last - (index.remainder(2 * last) - last).abs()
    return y.index_select(-1, index.clamp(0, last))


class _Segments(torch.autograd.Function):
    """Overlapping stretches of the last dimension; backward adds them up in one pass, not one a stretch."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, bounds: tuple[tuple[int, int], ...]) -> tuple[Tensor, ...]:
        ctx.bounds, ctx.shape = bounds, y.shape
        return tuple(y[..., start:stop].clone() for start, stop in bounds)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].new_zeros(ctx.shape)
        for (start, stop), grad in zip(ctx.bounds, grads, strict=True):
            total[..., start:stop] += grad
        return total, None


def by_blocks(
    y: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    frame_length: int,
    hop_length: int,
    center: bool,
    pad_mode: str,
) -> Tensor:
    """``function`` of the frames of ``y``, a block of frames at a time, joined along the last dimension.

    Parameters
    ----------
    y : Tensor, shape (..., samples)
    function : callable
        Takes frames, shape (..., frames, frame_length), and returns a shape (..., coefficients, frames).
        Where there is more than one block it runs again in the backward pass, so that no more than one
        block's working values are ever held.

    Returns
    -------
    Tensor, shape (..., coefficients, frames)
    """
    positive(frame_length=frame_length, hop_length=hop_length)
    y = padded(checked(y), frame_length=frame_length, center=center, pad_mode=pad_mode)
    frames = 1 + (y.shape[-1] - frame_length) // hop_length
    rows = max(1, y.shape[:-1].numel())
    block = max(1, BLOCK // (rows * frame_length))
    if frames <= block:
        return function(y.unfold(-1, frame_length, hop_length))

    starts = range(0, frames, block)
    bounds = tuple((a * hop_length, (min(a + block, frames) - 1) * hop_length + frame_length) for a in starts)

    def one(segment: Tensor) -> Tensor:
        return function(segment.unfold(-1, frame_length, hop_length))

    if not (torch.is_grad_enabled() and y.requires_grad):
        return torch.cat([one(y[..., a:b]) for a, b in bounds], dim=-1)
    segments: tuple[Tensor, ...] = _Segments.apply(y, bounds)  # type: ignore[no-untyped-call]
    parts: list[Tensor] = [checkpoint(one, s, use_reentrant=False) for s in segments]
    return torch.cat(parts, dim=-1)
