"""Small victims whose nearest adversarial examples are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from subterfuge.victims.victim import Hearing, TorchVictim


class Linear(TorchVictim):
    """Scores ``y W' + b``, probabilities by softmax; computed in ``inside``, by default the clips' type."""

    inside: torch.dtype | None = None

    def __init__(self, weight: Tensor, bias: Tensor, *, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias, self.scale = weight, bias, scale
        self.labels = tuple(f"label{i}" for i in range(len(bias)))
        self.sample_rate = 8000

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        # A sum rather than a matrix product, whose rounding depends on how many rows there are.
        y = y.to(self.inside or y.dtype)
        scores = ((y[:, None] * self.weight.to(y)).sum(2) + self.bias.to(y)) * self.scale
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)

    def planes(self, y: Tensor, label: int) -> tuple[Tensor, Tensor]:
        """Duels of ``label`` against every rival at ``y`` (samples,) and their normals, in float64."""
        rivals = [i for i in range(len(self.bias)) if i != label]
        weight, bias = self.weight.double(), self.bias.double()
        normals = weight[label] - weight[rivals]
        return normals @ y.double() + bias[label] - bias[rivals], normals


class Radial(TorchVictim):
    """An RBF machine with one support vector a label, equal weights: boundaries are mid-planes."""

    def __init__(self, centres: Tensor, gamma: float) -> None:
        super().__init__()
        self.centres, self.gamma = centres, gamma
        self.labels = tuple(f"label{i}" for i in range(len(centres)))
        self.sample_rate = 8000

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        scores = torch.exp(-self.gamma * ((y[:, None] - self.centres.to(y)) ** 2).sum(2))
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class Ball(TorchVictim):
    """Label 1 within a sphere, label 0 outside of it."""

    labels = ("outside", "inside")
    sample_rate = 8000

    def __init__(self, centre: Tensor, radius: float, gamma: float) -> None:
        super().__init__()
        self.centre, self.radius, self.gamma = centre, radius, gamma

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        kernel = torch.exp(-self.gamma * ((y - self.centre.to(y)) ** 2).sum(1))
        value = kernel - math.exp(-self.gamma * self.radius**2)
        scores = torch.stack([-value, value], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class Deaf(TorchVictim):
    """Hears label 0 whatever is played; its scores are another's, or all zero."""

    def __init__(self, other: TorchVictim | None) -> None:
        super().__init__()
        self.other = other
        self.labels = other.labels if other is not None else ("label0", "label1", "label2")
        self.sample_rate = 8000

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        scores = y.new_zeros(len(y), 3) if self.other is None else self.other.scores(y)
        predicted = torch.zeros(len(y), dtype=torch.int64)
        return Hearing(scores, predicted, scores.softmax(1) if probabilities else None)


class Counting(TorchVictim):
    """Counts the waveforms that pass through another victim and the slopes that come back.

    ``stop_after`` raises KeyboardInterrupt at the query after so many.
    """

    def __init__(self, other: TorchVictim, stop_after: int | None = None) -> None:
        super().__init__()
        self.other, self.labels, self.sample_rate = other, other.labels, other.sample_rate
        self.forward_count = self.backward_count = 0
        self.stop_after = stop_after
        self.heard: list[Tensor] = []

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        if self.stop_after is not None and self.forward_count + len(y) > self.stop_after:
            raise KeyboardInterrupt
        self.forward_count += len(y)
        self.heard.append(y.detach().clone())
        if y.requires_grad:
            y.register_hook(self._back)
        return self.other.hear(y, probabilities=probabilities)

    def _back(self, gradient: Tensor) -> None:
        self.backward_count += len(gradient)


class Opaque(Linear):
    """A victim that gives no gradients."""

    differentiable = False


def clips(rows: int, samples: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Quiet noise, well within [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return (
        (0.1 * torch.randn(rows, samples, generator=generator, dtype=torch.float64))
        .clamp(-0.5, 0.5)
        .to(dtype)
    )


def linear(labels: int, samples: int, *, seed: int = 1, scale: float = 1.0, spiky: bool = False) -> Linear:
    """Random planes, close enough to quiet clips that an SNR of 10 to 40 dB is needed to cross them."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(labels, samples, generator=generator, dtype=torch.float64)
    if spiky:
        weight = weight**3
    weight = weight / weight.norm(dim=1, keepdim=True)
    bias = 0.05 * torch.randn(labels, generator=generator, dtype=torch.float64)
    return Linear(weight, bias, scale=scale)


def optimum(victim: Linear, y: Tensor, label: int, *, away: bool, norm: float = 2.0) -> float:
    """Least norm of a change to ``y`` (samples,) that reaches or leaves a label of a linear victim."""
    duels, normals = victim.planes(y, label)
    dual = normals.abs().sum(1) if norm == math.inf else normals.norm(dim=1)
    if away:
        return float((duels.clamp(min=0) / dual).min())
    if norm == math.inf:
        return least_sup(duels.numpy(), normals.numpy())
    return least_squares(duels.numpy(), normals.numpy())


def least_squares(duels: np.ndarray, normals: np.ndarray) -> float:
    """Norm of the shortest step onto ``duels + normals @ step >= 0``."""
    return float(shortest_step(torch.from_numpy(duels), torch.from_numpy(normals)).norm())


def shortest_step(duels: Tensor, normals: Tensor) -> Tensor:
    """The shortest step onto ``duels + normals @ step >= 0``, by Lawson and Hanson's reduction.

    The least-distance problem ``min |u|, G u >= h`` is the non-negative least squares fit of the last unit
    vector by the columns of ``[G' ; h']``; the residual r gives ``u = -r[:-1] / r[-1]``.
    """
    from scipy.optimize import nnls

    rows, h = normals.numpy(), -duels.numpy()
    if (h <= 0).all():
        return torch.zeros(rows.shape[1], dtype=torch.float64)
    # In units in which the last unit vector is about as long as the step.
    size = float((h / np.linalg.norm(rows, axis=1)).max())
    h = h / size
    stacked = np.vstack([rows.T, h[None]])
    wanted = np.zeros(len(stacked))
    wanted[-1] = 1.0
    fit, _ = nnls(stacked, wanted, maxiter=10000)
    residual = stacked @ fit - wanted
    step = -residual[:-1] / residual[-1]
    assert (rows @ step - h >= -1e-8 * np.abs(h).max()).all()
    return torch.from_numpy(size * step)


def least_sup(duels: np.ndarray, normals: np.ndarray) -> float:
    """Largest sample of the smallest such step, by linear programming."""
    from scipy.optimize import linprog

    samples = normals.shape[1]
    cost = np.zeros(samples + 1)
    cost[-1] = 1.0
    eye = np.eye(samples)
    column = -np.ones((samples, 1))
    rows = np.vstack(
        [
            np.hstack([-normals, np.zeros((len(normals), 1))]),
            np.hstack([eye, column]),
            np.hstack([-eye, column]),
        ]
    )
    limits = np.concatenate([duels, np.zeros(2 * samples)])
    bounds = [(None, None)] * samples + [(0, None)]
    return float(linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds).fun)
