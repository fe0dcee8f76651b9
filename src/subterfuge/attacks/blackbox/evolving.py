"""What the evolutionary searches share: numbers of one clip, a beginning, and who is fitter than whom."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer
from subterfuge.attacks.blackbox.decide import Descent
from subterfuge.attacks.blackbox.prices import Prices
from subterfuge.attacks.blackbox.subspace import Subspace

Array = NDArray[np.float64]

# How far in bands gains are alike at first, and queries, and share of the steps, that go into a beginning.
_REACH, _ALONE, _SEEK, _SHARE = 2.0, 0.3, 40, 0.15


class Numbers:
    """Gains of bands and levels of noise under what the clip masks, as numbers of like importance.

    Parameters
    ----------
    y : Tensor, shape (1, samples)
    sr : float
        In Hz.
    seed : int
    bands, times : int, optional
        See :class:`~subterfuge.attacks.blackbox.subspace.Subspace`.

    Attributes
    ----------
    size : int
        How many numbers: a gain and a level of noise for each band and stretch of time.

    Notes
    -----
    A number is about the L2 norm of what its gain, or its noise, changes: steps of one length cost the same
    in any direction, and what is cheap is tried out boldly. Neighbouring bands change alike, since the
    numbers are multiplied by a root of their likeness: that moves averaged spectra.

    Examples
    --------
    >>> y = torch.randn(1, 22050, generator=torch.Generator().manual_seed(0)) / 10
    >>> numbers = Numbers(y, sr=22050, seed=0, bands=10)
    >>> numbers.size, numbers.deltas(np.zeros((3, 20))).shape
    (20, torch.Size([3, 22050]))
    """

    def __init__(self, y: Tensor, *, sr: float, seed: int, bands: int | None = None, times: int = 1) -> None:
        self.y, self.seed = y, seed
        self.gains = Subspace(y, sr=sr, bands=bands, times=times, seed=seed)
        self.space = Subspace(y, sr=sr, bands=bands, times=times, noise=True, seed=seed)
        self.size = self.space.size
        self.prices = Prices(self.gains, 0)
        self.grid = self.prices.first + self.prices.step * np.arange(self.prices.logs.shape[-1])
        # Strictly growing, to be read backwards.
        self.logs = np.maximum.accumulate(self.prices.logs, -1) + 1e-9 * np.arange(len(self.grid))
        assert self.space.whisper is not None
        faint = self.space.whisper[0].abs().square()
        power = (self.space.shape[0] @ faint.T @ self.space.shape[1].T).flatten().double().numpy()
        self.noise = np.sqrt(np.maximum(power, 1e-30))
        place = np.arange(self.space.bands)
        alike = np.exp(-np.square((place[:, None] - place) / _REACH) / 2) + _ALONE * np.eye(len(place))
        self.root = np.linalg.cholesky(np.kron(alike / (1 + _ALONE), np.eye(self.space.times)))
        # From lengths of spectra to those of samples, as measured: neighbouring bands fade into each other.
        half = self.size // 2
        self.units = np.ones(2)
        for part in (0, 1):
            trial = np.zeros((1, self.size))
            trial[0, part * half : (part + 1) * half] = np.where(np.arange(half) % 2, -1e-3, 1e-3)
            length = float(np.linalg.norm(self.spread(trial)))
            self.units[part] = length / max(float(self.deltas(trial).norm()), 1e-9 * length)

    def spread(self, numbers: Array) -> Array:
        """What each band's gain and noise is long, shape (n, size), of numbers of that shape."""
        half = self.size // 2
        return np.concatenate([numbers[:, :half] @ self.root.T, numbers[:, half:] @ self.root.T], 1)

    def deltas(self, numbers: Array) -> Tensor:
        """Perturbations, shape (n, samples), of numbers, shape (n, size)."""
        half = self.size // 2
        spread = self.spread(numbers)
        lengths = self.units[0] * spread[:, :half]
        logs = 2 * np.log(np.abs(lengths) + 1e-30)
        multipliers = np.empty_like(lengths)
        for k in range(half):
            for side, which in enumerate((lengths[:, k] >= 0, lengths[:, k] < 0)):
                multipliers[which, k] = np.exp(np.interp(logs[which, k], self.logs[side, k], self.grid))
        rows = torch.zeros(len(numbers), dtype=torch.long)
        gains = self.space.gains_of(torch.from_numpy(np.copysign(multipliers, lengths)), rows)
        levels = torch.from_numpy(self.units[1] * spread[:, half:] / self.noise)
        return self.space.render(torch.cat([gains, levels], 1), rows)

    def begin(
        self, start: Tensor | None, clips: tuple[Tensor, ...], steps: int
    ) -> Generator[Tensor, Answer, Array]:
        """Numbers to begin with: of the shortest change that a short search with labels finds, or zeros."""
        search = Descent(self.gains, 0, self.y[0], self.seed, steps)
        talk = search.talk(start, clips)
        asked = next(talk)
        for _ in range(max(1, round(min(_SEEK, _SHARE * steps)))):
            answer = yield asked
            asked = talk.send(answer)
        half = self.size // 2
        if search.best is None:
            return np.zeros(self.size)
        lengths = np.sqrt(self.prices.each(search.best)) / self.units[0]
        return np.concatenate([np.linalg.solve(self.root, np.copysign(lengths, search.best)), np.zeros(half)])

    def scale(self, numbers: Array) -> float:
        """How far apart numbers should be at first: a share of what they are, or of the clip."""
        whole = float(np.linalg.norm(numbers)) or 0.1 * float(self.space.clip_norm[0])
        return whole / math.sqrt(self.size)


class Fitness:
    """Short and reached is fit; what is not reached pays for the margin that it lacks.

    Its weight follows the share of each generation that is reached, so that the population stays about the
    boundary. Ranks alone are used of it, and no scale of the scores matters.

    Attributes
    ----------
    weight : float
        Nepers of length that lacking a whole spread of the margin costs.
    """

    def __init__(self) -> None:
        self.weight, self.spread = 4.0, 0.0

    def of(self, answer: Answer) -> Array:
        """The smaller the fitter, shape (candidates,); and the weight of the next generation's."""
        margin = np.nan_to_num(answer.margin.cpu().numpy().astype(np.float64), posinf=1e30, neginf=-1e30)
        reached, distance = answer.reached.numpy(), answer.distance.numpy().astype(np.float64)
        spread = float(np.median(np.abs(margin - np.median(margin)))) + 1e-300
        self.spread = spread if self.spread == 0 else self.spread**0.8 * spread**0.2
        # Reached or not is the truth, whatever the sign of the margin; being on the wrong side costs, too.
        lacking = np.where(reached, 0.0, 0.2 + np.maximum(0.0, -margin) / self.spread)
        found = np.log(distance + 1e-30) + self.weight * lacking
        share = float(reached.mean())
        self.weight = float(np.clip(self.weight * np.exp(0.8 * (0.4 - share)), 0.05, 50.0))
        return np.asarray(found)
