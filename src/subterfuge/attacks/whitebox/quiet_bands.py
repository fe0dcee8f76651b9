"""A gradient made fit for large steps: held back where the clip is too quiet for it to be true for long.

The logarithm of a band's power has a slope of one over that power, so nearly all of a log-spectral feature's
gradient lies in cells of time and frequency that hold next to nothing, and is true only for changes about as
small as what they hold. Weighting each cell by ``P / (P + level)``, where ``P`` is the clip's own power about
that cell, makes the step that a cell takes at most about as large as what is there.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A window of about 23 ms at 44.1 kHz; frames that go through the transform at once.
_WINDOW, _BLOCK = 1024, 2048
# Power is averaged over this share of a bin's own frequency to either side, and at least two bins.
_BREADTH = 0.06


def hold_back(gradient: Tensor, x: Tensor, level: Tensor) -> Tensor:
    """The gradient, cell by cell of time and frequency times ``P / (P + level)``.

    A positive semi-definite map, so what comes back still leads uphill.

    Parameters
    ----------
    gradient, x : Tensor, shape (batch, samples)
        The gradient at ``x``, and ``x`` itself.
    level : Tensor, shape (batch,)
        Power where a cell is held back by half, as a share of the clip's mean power of a cell, in (0, inf).

    Returns
    -------
    Tensor, shape (batch, samples)
        The gradient itself where the clips are too short for a spectrum (under 512 samples).
    """
    samples = x.shape[1]
    window = _WINDOW
    while window > samples // 4:
        window //= 2
    if window < 128:
        return gradient
    hop = window // 2
    frames = samples // hop + 2
    taper = torch.hann_window(window, dtype=x.dtype, device=x.device).sqrt()
    pad = (hop, frames * hop - samples)
    xs = torch.nn.functional.pad(x, pad).unfold(1, window, hop)
    gs = torch.nn.functional.pad(gradient, pad).unfold(1, window, hop)
    mean = x.square().mean(1) * window / 2
    floor = (level * mean).clamp(min=torch.finfo(torch.float32).tiny)[:, None, None]
    out = x.new_zeros(len(x), (frames + 1) * hop)
    low, high = _neighbours(window // 2 + 1, x.device)
    for first in range(0, xs.shape[1], _BLOCK):
        part = slice(first, first + _BLOCK)
        spectrum = torch.fft.rfft(xs[:, part] * taper)
        power = spectrum.real.square() + spectrum.imag.square()
        # Summed from the top down in float64: the upper bands are the quiet ones.
        total = torch.nn.functional.pad(power.double().flip(-1).cumsum(-1).flip(-1), (0, 1))
        about = ((total[..., low] - total[..., high]) / (high - low)).to(x.dtype).clamp(min=0)
        held = torch.fft.rfft(gs[:, part] * taper) * (about / (about + floor))
        back = torch.fft.irfft(held, window) * taper
        for half in (0, 1):
            run = back[..., half * hop : (half + 1) * hop].flatten(1)
            out[:, (first + half) * hop : (first + half) * hop + run.shape[1]] += run
    return out[:, hop : hop + samples]


def _neighbours(bins: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First bin of each bin's neighbourhood, and the bin after its last."""
    k = torch.arange(bins, device=device)
    reach = (k * _BREADTH).round().clamp(min=2).to(torch.int64)
    return (k - reach).clamp(min=0), (k + reach + 1).clamp(max=bins)
