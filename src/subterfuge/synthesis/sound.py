"""What a style hands to the search: numbers to be moved, and how a sound is rendered from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Nothing over this ever leaves the room: -1 dBFS, and a hair for the rounding to 16 bits.
PEAK = 10 ** (-1 / 20) - 2**-14
# Below what anybody hears there is nothing but drift: no sound holds any of it, so none has DC.
LOWEST = 20.0
# The ends are faded in and out, so that a sound that begins at once does not click.
FADE = 0.005


@dataclass(frozen=True)
class Knob:
    """Numbers that a search may move.

    Attributes
    ----------
    value : Tensor
        Requires its gradient.
    rate : float
        How far a step of Adam takes each of them at first.
    """

    value: Tensor
    rate: float


@dataclass(frozen=True)
class Sound:
    """A sound in the making.

    Attributes
    ----------
    knobs : tuple of Knob
    render : callable
        The waveform of the knobs as they are, shape (1, samples), differentiable: any level, drift and all.
    finish : callable, optional
        From what is rendered to what may be written, differentiable, instead of :func:`safe`.
    toll : callable, optional
        What the style charges, a number to be made small beside the wish (roughness, too many grains).
    told : callable, optional
        What there is to say of the sound in the end, as plain JSON types.
    """

    knobs: tuple[Knob, ...]
    render: Callable[[], Tensor]
    finish: Callable[[Tensor], Tensor] | None = None
    toll: Callable[[], Tensor] | None = None
    told: Callable[[], dict[str, float]] = field(default=dict)


def knob(value: Tensor, rate: float) -> Knob:
    """A copy of ``value`` that a search may move.

    Examples
    --------
    >>> knob(torch.zeros(2), 0.1).value.requires_grad
    True
    """
    return Knob(value.detach().clone().requires_grad_(), rate)


def safe(y: Tensor, *, sr: int) -> Tensor:
    """The sound made fit for a file: ends faded, nothing below 20 Hz, no peak over -1 dBFS; differentiable.

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    sr : int
        In Hz.

    Returns
    -------
    Tensor, shape (batch, samples)
        Made softer as a whole where its peak is too high, never louder; its mean is zero.

    Examples
    --------
    >>> loud = safe(torch.full((1, 8000), 3.0), sr=8000)
    >>> bool(loud.abs().max() <= 10 ** (-1 / 20)), bool(loud.mean().abs() < 1e-6)
    (True, True)
    """
    samples = y.shape[1]
    spectrum = torch.fft.rfft(y * fades(samples, sr).to(y))
    low = torch.fft.rfftfreq(samples, 1 / sr, device=y.device) < LOWEST
    y = torch.fft.irfft(spectrum.masked_fill(low, 0), n=samples)
    peak = y.abs().amax(1, keepdim=True).clamp(min=1e-12)
    return y * (PEAK / peak).clamp(max=1)


def fades(samples: int, sr: int) -> Tensor:
    """Half a cosine up, ones, and half a cosine down, shape (samples,)."""
    length = min(round(FADE * sr), samples // 4)
    out = torch.ones(samples)
    if length:
        up = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(length) + 0.5) / length)
        out[:length], out[-length:] = up, up.flip(0)
    return out


def sloped(samples: int, sr: int) -> Tensor:
    """Weights of frequencies that make white noise fall by 6 dB an octave, as natural sounds about do.

    Shape (samples // 2 + 1,), mean square one, nothing below 20 Hz. Moving what is multiplied by them moves
    the low frequencies, which hold the energy, more than the high ones.
    """
    f = torch.fft.rfftfreq(samples, 1 / sr)
    weights: Tensor = torch.where(f < LOWEST, 0.0, 1 / f.clamp(min=30.0))
    return weights / weights.square().mean().sqrt().clamp(min=1e-12)
