"""The clip with only its decisive parts, and without them: cells kept or turned down."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.cells import Grid, back, transform, window_size

DEPTH_DB = 30.0


def decisive(attribution: Tensor, share: float) -> Tensor:
    """Which cells speak most for the label: the ``share`` of all that has the largest attributions.

    Cells are half a Bark high and equally long, so that a share of them is one of the plane as the ear has
    it. Those that speak against the label, or say nothing, are never among them, so there may be fewer.

    Parameters
    ----------
    attribution : Tensor, shape (bands, moments)
    share : float
        Between 0 and 1.

    Returns
    -------
    Tensor of bool, shape (bands, moments)

    Examples
    --------
    >>> decisive(torch.tensor([[0.5, -2.0], [1.0, 0.1]]), 0.5).tolist()
    [[True, False], [True, False]]
    """
    if not 0 < share < 1:
        raise SubterfugeError(f"share: got {share:g}, expected a number between 0 and 1")
    flat = attribution.flatten()
    wanted = max(1, round(share * len(flat)))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.argsort(descending=True, stable=True)[:wanted]] = True
    return (chosen & (flat > 0)).reshape(attribution.shape)


def split(
    y: Tensor, chosen: Tensor, *, sr: int, grid: Grid, depth_db: float = DEPTH_DB
) -> tuple[Tensor, Tensor]:
    """A sound with only the chosen cells, and without them; the two add up to a little more than the sound.

    Parameters
    ----------
    y : Tensor, shape (channels, samples)
        At any rate: cells are places in Hz and seconds.
    chosen : Tensor of bool, shape (bands, moments)
    sr : int
    grid : Grid
    depth_db : float
        How far what is left out is turned down; ``math.inf`` for altogether.

    Returns
    -------
    only, without : Tensor of float64, shape (channels, samples)
    """
    spectra = transform(y.double(), sr)
    gain = mask(chosen, spectra.shape[1], spectra.shape[2], sr, grid)
    kept = back(spectra * gain, y.shape[1], sr)
    rest = y.double() - kept
    floor = 10 ** (-depth_db / 20) if math.isfinite(depth_db) else 0.0
    return kept + floor * rest, rest + floor * kept


def mask(chosen: Tensor, bins: int, frames: int, sr: int, grid: Grid) -> Tensor:
    """Weights of bins and frames in [0, 1]; between the middles of moments they go straight."""
    n = window_size(sr)
    hz = torch.arange(bins, dtype=torch.float64) * sr / n
    band = torch.bucketize(hz, torch.tensor(grid.edges[1:-1], dtype=torch.float64), right=True)
    # What is higher than any band of the victim's is never decisive: it does not hear it.
    heard = (hz <= grid.edges[-1]).double()
    at = torch.arange(frames, dtype=torch.float64) * (n // 2) / sr / grid.seconds * grid.moments - 0.5
    at = at.clamp(0, grid.moments - 1)
    first = at.floor().long().clamp(max=max(0, grid.moments - 2))
    part = at - first
    rows = chosen.double().cpu()[band]
    after = rows[:, (first + 1).clamp(max=grid.moments - 1)]
    weights = rows[:, first] * (1 - part) + after * part
    return (weights * heard[:, None]).to(chosen.device)
