"""What another instrument, room, microphone and noise would have made of a log-mel spectrogram."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NAPIERS_A_DECIBEL = math.log(10) / 10  # the spectrograms are natural logarithms of energies
_SILENT = -18.0  # logarithm of the energy where nothing sounds


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for a batch, one value or curve a clip; :func:`apply` does it, as often as is wished.

    Attributes
    ----------
    shift, stretch : Tensor, shape (batch,)
        The bands are moved by ``shift`` and stretched by ``stretch``: other pitch, other size of the body.
    colour : Tensor, shape (batch, bands)
        Added: an equaliser, the slope of a microphone, limits of the band. In natural logarithms.
    noise : Tensor, shape (batch, bands, frames)
        Logarithm of the energy of a noise that is mixed in.
    masks : Tensor of bool, shape (batch, bands, frames)
        What is blotted out.
    """

    shift: Tensor
    stretch: Tensor
    colour: Tensor
    noise: Tensor
    masks: Tensor


def draw(batch: int, bands: int, frames: int, *, generator: torch.Generator) -> Augmentation:
    """Draw an augmentation for each clip of a batch; :func:`apply` does what was drawn.

    The colouring is a random curve through 8 points (up to about 6 dB), a slope (up to 20 dB from end to
    end) and, for half of the clips, an upper and a lower limit: no two recordings share their microphone and
    room (Nam et al. 2022 colour bands likewise). The blots are those of SpecAugment (Park et al. 2019): some
    bands and a stretch of time.

    Parameters
    ----------
    batch, bands, frames : int
        Shape of the spectrograms.
    generator : torch.Generator
        Where all chance comes from.

    References
    ----------
    Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition",
    Interspeech 2019.
    Nam, Kim and Park, "FilterAugment: an acoustic environmental data augmentation method", ICASSP 2022.

    Examples
    --------
    >>> drawn = draw(2, 24, 10, generator=torch.Generator().manual_seed(0))
    >>> tuple(apply(torch.zeros(2, 24, 10), drawn).shape)
    (2, 24, 10)
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    band = torch.arange(bands, dtype=torch.float32)
    place = torch.linspace(-1, 1, bands)
    points = torch.randn(batch, 1, 8, generator=generator) * uniform(0, 6.4)[:, None, None]
    curve = functional.interpolate(points, bands, mode="linear", align_corners=True)[:, 0]
    slope = uniform(-10, 10)[:, None] * place
    upper = bands * (1 - 0.4 * uniform(0, 1).square())
    lower = bands / 8 * uniform(0, 1).pow(3)
    beyond = 2.6 * (band - upper[:, None]).clamp(min=0) + 1.3 * (lower[:, None] - band).clamp(min=0)
    limited = (uniform(0, 1) < 0.5).float()[:, None]
    colour = (curve + slope - beyond * limited) * NAPIERS_A_DECIBEL

    level = torch.where(uniform(0, 1) < 0.6, uniform(-9.5, -1.5), torch.full((batch,), _SILENT))
    hiss = level[:, None] + uniform(-2.6, 1.4)[:, None] * place
    drawn = torch.empty(batch, bands, frames).exponential_(generator=generator)
    noise = hiss[..., None] + 0.6 * drawn.clamp(min=1e-3).log()

    masks = torch.zeros(batch, bands, frames, dtype=torch.bool)
    for axis, size, most in ((1, bands, bands * 0.15), (2, frames, frames * 0.2)):
        width = uniform(0, most)
        start = uniform(0, 1) * (size - width)
        at = torch.arange(size, dtype=torch.float32)[None]
        within = (at >= start[:, None]) & (at < (start + width)[:, None])
        masks |= within[:, :, None] if axis == 1 else within[:, None, :]
    return Augmentation(uniform(-3, 3), uniform(0.95, 1.05), colour, noise, masks)


def apply(spectrogram: Tensor, augmentation: Augmentation) -> Tensor:
    """The spectrograms, natural logarithms of shape (batch, bands, frames), changed as was drawn."""
    x = _moved(spectrogram, augmentation.shift, augmentation.stretch)
    x = torch.logaddexp(x + augmentation.colour[..., None], augmentation.noise)
    return torch.where(augmentation.masks, x.mean((1, 2), keepdim=True), x)


def _moved(x: Tensor, shift: Tensor, stretch: Tensor) -> Tensor:
    """Bands read at other places, between two of them by a straight line; the outermost go on beyond."""
    bands = x.shape[1]
    place = torch.arange(bands, dtype=x.dtype)[None] * stretch[:, None] + shift[:, None]
    place = place.clamp(0, bands - 1)
    under = place.floor().long().clamp(max=bands - 2)
    share = (place - under)[..., None]
    over = under + 1
    low = x.gather(1, under[..., None].expand_as(x))
    return low * (1 - share) + x.gather(1, over[..., None].expand_as(x)) * share
