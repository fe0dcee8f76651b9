"""Log-mel spectrograms for networks: fast, in single precision, differentiable, deaf to the level."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.features.frames import checked, positive
from subterfuge.features.mel import mel_basis
from subterfuge.features.stft import window_of

# Below -100 dBFS a clip counts as silence: its level is not made up for any further.
_SILENCE = 1e-5


def logmel(
    y: Tensor,
    *,
    sr: int = 22050,
    n_fft: int = 1024,
    hop_length: int = 512,
    n_mels: int = 96,
    fmin: float = 30.0,
    fmax: float | None = None,
    floor_db: float = -40.0,
) -> Tensor:
    """Logarithm of the energy in mel bands of a clip brought to an RMS of one.

    Each row is divided by its own root mean square, so that the level of a recording says nothing; then the
    power of a Hann-windowed short-time Fourier transform, divided by ``n_fft``, is summed over triangular
    bands (:func:`subterfuge.features.mel.mel_basis` without normalisation), and the natural logarithm is
    taken of that **plus** a floor. Added, and not compared with it, the floor keeps the gradient of
    near-silent cells finite and everywhere smooth.

    Unlike :func:`subterfuge.features.cepstral.melspectrogram`, this is not librosa's function to the last
    bit: it transforms in single precision and in one piece, and so is several times as fast.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (batch, samples)
    sr, n_fft, hop_length, n_mels : int
        Rate in Hz, frame and step in samples, number of bands.
    fmin, fmax : float
        Edges of the lowest and the highest band in Hz; the latter by default ``sr / 2``.
    floor_db : float
        Added to each band's energy, in decibels relative to one.

    Returns
    -------
    Tensor, shape (batch, n_mels, 1 + samples // hop_length)

    Raises
    ------
    SubterfugeError
        The audio or an option is of no use.

    Examples
    --------
    >>> import torch
    >>> y = torch.sin(torch.arange(22050) * 0.3)[None]
    >>> tuple(logmel(y).shape), bool((logmel(y) - logmel(y / 7)).abs().max() < 1e-3)
    ((1, 96, 44), True)
    """
    checked(y)
    positive(sr=sr, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)
    level = (y.square().mean(dim=-1, keepdim=True) + _SILENCE**2).sqrt()
    spectrum = torch.stft(
        y / level,
        n_fft,
        hop_length,
        window=window_of("hann", n_fft, n_fft, y.dtype, y.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    power = (spectrum.real.square() + spectrum.imag.square()) / n_fft
    bands = mel_basis(float(sr), n_fft, n_mels, fmin, fmax, None, y.dtype, y.device) @ power
    logarithm: Tensor = (bands + 10.0 ** (floor_db / 10)).log()
    return logarithm
