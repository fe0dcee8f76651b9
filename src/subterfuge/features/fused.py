"""All 25 features from one transform, with the backward pass written out: the fast way of ``librosa25``.

Frames are transformed a block at a time, sized for the processor's cache, and again in the backward pass. Kept for the
whole clip are only the mel energies (128 numbers a frame) and a few numbers a frame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from subterfuge.features.cepstral import DECIBELS
from subterfuge.features.constants import BINS, HOP, MELS, N_FFT, WIDTH, Constants, constants
from subterfuge.features.course import (
    STEPS,
    add_crossing_slope,
    add_level_slope,
    crossing_rate,
    frame_levels,
)
from subterfuge.features.shape import Shape, moments, shape, slope
from subterfuge.features.stft import window_of

AMIN, RANGE = 1e-10, 1e-8


def _frames(padded: Tensor, start: int, stop: int) -> Tensor:
    rows, length = padded.shape
    return padded.as_strided((rows, stop - start, N_FFT), (length, HOP, 1), start * HOP)


def _transform(frames: Tensor, window: Tensor) -> Tensor:
    return torch.fft.rfft((frames * window).view(-1, N_FFT))


def _powers(squares: Tensor, out: Tensor) -> Tensor:
    """Sums of the squares of real and imaginary parts, into the first columns of ``out``."""
    torch.add(squares[..., 0], squares[..., 1], out=out[:, :BINS])
    return out


def _pad(y: Tensor) -> Tensor:
    frames = 1 + y.shape[-1] // HOP
    return functional.pad(y, (N_FFT // 2, (frames + STEPS - 1) * HOP - N_FFT // 2 - y.shape[-1]))


def _imprecise(total: Tensor, centroid: Tensor, variance: Tensor, sr: float) -> Tensor:
    """Indices of the spectra that float32 is not enough for."""
    return torch.zeros_like(total, dtype=torch.bool).nonzero()[:, 0]


class Fused25(torch.autograd.Function):
    """Waveforms (batch, samples) to features (batch, 25)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, sr: float, block: int) -> Tensor:
        known = constants(sr, y.dtype, y.device)
        rows, samples = y.shape
        frames = 1 + samples // HOP
        padded = _pad(y)
        size = max(1, block // rows)
        mel = y.new_empty((rows, frames, MELS))
        powers = y.new_zeros((rows * min(size, frames), WIDTH))
        magnitudes = torch.empty_like(powers)
        shapes = []
        for start in range(0, frames, size):
            stop = min(start + size, frames)
            many = rows * (stop - start)
            X = torch.view_as_real(_transform(_frames(padded, start, stop), known.window))
            P = _powers(X.mul_(X), powers[:many])
            S = torch.sqrt(P, out=magnitudes[:many])
            runs, total, centroid, variance = moments(S, known)
            shapes.append([x.view(rows, -1) for x in shape(S, runs, total, centroid, variance)])
            parts = [P[:, bins] @ weights for bins, weights in known.gather]
            torch.cat([x.view(rows, stop - start, -1) for x in parts], dim=-1, out=mel[:, start:stop])
        of = Shape(*(torch.cat(column, dim=1) for column in zip(*shapes, strict=True)))
        levels = frame_levels(padded)
        peak = mel.flatten(1).max(-1)
        floor = (peak.values * RANGE).clamp_min(AMIN)[:, None, None]
        decibels = 10 * torch.log10(torch.maximum(mel, floor)).mean(1)
        hertz = sr / N_FFT
        ctx.save_for_backward(y, mel, floor, peak.values, peak.indices, levels, *of)
        ctx.sr, ctx.size = sr, size
        head = [
            levels.mean(-1),
            of.centroid.mean(-1) * hertz,
            of.variance.sqrt().mean(-1) * hertz,
            of.rolloff.mean(-1) * hertz,
            crossing_rate(y),
        ]
        return torch.cat([torch.stack(head, dim=-1), decibels @ known.dct.T], dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        y, mel, floor, peak, place, levels, *rest = ctx.saved_tensors
        of = Shape(*rest)
        known = constants(ctx.sr, y.dtype, y.device)
        rows, frames, _ = mel.shape
        # A half, because a bin stands for its mirror image too: the inverse transform counts it twice.
        spectral = 0.5 * grad[:, 1:4] * (ctx.sr / N_FFT / frames)
        cells = grad[:, 5:] @ known.dct * (DECIBELS / frames)
        pull = ((mel < floor).sum(1) * cells).sum(-1)
        pull = torch.where(floor[:, 0, 0] > AMIN, pull / peak.clamp_min(AMIN), 0.0)

        padded = _pad(y)
        out = torch.zeros_like(padded)
        steps = out.view(rows, -1, HOP)
        weights = known.window.view(STEPS, HOP)
        factor = y.new_zeros((rows * min(ctx.size, frames), WIDTH))
        for start in range(0, frames, ctx.size):
            stop = min(start + ctx.size, frames)
            X = _transform(_frames(padded, start, stop), known.window)
            S = _powers(torch.view_as_real(X).square(), factor[: len(X)]).sqrt()
            here = Shape(*(x[:, start:stop].reshape(-1) for x in of))
            each = spectral.repeat_interleave(stop - start, dim=0)
            towards = slope(S, here, *each.unbind(-1), known)
            energy = cells[:, None] / torch.maximum(mel[:, start:stop], floor)
            inside = (place // MELS >= start) & (place // MELS < stop)
            at = (torch.where(inside, place - start * MELS, 0))[:, None]
            energy = energy.view(rows, -1).scatter_add_(1, at, (pull * inside)[:, None]).view(-1, MELS)
            for bins, mels, basis in known.scatter:
                towards[:, bins].addmm_(energy[:, mels], basis)
            towards[:, 0] *= 2
            towards[:, BINS - 1] *= 2
            X.real.mul_(towards[:, :BINS])
            X.imag.mul_(towards[:, :BINS])
            pieces = torch.fft.irfft(X, n=N_FFT, norm="forward").view(rows, -1, STEPS, HOP)
            for step in range(STEPS):
                steps[:, start + step : stop + step].addcmul_(pieces[:, :, step], weights[step])
        add_level_slope(out, padded, levels, grad[:, 0])
        result = out[:, N_FFT // 2 : N_FFT // 2 + y.shape[-1]]
        add_crossing_slope(result, y, grad[:, 4])
        return result, None, None
