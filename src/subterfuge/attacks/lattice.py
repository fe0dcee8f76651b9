"""The last step of every attack on an integer file: samples that the file can hold, and still adversarial.

Rounding alone mostly will do: sixteen bits lie far below a perturbation. Where it does not, the samples that
gain the most for the least are moved by one step (the gain is the margin's slope; the cost, what the square
of the perturbation grows by); where that does not do either, the perturbation is enlarged a little. What is
returned has been judged by the victim's plain path.
"""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.file_domain import AtRate
from subterfuge.audio import AudioFile, lattice_step, to_lattice
from subterfuge.criteria import Goal

# Factors that the perturbation is enlarged by, in turn, while what is rounded fails: up to half a decibel.
SCALES = (1.0, 1.001, 1.003, 1.01, 1.02, 1.04, 1.059)


class Judge:
    """What the lattice search asks of the victim, counted.

    Parameters
    ----------
    hearer : AtRate
        The victim for files of this rate.
    goal : Goal
    device : str

    Attributes
    ----------
    forward_queries, backward_queries : int
    """

    def __init__(self, hearer: AtRate, goal: Goal, *, device: str = "cpu") -> None:
        self.hearer, self.goal, self.device = hearer, goal, device
        self.forward_queries = self.backward_queries = 0

    def reached(self, data: Tensor) -> bool:
        """Whether the plain path reaches the goal on samples as the file will hold them, (channels, n)."""
        self.forward_queries += self.hearer.plain_cost
        mono = data.float().mean(0, keepdim=True).to(self.device) / self.hearer.gain
        return bool(self.goal.reached(self.hearer.verdict(mono)))

    def slope(self, data: Tensor) -> tuple[float, Tensor] | None:
        """The margin at those samples and its gradient by the channels' mean, shape (n,), on the CPU."""
        if not self.hearer.differentiable:
            return None
        self.forward_queries += self.hearer.cost
        self.backward_queries += self.hearer.cost
        mono = (data.float().mean(0, keepdim=True).to(self.device) / self.hearer.gain).requires_grad_()
        hearing = self.hearer.hear(mono, probabilities=self.goal.needs_probabilities)
        margin = self.goal.margin(hearing).sum()
        if not margin.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(margin, mono)
        return float(margin.detach()), torch.nan_to_num(gradient[0]).double().cpu() / self.hearer.gain


def settle(file: AudioFile, delta: Tensor, judge: Judge, *, repairs: int = 12) -> tuple[Tensor, bool]:
    """Samples on the file's lattice near ``file.data + delta`` that reach the goal.

    Parameters
    ----------
    file : AudioFile
        The original.
    delta : Tensor, shape (samples,)
        The perturbation found, the same for each channel.
    judge : Judge
    repairs : int
        How often samples may be moved by the slope at each scale.

    Returns
    -------
    data : Tensor, shape (channels, samples)
        What to write; the nearest attempt where none reached the goal.
    reached : bool
    """
    first = rounded(file, delta, 1.0)
    step = lattice_step(file.subtype)
    for number, scale in enumerate(SCALES):
        data = first if number == 0 else rounded(file, delta, scale)
        if judge.reached(data):
            return data, True
        # Moving samples costs less than enlarging, but the slope must be asked for: once or twice each.
        if step is not None and judge.hearer.differentiable:
            repaired = _repair(file, data, judge, step, repairs if number == len(SCALES) - 1 else 2)
            if repaired is not None:
                return repaired, True
    return first, False


def rounded(file: AudioFile, delta: Tensor, scale: float = 1.0) -> Tensor:
    """The file's samples with ``scale * delta`` added, as it can hold them, shape (channels, samples)."""
    low, high = file.bounds
    return to_lattice((file.data.double() + scale * delta.double()).clamp(low, high), file.subtype)


def _repair(file: AudioFile, data: Tensor, judge: Judge, step: float, times: int) -> Tensor | None:
    """Move the samples that gain the most for the least until the goal is reached; None if it is not."""
    low, high = file.bounds
    reach = 1.5
    for _ in range(times):
        asked = judge.slope(data)
        if asked is None:
            return None
        margin, gradient = asked
        gain = (gradient.abs() * step / len(data)).expand(len(data), -1)
        if not bool(gain.max() > 0):
            return None
        way = gradient.sign().expand(len(data), -1)
        moved = data.double() + step * way
        held = (moved < low) | (moved > high)
        change = (data.double() - file.data.double()) / step
        cost = ((change + way) ** 2 - change**2).clamp(min=0.05)
        order = torch.where(held, -torch.inf, gain / cost).flatten().argsort(descending=True)
        needed = reach * max(-margin, 0.0) + 1e-9
        total = gain.flatten()[order].cumsum(0)
        count = int((total < needed).sum()) + 1
        # No more than a hundredth of all samples at once: slopes are local.
        count = min(count, max(1, order.numel() // 100))
        data = data.double().flatten().clone()
        data[order[:count]] = moved.flatten()[order[:count]]
        data = to_lattice(data.view_as(file.data), file.subtype)
        if judge.reached(data):
            return data
        reach *= 1.5
    return None
