"""The mask of a spectral gate, smoothed over bands and frames with the tent of ``noisereduce``."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def smoothed(mask: Tensor, bands: int, frames: int) -> Tensor:
    """The mean over so many bands and frames either way, near ones counting more; closed beyond the edges.

    Two boxes one after the other are a tent, and their slope costs what they do, that of a convolution in two
    dimensions ten times as much.

    Parameters
    ----------
    mask : Tensor, shape (batch, bands, frames)
    bands, frames : int
        How far the tent reaches; 0 leaves an axis as it is.

    Examples
    --------
    >>> import torch
    >>> smoothed(torch.tensor([[[0.0, 0.0, 9.0, 0.0, 0.0, 0.0]]]), bands=0, frames=2)
    tensor([[[1., 2., 3., 2., 1., 0.]]])
    """
    return _along(_along(mask, frames).transpose(1, 2), bands).transpose(1, 2)


def _along(mask: Tensor, reach: int) -> Tensor:
    """Along the last axis."""
    if reach < 1:
        return mask
    wide = functional.pad(mask, (reach, reach))
    return functional.avg_pool1d(functional.avg_pool1d(wide, reach + 1, 1), reach + 1, 1)
