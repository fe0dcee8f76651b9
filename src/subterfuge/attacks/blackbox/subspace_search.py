"""Our search with scores alone: few numbers, a smooth model of what was heard, its cheapest point."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.gaussian_process import Process, fit
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

Array = NDArray[np.float64]

# Queries of the first look round, and of each generation after it.
_OPENING, _GENERATION = 24, 8
# The model is of the points nearest to the best one; this many at most.
_NEAREST = 240
# How far a slope in one band tells of its neighbours', in bands; and between stretches of time.
_REACH, _TOGETHER = 1.5, 0.7
# The same of the spectra of sounds.
_NATURAL = 8.0
# Least part of a score that is told from nothing, once it has faded.
_FAINT = 1e-3
# Errors of the model that are kept clear of, for the candidates of one generation.
_CAUTION = (0.0, 1.0, 2.5)


def subspace(
    victim: Victim,
    y: torch.Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    bands: int | None = None,
    times: int = 1,
) -> Outcome:
    """Smallest change, in L2, by gains of critical bands, from scores alone.

    Each row keeps a Gaussian process of all its duels over the gains. How large a change is, is known without
    asking; so every generation asks about the points that are cheapest of all at which the process, with more
    or less caution, expects every duel to be won, within a region of trust, and about some at random near by.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
    criterion : Criterion
    steps : int
        Most forward queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    bands, times : int
        See :class:`subterfuge.attacks.blackbox.subspace.Subspace`.

    Returns
    -------
    Outcome

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, or ``steps`` is under 2.

    References
    ----------
    Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable global optimization via local Bayesian
    optimization", NeurIPS 2019; Eriksson and Poloczek, "Scalable constrained Bayesian optimization", AISTATS
    2021. Here the objective is known, and each candidate solves its convex problem by duality.

    Examples
    --------
    >>> outcome = subspace(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.backward.tolist()
    [0, 0]
    """
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        seed = seed_from(generator)
        space = Subspace(y, sr=victim.sample_rate, bands=bands, times=times)
        converse(
            search,
            steps,
            lambda row, clean: _Row(space, row, seed, any_duel=search.goal.away).talk(clean),
        )
    return search.outcome()


class _Row:
    """The search for one clip; everything that it has heard."""

    def __init__(self, space: Subspace, row: int, seed: int, *, any_duel: bool) -> None:
        self.space, self.rows, self.any_duel = space, torch.tensor([row]), any_duel
        self.chance = np.random.default_rng(seed)
        self.cells = space.cells.double().numpy()
        self.smooth = np.linalg.cholesky(_correlation(space, _REACH) + 1e-6 * np.eye(space.size))
        self.natural = np.linalg.cholesky(_correlation(space, _NATURAL, 1.0))
        self.points = np.zeros((1, space.size))
        self.trust = 1.0
        self.fades = False
        middle = float(space.middle[row]) + np.log(self.cells.mean())
        self.sizes = np.exp(middle + np.linspace(-15, 15, 61))
        self.costs = np.array([self._cost(one) for one in self._gains(self.sizes[:, None] / self.cells)])

    def talk(self, clean: Answer) -> Talk:
        """Find the way in, and make it small."""
        self.duels, self.reached = _duels(clean), clean.reached.numpy()
        self.distance = clean.distance.numpy()
        # With every band far from any that was ever heard: what scores that fade with distance fade to.
        far = 3.0 * np.sign(self.chance.standard_normal((2, self.space.size)))
        yield from self._ask(far)
        if not self.reached.any():
            ends, self.faded = self.duels[1:], self.duels[1:].mean(0)
            self.fades = bool(np.abs(ends[0] - ends[1]).max() < 1e-3 * np.abs(ends - self.duels[0]).max())
            self._forget(slice(1, None))
        sizes = np.tile([0.1, 0.2, 0.4, 0.8], _OPENING // 4)[:, None]
        yield from self._ask(sizes * self._natural(_OPENING))
        while not self.reached.any():
            before = self._heights().max()
            yield from self._ask(self._ahead())
            self.trust = min(2.0, 1.4 * self.trust) if self._heights().max() > before else 0.75 * self.trust
            if self.trust < 0.1:
                self.trust = 1.0
        # From the first point that will do straight back towards the clip.
        found = self._multipliers(self.points[self._best()])
        shares = np.geomspace(0.02, 0.8, _GENERATION)[:, None]
        yield from self._ask(self._gains(shares * found))
        self.trust = 0.5
        while True:
            before = self.distance[self._best()]
            yield from self._ask(self._candidates())
            better = self.distance[self._best()] < 0.995 * before
            self.trust = min(1.0, 1.4 * self.trust) if better else 0.75 * self.trust
            if self.trust < 0.03:
                self.trust = 0.5

    def _forget(self, which: slice) -> None:
        keep = np.ones(len(self.points), dtype=bool)
        keep[which] = False
        self.points, self.duels = self.points[keep], self.duels[keep]
        self.reached, self.distance = self.reached[keep], self.distance[keep]

    def _shown(self) -> Array:
        """Duels; while there is no success, and where scores fade, the faint rest on a logarithmic scale.

        It tells the way from afar, where all that is left of a score is a thousandth of it.
        """
        if self.reached.any() or not self.fades:
            return self.duels
        return np.asarray(np.arcsinh((self.duels - self.faded) / _FAINT))

    def _height(self, duels: Array) -> Array:
        """How near duels as shown, shape (n, duels), are to being won."""
        if self.any_duel:
            return np.asarray(duels.max(1))
        return np.asarray(duels.min(1) + duels.mean(1))

    def _heights(self) -> Array:
        """That of every point, less what keeps it from leaving what sounds are like."""
        unlike = np.square(np.linalg.solve(self.natural, self.points.T)).mean(0)
        return np.asarray(self._height(self._shown()) - unlike)

    def _natural(self, number: int) -> Array:
        """Gains that differ as the spectra of sounds do, by about a neper: smooth, more so at large."""
        return np.asarray(self.chance.standard_normal((number, self.space.size)) @ self.natural.T)

    def _ahead(self) -> Array:
        """Before the first success: steps up the model's slope, and about the best point at random."""
        centre = self.points[int(self._heights().argmax())]
        process = self._model(centre)
        steps = []
        covariance = self.natural @ self.natural.T
        for reach in (0.5, 1.0, 2.0):
            point = centre
            for _ in range(8):
                values, slopes, _ = process.predict((point - centre) @ self.smooth)
                weights = np.full(len(values), 0.0 if self.any_duel else 1 / len(values))
                weights[int(values.argmax() if self.any_duel else values.argmin())] += 1
                slope = weights @ slopes @ self.smooth.T
                heading = covariance @ slope
                heading /= np.sqrt(slope @ heading) + 1e-300
                point = point + reach * self.trust / 8 * heading
            steps.append(point)
        around = steps[1] + 0.3 * self.trust * self._natural(_GENERATION - len(steps))
        return np.concatenate([np.stack(steps), around])

    def _ask(self, points: Array) -> Talk:
        parameters = torch.from_numpy(points)
        answer = yield self.space.render(parameters, self.rows.expand(len(points)))
        self.points = np.concatenate([self.points, points])
        self.duels = np.concatenate([self.duels, _duels(answer)])
        self.reached = np.concatenate([self.reached, answer.reached.numpy()])
        self.distance = np.concatenate([self.distance, answer.distance.numpy()])

    def _best(self) -> int:
        """The nearest point that is heard as wanted; or that with the largest margin."""
        if self.reached.any():
            return int(np.where(self.reached, self.distance, np.inf).argmin())
        return int(self._margins().argmax())

    def _margins(self) -> Array:
        return np.asarray(self.duels.max(1) if self.any_duel else self.duels.min(1))

    def _model(self, centre: Array) -> Process:
        """A process through what was heard nearest to a point, from which its inputs are counted."""
        inputs = (self.points - centre) @ self.smooth
        about = np.square(inputs).sum(1)
        near = np.argsort(about)[:_NEAREST]
        typical = np.sqrt(np.median(about[near])) + 1e-9
        return fit(inputs[near], self._shown()[near], lengths=typical * np.array([0.5, 1.0, 2.0, 4.0, 8.0]))

    def _candidates(self) -> Array:
        centre = self.points[self._best()]
        process = self._model(centre)
        about = np.square((self.points - centre) @ self.smooth).sum(1)
        near = np.argsort(about)
        need = _threshold(self._margins()[near[:60]], self.reached[near[:60]])
        multipliers = self._multipliers(centre)
        size = np.exp(np.interp(np.log(self._cost(centre) + 1e-300), np.log(self.costs), np.log(self.sizes)))
        room = self.trust * size / self.cells
        low, high = self._gains(np.stack([multipliers - 4 * room, multipliers + 4 * room]))
        low, high = np.maximum(low, centre - 2 * self.trust), np.minimum(high, centre + 2 * self.trust)
        cheapest = [self._cheapest(process, centre, low, high, need, caution) for caution in _CAUTION]
        others = self.chance.standard_normal((_GENERATION - len(cheapest), self.space.size)) @ self.smooth.T
        around = self._gains(self._multipliers(cheapest[1]) + room * others)
        around = np.clip(around, cheapest[1] - 0.5 * self.trust, cheapest[1] + 0.5 * self.trust)
        return np.concatenate([np.stack(cheapest), around])

    def _cheapest(
        self, process: Process, centre: Array, low: Array, high: Array, need: float, caution: float
    ) -> Array:
        """The point of least cost at which the process expects success, or the nearest to success."""
        point, ahead, slopes, merit = centre, *self._forecast(process, centre, centre, need, caution)
        part = 1.0
        for _ in range(12):
            chosen = [int(ahead.argmax())] if self.any_duel else slice(None)
            reach = part * (high - low)
            inner = np.maximum(low, point - reach), np.minimum(high, point + reach)
            trial = self._dual(ahead[chosen], slopes[chosen], point, *inner)
            there = self._forecast(process, centre, trial, need, caution)
            if there[2] < merit:
                point, (ahead, slopes, merit) = trial, there
                part = min(1.0, 1.5 * part)
            else:
                part *= 0.4
        return point

    def _forecast(
        self, process: Process, centre: Array, point: Array, need: float, caution: float
    ) -> tuple[Array, Array, float]:
        """Duels less what is needed of them, their slopes, and a merit: cost in dB, and what is lacking."""
        values, slopes, error = process.predict((point - centre) @ self.smooth)
        ahead = values - caution * error * process.scale - need
        worst = float(ahead.max() if self.any_duel else ahead.min())
        scale = float(process.scale.mean())
        merit = 10 * np.log10(self._cost(point) + 1e-300) - 60 * min(0.0, worst) / scale
        return ahead, slopes @ self.smooth.T, merit

    def _dual(self, ahead: Array, slopes: Array, point: Array, low: Array, high: Array) -> Array:
        """Least cost with ``ahead + slopes (x - point) >= 0`` in a box; as far there as the box allows."""
        reach = ahead + np.where(slopes > 0, slopes * (high - point), slopes * (low - point)).sum(1)
        # What cannot be had whole is had in part: all duels are asked to come up to the same level.
        level = min(0.0, 0.9 * float(reach.min()) + 0.1 * float(ahead.min()))
        for _ in range(3):
            weights = np.zeros(len(ahead))
            for _ in range(4):
                x: Array = self._answer(weights[None] @ slopes, low, high)[0]
                short = ahead + slopes @ (x - point) - level
                j = int(short.argmin())
                if short[j] >= -1e-6 * (1 + abs(level)):
                    return x
                weights[j] = self._weight(j, weights, ahead, slopes, point, low, high, level)
            level = 0.5 * level + 0.5 * min(0.0, float(ahead.min()))
        return x

    def _weight(
        self,
        j: int,
        weights: Array,
        ahead: Array,
        slopes: Array,
        point: Array,
        low: Array,
        high: Array,
        level: float,
    ) -> float:
        """The least weight of one duel with which it comes up to the level, the others' as they are."""
        steepest = float(np.abs(slopes[j] / self.cells).max()) + 1e-300
        middle = float(self.space.middle[self.rows]) - np.log(steepest)
        a, b = middle - 20.0, middle + 20.0
        for _ in range(3):
            grid = np.linspace(a, b, 20)
            trial = np.repeat(weights[None], len(grid), 0)
            trial[:, j] = np.exp(grid)
            x = self._answer(trial @ slopes, low, high)
            enough = ahead[j] + (x - point) @ slopes[j] >= level
            first = int(enough.argmax()) if enough.any() else len(grid) - 1
            a, b = grid[max(0, first - 1)], grid[first]
        return float(np.exp(b))

    def _answer(self, forces: Array, low: Array, high: Array) -> Array:
        return np.clip(self._gains(forces / self.cells), low, high)

    def _cost(self, point: Array) -> float:
        """About the squared length of a change, up to a factor."""
        return float((np.abs(point * self._multipliers(point)) * self.cells).sum())

    def _gains(self, multipliers: Array) -> Array:
        rows = self.rows.expand(len(multipliers))
        gains: Array = self.space.gains_of(torch.from_numpy(multipliers), rows).double().numpy()
        return gains

    def _multipliers(self, gains: Array) -> Array:
        found = self.space.multipliers(torch.from_numpy(gains)[None], self.rows)[0]
        multipliers: Array = found.double().numpy()
        return multipliers


def _duels(answer: Answer) -> Array:
    return np.asarray(np.nan_to_num(answer.duels.cpu().numpy(), posinf=1e30, neginf=-1e30))


def _correlation(space: Subspace, reach: float, power: float = 2.0) -> Array:
    """How alike two bands and stretches are: the nearer the more (smoothly for a power of 2)."""
    bands, times = np.arange(space.bands), np.arange(space.times)
    by_band = np.exp(-(np.abs((bands[:, None] - bands) / reach) ** power) / power)
    by_time = np.where(times[:, None] == times, 1.0, _TOGETHER)
    return np.asarray(np.kron(by_band, by_time), dtype=np.float64)


def _threshold(margins: Array, reached: NDArray[Any]) -> float:
    """The margin that tells best what is reached from what is not, nearest to nought: scores may mislead."""
    trials = np.concatenate([[0.0], margins[reached] - 1e-9, margins[~reached] + 1e-9])
    wrong = ((margins >= trials[:, None]) != reached).sum(1)
    fewest = trials[wrong == wrong.min()]
    return float(fewest[np.abs(fewest).argmin()])
