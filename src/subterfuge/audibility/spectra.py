"""Power in bands of windowed spectra, and its gradient, written out: one inverse transform a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Samples (rows times frames times window) transformed at once: less is all calls, more is all memory.
_BLOCK = 1 << 20
# Up to as many numbers of spectra are kept for the backward pass; of more they are worked out again.
_KEPT = 1 << 22
# By how much a peak of the long spectrum rises above what lies two and three bins away if it is a tone
# (7 dB: ISO/IEC 11172-3, annex D, psychoacoustic model 1).
_PEAK = 10**0.7


def power_in_bands(y: Tensor, window: Tensor, weights: Tensor, *, hop: int) -> Tensor:
    """Squared spectra, added up with weights.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    window : Tensor, shape (size,)
        A multiple of ``hop``, even; frames are centred on multiples of ``hop``, beyond ``y`` is silence.
    weights : Tensor, shape (size // 2 + 1, bands)
    hop : int

    Returns
    -------
    Tensor, shape (batch, bands, 1 + samples // hop)
    """
    return _Bands.apply(y, window, weights, hop, False)  # type: ignore[no-untyped-call,no-any-return]


def power_and_tones(y: Tensor, window: Tensor, weights: Tensor, *, hop: int) -> tuple[Tensor, Tensor]:
    """As :func:`power_in_bands`, and then the same of the bins of tones alone.

    A tone is a peak of the spectrum that stands 7 dB above what is two and three bins away, with two bins on
    either side (psychoacoustic model 1 of ISO/IEC 11172-3; there, further up, more neighbours are compared).
    """
    both = _Bands.apply(y, window, weights, hop, True)  # type: ignore[no-untyped-call]
    bands = weights.shape[1]
    return both[:, :bands], both[:, bands:]


class _Bands(torch.autograd.Function):
    """Each frame's spectrum is kept, unless they are many, and goes back by one inverse transform."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, window: Tensor, weights: Tensor, hop: int, tonal: bool) -> Tensor:
        (bins, bands), size = weights.shape, len(window)
        frames = 1 + y.shape[-1] // hop
        padded = functional.pad(y, (size // 2, size // 2))
        out = y.new_empty(len(y), bands * (1 + tonal), frames)
        keep = ctx.needs_input_grad[0] and len(y) * frames * bins <= _KEPT
        kept: list[Tensor] = []
        twice = weights.repeat_interleave(2, 0)
        for a, b in _blocks(len(y), frames, size):
            X = _spectra(padded, window, hop, a, b)
            kept += [X] if keep else []
            if tonal:
                P, tones = _powers_and_tones(X)
                out[:, :bands, a:b] = (P @ weights).transpose(1, 2)
                out[:, bands:, a:b] = (torch.where(tones, P, 0) @ weights).transpose(1, 2)
                kept += [tones] if keep else []
            else:
                out[..., a:b] = ((X * X).flatten(2) @ twice).transpose(1, 2)
        ctx.save_for_backward(padded, window, weights, *kept)
        ctx.hop, ctx.tonal, ctx.frames = hop, tonal, frames
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        padded, window, weights, *kept = ctx.saved_tensors
        hop, size, bands = ctx.hop, len(window), weights.shape[1]
        # The inverse transform counts all but the first and the last bin twice, as a square's slope does.
        back = weights.T.clone()
        back[:, [0, -1]] *= 2
        twice = back.repeat_interleave(2, 1)
        grad = grad.transpose(1, 2)
        total = torch.zeros_like(padded)
        left = iter(kept)
        for a, b in _blocks(len(padded), ctx.frames, size):
            X = next(left) if kept else _spectra(padded, window, hop, a, b)
            if ctx.tonal:
                tones = next(left) if kept else _powers_and_tones(X)[1]
                slope = grad[:, a:b, :bands] @ back
                slope += torch.where(tones, grad[:, a:b, bands:] @ back, 0)
                slope = X * slope[..., None]
            else:
                slope = (grad[:, a:b] @ twice).view_as(X).mul_(X)
            frames = torch.fft.irfft(torch.view_as_complex(slope), size, norm="forward").mul_(window)
            run = total[:, a * hop : (b - 1) * hop + size].view(len(total), -1, hop)
            for part in range(size // hop):
                run[:, part : part + b - a] += frames[..., part * hop : (part + 1) * hop]
        return total[:, size // 2 : total.shape[1] - size // 2], None, None, None, None


def _blocks(rows: int, frames: int, size: int) -> Iterator[tuple[int, int]]:
    if not rows:
        return iter(())  # an empty batch: the transform takes none
    step = max(1, _BLOCK // (rows * size))
    return ((a, min(a + step, frames)) for a in range(0, frames, step))


def _spectra(padded: Tensor, window: Tensor, hop: int, a: int, b: int) -> Tensor:
    """Spectra of frames ``a`` to ``b``, shape (batch, frames, bins, 2): real and imaginary parts."""
    part = padded[:, a * hop : (b - 1) * hop + len(window)]
    return torch.view_as_real(torch.fft.rfft(part.unfold(1, len(window), hop) * window))


def _powers_and_tones(X: Tensor) -> tuple[Tensor, Tensor]:
    """Squares, and whether a bin is a tone's, both of shape (batch, frames, bins)."""
    n = X.shape[-2]
    padded = X.new_zeros(*X.shape[:-2], n + 6)
    P = padded[..., 3 : 3 + n]
    squares = X * X
    torch.add(squares[..., 0], squares[..., 1], out=P)
    pairs = torch.maximum(padded[..., :-1], padded[..., 1:])
    most = torch.maximum(pairs[..., :n], pairs[..., 5 : 5 + n]).mul_(_PEAK)
    for beside in (2, 4):
        torch.maximum(most, padded[..., beside : beside + n], out=most)
    near = functional.pad(most <= P, (2, 2))  # two bins on either side of a peak are the tone's
    two = near[..., :-1] | near[..., 1:]
    return P, two[..., :n] | two[..., 2 : 2 + n] | near[..., 4 : 4 + n]
