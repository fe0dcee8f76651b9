"""What a change by few numbers costs, in L2, known without asking: tables of each gain's price."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from subterfuge.attacks.blackbox.subspace import Subspace

Array = NDArray[np.float64]

# A price is tabled at so many multipliers, in nepers about the clip's mean power of a cell.
_LOW, _HIGH, _STEPS = -23.0, 16.0, 79


class Prices:
    """Squared lengths of one clip's changes in a subspace of gains, one table a gain and sign.

    As if each gain acted on cells of its own: neighbouring bands fade into each other, so that the sum is
    right to a decibel or so, and its slope to a few per cent.

    Parameters
    ----------
    space : Subspace
        Of gains alone.
    row : int
        Which of its clips.
    """

    def __init__(self, space: Subspace, row: int) -> None:
        self.space, self.rows = space, torch.tensor([row])
        self.first = float(space.middle[row]) + _LOW
        self.step = (_HIGH - _LOW) / (_STEPS - 1)
        power = space.power[row]
        tables = []
        for k in range(_STEPS):
            half = torch.asinh(2 * float(np.exp(self.first + k * self.step)) / power) / 2
            up, down = power * torch.expm1(half).square(), power * torch.expm1(-half).square()
            both = torch.stack([up, down])
            tables.append((space.shape[0] @ both.transpose(1, 2) @ space.shape[1].T).flatten(1))
        self.logs = torch.stack(tables, -1).clamp(min=1e-30).log().double().numpy()

    def each(self, gains: Array) -> Array:
        """Price of every gain, shape (size,) as ``gains``."""
        multipliers = self.space.multipliers(torch.from_numpy(gains)[None], self.rows)[0].double().numpy()
        size = np.abs(multipliers)
        place = (np.log(np.maximum(size, 1e-300)) - self.first) / self.step
        low = np.clip(np.floor(place), 0, _STEPS - 2).astype(int)
        side, which = (multipliers < 0).astype(int), np.arange(len(gains))
        below, above = self.logs[side, which, low], self.logs[side, which, low + 1]
        return np.where(size > 0, np.exp(np.minimum(below + (place - low) * (above - below), 80.0)), 0.0)

    def of(self, gains: Array) -> float:
        """Price of them all."""
        return float(self.each(gains).sum())

    def slopes(self, gains: Array, reach: float) -> Array:
        """What each gain's price grows by, over a span of ``reach`` to either side."""
        return (self.each(gains + reach) - self.each(gains - reach)) / (2 * reach)
