"""A norm in which a perturbation is as long as it is audible: its power over what the clip masks.

Its unit ball, at ``power=inf``, is what lies below the masking threshold everywhere. Between the plain L2
norm (``depth=0``) and that lies everything else, so that an attack can go from the one to the other along
the boundary instead of looking for it anew: steps that are steepest by the threshold are far too long for
features that are logarithms of what next to nothing is in.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.audibility.analysis import layout
from subterfuge.audibility.bands import bark
from subterfuge.audibility.masking import LEVEL, band_power, critical_bands, masking_threshold

# What may be filled does not count on the ear's being dull at the ends of its range (dB SPL): ears and
# loudspeakers differ most there.
DULL = 40.0
# Window of the shaping in frames of the model (46 ms): a shorter one would spill over steep flanks of the
# threshold below 300 Hz.
_HOPS = 8


def room(y: Tensor, *, sr: float, level: float = LEVEL) -> Tensor:
    """What an attack may fill: the masking threshold, held at :data:`DULL`, shape (batch, bands, frames).

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    sr : float
    level : float
        See :func:`subterfuge.audibility.masking.masking_threshold`, which this is never above.
    """
    return masking_threshold(y, sr=sr, level=level, quiet_at_most=DULL)


class HiddenNorm:
    """Lengths and steepest directions for some clips, each with its own threshold.

    Parameters
    ----------
    threshold : Tensor, shape (batch, bands, frames)
        As :func:`room` gives it.
    sr : float
    samples : int

    Attributes
    ----------
    weight : Tensor, shape (batch, bands, frames)
        How much more than by its threshold alone a cell counts, in (0, 1]; of the heaviest it is 1.
    depth : float
        From 0 (all cells alike) to 1 (each by its threshold).
    power : float
        Of the norm over cells: 2 for their sum, the larger the nearer to the worst cell.
    levelling : float
        How far a direction is made equally audible everywhere: 0 for a linear map of the gradient.
    """

    def __init__(self, threshold: Tensor, sr: float, samples: int) -> None:
        self.threshold, self.sr, self.samples = threshold, sr, samples
        hop = layout(sr, torch.float32, torch.device("cpu")).hop
        self.size, self.step, self.hop = _HOPS * hop, _HOPS // 4 * hop, hop
        bands = critical_bands(sr)
        hz = torch.arange(self.size // 2 + 1) * sr / self.size
        place = (torch.from_numpy(bark(hz.numpy())) / 0.5 - 1).clamp(0, len(bands.rate) - 1)
        self.below = place.floor().long().clamp(max=max(0, len(bands.rate) - 2)).to(threshold.device)
        self.above = (self.below + 1).clamp(max=len(bands.rate) - 1)
        self.share = (place.to(threshold) - self.below)[:, None]
        self.bins = ((bands.high - bands.low) * self.size / sr).to(threshold)[:, None]
        self.window = torch.hann_window(self.size).to(threshold)
        self.weight = torch.ones_like(threshold)
        self.set(depth=0.0, power=2.0, levelling=0.0)

    def set(self, *, depth: float, power: float, levelling: float) -> None:
        """Choose a norm between plain L2 (0, 2, 0) and the worst cell's (1, inf, 1)."""
        self.depth, self.power, self.levelling = depth, power, levelling
        flat = self.threshold.log()
        self._log = depth * (flat - flat.mean((1, 2), keepdim=True)) - self.weight.log()

    def reweigh(self, delta: Tensor, rate: float) -> None:
        """Let cells count more the more audible ``delta`` is there (multiplicative weights)."""
        ratio = self.ratio(delta)
        largest = ratio.amax((1, 2), keepdim=True).clamp(min=torch.finfo(ratio.dtype).tiny)
        weight = self.weight * (ratio / largest).clamp(min=1e-3) ** rate
        self.weight = (weight / weight.amax((1, 2), keepdim=True)).clamp(min=1e-3)
        self.set(depth=self.depth, power=self.power, levelling=self.levelling)

    def ratio(self, delta: Tensor) -> Tensor:
        """Noise-to-mask ratio of each cell, shape (batch, bands, frames)."""
        return band_power(delta, sr=self.sr) / self.threshold

    def lengths(self, delta: Tensor) -> Tensor:
        """The norm of each row, shape (batch,)."""
        cells = band_power(delta, sr=self.sr) * (-self._log).exp()
        most = cells.amax((1, 2), keepdim=True).clamp(min=torch.finfo(cells.dtype).tiny)
        mean = ((cells / most) ** (self.power / 2)).mean((1, 2))
        return torch.as_tensor(mean ** (1 / self.power) * most[:, 0, 0].sqrt())

    def heading(self, gradient: Tensor) -> Tensor:
        """About the steepest direction, of unit length, shape (batch, samples)."""
        up = self._shaped(gradient, self._log - self.bins.log())
        if self.levelling > 0:
            cells = band_power(up, sr=self.sr) * (-self._log).exp()
            cells = cells / cells.mean((1, 2), keepdim=True).clamp(min=torch.finfo(cells.dtype).tiny)
            up = self._shaped(up, -self.levelling / 2 * cells.clamp(min=1e-6).log())
        return up / self.lengths(up).clamp(min=1e-30)[:, None]

    def _shaped(self, x: Tensor, log_gain: Tensor) -> Tensor:
        """``x`` with each cell multiplied by a gain, the least of those about it in time."""
        step = self.step
        near = _HOPS // 4
        low = -functional.max_pool1d(-log_gain, 2 * near + 1, stride=1, padding=near)[
            ..., :: step // self.hop
        ]
        low = low[:, self.below] * (1 - self.share) + low[:, self.above] * self.share
        frames = -(-self.samples // step) + 3  # every sample lies in four
        # The first is centred one step before the clip's beginning.
        low = functional.pad(low, (1, max(0, frames - 1 - low.shape[-1])), mode="replicate")[..., :frames]
        padded = functional.pad(x, (3 * step, frames * step - self.samples))
        spectra = torch.fft.rfft(padded.unfold(1, self.size, step)[:, :frames] * self.window)
        back = torch.fft.irfft(spectra * low.exp().transpose(1, 2), self.size) * (self.window / 1.5)
        out = x.new_zeros(len(x), (frames + 3) * step)
        for part in range(4):
            run = back[..., part * step : (part + 1) * step].flatten(1)
            out[:, part * step : part * step + run.shape[1]] += run
        return out[:, 3 * step : 3 * step + self.samples]
