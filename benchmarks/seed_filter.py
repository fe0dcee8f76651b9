"""The filter that the seed's denoise classifier was fitted behind: ``noisereduce`` itself, and with a slope.

The seed called ``noisereduce.reduce_noise(y=y, sr=sr)``. That is not the gate of ``noisereduce.torchgate``
(which :class:`subterfuge.defences.input.gate.Gate` is equal to): a cell has to be three times the mean of its
band, not 2.3 times, and that mean moves over two seconds, not over twenty frames.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import common
from subterfuge.defences.defended import Defended
from subterfuge.victims.victim import Hearing

FFT, HOP = 1024, 256
# Silence put before and after the clip; clips above so many samples are filtered piece by piece.
PADDING, PIECE = 30_000, 600_000
SECONDS, ABOVE, SLOPE = 2.0, 2.0, 10.0
# The mask is smoothed over so many bands and frames either way: 500 Hz and 50 ms.
BANDS, FRAMES = 5, 8


def reduced(y: np.ndarray, **options: Any) -> np.ndarray:
    """What ``noisereduce`` leaves of a waveform, with its defaults but for the options."""
    from noisereduce import reduce_noise

    return np.asarray(reduce_noise(y=y, sr=common.SAMPLE_RATE, **options), dtype=np.float32)


@functools.cache
def moving_mean(samples: int) -> tuple[int, Tensor]:
    """Silence kept before the clip, and the mean over time as a matrix, shape (frames, frames).

    Only frames that touch the clip or that the mask's smoothing reaches; the others, all silence, matter for
    where the backward pass of the mean begins, so the matrix is cut out of that over all frames.
    """
    from scipy.signal import filtfilt

    spare = PADDING // HOP - 12
    frames = (samples + 2 * PADDING) // HOP + 1
    reach = SECONDS * common.SAMPLE_RATE / HOP
    b = (np.sqrt(1 + 4 * reach**2) - 1) / (2 * reach**2)
    whole = filtfilt([b], [1, b - 1], np.eye(frames), axis=-1, padtype=None)
    kept = slice(spare, frames - spare)
    return PADDING - spare * HOP, torch.from_numpy(whole[kept, kept].copy())


@functools.cache
def tent(reach: int, size: int) -> Tensor:
    """The mean over so many neighbours either way, the near ones counting more, as a matrix.

    As a matrix, since the slope of a product costs no more than the product, that of a convolution much.
    """
    place = torch.arange(size)
    return (reach + 1 - (place[:, None] - place).abs()).clamp(min=0) / (reach + 1) ** 2


@dataclass(frozen=True)
class Reduced:
    """:func:`reduced` in torch, with the slope it has, for clips of up to 600,000 samples at 44.1 kHz."""

    random = False
    name = "noisereduce"
    adaptive = "differentiable"

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """Nothing is drawn."""
        return {}

    def apply(self, y: Tensor, *, sr: int, drawn: Any) -> Tensor:
        """The clips with the noise turned down, shape (batch, samples)."""
        samples = y.shape[1]
        assert sr == common.SAMPLE_RATE and samples <= PIECE
        before, mean = moving_mean(samples)
        mean = mean.to(y.dtype)
        length = before + samples
        padded = functional.pad(y, (before, (len(mean) - 1) * HOP - length))
        window = torch.hann_window(FFT, dtype=y.dtype)
        cells = torch.stft(padded, FFT, HOP, window=window, pad_mode="constant", return_complex=True)
        # The slope of a magnitude of zero is not defined: a floor far below a file's last bit.
        size = (cells.real.square() + cells.imag.square() + 1e-24).sqrt()
        level = size @ mean
        mask = torch.sigmoid(SLOPE * ((size - level) / level - ABOVE))
        mask = tent(BANDS, FFT // 2 + 1).to(mask) @ mask @ tent(FRAMES, len(mean)).to(mask)
        return torch.istft(cells * mask, FFT, HOP, window=window, length=padded.shape[1])[:, before:length]


class Behind(Defended):
    """A victim behind the seed's filter: gradients through :class:`Reduced`, verdicts by the package."""

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The inner victim's plain path, on what ``noisereduce`` lets through."""
        return self.inner.verdict(torch.stack([torch.from_numpy(reduced(row.numpy())) for row in y]))
