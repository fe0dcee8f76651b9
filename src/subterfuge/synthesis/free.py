"""``free``: every sample may be anything; what the model alone wants."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.synthesis.sound import Sound, knob, sloped

# Root mean square that noise begins with.
_LEVEL = 0.05


def free(*, samples: int, sr: int, generator: torch.Generator, start: Tensor | None = None) -> Sound:
    """Samples as they please, from noise that falls by 6 dB an octave, or from ``start``.

    A step of the search is of that slope too: white steps would bury all that is soft under treble.

    Parameters
    ----------
    samples, sr : int
        How many, at how many a second.
    generator : torch.Generator
    start : Tensor, shape (1, samples), optional

    Returns
    -------
    Sound

    Examples
    --------
    >>> tuple(free(samples=800, sr=8000, generator=torch.Generator().manual_seed(0)).render().shape)
    (1, 800)
    """
    weights = sloped(samples, sr) * _LEVEL
    if start is None:
        begin = torch.randn(1, samples, generator=generator)
    else:
        cells = torch.where(weights > 0, torch.fft.rfft(start) / weights.clamp(min=1e-12), 0.0)
        begin = torch.fft.irfft(cells, n=samples)
        # Far below anything heard, but silence itself has no gradient.
        begin = begin + 1e-3 * torch.randn(1, samples, generator=generator)
    x = knob(begin, 0.06)
    loud = knob(torch.zeros(1), 0.02)

    def render() -> Tensor:
        y: Tensor = torch.fft.irfft(torch.fft.rfft(x.value) * weights, n=samples)
        return y * loud.value.exp()

    return Sound((x, loud), render)
