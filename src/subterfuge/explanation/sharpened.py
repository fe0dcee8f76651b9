"""Decisive parts by search: from the largest attributions to cells that are enough alone, and missed if gone.

Attributions say what each cell is worth while all others are there; which fifth of a clip is still heard
alike when the rest is turned down is another question, and is put to the victim itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from subterfuge.explanation.cells import Grid, back, transform
from subterfuge.explanation.evidence import Evidence
from subterfuge.explanation.parts import DEPTH_DB, decisive, mask, split

STEPS = 24
_RATE = 0.8
# Log-odds that are aimed at: about nine to one for the parts alone, and against the label in the rest.
_ENOUGH = 4.0
_AREA = 30.0
_DEEPEST = 120.0  # dB: nothing, for all that anybody hears


def sharpened(
    heard: Evidence,
    y: Tensor,
    attribution: Tensor,
    *,
    share: float,
    grid: Grid,
    steps: int = STEPS,
    depth_db: float = DEPTH_DB,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, int]:
    """The share of cells by which the victim hears the label best, and without which it hears it least.

    Weights between 0 and 1, one a cell, climb the evidence in the parts alone less that in the rest, while
    their sorted values are drawn to those of a mask that keeps just the share. The cells with the largest
    weights are then chosen, if the victim indeed tells them apart better than those of the attribution.

    Parameters
    ----------
    heard : Evidence
        Of a victim with gradients.
    y : Tensor, shape (1, samples)
    attribution : Tensor, shape (bands, moments)
    share : float
    grid : Grid
    steps : int
    depth_db : float
        How far what is left out is turned down.
    progress : callable, optional

    Returns
    -------
    chosen : Tensor of bool, shape (bands, moments)
    queries : int
        Forward ones; but for the last four, as many are backward.

    References
    ----------
    Fong and Vedaldi, "Interpretable explanations of black boxes by meaningful perturbation", ICCV 2017.
    Fong, Patrick and Vedaldi, "Understanding deep networks via extremal perturbations and smooth masks",
    ICCV 2019 (the area by sorted weights, eq. 3).
    """
    sr = heard.victim.sample_rate
    depth_db = min(depth_db, _DEEPEST)
    spectra = transform(y.double(), sr)
    start = decisive(attribution, share)
    # Near a half, so that the search may change its mind; higher where the attribution is.
    rank = attribution.flatten().argsort().argsort().reshape(attribution.shape).double() / attribution.numel()
    logits = (2.0 * (rank - (1 - share)) / 0.5).clamp(-1.5, 1.5).to(y.device).requires_grad_(True)
    wanted = torch.zeros(attribution.numel(), dtype=torch.float64, device=y.device)
    wanted[: max(1, round(share * len(wanted)))] = 1.0
    optimiser = torch.optim.Adam([logits], lr=_RATE)
    for number in range(steps):
        weights = logits.sigmoid()
        inside = mask(weights, spectra.shape[1], spectra.shape[2], sr, grid)
        # In decibels, as most victims hear: a weight of a half is half of the way down.
        gains = [10 ** (-depth_db / 20 * (1 - inside)), 10 ** (-depth_db / 20 * inside)]
        pair = torch.cat([back(spectra * gain, y.shape[1], sr) for gain in gains]).to(y.dtype)
        only, without = heard(pair)
        off = (_ENOUGH - only).clamp(min=0) + (without + _ENOUGH).clamp(min=0)
        sizes = weights.flatten().sort(descending=True).values
        loss = off + _AREA * (1 + number / steps) * (sizes - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if progress is not None:
            progress(number + 1, steps)
    found = decisive(logits.detach().sigmoid(), share)
    with torch.no_grad():
        told = []
        for chosen in (start, found):
            pair = torch.cat(split(y, chosen, sr=sr, grid=grid, depth_db=depth_db)).to(y.dtype)
            only, without = heard(pair).tolist()
            told.append(min(only, _ENOUGH) - max(without, -_ENOUGH))
    return (found if told[1] > told[0] else start), 2 * steps + 4
