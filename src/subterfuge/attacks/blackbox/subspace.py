"""Few numbers that make small changes: gains of critical bands and stretches of time, levels of faint noise.

A classifier of averaged spectra hears how loud each band is on the whole, in decibels. The cheapest way to
make a band louder by so many decibels on average is to leave its loud cells of time and frequency almost as
they are and to turn up the quiet ones, which cost next to nothing: by Lagrange's condition the gain of a cell
of power ``P`` follows from ``P g (g - 1) = v``, with one number ``v`` for the whole band. So one number a
band holds what is best for such a victim, and the search has tens of numbers instead of 100,000.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.attacks.whitebox.hidden_norm import room
from subterfuge.attacks.whitebox.steps import QUIET, loudness
from subterfuge.audibility.bands import bark, half_bands
from subterfuge.audibility.masking import critical_bands, frame_times

# Window in seconds (1,024 samples at 44.1 kHz), and how far to either side of a bin power is averaged.
_WINDOW, _BREADTH = 0.0232, 0.05
# Noise in what is turned up, so that silence can be too: this far under what the clip masks, in dB.
_UNDER = 40.0
# The multiplier's range about the clip's mean power of a cell, in nepers, and its steps.
_LOW, _HIGH, _STEPS = -23.0, 23.0, 256
# Noise of its own is, at a parameter of 1, this far under what the clip masks, in dB.
_NOISE = 10.0


class Subspace:
    """Perturbations of some clips by few parameters each.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
        The clean clips.
    sr : float
        In Hz.
    bands : int, optional
        Equally wide on the Bark scale; by default one each half Bark (49 at 44.1 kHz).
    times : int
        Stretches of time, each fading into the next; 1 for the whole clip.
    noise : bool
        Whether there are levels of noise as well as gains.
    seed : int
        Of the noise, which is the same for every row.

    Attributes
    ----------
    size : int
        Parameters of a row: gains by band and time (band-major), then levels of noise likewise.

    Notes
    -----
    A gain of 1 makes a band and stretch louder by 1 neper (8.7 dB) on average over its cells; a level of 1
    adds noise 10 dB under what the clip masks there. All zero changes nothing.

    Examples
    --------
    >>> y = torch.randn(1, 44100, generator=torch.Generator().manual_seed(0)) / 10
    >>> space = Subspace(y, sr=44100, bands=8)
    >>> space.size, space.render(0.1 * torch.ones(3, 8), rows=torch.zeros(3, dtype=torch.long)).shape
    (8, torch.Size([3, 44100]))
    """

    def __init__(
        self,
        y: Tensor,
        *,
        sr: float,
        bands: int | None = None,
        times: int = 1,
        noise: bool = False,
        seed: int = 0,
    ) -> None:
        self.samples, self.noise = y.shape[1], noise
        self.clip_norm = loudness(y)
        window = 2 ** max(5, round(math.log2(_WINDOW * sr)))
        while window > max(32, self.samples // 2):
            window //= 2
        self.window, self.hop = window, window // 2
        self.frames = self.samples // self.hop + 2
        self.taper = torch.hann_window(window, dtype=y.dtype, device=y.device).sqrt()
        # Noise as powerful as what the clip masks: a seeded whisper, and where it is silent a fainter one.
        generator = torch.Generator().manual_seed(seed)
        whisper = torch.randn(1, self.samples, generator=generator, dtype=torch.float64).to(y)
        whisper = self._spectra(whisper) * self._masked(y, sr)
        self.whisper = whisper * 10 ** (-_NOISE / 20) if noise else None
        self.carrier = self._spectra(y) + whisper * 10 ** (-_UNDER / 20)
        self.power = _about(self.carrier)
        self.shape = _bands(window, sr, bands).to(y), _times(self.frames, times).to(y)
        self.bands, self.times = len(self.shape[0]), len(self.shape[1])
        self.size = self.bands * self.times * (2 if noise else 1)
        # Cells that each gain is the mean over, and that mean for each multiplier of a range.
        self.cells = (self.shape[0].sum(1)[:, None] * self.shape[1].sum(1)).flatten()
        self.middle = self.power.mean((1, 2)).log()
        steps = torch.linspace(_LOW, _HIGH, _STEPS, dtype=y.dtype, device=y.device)
        self.step = float(steps[1] - steps[0])
        means = [self._means(_gain((self.middle + one).exp()[:, None, None] / self.power)) for one in steps]
        self.gains = torch.stack(means, -1)  # (batch, parameters, steps), growing

    def render(self, parameters: Tensor, rows: Tensor | None = None) -> Tensor:
        """The perturbations, not yet clamped to what the clips leave room for.

        Parameters
        ----------
        parameters : Tensor, shape (rows, size)
        rows : Tensor of int64, shape (rows,), optional
            Which clip each belongs to; all of them in order by default.

        Returns
        -------
        Tensor, shape (rows, samples)
        """
        rows = torch.arange(len(self.power)) if rows is None else rows
        parameters = parameters.to(self.power)
        number = self.bands * self.times
        cells = self._spread(self.multipliers(parameters[:, :number], rows))
        spectra = self.carrier[rows] * torch.expm1(_gain(cells / self.power[rows]))
        if self.whisper is not None:
            spectra = spectra + self.whisper[rows] * self._spread(parameters[:, number:])
        back = torch.fft.irfft(spectra, self.window) * self.taper
        half = self.hop
        out = back.new_zeros(len(rows), (self.frames + 1) * half)
        out[:, :-half] += back[..., :half].flatten(1)
        out[:, half:] += back[..., half:].flatten(1)
        changed: Tensor = out[:, half : half + self.samples]
        return changed

    def multipliers(self, gains: Tensor, rows: Tensor) -> Tensor:
        """The multiplier ``v`` of each gain, of the same shape and sign; grows with it."""
        table, size = self.gains[rows], gains.abs()
        place = torch.searchsorted(table, size[..., None]).clamp(1, _STEPS - 1)
        low, high = table.gather(-1, place - 1)[..., 0], table.gather(-1, place)[..., 0]
        part = ((size - low) / (high - low).clamp(min=1e-30)).clamp(max=40.0)
        first = (self.middle[rows] + _LOW)[:, None]
        value = (first + (place[..., 0] - 1 + part) * self.step).exp()
        # Below the table both are proportional.
        small = size < table[..., 0]
        value = torch.where(small, size / table[..., 0].clamp(min=1e-30) * first.exp(), value)
        return torch.copysign(value, gains)

    def gains_of(self, multipliers: Tensor, rows: Tensor) -> Tensor:
        """The gains that multipliers stand for: the inverse of :meth:`multipliers`."""
        table, size = self.gains[rows], multipliers.abs()
        first = (self.middle[rows] + _LOW)[:, None]
        place = ((size.clamp(min=1e-38).log() - first) / self.step).clamp(min=0)
        whole = place.floor().long().clamp(0, _STEPS - 2)
        low, high = table.gather(-1, whole[..., None])[..., 0], table.gather(-1, whole[..., None] + 1)[..., 0]
        value = low + (place - whole) * (high - low)
        value = torch.where(size < first.exp(), size / first.exp() * table[..., 0], value)
        return torch.copysign(value, multipliers)

    def _masked(self, y: Tensor, sr: float) -> Tensor:
        """Amplitude of each cell (batch, frames, bins) of noise that is as powerful as what is masked."""
        hidden = room(y, sr=sr).log()
        bands = critical_bands(sr)
        hz = torch.arange(self.window // 2 + 1) * sr / self.window
        band = (torch.from_numpy(bark(hz.numpy())) * 2 - 1).round().long().clamp(0, hidden.shape[1] - 1)
        width = ((bands.high - bands.low) / (sr / 2)).to(y)[band]
        times = frame_times(self.samples, sr)
        frame = (
            (torch.arange(self.frames) * self.hop / sr / times[1]).round()
            if len(times) > 1
            else torch.zeros(1)
        )
        frame = frame.long().clamp(max=hidden.shape[2] - 1).expand(self.frames)
        power = hidden[:, band][:, :, frame].transpose(1, 2).exp() / width
        silent = (QUIET * 1e-2) ** 2
        return (power + silent).sqrt()

    def _spectra(self, x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (self.hop, self.frames * self.hop - self.samples))
        frames = padded.unfold(1, self.window, self.hop)[:, : self.frames]
        if not len(frames):  # which not every FFT takes
            return torch.zeros(*frames.shape[:2], self.window // 2 + 1).to(frames) + 0j
        spectra: Tensor = torch.fft.rfft(frames * self.taper)
        return spectra

    def _spread(self, values: Tensor) -> Tensor:
        """Values by band and time as cells, (rows, frames, bins)."""
        grid = values.reshape(len(values), self.bands, self.times).transpose(1, 2)
        return self.shape[1].T @ (grid @ self.shape[0])

    def _means(self, cells: Tensor) -> Tensor:
        """Mean over the cells of each band and time, shape (batch, parameters)."""
        return (self.shape[0] @ cells.transpose(1, 2) @ self.shape[1].T).flatten(1) / self.cells


def _gain(ratio: Tensor) -> Tensor:
    """Logarithm of a cell's gain, of its multiplier over its power: ``g (g - 1) = v / P`` where small.

    Smooth and odd, so that turning down is as gentle as turning up; a cell is never turned down to nothing.
    """
    return torch.asinh(2 * ratio) / 2


def _about(spectra: Tensor) -> Tensor:
    """Power of each cell, averaged over its neighbours in frequency."""
    power = (spectra.real.square() + spectra.imag.square()).double()
    bins = torch.arange(power.shape[-1], device=power.device)
    reach = (bins * _BREADTH).round().long()
    low, high = (bins - reach).clamp(min=0), (bins + reach + 1).clamp(max=len(bins))
    total = torch.nn.functional.pad(power.flip(-1).cumsum(-1).flip(-1), (0, 1))
    mean = (total[..., low] - total[..., high]) / (high - low)
    return mean.clamp(min=1e-20).to(spectra.real.dtype)


def _bands(window: int, sr: float, number: int | None) -> Tensor:
    """Share of each bin that each band has, shape (bands, bins); bands without any are left out."""
    edges = half_bands(sr)
    number = len(edges) - 1 if number is None else number
    place = torch.from_numpy(bark((torch.arange(window // 2 + 1) * sr / window).numpy()))
    top = float(bark(edges[-1]))
    share = _hats((place / top).clamp(max=1.0), number)
    return share[share.sum(1) > 1e-6]


def _times(frames: int, number: int) -> Tensor:
    """Share of each frame that each stretch of time has, shape (times, frames)."""
    share = _hats((torch.arange(frames, dtype=torch.float64) + 0.5) / frames, number)
    return share[share.sum(1) > 1e-6]


def _hats(place: Tensor, number: int) -> Tensor:
    """Triangles about the centres of equal parts of [0, 1], flat beyond the outermost; they add up to 1."""
    position = (place.double() * number - 0.5).clamp(0, max(0, number - 1))
    return (1 - (position - torch.arange(number)[:, None]).abs()).clamp(min=0)
