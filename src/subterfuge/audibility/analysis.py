"""Power in bands half a Bark wide, with windows that shorten as the ear's own filters do.

Below 700 Hz a window of 46 ms tells bands of 100 Hz apart; above 2.7 kHz, where they are wide, one of 12 ms
tells when something happens: one resolution for all would blur the one or the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.audibility.bands import bark, half_bands
from subterfuge.audibility.spectra import power_and_tones, power_in_bands
from subterfuge.features.frames import checked, positive

# The shortest window, in seconds (512 samples at 44.1 kHz); the others are twice and four times as long.
SHORTEST = 512 / 44100
# Critical-band rates where the long window gives way to the middle one, and that to the short one.
CHANGES = (6.5, 14.5)


@dataclass(frozen=True, eq=False)
class Layout:
    """Windows and the bins that go into each band, for one sample rate.

    Attributes
    ----------
    hop : int
        Samples between frames.
    sizes : tuple of int
        Of the long, middle and short window.
    windows : tuple of Tensor
        Hann, scaled so that squared bins, added, are a mean square.
    weights : tuple of Tensor, shape (bins, bands of that window)
    heard : Tensor, shape (bins of the long window, all bands)
        Where a sine at each bin of the long window comes up, by the window of each band.
    """

    hop: int
    sizes: tuple[int, int, int]
    windows: tuple[Tensor, Tensor, Tensor]
    weights: tuple[Tensor, Tensor, Tensor]
    heard: Tensor


@lru_cache(maxsize=16)
def layout(sr: float, dtype: torch.dtype, device: torch.device) -> Layout:
    """See :class:`Layout`."""
    from scipy.fft import next_fast_len

    positive(sr=sr)
    short = max(16, 2 * int(next_fast_len(round(sr * SHORTEST / 2))))
    sizes = (4 * short, 2 * short, short)
    edges = torch.tensor(half_bands(sr), dtype=torch.float64)
    # A band belongs to the window that its lower edge falls to.
    rate = torch.from_numpy(bark(edges[:-1].numpy())) + 1e-9
    bounds = [0, *(int((rate < change).sum()) for change in CHANGES), len(rate)]
    windows, weights, heard = [], [], []
    for size, first, last in zip(sizes, bounds[:-1], bounds[1:], strict=True):
        window = torch.hann_window(size, periodic=True, dtype=torch.float64)
        window = window * (2 / (size * window.square().sum())).sqrt()
        share = _weights(size, sr, edges[first : last + 1])
        windows.append(window.to(device, dtype))
        weights.append(share.to(device, dtype))
        heard.append(_leaking(window, share, sizes[0]).to(device, dtype))
    return Layout(short // 2, sizes, tuple(windows), tuple(weights), torch.cat(heard, 1))  # type: ignore[arg-type]


def _weights(size: int, sr: float, edges: Tensor) -> Tensor:
    """Share of each bin that lies in each band, shape (bins, bands); a bin is as wide as its spacing."""
    width = sr / size
    centre = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None] * width
    low = torch.maximum(centre - width / 2, edges[:-1])
    high = torch.minimum(centre + width / 2, edges[1:])
    # Half of the first bin lies below zero, and half of the last beyond half the sample rate: there the
    # window's scale, which counts each bin for its mirror image too, would be twice too much.
    return (high - low).clamp(min=0) / width


def _leaking(window: Tensor, share: Tensor, long: int) -> Tensor:
    """Share of a sine at each bin of the long window that a shorter one brings to each band.

    It smears a sine over its own bins, of which some are the next band's; were that taken for noise there,
    for which much more is hidden, a tone would hide up to 15 dB more than it does.
    """
    ratio, bands = long // len(window), share.shape[1]
    if ratio == 1:
        return share  # as it is: the bins around a peak are a tone's already
    if not bands:
        return share.new_zeros(long // 2 + 1, 0)
    reach = 8 * ratio
    half = torch.fft.rfft(window, long).abs().square()[: reach + 1] / 2
    kernel = torch.cat([half.flip(0), half[1:]])
    sparse = share.new_zeros(bands, 1, long // 2 + 1)
    sparse[:, 0, ::ratio] = share.T
    return functional.conv1d(sparse, kernel[None, None], padding=reach)[:, 0].T


def frame_times(samples: int, sr: float) -> Tensor:
    """Centres of the frames in seconds, float64, shape (frames,).

    Examples
    --------
    >>> frame_times(1000, 44100).round(decimals=4).tolist()
    [0.0, 0.0058, 0.0116, 0.0174]
    """
    hop = layout(sr, torch.float32, torch.device("cpu")).hop
    return torch.arange(1 + samples // hop, dtype=torch.float64) * hop / sr


def half_band_power(y: Tensor, *, sr: float) -> Tensor:
    """Mean square in each half-Bark band, shape (batch, bands + 1, frames).

    Parameters
    ----------
    y : Tensor, shape (batch, samples)
    sr : float

    Returns
    -------
    Tensor
        A sine of amplitude ``A`` gives ``A**2 / 2``, divided among the bands that its spectral line touches.
    """
    plan = layout(sr, checked(y).dtype, y.device)
    long = power_in_bands(y, plan.windows[0], plan.weights[0], hop=2 * plan.hop)
    return torch.cat([_regular(long, y, plan), *_shorter(y, plan)], -2)


def half_band_maskers(y: Tensor, *, sr: float) -> tuple[Tensor, Tensor]:
    """As :func:`half_band_power`, and the share of each band that is tones, in [0, 1], of the same shape.

    Tones are told by the long window for all bands: no other has peaks that are narrow enough.
    """
    plan = layout(sr, checked(y).dtype, y.device)
    power, tonal = power_and_tones(y, plan.windows[0], plan.heard, hop=2 * plan.hop)
    share = (tonal / power.clamp(min=torch.finfo(y.dtype).tiny)).clamp(max=1.0)
    long = _regular(power[:, : plan.weights[0].shape[1]], y, plan)
    return torch.cat([long, *_shorter(y, plan)], -2), _regular(share, y, plan)


def _shorter(y: Tensor, plan: Layout) -> list[Tensor]:
    """Power in the bands of the middle and of the short window, where there are any."""
    return [
        power_in_bands(y, plan.windows[i], plan.weights[i], hop=plan.hop)
        for i in (1, 2)
        if plan.weights[i].shape[1]
    ]


def _regular(power: Tensor, y: Tensor, plan: Layout) -> Tensor:
    """The long window's frames, every other one: in between, the mean of their neighbours."""
    frames = 1 + y.shape[-1] // plan.hop
    between = (power[..., :-1] + power[..., 1:]) / 2
    between = torch.cat([between, power[..., -1:]], -1)
    return torch.stack([power, between], -1).flatten(-2)[..., :frames]
