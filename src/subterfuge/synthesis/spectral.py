"""``spectral``: the cells of a complex spectrogram, those of low frequencies moving more than high ones."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.synthesis.sound import Sound, knob

_N_FFT, _HOP = 2048, 512
# Root mean square that noise begins with.
_LEVEL = 0.03


def spectral(*, samples: int, sr: int, generator: torch.Generator, start: Tensor | None = None) -> Sound:
    """Cells of a short-time Fourier transform, preconditioned by 1/f, from noise or from ``start``.

    What is moved is each cell divided by the reciprocal of its frequency, as Olah et al. (2017) do with
    images, so that a step is one of natural slope in frequency and of 46 ms in time (at 44.1 kHz).

    Parameters
    ----------
    samples, sr : int
    generator : torch.Generator
    start : Tensor, shape (1, samples), optional

    Returns
    -------
    Sound

    References
    ----------
    Olah, Mordvintsev and Schubert, "Feature visualization", Distill, 2017.
    """
    n_fft = _N_FFT if sr >= 32000 else _N_FFT // 2
    hop = n_fft * _HOP // _N_FFT
    window = torch.hann_window(n_fft)
    length = max(samples, n_fft)
    bins, frames = n_fft // 2 + 1, 1 + length // hop
    f = torch.arange(bins).clamp(min=1.0)
    weights = (1 / f) / (1 / f).square().mean().sqrt()
    # White cells of variance one give a sound of about this root mean square.
    scale = _LEVEL * (n_fft * 0.375) ** 0.5 * weights[:, None]
    if start is None:
        cells = torch.randn(1, bins, frames, 2, generator=generator)
    else:
        y = torch.nn.functional.pad(start, (0, length - samples))
        found = torch.stft(y, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
        cells = torch.view_as_real(found / scale)
        cells = cells + 1e-3 * torch.randn(cells.shape, generator=generator)
    x = knob(cells, 0.05)
    loud = knob(torch.zeros(1), 0.02)

    def render() -> Tensor:
        held = torch.view_as_complex(x.value) * scale
        y = torch.istft(held, n_fft, hop, window=window, length=length)
        return y[:, :samples] * loud.value.exp()

    return Sound((x, loud), render)
