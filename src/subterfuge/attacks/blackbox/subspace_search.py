"""Our search with scores: few numbers, slopes learnt from every answer, the cheapest step that will do."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.cheapest import cheapest
from subterfuge.attacks.blackbox.decide import Descent
from subterfuge.attacks.blackbox.leads import Leads
from subterfuge.attacks.blackbox.prices import Prices
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

Array = NDArray[np.float64]

# How far in bands a slope tells of its neighbours', and how alike slopes of one band are over time.
_REACH, _TOGETHER = 3.0, 0.7
# Probes of the slopes where a climb begins (queries; nepers), then queries a generation, and how far from the
# likeliest slopes those of a draw are.
_PROBES, _PROBE, _GENERATION, _HEAT = 16, 0.4, 4, 0.7
# Reach of the steps in nepers: at first, at most, and where it is too short to go on.
_FIRST, _MOST, _LEAST = 1.5, 3.0, 0.03
# A climb ends after so many queries without a gain of so much, one by labels after as many of its own.
_PATIENCE, _LABELS, _LESS = 100, 60, 0.01
# Queries of a new search for a beginning, and share of the steps.
_SEEK, _SHARE = 40, 0.15
# The last answers, which tell where the boundary is on the margin's scale.
_RECENT = 60


def subspace(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    bands: int | None = None,
    times: int = 1,
) -> Outcome:
    """Smallest change, in L2, by gains of critical bands, from scores.

    What a change costs is known without asking; how each duel changes with each gain is learnt from every
    answer. So each generation asks about the cheapest points at which all duels are expected to be won, with
    the likeliest slopes and with others that may be the true ones. Where scores mislead, as those of machines
    whose votes decide, the level of the margin that is asked for follows what the answers say, and what
    labels alone can still gain is left to :func:`~subterfuge.attacks.blackbox.decide.decide`.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    start : Tensor, shape (batch, samples), optional
        Audio that may be heard as wanted; by default the embedded clips of the label are tried.
    bands, times : int, optional
        See :class:`subterfuge.attacks.blackbox.subspace.Subspace`.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, or ``steps`` is under 2.

    References
    ----------
    Sequential quadratic programming by secants, as Broyden's (1965); Thompson, "On the likelihood that one
    unknown probability exceeds another in view of the evidence of two samples", Biometrika 25, 1933.

    Examples
    --------
    >>> outcome = subspace(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.backward.tolist()
    [0, 0]
    """
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        start, seed = check_start(start, y), seed_from(generator)
        space = Subspace(y, sr=victim.sample_rate, bands=bands, times=times)

        def talk(row: int, clean: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            one = Climb(space, row, y[row], seed, steps, any_duel=search.goal.away)
            return one.talk(clean, None if start is None else start[row], clips)

        converse(search, steps, talk)
    return search.outcome()


class Climb:
    """The search for one clip; everything that it has heard.

    Attributes
    ----------
    points : ndarray, shape (queries, parameters)
        Gains that were asked about, the clip itself first.
    duels : ndarray, shape (queries, duels)
    reached : ndarray of bool, shape (queries,)
    distance : ndarray, shape (queries,)
    """

    def __init__(
        self, space: Subspace, row: int, y: Tensor, seed: int, steps: int, *, any_duel: bool
    ) -> None:
        self.space, self.row, self.y, self.seed, self.steps = space, row, y, seed, steps
        self.any_duel = any_duel
        self.chance = np.random.default_rng(seed)
        self.prices = Prices(space, row)
        bands = np.arange(space.bands)
        near = np.exp(-np.square((bands[:, None] - bands) / _REACH) / 2) + 0.05 * np.eye(space.bands)
        together = _TOGETHER + (1 - _TOGETHER) * np.eye(space.times)
        self.alike: Array = np.kron(near, together).astype(np.float64)
        self.root = np.linalg.cholesky(self.alike)
        self.points = np.zeros((1, space.size))

    def talk(self, clean: Answer, start: Tensor | None, clips: tuple[Tensor, ...]) -> Talk:
        """Find a way in, climb with scores, polish with labels; then the same from elsewhere, by turns."""
        self.duels, self.reached = _finite(clean.duels), clean.reached.numpy()
        self.distance = clean.distance.numpy()
        least = max(3, round(min(_SEEK, _SHARE * self.steps)))
        for turn in range(self.steps):
            begun = len(self.points)
            if turn % 2 == 0 or not self.reached.any():
                search = Descent(self.space, self.row, self.y, self.seed + turn, self.steps)
                yield from self._overhear(search, search.talk(start, clips), least)
            else:
                begun = 0
            found = yield from self._climb(self._best(begun))
            if found is not None:
                labels = Descent(self.space, self.row, self.y, self.seed + turn, self.steps)
                labels.points, labels.reached = list(self.points[begun:]), self.reached[begun:].tolist()
                yield from self._overhear(labels, labels.resume(self.points[found]), math.inf)

    # ------------------------------------------------------------ asking

    def _ask(self, points: Array) -> Generator[Tensor, Answer, range]:
        """Ask about some points; the numbers of those that were answered."""
        rows = torch.full((len(points),), self.row)
        answer = yield self.space.render(torch.from_numpy(points), rows)
        return self._note(points, answer)

    def _note(self, points: Array, answer: Answer) -> range:
        had = len(self.points)
        self.points = np.concatenate([self.points, points[: len(answer.reached)]])
        self.duels = np.concatenate([self.duels, _finite(answer.duels)])
        self.reached = np.concatenate([self.reached, answer.reached.numpy()])
        self.distance = np.concatenate([self.distance, answer.distance.numpy()])
        return range(had, len(self.points))

    def _overhear(self, search: Descent, talk: Talk, queries: float) -> Talk:
        """So many queries of a search with labels, or until it gets nowhere; what it hears is noted."""
        length, since = math.inf, 0
        try:
            asked = next(talk)
            while queries > 0 and (since < _LABELS or search.best is None):
                answer = yield asked
                # What the answer was about is known once it asks again.
                asked = talk.send(answer)
                self._note(search.points[-1][None], answer)
                since += 1
                if search.length < (1 - _LESS) * length:
                    length, since = search.length, 0
                queries -= 1
        except StopIteration:
            return

    # ------------------------------------------------------------ where it stands

    def _margins(self, which: slice | range | list[int]) -> Array:
        return np.asarray(self.duels[which].max(1) if self.any_duel else self.duels[which].min(1))

    def _best(self, begun: int) -> int:
        """The nearest of the points from a number on that is heard as wanted, or the one with most margin."""
        if self.reached[begun:].any():
            return begun + int(np.where(self.reached, self.distance, np.inf)[begun:].argmin())
        return begun + int(self._margins(slice(begun, None)).argmax())

    def _level(self, begun: int) -> float:
        """The margin that tells best what is reached from what is not, nearest to nought."""
        recent = slice(max(begun, len(self.points) - _RECENT), None)
        margins, reached = self._margins(recent), self.reached[recent]
        trials = np.concatenate([[0.0], margins[reached] - 1e-9, margins[~reached] + 1e-9])
        wrong = ((margins >= trials[:, None]) != reached).sum(1)
        fewest = trials[wrong == wrong.min()]
        return float(fewest[np.abs(fewest).argmin()])

    # ------------------------------------------------------------ the climb

    def _climb(self, at: int) -> Generator[Tensor, Answer, int | None]:
        """From a point to the cheapest that will do; its number, or None where nothing does."""
        begun = len(self.points)
        leads = Leads(self.alike, self.duels.shape[1])
        steps = self.chance.standard_normal((_PROBES, self.space.size)) @ self.root.T
        steps *= _PROBE / np.linalg.norm(steps, axis=1, keepdims=True)
        self._learn(leads, at, (yield from self._ask(self.points[at] + steps)))
        found = at if self.reached[at] else None
        reach, raised, dip, weight, returns = _FIRST, 0.0, 0.3, 0.0, 3
        least, since = np.inf, len(self.points)
        while reach > _LEAST and len(self.points) - since < _PATIENCE:
            level = self._level(begun) + raised
            unit = leads.unit()
            candidates = []
            for number in range(_GENERATION):
                slopes = leads.slopes if number < 2 else leads.draw(self.chance, _HEAT)
                wanted = level - (dip * unit * reach if number == 1 else 0.0)
                point, worth = self._cheapest(at, slopes, wanted, reach if number < 2 else reach / 2)
                weight = max(2 * worth, 0.7 * weight, 4 / (unit + 1e-300)) if number == 0 else weight
                candidates.append(point)
            asked = yield from self._ask(np.stack(candidates))
            if not len(asked):
                return found
            self._learn(leads, at, asked)
            good = [k for k in asked if self.reached[k]]
            # Enough margin, and not reached: more is asked for.
            first = asked[0]
            if not self.reached[first] and self._margins([first])[0] >= level:
                raised += 0.15 * unit * reach
            elif good:
                raised *= 0.7
            dip = min(0.5, 1.5 * dip) if self.reached[asked[min(1, len(asked) - 1)]] else max(0.02, 0.7 * dip)
            to = self._better(at, found, asked, self._level(begun) + raised, weight, 0.3 * unit)
            reach = min(_MOST, 1.3 * reach) if to != at else 0.7 * reach
            if good and (found is None or self.distance[good].min() < self.distance[found]):
                found = good[int(self.distance[good].argmin())]
            if reach < 0.1 and found is not None and at != found and returns:
                to, reach, returns = found, 0.5, returns - 1
            leads.move(self.points[to] - self.points[at])
            at = to
            if found is not None and self.distance[found] < (1 - _LESS) * least:
                least, since = self.distance[found], len(self.points)
        return found

    def _learn(self, leads: Leads, at: int, asked: range) -> None:
        steps = self.points[asked] - self.points[at]
        for k in np.linalg.norm(steps, axis=1).argsort():
            leads.hear(steps[k], self.duels[asked[k]] - self.duels[at])

    def _cheapest(self, at: int, slopes: Array, level: float, reach: float) -> tuple[Array, float]:
        duels = self.duels[at]
        if self.any_duel:
            # One is enough: the one that is nearest to being won.
            lengths = np.linalg.norm(slopes, axis=1) + 1e-300
            one = int(((duels - level) / lengths).argmax())
            duels, slopes = duels[[one]], slopes[[one]]
        return cheapest(self.prices, self.points[at], duels, slopes, level, reach)

    def _better(
        self, at: int, found: int | None, asked: range, level: float, weight: float, slack: float
    ) -> int:
        """Where to go on: a shorter one that will do, or one that is cheaper for what it lacks in margin."""
        good = [k for k in asked if self.reached[k]]
        if good:
            nearest = good[int(self.distance[good].argmin())]
            if found is None or self.distance[nearest] < self.distance[found]:
                return nearest
        numbers = [at, *asked]
        lacking = np.maximum(0.0, level - self._margins(numbers))
        merit = 2 * np.log(self.distance[numbers] + 1e-30) + weight * lacking
        best = int(merit.argmin())
        if merit[best] < merit[0] - 1e-3 and lacking[best] <= max(lacking[0], slack):
            return int(numbers[best])
        return at


def _finite(duels: Tensor) -> Array:
    return np.asarray(np.nan_to_num(duels.cpu().numpy(), posinf=1e30, neginf=-1e30), dtype=np.float64)
