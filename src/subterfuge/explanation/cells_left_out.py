"""Attributions of a victim without gradients: what it misses of a clip without one block of cells."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from subterfuge.explanation.cells import Grid
from subterfuge.explanation.evidence import Evidence
from subterfuge.explanation.occlusion import DEPTH_DB, Progress
from subterfuge.explanation.parts import split

# Blocks along each side of the plane: so many queries as these together.
BLOCKS = (12, 12)


@torch.no_grad()
def occlude_cells(
    heard: Evidence,
    y: Tensor,
    *,
    grid: Grid,
    blocks: tuple[int, int] = BLOCKS,
    depth_db: float = DEPTH_DB,
    chunk: int = 8,
    progress: Progress | None = None,
) -> tuple[Tensor, int]:
    """Evidence lost without each block of cells, divided evenly among its cells.

    Parameters
    ----------
    heard : Evidence
    y : Tensor, shape (1, samples)
    grid : Grid
    blocks : tuple of int
        Blocks of bands, and of moments; no more than there are of these.
    depth_db : float
    chunk : int
    progress : callable, optional

    Returns
    -------
    attribution : Tensor of float64, shape (bands, moments)
    queries : int

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    """
    sr = heard.victim.sample_rate
    tall, wide = (
        torch.linspace(0, cells, min(number, cells) + 1).round().int().tolist()
        for number, cells in zip(blocks, (grid.bands, grid.moments), strict=True)
    )
    places = [(slice(a, b), slice(c, d)) for a, b in pairwise(tall) for c, d in pairwise(wide)]
    whole = float(heard(y)[0])
    out = torch.zeros(grid.bands, grid.moments, dtype=torch.float64)
    for first in range(0, len(places), chunk):
        some = places[first : first + chunk]
        clips = []
        for place in some:
            block = torch.zeros(grid.bands, grid.moments, dtype=torch.bool)
            block[place] = True
            clips.append(split(y, block, sr=sr, grid=grid, depth_db=depth_db)[1].to(y.dtype))
        for place, left in zip(some, heard(torch.cat(clips)).tolist(), strict=True):
            out[place] = (whole - left) / out[place].numel()
        if progress is not None:
            progress(min(first + chunk, len(places)), len(places))
    return out, len(places) + 1
