"""The short-time Fourier transform and its magnitudes, as librosa takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import by_blocks, positive


@lru_cache(maxsize=32)
def window_of(name: str, win_length: int, n_fft: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The periodic window called ``name``, ``win_length`` long, in the middle of ``n_fft`` samples."""
    if win_length > n_fft:
        raise SubterfugeError(f"win_length is {win_length}; at most n_fft, {n_fft}, was expected.")
    if name == "hann":
        window = torch.hann_window(win_length, periodic=True, dtype=torch.float64)
    else:
        from scipy.signal import get_window

        try:
            window = torch.from_numpy(get_window(name, win_length, fftbins=True))
        except ValueError as error:
            raise SubterfugeError(f"window is {name!r}; one of scipy's windows was expected.") from error
    left = (n_fft - win_length) // 2
    return functional.pad(window, (left, n_fft - win_length - left)).to(device=device, dtype=dtype)


def spectra(
    y: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
) -> Tensor:
    """``function`` of the complex spectra of ``y``, a block of frames at a time, in bounded memory.

    ``function`` takes a shape (..., 1 + n_fft // 2, frames) and returns a shape (..., coefficients, frames).
    """
    positive(n_fft=n_fft, win_length=win_length, hop_length=hop_length)
    win_length = win_length or n_fft
    hop_length = hop_length or max(1, win_length // 4)
    # librosa transforms float32 audio in double precision and rounds the result. A float32 transform is
    # not the same: its rounding noise, spread over all bins, would widen the spectrum of a pure tone.
    double = window_of(window, win_length, n_fft, torch.float64, y.device)
    out = torch.complex128 if y.dtype == torch.float64 else torch.complex64

    def of_frames(frames: Tensor) -> Tensor:
        return function(torch.fft.rfft(frames * double).to(out).transpose(-1, -2))

    return by_blocks(
        y, of_frames, frame_length=n_fft, hop_length=hop_length, center=center, pad_mode=pad_mode
    )


def stft(
    y: Tensor,
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
) -> Tensor:
    """Short-time Fourier transform, ``librosa.stft``.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (..., samples)
        Audio of any length from one sample up (from ``n_fft`` up without ``center``).
    n_fft, hop_length, win_length : int
        Frame, step (``win_length // 4`` by default) and window length (``n_fft`` by default), in samples.
    window : str
        Name of one of scipy's windows.
    center : bool
        Whether frame ``t`` is centred on sample ``t * hop_length``, beyond the ends padded by ``pad_mode``.
    pad_mode : {'constant', 'edge', 'reflect'}

    Returns
    -------
    Tensor, complex, shape (..., 1 + n_fft // 2, frames)

    Raises
    ------
    SubterfugeError
        The audio or an option is of no use.

    Examples
    --------
    >>> import torch
    >>> tuple(stft(torch.zeros(2, 22050)).shape)
    (2, 1025, 44)
    """
    return spectra(
        y,
        lambda X: X,
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )


def magnitude(X: Tensor, *, power: float = 1.0) -> Tensor:
    """``abs(X) ** power`` whose gradient is zero, not NaN, where ``X`` is zero."""
    if power == 2:
        return X.real.square() + X.imag.square()
    size = X.abs()
    if power == 1:
        return size
    nothing = size == 0
    return torch.where(nothing, 0.0 if power > 0 else torch.inf, size.masked_fill(nothing, 1.0) ** power)


def spectrogram(
    y: Tensor,
    *,
    n_fft: int = 2048,
    hop_length: int = 512,
    power: float = 1.0,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
) -> Tensor:
    """Magnitudes of the :func:`stft` to the ``power``, shape (..., 1 + n_fft // 2, frames).

    Examples
    --------
    >>> import torch
    >>> tuple(spectrogram(torch.zeros(1, 1), power=2.0).shape)
    (1, 1025, 1)
    """
    return spectra(
        y,
        lambda X: magnitude(X, power=power),
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )


def fft_frequencies(*, sr: float = 22050, n_fft: int = 2048) -> Tensor:
    """Centre frequencies of the bins in hertz, float64, shape (1 + n_fft // 2,)."""
    positive(sr=sr, n_fft=n_fft)
    return torch.arange(1 + n_fft // 2, dtype=torch.float64) * (float(sr) / n_fft)
