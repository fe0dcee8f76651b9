"""A victim that hears nothing but how loud each band is, and the least change by gains that moves it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.autograd.functional import jacobian

from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.victims.victim import Hearing, TorchVictim

SR, SAMPLES, BANDS = 8000, 4000, 6


class BandLevels(TorchVictim):
    """Scores linear in the log-powers of equally wide bands.

    ``shown`` is added to the scores that it gives, not to those that it decides by.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, *, scale: float = 1.0, shown: Tensor | None = None
    ) -> None:
        super().__init__()
        self.weight, self.bias, self.scale = weight, bias, scale
        self.shown = torch.zeros_like(bias) if shown is None else shown
        self.labels = tuple(f"label{i}" for i in range(len(bias)))
        self.sample_rate = SR

    def decisions(self, y: Tensor) -> Tensor:
        power = torch.fft.rfft(y.double())[:, 1:].abs().square()
        bands = power[:, : power.shape[1] // 8 * 8].reshape(len(y), 8, -1).mean(2)
        return (bands + 1e-12).log() @ self.weight.T + self.bias

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        scores = self.decisions(y)
        given = self.scale * (scores + self.shown)
        return Hearing(given, scores.argmax(1), given.softmax(1) if probabilities else None)


def sound(seed: int = 0) -> Tensor:
    """Half a second of noise whose bands and moments are not equally loud, shape (1, SAMPLES)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, SAMPLES, generator=generator, dtype=torch.float64)
    tilt = torch.fft.irfft(torch.fft.rfft(noise) / torch.linspace(1, 12, SAMPLES // 2 + 1), SAMPLES)
    swell = 0.2 + torch.linspace(0, 9, SAMPLES, dtype=torch.float64).sin().square()
    return (0.05 * swell * tilt / tilt.std()).float()


def victim(labels: int = 3, *, seed: int = 1, **how: object) -> BandLevels:
    """Of so many labels, the clip of :func:`sound` not far from several boundaries."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(labels, 8, generator=generator, dtype=torch.float64) / 3
    plain = BandLevels(weight, torch.zeros(labels, dtype=torch.float64))
    # The clip is heard as label 0, the others as far behind as half a neper or so makes up for.
    bias = torch.linspace(0, -0.5, labels, dtype=torch.float64) - plain.decisions(sound())[0]
    return BandLevels(weight, bias, **how)  # type: ignore[arg-type]


@cache
def least(label: int, labels: int = 3, *, away: bool = False, noise: bool = False) -> float:
    """L2 norm of the least change in the subspace that reaches a label (or leaves it), by sequential
    quadratic programming with exact slopes, from several starts: the duels bend, though but little.
    """
    other, y = victim(labels), sound().double()
    space = Subspace(y, sr=SR, bands=BANDS, noise=noise)
    row = torch.zeros(1, dtype=torch.long)

    def price(numbers: Tensor) -> Tensor:
        return 1e3 * space.render(numbers[None], row).square().sum()

    def leads(numbers: Tensor) -> Tensor:
        scores = other.decisions(y + space.render(numbers[None], row))[0]
        rest = torch.cat([scores[:label], scores[label + 1 :]])
        return rest - scores[label] if away else scores[label] - rest

    def solved(which: list[int], start: np.ndarray) -> float:
        wins = {
            "type": "ineq",
            "fun": lambda u: leads(torch.from_numpy(u))[which].numpy(),
            "jac": lambda u: jacobian(lambda v: leads(v)[which], torch.from_numpy(u)).numpy(),
        }
        found = minimize(
            lambda u: float(price(torch.from_numpy(u))),
            start,
            jac=lambda u: jacobian(price, torch.from_numpy(u)).numpy(),
            constraints=wins,
            method="SLSQP",
            options={"maxiter": 60},
        )
        there = torch.from_numpy(found.x)
        good = bool((leads(there)[which] >= -1e-6).all())
        return float(space.render(there[None], row).norm()) if good else np.inf

    every = list(range(labels - 1))
    starts = [0.5 * np.random.default_rng(turn).standard_normal(space.size) for turn in range(4)]
    return min(
        solved(which, start) for which in ([[j] for j in every] if away else [every]) for start in starts
    )
