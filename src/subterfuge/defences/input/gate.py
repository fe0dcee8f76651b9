"""``gate``: noise filtered by spectral gating, as ``noisereduce.torchgate`` does it, and with its slope."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.defences.input.defence import Undrawn
from subterfuge.defences.input.tents import smoothed
from subterfuge.transforms.transform import Parameters, check_range

_FFT, _HOP = 1024, 256
# Of noisereduce's TorchGate: the mask is smoothed over so many hertz and milliseconds.
_SMOOTH_HZ, _SMOOTH_MS = 500.0, 50.0
# A band's level is taken from no more than so many decibels below its own loudest frame.
_TOP_DB = 40.0
# Without a stationary level: frames of the moving mean, and where and how softly a cell is let through.
_FRAMES, _ABOVE, _SOFTNESS = 20, 1.3, 0.1

# How softly the stationary gate opens for whoever follows its slope, in decibels.
_STAND_IN_DB = 6.0


@dataclass(frozen=True)
class Gate(Undrawn):
    """Cells of time and frequency that do not stand out of their band are turned down.

    Stationary: those that are not ``deviations`` standard deviations above the mean level of their band, in
    decibels over the clip. Otherwise those that are not 2.3 times the moving mean of their band. The mask is
    smoothed over 500 Hz and 50 ms, as if it were closed beyond the edges.

    This is ``noisereduce.torchgate.TorchGate(sr=sr, nonstationary=not stationary)`` (Sainburg, Thielk and
    Gentner, 2020) with its defaults. It is not what ``noisereduce.reduce_noise(y, sr)`` does, which is
    :class:`subterfuge.defences.input.reduced.Reduced`: there a cell has to be three times a mean that moves
    over two seconds, not over twenty frames.

    The stationary gate opens at once, so that the slope of its mask is zero, and whoever followed that alone
    would never learn how to open it: backward, the mask has the slope of a sigmoid 6 dB wide (BPDA). The
    other is soft, and its slope is the true one.

    Parameters
    ----------
    stationary : bool
    strength : float
        How much of a closed cell is taken away, 0 to 1.
    deviations : float
        Of the stationary gate, -10 to 10.

    Raises
    ------
    SubterfugeError
        If one is out of range.

    Examples
    --------
    >>> hiss = 0.01 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    >>> left = Gate().apply(hiss, sr=16000, drawn={})
    >>> bool(left.norm() < 0.2 * hiss.norm())
    True
    """

    stationary: bool = True
    strength: float = 1.0
    deviations: float = 1.5

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("gate (strength)", self.strength, self.strength, 0, 1)
        check_range("gate (deviations)", self.deviations, self.deviations, -10, 10)

    @property
    def name(self) -> str:
        """As the registry has it."""
        return "gate" if self.stationary else "gate-nonstationary"

    @property
    def adaptive(self) -> str:
        """By a stand-in for the slope where the gate is hard."""
        return "straight-through" if self.stationary else "differentiable"

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """The clips with the noise turned down; clips of less than two windows are followed by silence."""
        if not len(y):  # of which there is no Fourier transform
            return y
        samples = y.shape[1]
        padded = functional.pad(y, (0, max(0, 2 * _FFT - samples)))
        window = torch.hann_window(_FFT, dtype=y.dtype, device=y.device)
        cells = torch.stft(padded, _FFT, _HOP, window=window, pad_mode="constant", return_complex=True)
        mask = self._stationary(cells) if self.stationary else _moving(cells)
        mask = _smoothed(1.0 - self.strength * (1.0 - mask), sr)
        return torch.istft(cells * mask, _FFT, _HOP, window=window, length=padded.shape[1])[:, :samples]

    def _stationary(self, cells: Tensor) -> Tensor:
        size = (cells.real.square() + cells.imag.square() + 1e-24).sqrt()
        level = 20 * torch.log10(size + torch.finfo(torch.float64).eps)
        level = torch.maximum(level, level.amax(-1, keepdim=True) - _TOP_DB)
        # One frame alone has no spread, and the root of none no slope.
        mean = level.mean(-1, keepdim=True)
        frames = max(1, level.shape[-1] - 1)
        std = ((level - mean).square().sum(-1, keepdim=True) / frames + 1e-12).sqrt()
        above = level - mean - self.deviations * std
        soft = torch.sigmoid(above / _STAND_IN_DB)
        return (above > 0).to(soft.dtype) + (soft - soft.detach())


def _moving(cells: Tensor) -> Tensor:
    """The soft mask against a moving mean."""
    # The slope of a magnitude of zero is not defined: a floor far below a file's last bit.
    size = (cells.real.square() + cells.imag.square() + 1e-24).sqrt()
    before = (_FRAMES - 1) // 2
    around = functional.pad(size, (before, _FRAMES - 1 - before))
    mean = functional.avg_pool1d(around, _FRAMES, 1)  # the silence beyond the ends counts
    return torch.sigmoid(((size - mean) / mean - _ABOVE) / _SOFTNESS)


def _smoothed(mask: Tensor, sr: int) -> Tensor:
    """The mask, averaged with a tent over bands and frames."""
    return smoothed(mask, int(_SMOOTH_HZ / (sr / (_FFT / 2))), int(_SMOOTH_MS * sr / (1000 * _HOP)))
