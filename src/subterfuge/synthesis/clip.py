"""``clip``: a given clip, made more itself or something else, the change within a bound."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.synthesis.sound import LOWEST, PEAK, Sound, fades, knob, sloped

_SNR_DB = 20.0
# What rounding to 16 bits and the last trim of the peak may take of the bound, dB.
_SPARE = 0.05
# A clip softer than this is silent: there is nothing to be a bound.
_SILENT = 1e-5


def clip(
    *,
    samples: int,
    sr: int,
    generator: torch.Generator,
    start: Tensor,
    snr_db: float = _SNR_DB,
) -> Sound:
    """A clip plus a change that is at least ``snr_db`` below it, of the slope of natural sounds.

    The clip's mean is taken away, and where its peak is over -1 dBFS it is made softer as a whole; the bound
    is about that. The ratio reached is told at the end.

    Parameters
    ----------
    samples, sr : int
    generator : torch.Generator
        Draws what is tried first, 60 dB below the clip.
    start : Tensor, shape (1, samples)
    snr_db : float
        Decibels.

    Returns
    -------
    Sound

    Raises
    ------
    SubterfugeError
        If the clip is silent, or the ratio is not between -20 and 120 dB.
    """
    if not -20 <= snr_db <= 120:
        raise SubterfugeError(f"snr: got {snr_db:g} dB, expected -20 to 120")
    own = start - start.mean()
    own = own * (PEAK / own.abs().max().clamp(min=1e-12)).clamp(max=1)
    level = own.square().mean().sqrt()
    if float(level) < _SILENT:
        raise SubterfugeError("style clip: the clip is silent, expected some sound")
    bound = float(level) * 10 ** (-(snr_db + _SPARE) / 20)
    weights = sloped(samples, sr) * bound
    x = knob(1e-2 * torch.randn(1, samples, generator=generator), 0.02)

    def change() -> Tensor:
        raw = torch.fft.irfft(torch.fft.rfft(x.value) * weights, n=samples)
        size = raw.square().mean().sqrt()
        within: Tensor = raw * (bound / size.clamp(min=1e-12)).clamp(max=1)
        return within

    def finish(y: Tensor) -> Tensor:
        # The change alone gives way where the sum has too high a peak or any drift: the clip stays as it is.
        return _between(own, y - own, sr)

    def told() -> dict[str, float]:
        with torch.no_grad():
            noise = finish(own + change()) - own
        return {"snr_db": float(20 * torch.log10(level / noise.square().mean().sqrt()))}

    return Sound((x,), lambda: own + change(), finish=finish, told=told)


def _between(own: Tensor, change: Tensor, sr: int) -> Tensor:
    """The sum, the change without drift and cut where the peak would be too high."""
    samples = own.shape[1]
    spectrum = torch.fft.rfft(change * fades(samples, sr).to(change))
    low = torch.fft.rfftfreq(samples, 1 / sr) < LOWEST
    y: Tensor = own + torch.fft.irfft(spectrum.masked_fill(low, 0), n=samples)
    return y.clamp(-PEAK, PEAK)
