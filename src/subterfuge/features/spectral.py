"""Where the energy lies in the spectrum: centroid, bandwidth and rolloff, as librosa's, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import positive
from subterfuge.features.stft import fft_frequencies, magnitude, spectra

# Frames whose magnitudes sum to less than this, 240 dB below full scale, have values but no gradient:
# it would grow without bound as a frame fades to nothing.
FAINT = 1e-12

# The gradient of the rolloff: bins to a run, over which the density is averaged; the least density allowed
# for at the crossing, and that under which a run counts for little, as parts of the frame's mean.
NEIGHBOURS = 32
LEAST_DENSITY = 0.1
SOFTENING = 0.2


def _of_magnitudes(
    y: Tensor | None, S: Tensor | None, function: Callable[[Tensor, int], Tensor], n_fft: int, **options: Any
) -> Tensor:
    """``function(S, n_fft)`` of a spectrogram that is given, or else of that of ``y``, block by block."""
    if S is not None:
        if S.ndim < 2 or not S.is_floating_point():
            raise SubterfugeError(
                f"S is a {S.dtype} of shape {tuple(S.shape)}; "
                "real magnitudes (..., bins, frames) were expected."
            )
        if S.shape[-2] != n_fft // 2 + 1:
            n_fft = 2 * (S.shape[-2] - 1)
        return function(S, n_fft)
    if y is None:
        raise SubterfugeError("Neither y nor S was given; audio or a spectrogram was expected.")
    return spectra(y, lambda X: function(magnitude(X), n_fft), n_fft=n_fft, **options)


def _normalised(S: Tensor) -> Tensor:
    """Each frame's magnitudes over their sum, in double precision; an empty frame stays empty."""
    total = S.sum(-2, keepdim=True, dtype=torch.float64)
    empty = total < torch.finfo(S.dtype).tiny
    shares = S.double() / total.masked_fill(empty, 1.0)
    return torch.where(total < FAINT, shares.detach(), shares)


def _centroid(shares: Tensor, sr: float, n_fft: int) -> Tensor:
    freq = fft_frequencies(sr=sr, n_fft=n_fft).to(shares.device)
    return (shares * freq[:, None]).sum(-2, keepdim=True)


def spectral_centroid(
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
) -> Tensor:
    """Mean frequency of each frame's magnitudes in hertz, ``librosa.feature.spectral_centroid``.

    Parameters
    ----------
    y : Tensor, shape (..., samples), or None
        Audio; or give ``S``.
    sr : float
        Sample rate in hertz.
    S : Tensor, shape (..., bins, frames), or None
        Magnitudes, from which ``n_fft`` is taken where they disagree.
    n_fft, hop_length, win_length, window, center, pad_mode
        As in :func:`~subterfuge.features.stft.stft`.

    Returns
    -------
    Tensor, shape (..., 1, frames)
        0 for a frame of silence.

    Examples
    --------
    >>> import torch
    >>> y = torch.sin(torch.arange(22050.0, dtype=torch.float64) * 2 * torch.pi * 1000 / 22050)
    >>> round(float(spectral_centroid(y=y)[0, 20]))
    1000
    """
    positive(sr=sr)

    def of(S: Tensor, n_fft: int) -> Tensor:
        return _centroid(_normalised(S), sr, n_fft).to(S.dtype)

    return _of_magnitudes(
        y,
        S,
        of,
        n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )


