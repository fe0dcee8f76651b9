"""scikit-learn's ``CalibratedClassifierCV(SVC(), ensemble=False)``: one calibrator a class, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError


class Calibration(torch.nn.Module):
    """From decision values to probabilities, and to scores whose argmax is the calibrated prediction."""

    def forward(self, decision: Tensor) -> tuple[Tensor, Tensor]:
        """``decision`` (batch, columns) to scores and probabilities, each (batch, K)."""
        raise NotImplementedError


class Sigmoid(Calibration):
    """Platt's sigmoid for each class against the rest, normalised; the scores are its log-odds."""

    a: Tensor
    b: Tensor

    def __init__(self, a: Sequence[float], b: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("a", torch.tensor(a, dtype=torch.float64))
        self.register_buffer("b", torch.tensor(b, dtype=torch.float64))

    def forward(self, decision: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and probabilities."""
        odds = -(decision[:, : len(self.a)] * self.a + self.b)
        if len(self.a) == 1:
            second = torch.sigmoid(odds)
            return torch.cat([-odds, odds], 1), torch.cat([1 - second, second], 1)
        return odds, _normalise(torch.sigmoid(odds))


class Isotonic(Calibration):
    """A piecewise linear step for each class; flat between its steps, so its scores are too."""

    def __init__(self, curves: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.curves = len(curves)
        for i, (x, p) in enumerate(curves):
            self.register_buffer(f"x{i}", x)
            self.register_buffer(f"p{i}", p)

    def forward(self, decision: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (log-odds, bounded) and probabilities."""
        columns = [
            _interpolate(decision[:, i], self.get_buffer(f"x{i}"), self.get_buffer(f"p{i}"))
            for i in range(self.curves)
        ]
        raw = torch.stack(columns, 1)
        if self.curves == 1:
            raw = torch.cat([1 - raw, raw], 1)
            return torch.logit(raw, eps=1e-12), raw
        p = _normalise(raw)
        return torch.logit(p, eps=1e-12), p


class Temperature(Calibration):
    """Softmax of the scaled decision values."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, decision: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and probabilities."""
        scores = self.beta * (torch.cat([-decision, decision], 1) if decision.shape[1] == 1 else decision)
        return scores, scores.softmax(1)


def _normalise(p: Tensor) -> Tensor:
    total = p.sum(1, keepdim=True)
    return torch.where(total == 0, 1 / p.shape[1], p / torch.where(total == 0, 1.0, total))


def _interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    if len(knots) == 1:
        return values.expand(len(x))
    x = x.clamp(float(knots[0]), float(knots[-1]))
    right = torch.searchsorted(knots, x.detach()).clamp(1, len(knots) - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (knots[right] - knots[left])
    return values[left] + slope * (x - knots[left])


def calibration(calibrated: Any) -> Calibration:
    """The calibrators of a fitted ``CalibratedClassifierCV`` that holds just one classifier.

    Raises
    ------
    SubterfugeError
        If it is an ensemble, or calibrated by another method.
    """
    members = calibrated.calibrated_classifiers_
    if len(members) != 1:
        raise SubterfugeError(
            f"CalibratedClassifierCV: got an ensemble of {len(members)} classifiers, expected ensemble=False"
        )
    (member,) = members
    if member.method == "sigmoid":
        return Sigmoid([float(c.a_) for c in member.calibrators], [float(c.b_) for c in member.calibrators])
    if member.method == "isotonic":
        return Isotonic([_curve(c) for c in member.calibrators])
    if member.method == "temperature":
        return Temperature(float(member.calibrators[0].beta_))
    raise SubterfugeError(
        f"CalibratedClassifierCV: got method {member.method!r}, expected sigmoid, isotonic or temperature"
    )


def _curve(fitted: Any) -> tuple[Tensor, Tensor]:
    x = torch.tensor(np.asarray(fitted.X_thresholds_), dtype=torch.float64)
    return x, torch.tensor(np.asarray(fitted.y_thresholds_), dtype=torch.float64)
