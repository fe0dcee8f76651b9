"""What cannot be heard beside a clip: a psychoacoustic model, by critical band and by time.

The model is that of the perceptual coders, put together from the literature: half-Bark bands, tones and noise
told apart, each spread over its neighbours by slopes that depend on its level, the threshold in quiet
beneath, and masking that goes on after a sound has ended. What it does otherwise than the models that
attacks on audio have used so far:

- powers are compared **within a critical band**: a threshold that is compared bin by bin lets everything that
  the ear adds up within a band through at the threshold of each bin;
- the threshold in quiet is **capped** where its formula explodes (160 dB at 20 kHz);
- levels are sound pressure levels at a **playback level** that is stated, not relative to the loudest peak;
- the windows are short where the ear is quick, so that nothing is hidden **before** what masks it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from subterfuge.audibility.analysis import frame_times, half_band_maskers, half_band_power, layout
from subterfuge.audibility.bands import MOST_IN_QUIET, CriticalBands, critical_bands, hertz
from subterfuge.errors import SubterfugeError

__all__ = [
    "LEVEL",
    "CriticalBands",
    "band_power",
    "critical_bands",
    "frame_times",
    "masking_threshold",
    "noise_to_mask",
]

# Level in dB SPL at which a sine of full scale is played: the default of ITU-R BS.1387.
LEVEL = 92.0

# A masker's level in dB above what it masks in its own critical band: noise, and tones (to which the band's
# critical-band rate is added): Painter and Spanias 2000, eqs. 22 and 24; Johnston 1988.
NOISE_MASKS, TONE_MASKS = 5.5, 14.5
# Terhardt 1979: slopes in dB a Bark, below a masker and above it (there: 24 + 0.23 kHz / f - 0.2 L).
_BELOW, _ABOVE, _ABOVE_LOW, _ABOVE_LEVEL = 27.0, 24.0, 230.0, 0.2
# Slopes are worked out at these levels, in dB SPL, and in between their effects are mixed: never less than
# the formula gives, and by less than 2 dB more (every 20 dB it would be 5).
_LEVELS = tuple(range(0, 101, 10))
# So many frames (24 s) are spread at once, so that length costs no more memory than it must.
_FRAMES = 4096
# Masking after a masker: whole for 5 ms, then less with the logarithm of time, gone after 200 ms
# (Zwicker and Fastl, "Psychoacoustics", 3rd edition, 2007, section 4.4.2).
_HOLD, _GONE = 0.005, 0.2


def band_power(y: Tensor, *, sr: float) -> Tensor:
    """Mean square of a signal within each critical band, frame by frame.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (batch, samples)
    sr : float
        Sample rate in Hz.

    Returns
    -------
    Tensor, shape (batch, bands, frames)
        Bands of :func:`critical_bands` at the times of :func:`frame_times`. A sine of amplitude ``A`` gives
        ``A**2 / 2`` in the bands around it.

    Raises
    ------
    SubterfugeError
        If ``y`` is not a batch of audio.

    Examples
    --------
    >>> y = torch.sin(2 * torch.pi * 1000 * torch.arange(44100) / 44100)[None]
    >>> band_power(y, sr=44100)[0, :, 60].amax().round(decimals=2).item()
    0.5
    """
    return _pairs(half_band_power(_checked(y), sr=sr))


def masking_threshold(
    y: Tensor, *, sr: float, level: float = LEVEL, quiet_at_most: float = MOST_IN_QUIET
) -> Tensor:
    """The power in each critical band that is just not heard beside ``y``.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (batch, samples)
        Audio in [-1, 1].
    sr : float
        Sample rate in Hz.
    level : float
        Level in dB SPL at which a sine of full scale is played. Scaling ``y`` and lowering the level by as
        much changes nothing but the unit.
    quiet_at_most : float
        Where the threshold in quiet is held, in dB SPL.

    Returns
    -------
    Tensor, shape (batch, bands, frames)
        Positive, in the unit of :func:`band_power`.

    Raises
    ------
    SubterfugeError
        If ``y`` is not a batch of audio or the level not a number.

    References
    ----------
    ISO/IEC 11172-3:1993, annex D, psychoacoustic model 1. Painter and Spanias, "Perceptual coding of digital
    audio", Proc. IEEE 88(4), 2000. Bosi and Goldberg, "Introduction to digital audio coding and standards",
    2003, chapter 7. Terhardt, "Calculating virtual pitch", Hearing Research 1(2), 1979.

    Examples
    --------
    Beside a tone at 1 kHz its own band hides more than one three octaves up:

    >>> y = 0.1 * torch.sin(2 * torch.pi * 1000 * torch.arange(44100) / 44100)[None]
    >>> hidden = masking_threshold(y, sr=44100)[0, :, 60]
    >>> near, far = (critical_bands(44100).centre - torch.tensor([[1000.0], [8000.0]])).abs().argmin(1)
    >>> bool(hidden[near] > 100 * hidden[far])
    True
    """
    if not math.isfinite(level):
        raise SubterfugeError(f"level: got {level}, expected a number of dB SPL")
    power, tones = half_band_maskers(_checked(y), sr=sr)
    spread, offsets = _spreading(sr, y.dtype, y.device)
    full = 10 ** (level / 10) * 2  # a mean square of one, in units of the threshold of 0 dB SPL
    masks = power * (tones * offsets[:, None] + (1 - tones) * 10 ** (-NOISE_MASKS / 10))
    bands = critical_bands(sr)
    quiet = (10 ** (bands.quiet.clamp(max=quiet_at_most) / 10) / full).to(y)[:, None]
    maskers = zip(torch.split(full * power, _FRAMES, -1), torch.split(masks, _FRAMES, -1), strict=True)
    masked = torch.cat([_spread(loudness, part, spread) for loudness, part in maskers], -1)
    # How far above the quiet, in nepers: masking fades with time in proportion to that.
    above = torch.log1p(masked / quiet)
    return quiet * _after(above, layout(sr, y.dtype, y.device).hop / sr).exp()


def noise_to_mask(original: Tensor, changed: Tensor, *, sr: float, level: float = LEVEL) -> Tensor:
    """Power of a perturbation in each critical band as a multiple of what the clip masks there.

    Parameters
    ----------
    original, changed : Tensor, shape (batch, samples)
    sr : float
    level : float
        See :func:`masking_threshold`.

    Returns
    -------
    Tensor, shape (batch, bands, frames)
        The noise-to-mask ratio of ITU-R BS.1387 as a ratio: 1 (0 dB) is just not heard.

    Examples
    --------
    >>> y = torch.randn(1, 22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> bool((noise_to_mask(y, 1.01 * y, sr=22050) < 1).all())
    True
    """
    return band_power(changed - original, sr=sr) / masking_threshold(original, sr=sr, level=level)


def _checked(y: Tensor) -> Tensor:
    if y.ndim != 2:
        raise SubterfugeError(f"masking: got audio of shape {tuple(y.shape)}, expected (batch, samples)")
    return y


def _pairs(half: Tensor) -> Tensor:
    return half[..., :-1, :] + half[..., 1:, :]


def _spread(loudness: Tensor, masks: Tensor, spread: Tensor) -> Tensor:
    """What maskers add up to in each critical band, shape (batch, bands, frames).

    ``loudness`` and ``masks``, shape (batch, maskers, frames), are the maskers' powers (1: 0 dB SPL) and
    what they mask in their own bands; each goes to the two levels next to its own, in shares.
    """
    step = (_LEVELS[1] - _LEVELS[0]) * math.log(10) / 10
    place = (loudness.clamp(min=1.0).log() / step).clamp(max=len(_LEVELS) - 1 - 1e-4)
    lower = place.detach().floor()
    share = place - lower
    rows, maskers, frames = masks.shape
    level = lower.long().clamp(0, len(_LEVELS) - 2)  # of what is no number, too
    at = level * maskers + torch.arange(maskers, device=masks.device)[:, None]
    parts = torch.cat([(1 - share) * masks, share * masks], 1)
    parts = parts.new_zeros(rows, len(_LEVELS) * maskers, frames).scatter(
        1, torch.cat([at, at + maskers], 1), parts
    )
    return spread @ parts


@lru_cache(maxsize=16)
def _spreading(sr: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """How much of each half-Bark masker reaches each critical band; and what tones lose.

    The first of shape (bands, levels * maskers), scaled so that a masker's own critical band gets all of it
    at 60 dB and 1 kHz.
    """
    bands = critical_bands(sr)
    place = torch.arange(len(bands.rate) + 1, dtype=torch.float64) / 2 + 0.25
    hz = torch.from_numpy(hertz(place.numpy())).clamp(min=50.0)
    distance = bands.rate[:, None] - place
    own = _reach(torch.tensor([0.25, -0.25]), 60.0, torch.tensor([1000.0, 1000.0])).mean()
    spread = torch.cat([_reach(distance, level, hz) / own for level in _LEVELS], 1)
    spread[spread < 1e-20] = 0.0  # nothing; but numbers that are too small for float32 are slow
    return spread.to(device, dtype), (10 ** (-(TONE_MASKS + place) / 10)).to(device, dtype)


def _reach(distance: Tensor, level: float, hz: Tensor) -> Tensor:
    """Share of a masker at ``hz`` that is left at a distance in Bark."""
    above = (_ABOVE + _ABOVE_LOW / hz - _ABOVE_LEVEL * level).clamp(min=3.0)
    drop = torch.where(distance < 0, -_BELOW * distance, above * distance)
    return torch.as_tensor(10 ** (-drop / 10))


def _after(above: Tensor, hop: float) -> Tensor:
    """What is masked at each frame by it and by those before, in the unit of ``above``."""
    frames = above.shape[-1]
    lags = range(1, min(frames, math.ceil(_GONE / hop)))
    left = [1 - math.log(max(lag * hop / _HOLD, 1.0)) / math.log(_GONE / _HOLD) for lag in lags]
    with torch.no_grad():
        most = above.clone()
        since = torch.zeros_like(above, dtype=torch.int64)
        for lag, part in zip(lags, left, strict=True):
            past = part * above[..., : frames - lag]
            now = most[..., lag:]
            if above.requires_grad:
                since[..., lag:].masked_fill_(past > now, lag)
            torch.maximum(now, past, out=now)
    if not above.requires_grad:
        return most
    # The same once more, from where it was found: one gather has a gradient that costs next to nothing.
    kept = above.new_tensor([1.0, *left])
    return kept[since] * above.gather(-1, torch.arange(frames, device=above.device) - since)
