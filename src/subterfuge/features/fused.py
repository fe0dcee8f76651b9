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
from subterfuge.features.constants import BINS, HOP, MELS, N_FFT, RUNS, WIDTH, Constants, constants
from subterfuge.features.course import (
    STEPS,
    add_crossing_slope,
    add_level_slope,
    crossing_rate,
    frame_levels,
)
from subterfuge.features.shape import Shape, Slope, phase_slope, rolloff, run_moments, shape, slope
from subterfuge.features.stft import window_of

AMIN, RANGE = 1e-10, 1e-8

# A float32 transform adds to each bin noise of about this part of the root sum of squares of all of them.
NOISE = torch.finfo(torch.float32).eps / 2 * (2 / N_FFT) ** 0.5
# Error of the bandwidth that is put up with for the sake of speed, in hertz, and least sum of magnitudes:
# below it squares begin to fall out of float32's range.
TOLERANCE, LEAST = 0.4, 1e-12


def _pad(y: Tensor) -> Tensor:
    frames = 1 + y.shape[-1] // HOP
    return functional.pad(y, (N_FFT // 2, (frames + STEPS - 1) * HOP - N_FFT // 2 - y.shape[-1]))


def _frames(padded: Tensor) -> Tensor:
    rows, length = padded.shape
    return padded.as_strided((rows, length // HOP - STEPS + 1, N_FFT), (length, HOP, 1))


def _transform(frames: Tensor, window: Tensor) -> Tensor:
    return torch.fft.rfft((frames * window).view(-1, N_FFT))


def _powers(X: Tensor, squares: Tensor, out: Tensor) -> Tensor:
    """Squares of the magnitudes, into the first columns of ``out``; ``squares`` is room for two reals a bin."""
    parts = torch.view_as_real(X)
    torch.mul(parts, parts, out=squares)
    torch.add(squares[..., 0], squares[..., 1], out=out[:, :BINS])
    return out


def _measure(powers: Tensor, magnitudes: Tensor, known: Constants) -> tuple[Tensor, ...]:
    """What is kept of spectra (spectra, WIDTH): moments of the runs, rolloff and its density, mel energies."""
    sums = run_moments(magnitudes, known)
    parts = [powers[:, bins] @ weights for bins, weights in known.gather]
    return sums, *rolloff(magnitudes, sums[..., 0]), torch.cat(parts, dim=-1)


def _imprecise(of: Shape, sr: float) -> Tensor:
    """Which spectra a float32 transform is not enough for, shape as those of ``of``.

    Its noise, spread over all bins, widens the spectrum of a pure tone: the variance by up to the noise in each
    bin times the square of its distance. Audio with any noise of its own, 16 bits of it even, is far from that.
    """
    last = BINS - 1
    c = of.centroid
    distances = BINS * c.square() - last * BINS * c + last * BINS * (2 * last + 1) / 6
    widened = NOISE * distances * (sr / N_FFT) > TOLERANCE * 2 * of.variance.sqrt()
    return widened | (of.total < LEAST)


def _again(frames: Tensor, window: Tensor, known: Constants) -> tuple[Tensor, ...]:
    """:func:`_measure` of frames (spectra, N_FFT), transformed in double precision."""
    magnitudes = torch.fft.rfft(frames * window).abs().to(frames.dtype)
    magnitudes = functional.pad(magnitudes, (0, WIDTH - BINS))
    return _measure(magnitudes.square(), magnitudes, known)


class Fused25(torch.autograd.Function):
    """Waveforms (batch, samples) to features (batch, 25)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, sr: float, block: int) -> Tensor:
        known = constants(sr, y.dtype, y.device)
        padded = _pad(y)
        frames = _frames(padded)
        rows, count, _ = frames.shape
        size = max(1, block // rows)
        powers = y.new_zeros((rows * min(size, count), WIDTH))
        magnitudes = torch.empty_like(powers)
        squares = y.new_empty((len(powers), BINS, 2))
        kept = [y.new_empty((rows, count, *last)) for last in ((RUNS, 3), (), (), (MELS,))]
        for start in range(0, count, size):
            here = frames[:, start : start + size]
            X = _transform(here, known.window)
            n = len(X)
            P = _powers(X, squares[:n], powers[:n])
            measured = _measure(P, torch.sqrt(P, out=magnitudes[:n]), known)
            for whole, part in zip(kept, measured, strict=True):
                whole[:, start : start + size] = part.view(rows, -1, *part.shape[1:])
        sums, bins, density, mel = kept
        of = shape(sums, bins, density, known)
        if y.dtype == torch.float32 and len(doubtful := _imprecise(of, sr).nonzero()):
            double = window_of("hann", N_FFT, N_FFT, torch.float64, y.device)
            for some in doubtful.split(block):
                place = some[frames[some.unbind(-1)].any(-1)].unbind(-1)
                if not len(place[0]):
                    continue
                for whole, part in zip(kept, _again(frames[place], double, known), strict=True):
                    whole[place] = part
            of = shape(sums, bins, density, known)

        levels = frame_levels(padded)
        peak = mel.flatten(1).max(-1)
        floor = (peak.values * RANGE).clamp_min(AMIN)[:, None, None]
        decibels = 10 * torch.maximum(mel, floor).log10_().mean(1)
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
        rows, count, _ = mel.shape
        # A half, because a bin stands for its mirror image too: the inverse transform counts it twice.
        spectral = (0.5 * grad[:, 1:4] * (ctx.sr / N_FFT / count)).unsqueeze(-1).unbind(1)
        by = slope(of, *spectral, known)
        energy = _mel_slope(mel, floor, peak, place, grad[:, 5:] @ known.dct * (DECIBELS / count))

        padded = _pad(y)
        frames = _frames(padded)
        out = torch.zeros_like(padded)
        steps = out.view(rows, -1, HOP)
        weights = known.window.view(STEPS, HOP)
        room = y.new_zeros((2, rows * min(ctx.size, count), WIDTH))
        squares = y.new_empty((room.shape[1], BINS, 2))
        for start in range(0, count, ctx.size):
            stop = min(start + ctx.size, count)
            X = _transform(frames[:, start:stop], known.window)
            S = _powers(X, squares[: len(X)], room[0, : len(X)]).sqrt_()
            here = Slope(*(x[:, start:stop].flatten(0, 1) for x in by))
            towards = phase_slope(S, here, known, room[1, : len(X)])
            cells = energy[:, start:stop].flatten(0, 1)
            for bins, mels, basis in known.scatter:
                towards[:, bins].addmm_(cells[:, mels], basis)
            towards[:, :: BINS - 1] *= 2
            X.mul_(towards[:, :BINS])
            pieces = torch.fft.irfft(X, n=N_FFT, norm="forward").view(rows, -1, STEPS, HOP)
            for step in range(STEPS):
                steps[:, start + step : stop + step].addcmul_(pieces[:, :, step], weights[step])
        add_level_slope(out, padded, levels, grad[:, 0])
        add_crossing_slope(out, padded, y, grad[:, 4])
        return out[:, N_FFT // 2 : N_FFT // 2 + y.shape[-1]], None, None


def _mel_slope(mel: Tensor, floor: Tensor, peak: Tensor, place: Tensor, grad: Tensor) -> Tensor:
    """Gradient by the mel energies; ``grad`` is by the natural logarithm of each, shape (batch, MELS).

    That of :func:`~subterfuge.features.cepstral.power_to_db`, all frames having the same ``grad``.
    """
    under = (mel < floor).to(mel.dtype)
    pull = (under @ grad[:, :, None]).sum((1, 2))
    pull = torch.where(floor[:, 0, 0] > AMIN, pull / peak.clamp_min(AMIN), 0.0)
    out = grad[:, None] / torch.maximum(mel, floor)
    out.view(len(mel), -1).scatter_add_(1, place[:, None], pull[:, None])
    return out
