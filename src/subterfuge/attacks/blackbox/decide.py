"""Our search with labels alone: few numbers, a plane that is learnt from every answer, short bold steps."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.prices import Prices
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips, fitted, halve
from subterfuge.attacks.blackbox.subspace import Subspace
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

Array = NDArray[np.float64]

# Share of the steps, and most of them, that go into finding a cheap beginning.
_SEEK, _SEEK_MOST = 0.15, 40
# How far in bands a slope tells of its neighbours'; how loud (in nepers) the natural noise is.
_REACH, _NATURAL = 3.0, 0.7
# First length of a step in nepers, first share of it that goes down in price; how both change.
_STEP, _DOWN = 0.7, 0.3
_LONGER, _SHORTER, _BOLDER, _HUMBLER = 1.2, 0.93, 1.3, 0.9
# The plane: how steep it may be over a step, how soon an answer is forgotten (queries; steps away).
_STEEP, _FORGET, _FAR = 3.0, 150.0, 10.0


def decide(
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
    """The smallest perturbation that labels alone lead to, in a subspace of few numbers.

    Parameters
    ----------
    victim : Victim
        Nothing but whether the goal is reached is asked of it.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    start : Tensor, shape (batch, samples), optional
        Audio that is heard as wanted; by default loud gains, noise and embedded clips of the label are tried.
    bands, times : int, optional
        Of the subspace.

    Returns
    -------
    Outcome
        Distances in L2.
    """
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=True) as search:
        start, seed = check_start(start, y), seed_from(generator)
        space = Subspace(y, sr=victim.sample_rate, bands=bands, times=times)

        def talk(row: int, _: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            given = None if start is None else start[row]
            return Descent(space, row, y[row], seed, steps).talk(given, clips)

        converse(search, steps, talk)
    return search.outcome()


class Descent:
    """The search for one clip; everything that it has heard.

    Attributes
    ----------
    best : ndarray, shape (parameters,), or None
        Gains of the shortest change that was heard as wanted, of that length.
    """

    def __init__(self, space: Subspace, row: int, y: Tensor, seed: int, steps: int) -> None:
        self.space, self.rows, self.y, self.steps, self.seed = space, torch.tensor([row]), y, steps, seed
        self.chance = np.random.default_rng(seed)
        self.prices = Prices(space, row)
        apart = np.subtract.outer(np.arange(space.bands), np.arange(space.bands)) / _REACH
        by_time = 0.7 + 0.3 * np.eye(space.times)
        alike = np.kron(np.exp(-np.square(apart) / 2) + 0.05 * np.eye(space.bands), by_time)
        self.root, self.rough = np.linalg.cholesky(alike), np.linalg.inv(alike)
        self.points, self.reached = [np.zeros(space.size)], [False]
        self.best: Array | None = None
        self.length = math.inf
        self.asked = 1

    def talk(self, start: Tensor | None, clips: tuple[Tensor, ...]) -> Talk:
        """From audio that may be heard as wanted (a start, or clips), or from gains drawn at random."""
        if start is not None:
            # Straight back from it, too: its bands alone may not do.
            answer = yield (start - self.y)[None]
            self.asked += 1
            if bool(answer.reached[0]):
                yield from halve(start - self.y, tolerance=0.3)
        yield from self._seek([start] if start is not None else list(clips))
        yield from self._descend()

    def resume(self, gains: Array) -> Talk:
        """From gains that were heard as wanted elsewhere; ends at once where none like them are here."""
        for share in (1.0, 1.05, 1.15, 1.3, 1.6):
            if (yield from self._ask(share * gains)):
                yield from self._descend()

    # ------------------------------------------------------------ asking

    def _delta(self, gains: Array) -> Tensor:
        delta = self.space.render(torch.from_numpy(gains)[None], self.rows)[0]
        return (self.y + delta).clamp(-1, 1) - self.y

    def _ask(self, gains: Array, delta: Tensor | None = None) -> Generator[Tensor, Answer, bool]:
        delta = self._delta(gains) if delta is None else delta
        answer = yield delta[None]
        self.asked += 1
        reached, length = bool(answer.reached[0]), float(answer.distance[0])
        self.points.append(gains)
        self.reached.append(reached)
        if reached and length < self.length:
            self.best, self.length = gains, length
        return reached

    # ------------------------------------------------------------ the way in

    def _profile(self, y: Tensor) -> Array:
        from subterfuge.attacks.blackbox.subspace import _about

        power = _about(self.space._spectra(y[None]))
        return (self.space._means(power.log())[0] / 2).double().numpy()

    def _seek(self, clips: list[Tensor]) -> Talk:
        own = self._profile(self.y)
        ways = [self._profile(fitted(c.to(self.y), len(self.y))) - own for c in clips]
        turn = 0
        least = min(_SEEK * self.steps, _SEEK_MOST)
        while self.best is None or self.asked < least:
            gains, turn = self._draw(ways, turn)
            if (yield from self._ask(gains)):
                yield from self._halve(gains)

    def _halve(self, gains: Array) -> Talk:
        low, share = 1e-2, 1.0
        while self.prices.of(share * gains) > 1.5 * self.prices.of(low * gains):
            middle = (low + share) / 2
            if (yield from self._ask(middle * gains)):
                share = middle
            else:
                low = middle

    def _draw(self, ways: list[Array], turn: int) -> tuple[Array, int]:
        random = self.chance.random
        price = math.inf if self.best is None else 0.8 * self.prices.of(self.best)
        for _ in range(200):
            noise = random() * _NATURAL * self.root @ self.chance.standard_normal(self.space.size)
            if turn < 2 * len(ways):
                gains = ways[turn % len(ways)]
                gains = gains - gains.mean() * (turn >= len(ways))
            elif self.best is not None and random() < 0.5:
                gains = (0.3 + 0.7 * random()) * self.best + noise
            elif ways:
                i, j, mix = *self.chance.integers(len(ways), size=2), random()
                gains = (0.3 + random()) * (mix * ways[i] + (1 - mix) * ways[j]) + noise
            else:
                gains = 2 * noise
            turn += 1
            if self.prices.of(gains) < price:
                break
        return gains, turn

    # ------------------------------------------------------------ the way down

    def _descend(self) -> Talk:
        step, down = _STEP, _DOWN
        while True:
            assert self.best is not None
            best, length, price = self.best, self.length, self.prices.of(self.best)
            slope = self.prices.slopes(best, max(0.03, step / 5)) / price
            steep = float(np.linalg.norm(slope)) + 1e-300
            across = self._normal(step)
            across = across - (across @ slope) * slope / steep**2
            across /= np.linalg.norm(across) + 1e-300
            gains = best + step * (math.sqrt(1 - down**2) * across - down * slope / steep)
            aim = math.exp(-max(0.004, down * step * steep))
            for _ in range(4):
                now = self.prices.of(gains) / price
                if abs(math.log(now / aim)) < 0.01:
                    break
                by = self.prices.slopes(gains, max(0.03, step / 5)) / price
                gains = gains - (now - aim) * by / (by @ by + 1e-300)
            delta = self._delta(gains)
            norm = float(torch.linalg.vector_norm(delta))
            delta = delta * min(1.0, math.sqrt(aim) * length / max(norm, 1e-30))
            good = yield from self._ask(gains, delta)
            step *= _LONGER if good else _SHORTER
            down = min(0.7, down * _BOLDER) if good else max(0.02, down * _HUMBLER)

    def _normal(self, step: float) -> Array:
        """The normal of the boundary at the best point, drawn from what the answers leave open."""
        assert self.best is not None
        points = np.stack(self.points[-500:]) - self.best
        wanted = np.array(self.reached[-500:], dtype=float)
        age = np.arange(len(wanted))[::-1]
        weight = np.exp(-age / _FORGET - np.linalg.norm(points, axis=1) / (_FAR * step))
        prior = self.rough * (step / _STEEP) ** 2
        normal = np.zeros(len(prior))
        for _ in range(6):
            likely = 1 / (1 + np.exp(-np.clip(points @ normal, -50, 50)))
            pull = points.T @ (weight * (wanted - likely)) - prior @ normal
            bend = (points * (weight * likely * (1 - likely))[:, None]).T @ points + prior
            normal = normal + np.linalg.solve(bend, pull)
        draw = np.linalg.solve(np.linalg.cholesky(bend).T, self.chance.standard_normal(len(prior)))
        return normal + draw
