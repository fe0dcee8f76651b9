"""The inside of APGD: momentum steps in a ball that halve themselves when they stall, row by row."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from subterfuge.attacks.whitebox.steps import place, project


def checkpoints(steps: int) -> Tensor:
    """Which of the steps 0 to ``steps`` are checkpoints, bool, shape (steps + 1,).

    They fall at 0.22 of the way, then at gaps that shrink by 0.03 down to 0.06 (section 3.2 of the paper).

    Examples
    --------
    >>> checkpoints(100).nonzero()[:5, 0].tolist()
    [22, 41, 57, 70, 80]
    """
    marks = torch.zeros(steps + 1, dtype=torch.bool)
    at, gap = 0.22, 0.22
    while at <= 1:
        marks[max(1, round(at * steps))] = True
        gap = max(gap - 0.03, 0.06)
        at += gap
    return marks


@dataclass
class Ascent:
    """State of one ascent a row; every field has one entry a row.

    Attributes
    ----------
    x, last : Tensor, shape (rows, samples)
        The present point and the one before it.
    value, slope : Tensor, shape (rows,) and (rows, samples)
        Margin and gradient at the present point.
    best, best_value, best_slope : Tensor
        The point with the largest margin so far, that margin, and the gradient there.
    pace : Tensor, shape (rows,)
        Length of a step.
    count : Tensor of int64, shape (rows,)
        Steps taken; -1 where the present point has not been asked about yet.
    climbs, mark, mark_pace, mark_value : Tensor, shape (rows,)
        Steps that climbed since the last checkpoint, when that was, and pace and best margin then.
    """

    x: Tensor
    last: Tensor
    value: Tensor
    slope: Tensor
    best: Tensor
    best_value: Tensor
    best_slope: Tensor
    pace: Tensor
    count: Tensor
    climbs: Tensor
    mark: Tensor
    mark_pace: Tensor
    mark_value: Tensor

    @staticmethod
    def begin(x: Tensor, value: Tensor, slope: Tensor, radius: Tensor) -> Ascent:
        """Start at points whose margins and gradients are known, with steps of a diameter."""
        zero = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        pace = 2 * radius
        return Ascent(x, x, value, slope, x, value, slope, pace, zero, zero, zero, pace, value)

    def take(self, keep: Tensor) -> Ascent:
        """The state of some rows."""
        return Ascent(*(getattr(self, f.name)[keep] for f in fields(self)))

    def propose(
        self, clean: Tensor, radius: Tensor, direction: Tensor, norm: float, inertia: float
    ) -> Tensor:
        """The next points to ask about (equations 1 to 3 of the paper's algorithm)."""

        def inside(point: Tensor) -> Tensor:
            return place(clean, project(point - clean, radius, norm))

        z = inside(self.x + self.pace[:, None] * direction)
        weight = torch.where(self.count == 0, 1.0, inertia)[:, None].to(z.dtype)
        new = inside(self.x + weight * (z - self.x) + (1 - weight) * (self.x - self.last))
        return torch.where((self.count < 0)[:, None], self.x, new)

    def learn(self, x: Tensor, value: Tensor, slope: Tensor, marks: Tensor, rho: float) -> None:
        """Take in the answer; at a checkpoint, halve a stalled row's step and go back to its best point."""
        fresh = self.count < 0
        self.climbs = self.climbs + (value > self.value)
        self.last = torch.where(fresh[:, None], x, self.x)
        self.x, self.value, self.slope = x, value, slope
        better = fresh | (value > self.best_value)
        self.best = torch.where(better[:, None], x, self.best)
        self.best_slope = torch.where(better[:, None], slope, self.best_slope)
        self.best_value = torch.where(better, value, self.best_value)
        self.count = self.count + 1
        self.climbs = torch.where(fresh, 0, self.climbs)
        self.mark_value = torch.where(fresh, value, self.mark_value)

        due = marks[self.count]
        still = (self.pace == self.mark_pace) & (self.best_value == self.mark_value)
        halve = due & ((self.climbs < rho * (self.count - self.mark)) | still)
        self.mark_pace = torch.where(due, self.pace, self.mark_pace)
        self.mark_value = torch.where(due, self.best_value, self.mark_value)
        self.mark = torch.where(due, self.count, self.mark)
        self.climbs = torch.where(due, 0, self.climbs)
        self.pace = torch.where(halve, self.pace / 2, self.pace)
        back = halve[:, None]
        self.x, self.last = torch.where(back, self.best, self.x), torch.where(back, self.best, self.last)
        self.slope = torch.where(back, self.best_slope, self.slope)
        self.value = torch.where(halve, self.best_value, self.value)

    def restart(self, over: Tensor, point: Tensor, radius: Tensor) -> None:
        """Begin anew, in the rows that are ``over``, at points not yet asked about."""
        at = over[:, None]
        self.x, self.last = torch.where(at, point, self.x), torch.where(at, point, self.last)
        self.best = torch.where(at, point, self.best)
        self.pace = torch.where(over, 2 * radius, self.pace)
        self.mark_pace = torch.where(over, self.pace, self.mark_pace)
        self.count = torch.where(over, -1, self.count)
        self.climbs, self.mark = torch.where(over, 0, self.climbs), torch.where(over, 0, self.mark)
