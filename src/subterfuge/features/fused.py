"""All 25 features from one transform, with the backward pass written out: the fast way of ``librosa25``.

The clips of a batch, padded to a whole number of steps, lie one after the other in one stretch of memory, so
that the frames of all are the frames of that stretch; those that straddle two clips, three after each clip,
are left out of account. Frames are transformed a block at a time, sized for the processor's cache. Kept for
the whole stretch are the mel energies (128 numbers a frame), what the shape of the spectrum follows from
(132), and, where that is not too much, the spectra; else they are worked out again in the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from subterfuge.features.cepstral import DECIBELS
from subterfuge.features.constants import BINS, HOP, MELS, N_FFT, WIDTH, Constants, constants
from subterfuge.features.course import (
    STEPS,
    add_crossing_slope,
    add_level_slope,
    crossing_rate,
    frame_levels,
)
from subterfuge.features.shape import Runs, Shape, empty_runs, keep, phase_slope, shape, slope, starts
from subterfuge.features.stft import window_of

AMIN, RANGE = 1e-10, 1e-8

# Frames after each clip that straddle it and the next.
BETWEEN = STEPS - 1

# Spectra of this many frames at most are kept for the backward pass: 12 kB each in float32, in all as much as
# 40 s of audio at 44.1 kHz.
KEPT = 3500

# A float32 transform adds to each bin noise of about this part of the root sum of squares of all of them.
NOISE = torch.finfo(torch.float32).eps / 2 * (2 / N_FFT) ** 0.5
# Error of the bandwidth that is put up with for the sake of speed, in hertz, and least sum of magnitudes:
# below it squares begin to fall out of float32's range.
TOLERANCE, LEAST = 0.4, 1e-12


def _stretch(y: Tensor) -> Tensor:
    """The clips one after the other, each with half a frame of zeros before it and as much or more after."""
    rows, samples = y.shape
    length = (samples // HOP + 1 + BETWEEN) * HOP
    out = y.new_empty(rows * length + BETWEEN * HOP)
    clips = out[: rows * length].view(rows, length)
    before = N_FFT // 2
    clips[:, :before] = 0
    clips[:, before : before + samples] = y
    clips[:, before + samples :] = 0
    out[rows * length :] = 0
    return out


def _clips(stretch: Tensor, rows: int) -> Tensor:
    """The padded clips, shape (batch, (frames + BETWEEN) * HOP)."""
    return stretch[: len(stretch) - BETWEEN * HOP].view(rows, -1)


def _frames(stretch: Tensor) -> Tensor:
    return stretch.as_strided((len(stretch) // HOP - BETWEEN, N_FFT), (HOP, 1))


class _Room:
    """Memory for one block of spectra, used over and over."""

    def __init__(self, like: Tensor, size: int) -> None:
        self.frames = like.new_empty((size, N_FFT))
        self.squares = like.new_empty((size, BINS, 2))
        self.products = torch.view_as_complex(self.squares)
        self.spectra = like.new_empty((2, size, WIDTH))
        self.spectra[..., BINS:] = 0


def _transform(frames: Tensor, known: Constants, room: _Room, *, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Spectra (complex; used up unless ``keep``), squares of their magnitudes, and magnitudes."""
    n = len(frames)
    X = torch.fft.rfft(torch.mul(frames, known.window, out=room.frames[:n]))
    parts = torch.view_as_real(X)
    squares = torch.mul(parts, parts, out=room.squares[:n] if keep else parts)
    powers, magnitudes = room.spectra[:, :n].unbind()
    torch.add(squares[..., 0], squares[..., 1], out=powers[:, :BINS])
    return X, powers, torch.sqrt(powers, out=torch.empty_like(powers) if keep else magnitudes)


def _nonzero(magnitudes: Tensor) -> Tensor:
    """Lift zeros a little, to divide by; where a magnitude is nothing, so is the amplitude over it."""
    return magnitudes.clamp_min_(torch.finfo(magnitudes.dtype).tiny ** 0.5)


def _gather(powers: Tensor, known: Constants, out: Tensor) -> None:
    """Mel energies into ``out``, shape (frames, MELS)."""
    for bins, mels, weights in known.gather:
        torch.mm(powers[:, bins], weights, out=out[:, mels])


def _imprecise(of: Shape, sr: float) -> Tensor:
    """Which spectra a float32 transform is not enough for, shape (spectra,).

    Its noise, spread over all bins, widens the spectrum of a pure tone: the variance by up to the noise in
    each bin times the square of its distance. Audio with any noise of its own, that of 16 bits even, is far
    from that.
    """
    last = BINS - 1
    c = of.centroid
    distances = BINS * c.square() - last * BINS * c + last * BINS * (2 * last + 1) / 6
    widened = NOISE * distances * (sr / N_FFT)
    widest = 2 * TOLERANCE * of.variance.sqrt()
    return torch.logical_or(widened > widest, of.total < LEAST)


def _again(frames: Tensor, which: Tensor, known: Constants, runs: Runs, mel: Tensor) -> None:
    """Put right ``runs`` and ``mel`` of some frames by a transform in double precision, as librosa's is."""
    some = frames[which]
    loud = some.any(-1)
    some, which = some[loud], which[loud]
    if not len(which):
        return
    window = window_of("hann", N_FFT, N_FFT, torch.float64, frames.device)
    magnitudes = frames.new_zeros((len(which), WIDTH))
    magnitudes[:, :BINS] = torch.fft.rfft(some * window).abs()
    right, energies = empty_runs(frames, len(which)), mel.new_empty((len(which), MELS))
    keep(magnitudes, starts(len(which), frames.device), known, right)
    _gather(magnitudes.square(), known, energies)
    for whole, part in zip((*runs, mel), (*right, energies), strict=True):
        whole[which] = part


