"""Rectangles of time and critical bands, filled with sound: what the square attack is made of."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from subterfuge.audibility.bands import bark

# Window in seconds (1,024 samples at 44.1 kHz).
_WINDOW = 0.0232
# What is no sound to turn up.
_SILENT = 1e-9


class Patches:
    """The plane of time and frequency of one clip: frames of half overlapping windows.

    Windows are square roots of Hann's, before and after, so that a clip's own cells render as the clip.

    Parameters
    ----------
    y : Tensor, shape (samples,)
    sr : float
        In Hz.

    Attributes
    ----------
    own : Tensor of complex numbers, shape (frames, bins)
        The clip's own cells.
    place : ndarray, shape (bins,)
        Of each bin on the Bark scale, as a share in [0, 1].

    Examples
    --------
    >>> y = torch.randn(8000, generator=torch.Generator().manual_seed(0)) / 10
    >>> patches = Patches(y, sr=8000)
    >>> bool((patches.render(patches.own[None])[0] - y).abs().max() < 1e-6)
    True
    """

    def __init__(self, y: Tensor, *, sr: float) -> None:
        self.samples = len(y)
        window = 2 ** max(5, round(math.log2(_WINDOW * sr)))
        while window > max(32, self.samples // 2):
            window //= 2
        self.window, self.hop = window, window // 2
        self.frames = self.samples // self.hop + 2
        self.taper = torch.hann_window(window, dtype=y.dtype, device=y.device).sqrt()
        place = np.asarray(bark(np.arange(window // 2 + 1) * sr / window))
        self.place = place / place[-1]
        padded = torch.nn.functional.pad(y, (self.hop, self.frames * self.hop - self.samples))
        self.own: Tensor = torch.fft.rfft(padded.unfold(0, window, self.hop)[: self.frames] * self.taper)

    def render(self, cells: Tensor) -> Tensor:
        """The sound of cells, shape (n, frames, bins) to (n, samples)."""
        back = torch.fft.irfft(cells, self.window) * self.taper
        out = back.new_zeros(len(back), (self.frames + 1) * self.hop)
        out[:, : -self.hop] += back[..., : self.hop].flatten(1)
        out[:, self.hop :] += back[..., self.hop :].flatten(1)
        sound: Tensor = out[:, self.hop : self.hop + self.samples]
        return sound

    def draw(
        self, chance: np.random.Generator, *, wide: float, high: float, own: float
    ) -> tuple[Tensor, Tensor]:
        """A random rectangle full of sound of unit energy.

        Parameters
        ----------
        chance : numpy.random.Generator
        wide, high : float
            Shares of the time and of the Bark scale that it covers, in (0, 1]; at least a frame and a bin.
        own : float
            How often its sound is the clip's own, as it is or turned over, instead of noise.

        Returns
        -------
        cells : Tensor of complex numbers, shape (frames, bins)
            Zero outside of the rectangle; renders with unit energy (a silent part of the clip as noise).
        where : Tensor of bool, shape (frames, bins)
            The rectangle.
        """
        left, low = chance.random() * (1 - wide), chance.random() * (1 - high)
        heard = -(-self.samples // self.hop) + 1  # frames that reach into the clip
        first = min(heard - 1, int(left * heard))
        last = max(first + 1, round((left + wide) * heard))
        bins = (self.place >= low) & (self.place <= low + high)
        bins[np.abs(self.place - low - high / 2).argmin()] = True
        where = torch.zeros(self.own.shape, dtype=torch.bool, device=self.own.device)
        where[first:last] = torch.from_numpy(bins).to(where.device)
        noise = torch.from_numpy(chance.standard_normal((2, self.frames, len(bins)))).to(self.taper)
        cells = torch.complex(noise[0], noise[1])
        if chance.random() < own and float((self.own * where).abs().amax()) > _SILENT:
            cells = self.own if chance.random() < 0.5 else -self.own
        length = self._length(cells * where)
        if length <= _SILENT:
            # Windows begin and end with nothing, which may be all of a frame that is within the clip.
            where = where.any(0).expand_as(where)
            length = self._length(cells * where)
        return cells * where / max(length, _SILENT), where

    def _length(self, cells: Tensor) -> float:
        return float(torch.linalg.vector_norm(self.render(cells[None])))
