"""What the numbers of a score-based attack stand for: samples, or bands of the clip's own sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.prices import _STEPS, Prices
from subterfuge.attacks.blackbox.subspace import Subspace


@dataclass(frozen=True)
class Chart:
    """Numbers of one clip and the changes that they stand for.

    Attributes
    ----------
    size : int
        How many numbers.
    render : callable
        ``render(numbers)``: from shape (n, size) to changes of shape (n, samples), about as long as they.
    linear : bool
        Whether the change is in proportion to the numbers.
    """

    size: int
    render: Callable[[Tensor], Tensor]
    linear: bool


def samples_of(y: Tensor) -> Chart:
    """The samples of a clip (samples,) themselves."""
    return Chart(len(y), lambda numbers: numbers, linear=True)


def gains_of(y: Tensor, *, sr: float, bands: int | None = None, times: int = 1) -> Chart:
    """Gains of bands, as :class:`~subterfuge.attacks.blackbox.subspace.Subspace` has them, by length.

    Each number is the L2 norm, to a few dB, of what its gain adds (positive) or takes away, so that steps of
    one length in any direction make changes of about one length.

    Parameters
    ----------
    y : Tensor, shape (samples,)
    sr : float
    bands, times : int, optional
        Of the subspace.

    Examples
    --------
    >>> y = torch.randn(22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> chart = gains_of(y, sr=22050, bands=12)
    >>> lengths = chart.render(0.5 * torch.eye(12)).norm(dim=1)
    >>> bool((lengths > 0.25).all() and (lengths < 0.75).all())
    True
    """
    space, rows = Subspace(y[None], sr=sr, bands=bands, times=times), torch.zeros(1, dtype=torch.int64)
    prices = Prices(space, 0)
    grid = prices.first + prices.step * np.arange(_STEPS)
    # From squares of spectra to those of samples. Strictly growing, so that they can be read backwards.
    logs = prices.logs + np.log(2 / space.window) + 1e-9 * np.arange(_STEPS)

    def render(numbers: Tensor) -> Tensor:
        wanted = 2 * np.log(np.maximum(np.abs(numbers.double().cpu().numpy()), 1e-30))
        side = (numbers < 0).long().cpu().numpy()
        logarithms = np.empty_like(wanted)
        for k in range(space.size):
            for down in (0, 1):
                mine, table = side[:, k] == down, logs[down, k]
                inside = np.interp(wanted[mine, k], table, grid)
                # Below the table lengths are proportional to multipliers.
                logarithms[mine, k] = inside + np.minimum(0.0, wanted[mine, k] - table[0]) / 2
        multipliers = torch.copysign(torch.from_numpy(np.exp(logarithms)).to(numbers), numbers)
        index = rows.expand(len(numbers))
        return space.render(space.gains_of(multipliers, index), index)

    return Chart(space.size, render, linear=False)
