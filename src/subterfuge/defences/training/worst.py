"""The worst that a change of a stated size does to a victim's hearing: what adversarial training fears."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from subterfuge.attacks.whitebox.steps import place
from subterfuge.defences.training.ball import Ball
from subterfuge.errors import SubterfugeError


def worst(
    loss: Callable[[Tensor], Tensor],
    y: Tensor,
    *,
    within: Ball,
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
    within : Ball
        About the clips: :func:`subterfuge.defences.training.ball.sphere` or ``veil``.
    steps : int
        Gradients.
    seed : int
        Of the direction where there is no slope, and of the first one.
    begin : float
        Part of the way to the ball's surface to begin at, in a direction by chance (a divergence has no slope
        at the clip).

    References
    ----------
    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.

    Examples
    --------
    >>> from subterfuge.defences.training.ball import sphere
    >>> y = torch.tensor([[0.5, 0.0]])
    >>> within = sphere(y, snr_db=20.0)
    >>> worst(lambda x: x.sum(1), y, within=within).round(decimals=3)  # a step of 0.05 along (1, 1)
    tensor([[0.5350, 0.0350]])
    """
    if steps < 1:
        raise SubterfugeError(f"steps: got {steps}, expected a whole number from 1 up")
    x = y
    if begin:
        x = place(y, begin * within.step(torch.zeros_like(y), seed))
    found, most = x, y.new_full((len(y),), -torch.inf)
    for step in range(steps):
        leaf = x.detach().requires_grad_()
        value = loss(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        found, most = _greater(found, most, leaf.detach(), value.detach())
        move = 2.5 / steps * within.step(slope, seed + 7919 * (step + 1))
        x = place(y, within.held(x.detach() + move - y))
    with torch.no_grad():
        return _greater(found, most, x, loss(x))[0]


def _greater(found: Tensor, most: Tensor, x: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the one of greater loss, the later one where they are alike."""
    better = value >= most
    return torch.where(better[:, None], x, found), torch.where(better, value.to(most), most)
