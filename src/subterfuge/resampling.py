"""From one sample rate to another as librosa does it, and back along the gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor


class _Resample(torch.autograd.Function):
    """librosa's own resampler (soxr, high quality) forward, and its transpose backward.

    soxr's filter is linear and symmetric in time, so the transpose of going from one rate to another is going
    back, times the ratio of the rates.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, orig_sr: int, target_sr: int) -> Tensor:
        ctx.rates, ctx.samples = (orig_sr, target_sr), y.shape[1]
        return _librosa_resample(y, orig_sr, target_sr)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        orig_sr, target_sr = ctx.rates
        back = _librosa_resample(grad, target_sr, orig_sr) * (target_sr / orig_sr)
        back = torch.nn.functional.pad(back, (0, max(0, ctx.samples - back.shape[1])))
        return back[:, : ctx.samples], None, None


def _librosa_resample(y: Tensor, orig_sr: int, target_sr: int) -> Tensor:
    import librosa

    if not len(y):  # librosa refuses to go through no rows
        return y.new_zeros(0, math.ceil(y.shape[1] * target_sr / orig_sr))
    rows = y.detach().cpu().numpy()
    out = librosa.resample(rows, orig_sr=orig_sr, target_sr=target_sr, axis=-1)
    return torch.from_numpy(np.ascontiguousarray(out)).to(y)


def resample(y: Tensor, *, orig_sr: int, target_sr: int) -> Tensor:
    """What ``librosa.load`` makes of ``y`` at another rate, differentiable.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    orig_sr, target_sr : int
        Rates in Hz.

    Returns
    -------
    Tensor, shape (batch, ceil(samples * target_sr / orig_sr))

    Examples
    --------
    >>> resample(torch.zeros(1, 8000), orig_sr=8000, target_sr=44100).shape
    torch.Size([1, 44100])
    """
    if orig_sr == target_sr:
        return y
    out: Tensor = _Resample.apply(y, orig_sr, target_sr)  # type: ignore[no-untyped-call]
    return out
