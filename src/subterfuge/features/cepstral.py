"""The mel spectrogram, decibels and mel-frequency cepstral coefficients, as librosa's, with gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import positive
from subterfuge.features.mel import dct_basis, mel_basis
from subterfuge.features.stft import magnitude, spectra

DECIBELS = 10 / math.log(10)


def melspectrogram(
    *,
    y: Tensor | None = None,
    sr: float = 22050,
    S: Tensor | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    power: float = 2.0,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    norm: str | None = "slaney",
) -> Tensor:
    """Energy in mel bands, ``librosa.feature.melspectrogram``.

    Parameters
    ----------
    y : Tensor, shape (..., samples), or None
        Audio; or give ``S``.
    sr : float
        Sample rate in hertz.
    S : Tensor, shape (..., bins, frames), or None
        A spectrogram, already to the wanted power.
    power : float
        To which the magnitudes of ``y`` are raised.
    n_mels : int
        Number of bands between ``fmin`` and ``fmax`` (``sr / 2`` by default), in hertz.
    norm : {'slaney', None}
        Triangles of one area, or of one height.
    n_fft, hop_length, win_length, window, center, pad_mode
        As in :func:`~subterfuge.features.stft.stft`.

    Returns
    -------
    Tensor, shape (..., n_mels, frames)
    """
    positive(sr=sr, n_mels=n_mels)

    def of(S: Tensor) -> Tensor:
        size = n_fft if S.shape[-2] == n_fft // 2 + 1 else 2 * (S.shape[-2] - 1)
        return mel_basis(sr, size, n_mels, fmin, fmax, norm, S.dtype, S.device) @ S

    if S is not None:
        return of(S)
    if y is None:
        raise SubterfugeError("Neither y nor S was given; audio or a spectrogram was expected.")
    return spectra(
        y,
        lambda X: of(magnitude(X, power=power)),
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )


class _PowerToDb(torch.autograd.Function):
    """Decibels with a floor; see :func:`power_to_db` for the gradient below it."""

    @staticmethod
    def forward(ctx: Any, S: Tensor, amin: float, top_db: float | None) -> Tensor:
        out = S.clamp_min(amin).log10_().mul_(10.0)
        cells = S.flatten(-2)
        peak, place = cells.max(-1, keepdim=True)
        if top_db is not None:
            out = torch.maximum(out, out.amax((-2, -1), keepdim=True) - top_db)
        ctx.save_for_backward(S, peak, place)
        ctx.amin, ctx.top_db = amin, top_db
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        S, peak, place = ctx.saved_tensors
        cells, grads = S.flatten(-2), grad.flatten(-2)
        floor = torch.full_like(peak, ctx.amin)
        if ctx.top_db is not None:
            floor = torch.maximum(floor, peak * 10 ** (-ctx.top_db / 10))
        out = DECIBELS * grads / torch.maximum(cells, floor)
        if ctx.top_db is not None:
            # The floor hangs on the peak, as long as it is not the absolute one.
            hangs = (cells < floor) & (floor > ctx.amin)
            pull = (grads * hangs).sum(-1, keepdim=True)
            out.scatter_add_(-1, place, DECIBELS * pull / peak.clamp_min(ctx.amin))
        return out.reshape(S.shape), None, None


def power_to_db(S: Tensor, *, amin: float = 1e-10, top_db: float | None = 80.0) -> Tensor:
    """Decibels of power relative to 1, ``librosa.power_to_db``, with the floor of each clip its own.

    Values are ``10 log10(max(S, amin))``, raised to no less than ``top_db`` below the clip's greatest: the
    maximum over the last two dimensions, where librosa takes it over all.

    The gradient is exact above the floor, and that of the floor goes to the clip's greatest cell, from
    which it hangs. A cell *under* the floor has a true gradient of zero, and would never be found by a search
    that climbs; so on its own account it gets ``10 / ln 10 / floor``, what it would have just above the
    floor: continuous there, bounded, and, multiplied by the small amplitudes of such a cell, small.

    Parameters
    ----------
    S : Tensor, shape (..., bands, frames)
    amin : float > 0
        Powers under this count as this.
    top_db : float >= 0, or None
        Greatest range within a clip; None for no floor but ``amin``.

    Returns
    -------
    Tensor, shape (..., bands, frames)

    Examples
    --------
    >>> import torch
    >>> power_to_db(torch.tensor([[1.0, 1e-3, 1e-12]])).tolist()
    [[0.0, -30.0, -80.0]]
    """
    if S.ndim < 2:
        raise SubterfugeError(f"S has shape {tuple(S.shape)}; (..., bands, frames) was expected.")
    if not amin > 0:
        raise SubterfugeError(f"amin is {amin}; a positive number was expected.")
    if top_db is not None and top_db < 0:
        raise SubterfugeError(f"top_db is {top_db}; zero or more was expected.")
    out: Tensor = _PowerToDb.apply(S, amin, top_db)  # type: ignore[no-untyped-call]
    return out


def mfcc(
    *,
    y: Tensor | None = None,
    sr: float = 22050,
    S: Tensor | None = None,
    n_mfcc: int = 20,
    lifter: float = 0,
    **options: Any,
) -> Tensor:
    """Mel-frequency cepstral coefficients, ``librosa.feature.mfcc`` (type II, orthonormal).

    Parameters
    ----------
    y : Tensor, shape (..., samples), or None
        Audio; or give ``S``.
    sr : float
        Sample rate in hertz.
    S : Tensor, shape (..., bands, frames), or None
        A mel spectrogram in decibels.
    n_mfcc : int
        Number of coefficients, at most that of the bands.
    lifter : float >= 0
        Weigh coefficient ``n`` by ``1 + lifter / 2 * sin(pi * (n + 1) / lifter)``; 0 for not.
    **options
        Those of :func:`melspectrogram`.

    Returns
    -------
    Tensor, shape (..., n_mfcc, frames)

    Examples
    --------
    >>> import torch
    >>> tuple(mfcc(y=torch.zeros(3, 4410), sr=44100).shape)
    (3, 20, 9)
    """
    positive(n_mfcc=n_mfcc)
    if lifter < 0:
        raise SubterfugeError(f"lifter is {lifter}; zero or more was expected.")
    if S is None:
        S = power_to_db(melspectrogram(y=y, sr=sr, **options))
    out = dct_basis(min(n_mfcc, S.shape[-2]), S.shape[-2], S.dtype, S.device) @ S
    if lifter > 0:
        n = torch.arange(1, 1 + out.shape[-2], dtype=torch.float64, device=S.device)[:, None]
        out = out * (1 + lifter / 2 * torch.sin(torch.pi * n / lifter)).to(S.dtype)
    return out
