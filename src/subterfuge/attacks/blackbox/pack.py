"""All searches for one clip that :func:`hunt` sends out, and the best that any of them has brought back."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox import rivals
from subterfuge.attacks.blackbox.asking import Answer, Talk
from subterfuge.attacks.blackbox.decide import Array, Descent
from subterfuge.attacks.blackbox.runs import Run
from subterfuge.attacks.blackbox.starts import first, fitted, halve
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.blackbox.subspace_search import Climb


class Pack:
    """The searches for one clip; each begins from what is best when it has its first turn.

    Parameters
    ----------
    y : Tensor, shape (1, samples)
    sr : int
    seed, steps : int
        Of the searches.
    start : Tensor, shape (samples,), or None
        Audio that is heard as wanted.
    clips : tuple of Tensor
        Of the label that is wanted.
    others : iterator of Tensor, shape (samples,)
        Changes that other victims were fooled by.

    Attributes
    ----------
    delta : Tensor, shape (samples,), or None
        The shortest change that was heard as wanted; its length is ``length``.
    gains_length : float
        Length of the shortest of them that is made of gains.
    """

    def __init__(
        self,
        y: Tensor,
        sr: int,
        seed: int,
        steps: int,
        *,
        start: Tensor | None,
        clips: tuple[Tensor, ...],
        others: Iterator[Tensor],
    ) -> None:
        self.y, self.sr, self.seed, self.steps = y, sr, seed, steps
        self.start, self.clips, self.others = start, clips, others
        self.spaces: dict[int, Subspace] = {}
        self.length, self.gains_length = math.inf, math.inf
        self.begun: Counter[str] = Counter()
        self.delta: Tensor | None = None
        self.found = False
        self.gains: tuple[Array, int] = (np.zeros(0), 1)

    def go(self, run: Run, queries: float = math.inf) -> Talk:
        """So many queries of a search, or until it is stuck; what it found is kept if it is the best."""
        yield from run.go(queries)
        if run.length < self.length and run.delta is not None:
            self.delta, self.length, self.found = run.delta, run.length, False
        gains, length, times = run.gains()
        if gains is not None and length < self.gains_length:
            self.gains, self.gains_length = (gains, times), length

    def promise(self, run: Run) -> float:
        """How much shorter than the best a search will soon have come, in nepers."""
        return run.promise(self.length)

    def find(self) -> Generator[Tensor, Answer, Tensor | None]:
        """Audio that is heard as wanted, of clips of the label and what fools other victims; or None."""
        found = yield from first(self._ways())
        if found is None:
            return None
        delta = yield from halve(found, tolerance=0.3)
        self.delta, self.length, self.found = delta, float(torch.linalg.vector_norm(delta)), True
        return (self.y[0] + found).clamp(-1, 1)

    # ------------------------------------------------------------ searches

    def climb(self, clean: Answer, *, any_duel: bool) -> Run:
        """Gains, by scores."""
        one = Climb(self._space(1), 0, self.y[0], self.seed, self.steps, any_duel=any_duel)

        def best() -> tuple[Array | None, float, int]:
            if len(one.points) < 2 or not one.reached.any():
                return None, math.inf, 1
            nearest = int(np.where(one.reached, one.distance, np.inf).argmin())
            return one.points[nearest], float(one.distance[nearest]), 1

        return Run(one.talk(clean, self.start, self.clips), gains=best)

    def descent(self, start: Tensor | None) -> Run:
        """Gains, by labels."""
        one = self._descent(1)
        return Run(one.talk(start, self.clips), gains=lambda: (one.best, one.length, 1))

    def polish(self, times: int) -> Run:
        """Gains, by labels, from the best of them; told apart in so many stretches of time."""
        one, (gains, had) = self._descent(times), self.gains
        if had != times:
            gains = np.repeat(gains.reshape(-1, had).mean(1), times)
        return Run(one.resume(gains), self.length, gains=lambda: (one.best, one.length, times))

    def cosines(self) -> Run:
        """Cosines, by scores; from the clip as long as the best is longer than the ball they begin in."""
        if self.length > rivals.first_length(self.y[0]):
            return Run(rivals.cosines(self.y[0], sr=self.sr, seed=self._seed("cosines")))
        talk = rivals.cosines(
            self.y[0], sr=self.sr, seed=self._seed("cosines"), delta=self.delta, length=self.length
        )
        return Run(talk, self.length)

    def patches(self) -> Run:
        """Patches of time and frequency, by scores; from the best, wherever that came from."""
        length = math.inf if self.found else self.length
        talk = rivals.patches(
            self.y[0],
            sr=self.sr,
            seed=self._seed("patches"),
            delta=self.delta,
            length=length,
            clips=self.clips,
        )
        return Run(talk, length)

    def _seed(self, kind: str) -> int:
        self.begun[kind] += 1
        return self.seed + self.begun[kind] - 1

    def _descent(self, times: int) -> Descent:
        return Descent(self._space(times), 0, self.y[0], self._seed("descent"), self.steps)

    def _space(self, times: int) -> Subspace:
        if times not in self.spaces:
            self.spaces[times] = Subspace(self.y, sr=self.sr, times=times)
        return self.spaces[times]

    def _ways(self) -> Iterator[Tensor]:
        given = () if self.start is None else (self.start,)
        clips = (fitted(clip.to(self.y), self.y.shape[1]) for clip in self.clips)
        return itertools.chain((one - self.y[0] for one in itertools.chain(given, clips)), self.others)