def spectral_bandwidth(
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
    p: float = 2,
) -> Tensor:
    """Spread of each frame's magnitudes about their centroid, ``librosa.feature.spectral_bandwidth``.

    Parameters
    ----------
    p : float > 0
        The spread is the ``p``-th root of the mean ``p``-th power of the distance: 2 for a deviation.
    y, sr, S, n_fft, hop_length, win_length, window, center, pad_mode
        As in :func:`spectral_centroid`.

    Returns
    -------
    Tensor, shape (..., 1, frames)
        In hertz; 0 for a frame of silence.
    """
    positive(sr=sr)
    if not p > 0:
        raise SubterfugeError(f"p is {p}; a positive number was expected.")

    def of(S: Tensor, n_fft: int) -> Tensor:
        shares = _normalised(S)
        freq = fft_frequencies(sr=sr, n_fft=n_fft).to(S.device)
        deviation = (freq[:, None] - _centroid(shares, sr, n_fft)).abs()
        moment = (shares * deviation**p).sum(-2, keepdim=True)
        nothing = moment == 0
        return torch.where(nothing, 0.0, moment.masked_fill(nothing, 1.0) ** (1 / p)).to(S.dtype)

    return _of_magnitudes(
        y,
        S,
        of,
        n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )


class _Crossing(torch.autograd.Function):
    """Index of the bin where the running sum reaches a share of the whole; see :func:`spectral_rolloff`."""

    @staticmethod
    def forward(ctx: Any, S: Tensor, share: float) -> Tensor:
        running = S.cumsum(-2)
        threshold = share * running[..., -1:, :]
        index = (running < threshold).sum(-2, keepdim=True)
        ctx.save_for_backward(S, index)
        ctx.share = share
        return index.to(S.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        S, index = ctx.saved_tensors
        bins = S.shape[-2]
        total = S.sum(-2, keepdim=True)
        mean = total / bins
        whole = functional.pad(S, (0, 0, 0, -bins % NEIGHBOURS))
        runs = whole.view(*S.shape[:-2], -1, NEIGHBOURS, S.shape[-1]).sum(-2)
        first = torch.arange(0, bins, NEIGHBOURS, device=S.device)[:, None]
        runs = runs / (bins - first).clamp_max(NEIGHBOURS)
        density = torch.maximum(runs.gather(-2, index // NEIGHBOURS), LEAST_DENSITY * mean)
        alive = total >= FAINT
        slope = torch.where(alive, grad / density.masked_fill(~alive, 1.0), 0.0)
        weight = runs / (runs + SOFTENING * mean).masked_fill(~alive, 1.0)
        weight = weight.repeat_interleave(NEIGHBOURS, dim=-2)[..., :bins, :]
        until = (torch.arange(bins, device=S.device)[:, None] <= index).to(S.dtype)
        return slope * weight * (ctx.share - until), None


def spectral_rolloff(
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
    roll_percent: float = 0.85,
) -> Tensor:
    """Frequency below which a share of each frame's magnitudes lies, ``librosa.feature.spectral_rolloff``.

    The value is librosa's: the centre of the first bin at which the running sum reaches the share. It is a
    step function, whose true gradient is zero; the backward pass gives the implicit derivative of the
    crossing instead. With running sum ``C``, its slope ``d`` at the crossing ``R`` (the mean of the run of 32
    bins that holds it, and no less than a tenth of the frame's mean), ``C(R) = share * C(end)`` gives
    ``dR/dS_k = (share - [k <= R]) / d``. Bins far below the frame's mean cannot be made smaller by any change
    that is worth making, only larger, so a run of mean ``m`` is weighed by ``m / (m + mean / 5)``.

    Parameters
    ----------
    roll_percent : float in (0, 1)
    y, sr, S, n_fft, hop_length, win_length, window, center, pad_mode
        As in :func:`spectral_centroid`.

    Returns
    -------
    Tensor, shape (..., 1, frames)
        In hertz; 0 for a frame of silence.
    """
    positive(sr=sr)
    if not 0 < roll_percent < 1:
        raise SubterfugeError(f"roll_percent is {roll_percent}; a number between 0 and 1 was expected.")

    def of(S: Tensor, n_fft: int) -> Tensor:
        index: Tensor = _Crossing.apply(S, roll_percent)  # type: ignore[no-untyped-call]
        return index * (float(sr) / n_fft)

    return _of_magnitudes(
        y,
        S,
        of,
        n_fft,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
    )