class Fused25(torch.autograd.Function):
    """Waveforms (batch, samples) to features (batch, 25)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, sr: float, block: int) -> Tensor:
        """Features at rate ``sr``, ``block`` frames at a time."""
        known = constants(sr, y.dtype, y.device)
        rows, samples = y.shape
        count = 1 + samples // HOP
        stretch = _stretch(y)
        frames = _frames(stretch)
        slots = len(frames)
        room = _Room(y, min(block, slots))
        first = starts(min(block, slots), y.device)
        runs, mel = empty_runs(y, slots), y.new_empty((slots, MELS))
        hold = bool(ctx.needs_input_grad[0]) and slots <= KEPT
        spectra = []
        for start in range(0, slots, block):
            here = slice(start, min(start + block, slots))
            X, powers, magnitudes = _transform(frames[here], known, room, keep=hold)
            keep(magnitudes, first[: len(X)], known, Runs(*(x[here] for x in runs)))
            _gather(powers, known, mel[here])
            if hold:
                spectra += [X, _nonzero(magnitudes)]

        of = shape(runs, known)
        if y.dtype == torch.float32:
            doubt = _imprecise(of, sr)
            doubt.view(rows, -1)[:, count:] = False
            if len(doubtful := doubt.nonzero()[:, 0]):
                for which in torch.split(doubtful, block):
                    _again(frames, which, known, runs, mel)
                of = shape(runs, known)
        of.total.view(rows, -1)[:, count:] = 0
        mel = mel.view(rows, -1, MELS)
        mel[:, count:] = 0

        levels = frame_levels(_clips(stretch, rows))
        peak = mel.flatten(1).max(-1)
        floor = (peak.values * RANGE).clamp_min_(AMIN)[:, None, None]
        decibels = 10 * torch.maximum(mel, floor).log10_()[:, :count].mean(1)
        ctx.save_for_backward(stretch, mel, floor, peak.values, peak.indices, levels, *of, *spectra)
        ctx.sr, ctx.block, ctx.samples = sr, block, samples
        hertz = sr / N_FFT
        of_frames = (of.centroid * hertz, of.variance.sqrt() * hertz, of.rolloff * hertz)
        means = (x.view(rows, -1)[:, :count].mean(-1) for x in of_frames)
        head = torch.stack([levels.mean(-1), *means, crossing_rate(y)], dim=-1)
        return torch.cat([head, decibels @ known.dct.T], dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Gradient by the samples from that by the features, (batch, 25)."""
        stretch, mel, floor, peak, place, levels, *rest = ctx.saved_tensors
        of, spectra = Shape(*rest[:5]), rest[5:]
        known = constants(ctx.sr, stretch.dtype, stretch.device)
        rows, count = levels.shape
        # A half, because a bin stands for its mirror image too: the inverse transform counts it twice.
        of_spectra = 0.5 * grad[:, 1:4] * (ctx.sr / N_FFT / count)
        centroid, deviation, rolloff = of_spectra.repeat_interleave(count + BETWEEN, dim=0).unbind(-1)
        by = slope(of, centroid, deviation, rolloff, known)
        energy = _mel_slope(mel, floor, peak, place, grad[:, 5:] @ known.dct * (DECIBELS / count), count)

        frames = _frames(stretch)
        slots = len(frames)
        out = torch.zeros_like(stretch)
        steps = out.view(-1, HOP)
        weights = known.window.view(STEPS, HOP)
        room = _Room(stretch, min(ctx.block, slots))
        for number, start in enumerate(range(0, slots, ctx.block)):
            stop = min(start + ctx.block, slots)
            if spectra:
                X, magnitudes = spectra[2 * number : 2 * number + 2]
            else:
                X, _, magnitudes = _transform(frames[start:stop], known, room, keep=True)
                _nonzero(magnitudes)
            towards = phase_slope(magnitudes, by, start, known, room.spectra[0, : len(X)])
            for bins, mels, basis in known.scatter:
                towards[:, bins].addmm_(energy[start:stop, mels], basis)
            towards[:, :: BINS - 1] *= 2
            product = torch.mul(X, towards[:, :BINS], out=room.products[: len(X)])
            pieces = torch.fft.irfft(product, n=N_FFT, norm="forward").view(-1, STEPS, HOP)
            for step in range(STEPS):
                steps[start + step : stop + step].addcmul_(pieces[:, step], weights[step])
        padded, result = _clips(stretch, rows), _clips(out, rows)
        add_level_slope(result, padded, levels, grad[:, 0])
        clip = slice(N_FFT // 2, N_FFT // 2 + ctx.samples)
        add_crossing_slope(result, padded, padded[:, clip], grad[:, 4])
        return result[:, clip], None, None


def _mel_slope(mel: Tensor, floor: Tensor, peak: Tensor, place: Tensor, grad: Tensor, count: int) -> Tensor:
    """Gradient by the mel energies, shape (slots, MELS); ``grad`` is by the logarithm of each, (batch, MELS).

    That of :func:`~subterfuge.features.cepstral.power_to_db`, all frames having the same ``grad``.
    """
    under = (mel[:, :count] < floor).to(mel.dtype)
    pull = (under @ grad[:, :, None]).sum((1, 2))
    pull = torch.where(floor[:, 0, 0] > AMIN, pull / peak.clamp_min(AMIN), 0.0)
    out = grad[:, None] / torch.maximum(mel, floor)
    out.view(len(mel), -1).scatter_add_(1, place[:, None], pull[:, None])
    out[:, count:] = 0
    return out.view(-1, MELS)
