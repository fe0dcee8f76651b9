"""Searches that take turns: each can be left and gone on with, and tells how it is getting on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Talk

# Gains of the best change of a search, its length, and in how many stretches of time they are told apart.
Gains = tuple[NDArray[np.float64] | None, float, int]

# A search is stuck after so many queries that did not make the change shorter by so much; without any success
# after so many.
_PATIENCE, _LESS = 90, 0.005
TRY = 120
# What a first success counts as, in nepers of length; the share of the pace that is the last turn's.
_FOUND, _LAST = 0.5, 0.6
# Turns that a search's pace is trusted to hold for.
_AHEAD = 3.0


class Run:
    """A search that can be left and gone on with.

    Attributes
    ----------
    length : float
        Of the shortest change that it was told will do; at ``ages[k]`` what it was after ``k + 1`` queries.
    delta : Tensor, shape (samples,), or None
        That change.
    margin : float
        The most that it was told.
    gains : callable
        The gains of what it found, if it is made of such.
    pace : float
        Nepers by which it becomes shorter in a turn, averaged over turns: the last counts most.
    """

    def __init__(
        self,
        talk: Talk,
        length: float = math.inf,
        *,
        gains: Callable[[], Gains] = lambda: (None, math.inf, 1),
    ) -> None:
        self.talk, self.length, self.pace, self.gains = talk, length, 0.0, gains
        self.margin = -math.inf
        self.delta: Tensor | None = None
        self.ages: list[float] = []
        self.over, self.since = False, 0
        self._asked: Tensor | None = None

    def go(self, queries: float = math.inf) -> Talk:
        """So many queries of it; without a number until it is stuck."""
        before, endless = self.length, math.isinf(queries)
        try:
            asked = self._asked = next(self.talk) if self._asked is None else self._asked
            while queries > 0 and not (endless and self.stuck):
                answer = yield asked
                self.margin = max(self.margin, float(answer.margin.max()))
                lengths = torch.where(answer.reached, answer.distance, math.inf)
                nearest = int(lengths.argmin())
                length = float(lengths[nearest])
                self.since = 0 if length < (1 - _LESS) * self.length else self.since + len(lengths)
                if length < self.length:
                    self.length, self.delta = length, asked[nearest]
                self.ages += len(lengths) * [self.length]
                queries -= len(lengths)
                asked = self._asked = self.talk.send(answer)
        except StopIteration:
            self.over = True
        gained = 0.0
        if self.length < before:
            gained = _FOUND if math.isinf(before) else math.log(before / self.length)
        self.pace += (1.0 if before == math.inf else _LAST) * (gained - self.pace)

    def fell(self, queries: int) -> float:
        """Nepers by which the length fell in its last queries."""
        before = self.at(len(self.ages) - queries) if len(self.ages) > queries else math.inf
        if math.isinf(self.length) or self.over:
            return 0.0
        return math.log(before / self.length) if self.length > 0 else 0.0

    @property
    def stuck(self) -> bool:
        """Whether it no longer gets anywhere."""
        return self.over or self.since >= (TRY if math.isinf(self.length) else _PATIENCE)

    def at(self, age: int) -> float:
        """The length after so many queries of its own."""
        return self.ages[min(age, len(self.ages)) - 1] if self.ages else math.inf

    def promise(self, best: float) -> float:
        """How much shorter than the best, in nepers, it will have come some turns from now at its pace."""
        if self.over or math.isinf(self.length):
            return -math.inf
        return math.log(best / max(self.length, 1e-300)) + _AHEAD * self.pace
