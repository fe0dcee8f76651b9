"""``hunt``: our default where there are no gradients; it chooses among our searches, and chains them.

What each search is good at, it does. Scores lead where labels alone must guess; victims at hand that know
the same label give starts that may carry over, for no query at all; labels alone polish best, since what is
then left to find is where one surface lies. Several descents begin, the best goes on; when it no longer
gets anywhere the next goes on from there: with fresh eyes, in more numbers, or from somewhere else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.decide import Array, Descent
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.blackbox.subspace_search import Climb
from subterfuge.attacks.blackbox.transfer import transferred
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

Starts = Iterator[Tensor]

# A search is stuck after so many queries that did not make the change shorter by so much.
_PATIENCE, _LESS = 90, 0.005
# Without any success: queries that one search has before the next is tried.
_TRY = 120
# With scores: share of the steps that the search with scores is given.
_SCORES = 0.6
# Descents that begin side by side; the share of the steps, and the most queries, that each is given first.
_SIDE, _SHARE, _EACH = 4, 0.1, 100
# Stretches of time that the gains are told apart in, by turns; 0 begins somewhere else, and goes on if it is
# then not so many times longer than the best.
_ROUNDS, _HOPEFUL = (1, 0, 2, 0, 1, 0, 4, 0), 1.5


def hunt(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    transfer: bool = True,
) -> Outcome:
    """The smallest perturbation that queries lead to, by whichever of our searches gets on.

    Parameters
    ----------
    victim : Victim
        Of one that shows labels alone (:class:`subterfuge.attacks.oracle.Oracle`) nothing else is used.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    start : Tensor, shape (batch, samples), optional
        Audio that is heard as wanted.
    transfer : bool
        Whether the embedded victims that know the label may be attacked in this one's place for a start,
        where nothing else has led anywhere yet.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, or ``steps`` is under 2.

    Examples
    --------
    >>> outcome = hunt(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.forward.tolist(), outcome.queries.backward.tolist()
    ([200, 200], [0, 0])
    """
    blind = getattr(victim, "access", "scores") == "label"
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=blind) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, clean: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            one = _Row(y[row : row + 1], victim.sample_rate, seed, steps)
            climb = None
            if not blind:
                climb = Climb(one.space(1), 0, y[row], seed, steps, any_duel=search.goal.away)
            others: Starts = iter(())
            if transfer and label is not None:
                others = transferred(y[row : row + 1], label, victim)
            return one.talk(None if start is None else start[row], clips, climb, clean, others)

        converse(search, steps, talk)
    return search.outcome()


class _Row:
    """The searches for one clip, one after the other, and what is best of all of them."""

    def __init__(self, y: Tensor, sr: int, seed: int, steps: int) -> None:
        self.y, self.sr, self.seed, self.steps = y, sr, seed, steps
        self.spaces: dict[int, Subspace] = {}
        self.length, self.begun = math.inf, 0
        self.best: tuple[Array, int] | None = None

    def space(self, times: int) -> Subspace:
        """That with so many stretches of time."""
        if times not in self.spaces:
            self.spaces[times] = Subspace(self.y, sr=self.sr, times=times)
        return self.spaces[times]

    def talk(
        self,
        start: Tensor | None,
        clips: tuple[Tensor, ...],
        climb: Climb | None,
        clean: Answer,
        others: Starts,
    ) -> Talk:
        """Find a way in, then make it small; without end."""
        if climb is not None:
            yield from _Run(climb.talk(clean, start, clips), patience=math.inf).go(_SCORES * self.steps)
            if climb.reached.any():
                nearest = np.where(climb.reached, climb.distance, np.inf).argmin()
                self._keep(climb.points[nearest], float(climb.distance[nearest]), 1)
        while self.best is None:
            yield from self._begin(start, clips)
            if self.best is None and (found := (yield from _first(self.y[0], others))) is not None:
                # Its bands alone may do: then they are where the next search begins.
                start = found
        for times in itertools.cycle(_ROUNDS):
            if times:
                one = self._descent(times)
                yield from self._go(_Run(one.resume(self._told_apart(times))), one)
            else:
                yield from self._begin(start, clips)

    def _begin(self, start: Tensor | None, clips: tuple[Tensor, ...]) -> Talk:
        """Some descents side by side for a while, then the best of them until it is stuck."""
        each = min(_EACH, max(20, int(_SHARE * self.steps)))
        several = self.best is None and self.steps >= 2 * _SIDE * each
        begun = []
        for _ in range(_SIDE if several else 1):
            one = self._descent(1)
            begun.append((_Run(one.talk(start, clips)), one))
            yield from self._go(*begun[-1], each)
        run, one = min(begun, key=lambda pair: pair[1].length)
        if one.length < _HOPEFUL * self.length:
            yield from self._go(run, one)

    def _descent(self, times: int) -> Descent:
        """A new search with labels alone."""
        self.begun += 1
        return Descent(self.space(times), 0, self.y[0], self.seed + self.begun - 1, self.steps)

    def _go(self, run: _Run, one: Descent, queries: float = math.inf) -> Talk:
        yield from run.go(queries)
        self._keep(one.best, one.length, one.space.times)

    def _keep(self, gains: Array | None, length: float, times: int) -> None:
        if gains is not None and length < self.length:
            self.best, self.length = (gains, times), length

    def _told_apart(self, times: int) -> Array:
        """The best gains, with so many stretches of time instead of as many as they have."""
        assert self.best is not None
        gains, had = self.best
        if had == times:
            return gains
        return np.repeat(gains.reshape(-1, had).mean(1), times)


class _Run:
    """A search that can be left and gone on with."""

    def __init__(self, talk: Talk, *, patience: float = _PATIENCE) -> None:
        self.talk, self.patience = talk, patience
        self.asked: Tensor | None = None
        self.best, self.since = math.inf, 0

    def go(self, queries: float = math.inf) -> Talk:
        """So many queries of it, or until it is stuck."""
        try:
            asked = next(self.talk) if self.asked is None else self.asked
            while queries > 0 and self.since < max(_TRY * math.isinf(self.best), self.patience):
                answer = yield asked
                reached = answer.reached
                near = float(answer.distance[reached].min()) if bool(reached.any()) else math.inf
                self.since = 0 if near < (1 - _LESS) * self.best else self.since + len(asked)
                self.best = min(self.best, near)
                queries -= len(asked)
                asked = self.asked = self.talk.send(answer)
        except StopIteration:
            self.since, self.patience = _TRY, 0


def _first(y: Tensor, others: Starts) -> Generator[Tensor, Answer, Tensor | None]:
    """The first of some perturbations that is heard as wanted, as audio; None where none is left."""
    for delta in others:
        answer = yield delta[None]
        if bool(answer.reached[0]):
            return (y + delta).clamp(-1, 1)
    return None
