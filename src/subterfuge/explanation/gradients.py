"""The gradient of a function that tells one number a row, and what a row's own values times it amount to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def gradient(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a function and its gradients, row by row.

    Parameters
    ----------
    function : callable
        Takes (batch, n), gives (batch,); rows never influence each other.
    x : Tensor, shape (batch, n)

    Returns
    -------
    values : Tensor, shape (batch,)
    gradients : Tensor, shape (batch, n)
        Zeros where the function does not depend on ``x``.

    Examples
    --------
    >>> gradient(lambda x: x.square().sum(1), torch.tensor([[1.0, 2.0]]))[1].tolist()
    [[2.0, 4.0]]
    """
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        values = function(x)
        if not values.requires_grad:
            return values.detach(), torch.zeros_like(x)
        (slope,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), slope


def gradient_times_value(function: Function, x: Tensor, *, baseline: Tensor | None = None) -> Tensor:
    """Gradient at ``x`` times what ``x`` is above a baseline: its share, were the function linear.

    Parameters
    ----------
    function : callable
    x : Tensor, shape (batch, n)
    baseline : Tensor, shape (batch, n) or (n,), optional
        Zeros by default.

    References
    ----------
    Shrikumar, Greenside and Kundaje, "Learning important features through propagating activation
    differences", ICML 2017.
    """
    return gradient(function, x)[1] * (x if baseline is None else x - baseline)
