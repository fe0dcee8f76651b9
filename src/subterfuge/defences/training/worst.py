"""The worst that a change of a stated size does to a victim's hearing: what adversarial training fears."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from subterfuge.attacks.whitebox.steps import heading, lengths, place, project
from subterfuge.errors import SubterfugeError


def radius_at(y: Tensor, snr_db: float) -> Tensor:
    """Length of a change at a signal-to-noise ratio, shape (batch,).

    Raises
    ------
    SubterfugeError
        If the ratio is none.

    Examples
    --------
    >>> radius_at(torch.tensor([[3.0, 4.0]]), 20.0)
    tensor([0.5000])
    """
    if not -40 <= snr_db <= 200:
        raise SubterfugeError(f"snr_db: got {snr_db}, expected -40 to 200")
    return 10 ** (-snr_db / 20) * lengths(y)


def worst(
    loss: Callable[[Tensor], Tensor],
    y: Tensor,
    *,
    snr_db: float,
    steps: int = 10,
    seed: int = 0,
    begin: float = 0.0,
) -> Tensor:
    """Where a loss is greatest within a ball about each clip, by projected gradient ascent.

    No step ends it early: what is sought is not the nearest clip that is misheard but the worst, of all that
    were passed.

    Parameters
    ----------
    loss : callable
        Of clips, shape (batch, samples), one number a row; rows are on their own.
    y : Tensor, shape (batch, samples)
    snr_db : float
        Of a change on the sphere.
    steps : int
        Gradients.
    seed : int
        Of the direction where there is no slope, and of the first one.
    begin : float
        Radii from the clip to begin at, in a direction by chance (a divergence has no slope at the clip).

    References
    ----------
    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.

    Examples
    --------
    >>> y = torch.tensor([[0.5, 0.0]])
    >>> worst(lambda x: x.sum(1), y, snr_db=20.0).round(decimals=3)  # a step of 0.05 along (1, 1)
    tensor([[0.5350, 0.0350]])
    """
    if steps < 1:
        raise SubterfugeError(f"steps: got {steps}, expected a whole number from 1 up")
    radius = radius_at(y, snr_db)
    x = y
    if begin:
        x = place(y, begin * radius[:, None] * heading(torch.zeros_like(y), seed, 0))
    found, most = x, torch.full_like(radius, -torch.inf)
    for step in range(steps):
        leaf = x.detach().requires_grad_()
        value = loss(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        found, most = _greater(found, most, leaf.detach(), value.detach())
        move = 2.5 / steps * radius[:, None] * heading(slope, seed, step + 1)
        x = place(y, project(x.detach() + move - y, radius, 2.0))
    with torch.no_grad():
        return _greater(found, most, x, loss(x))[0]


def _greater(found: Tensor, most: Tensor, x: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the one of greater loss, the later one where they are alike."""
    better = value >= most
    return torch.where(better[:, None], x, found), torch.where(better, value.to(most), most)
