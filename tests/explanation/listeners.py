"""Victims whose reasons are known: one that weighs samples, and ones that hear one band or one moment."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.victims.victim import Hearing, TorchVictim

RATE = 16000


class Weighing(TorchVictim):
    """Score of label 0 is ``w @ y``, of label 1 nothing: evidence is linear in the samples."""

    labels = ("heavy", "light")
    sample_rate = RATE

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        lean = (y.double() * self.weight.double()).sum(1)
        scores = torch.stack([lean, torch.zeros_like(lean)], 1)
        return Hearing(scores, scores.argmax(1))


class BandListener(TorchVictim):
    """Hears "there" where a band has more than a hundredth of full power; its evidence is that in nepers."""

    labels = ("there", "gone")
    sample_rate = RATE

    def __init__(self, low: float, high: float, *, differentiable: bool = True) -> None:
        super().__init__()
        self.low, self.high, self.differentiable = low, high, differentiable

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        y = y if self.differentiable else y.detach()
        spectrum = torch.fft.rfft(y.double())
        hz = torch.arange(spectrum.shape[1]) * RATE / y.shape[1]
        inside = ((hz >= self.low) & (hz < self.high)).double()
        power = (spectrum.abs().square() * inside).sum(1) * 2 / y.shape[1] ** 2
        logit = torch.log(power + 1e-30) - math.log(1e-2)
        scores = torch.stack([logit, torch.zeros_like(logit)], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class MomentListener(TorchVictim):
    """Hears "there" by the mean square between two instants."""

    labels = ("there", "gone")
    sample_rate = RATE

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.start, self.end = start, end

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        heard = y[:, round(self.start * RATE) : round(self.end * RATE)].double()
        logit = torch.log(heard.square().mean(1) + 1e-30) - math.log(1e-3)
        scores = torch.stack([logit, torch.zeros_like(logit)], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


def tone(hz: float, *, seconds: float = 1.0, level: float = 0.3) -> Tensor:
    """A sine, shape (1, samples)."""
    return level * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE)) / RATE)[None].float()


def noise(*, seconds: float = 1.0, seed: int = 0, level: float = 0.3) -> Tensor:
    """White noise, shape (1, samples)."""
    return level * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(seed))
