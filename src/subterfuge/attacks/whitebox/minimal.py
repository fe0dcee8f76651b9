"""``minimal``, our default: the smallest perturbation that we know how to find.

Three parts, each simple. **Approach**: from the clip to somewhere that is heard as wanted, in about ten
queries, along gradients held back where the clip is quiet (:mod:`.quiet_bands`); first by the victim's guide
where its scores are flat, then by the margin itself. **Shrink**: along the boundary to the nearest point of
it, on a sphere whose radius follows the boundary while the direction turns into the margin's mean gradient.
**Starts**: different approaches may end in different minima, several decibels apart, and after a few dozen
steps it is known which will be best; so several are tried for a short while, and the best is followed to the
end. A clip for which none finds a way is tried with ever new ones for as long as there are steps. Before the
last part one query asks whether a single step along the gradient would do better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import BudgetSpent, Search, Watch
from subterfuge.attacks.whitebox.quiet_bands import hold_back
from subterfuge.attacks.whitebox.steps import (
    check_steps,
    cosine,
    heading,
    lengths,
    loudness,
    place,
    seed_from,
)
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


@dataclass(frozen=True)
class Start:
    """One way to approach.

    Attributes
    ----------
    guide : int
        Steps to follow the victim's guide before its margin.
    level : float
        Cells quieter than this are held back, in dB about the clip's mean cell.
    noise : float or None
        White noise to begin with, in dB about the clip.
    """

    guide: int
    level: float
    noise: float | None = None


# Queries that the first approach may take before another is tried, and steps of a trial's shrinking.
_LIMIT, _TRIAL = 40, 36
# From so many steps on the straight way is looked at too; and queries of a row that it is good for.
_STRAIGHT, _PROBES = 40, 8

# In the order in which they are worth trying: the first alone finds a way for nearly every pair.
STARTS = (
    Start(6, -40),
    Start(0, -40),
    Start(3, -40),
    Start(10, -30),
    Start(6, -55),
    Start(12, -40),
    Start(0, -25),
    Start(20, -40),
)


def minimal(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    starts: tuple[Start, ...] = STARTS,
) -> Outcome:
    """The smallest perturbation in L2 that we know how to find.

    Parameters
    ----------
    victim : Victim
        Differentiable; one that is ``guided`` is found a way into from further off.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most gradient queries a row, at least 2. A hundred give a good answer, a thousand the best but for
        some tenths of a decibel, unless the victim is a maze.
    generator : torch.Generator, optional
        For what is drawn: starts beyond the first eight.
    watch : Watch, optional
    starts : tuple of Start
        To be tried first.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or ``steps`` is under 2.

    Examples
    --------
    >>> from subterfuge import load_victim
    >>> from subterfuge.criteria import Targeted
    >>> y = 0.1 * torch.randn(1, 22050, generator=torch.Generator().manual_seed(0))
    >>> outcome = minimal(load_victim("orchestra-svc"), y, Targeted("vio"), steps=40)
    >>> outcome.queries.forward.item() <= 40
    True
    """
    check_steps(steps)
    with Search(victim, y, criterion, watch=watch) as search:
        seed = seed_from(generator)
        margin, reached, gradient = search.climb(search.y)
        rows = (~reached).nonzero()[:, 0]
        # The guide must be asked for at the clip itself, which so few steps do not allow.
        guided = steps >= 10 and bool(getattr(victim, "guided", False))
        descend(search, rows, (margin[rows], gradient[rows]), steps, ways(starts, seed, guided=guided), seed)
    return search.outcome()


def ways(starts: tuple[Start, ...], seed: int, *, guided: bool) -> Iterator[Start]:
    """Those starts, then ever new ones; without the guide where there is none."""
    if guided:
        return chain(starts, _drawn(seed))
    return chain(dict.fromkeys(Start(0, start.level) for start in starts), _drawn(seed))


def _drawn(seed: int) -> Iterator[Start]:
    """Ever new starts; every row is given the same ones."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        a, b, c = torch.rand(3, generator=generator).tolist()
        yield Start(int(25 * a), -60 + 45 * b, -60 + 30 * c)


def descend(
    search: Search,
    rows: Tensor,
    known: tuple[Tensor, Tensor],
    steps: int,
    starts: Iterator[Start],
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Half of the steps for trials, the other half for the best of them.

    Returns the nearest adversarial points, and their distances: ``inf`` where a row found none.
    """
    left = torch.full_like(rows, steps - 1)
    clean = search.y[rows]
    best, radius = clean.clone(), torch.full_like(clean[:, 0], torch.inf)
    trials = max(1, steps // (2 * (_TRIAL + 14)))
    number = 0
    while True:
        # A row is done with trials when it has had its number of them, or found its first way after that.
        index = ((radius.isinf() | (number < trials)) & (left > 0)).nonzero()[:, 0]
        if not len(index):
            break
        start = next(starts)
        number += 1
        if not getattr(search.victim, "guided", False) and start.guide:
            start = Start(0, start.level, start.noise)
        # Later ones are given longer: where the first found nothing it may just be far away.
        limit = left[index].clamp(max=min(_LIMIT + 20 * (number - 1), 5 * _LIMIT))
        there = known[0][index], known[1][index]
        x, found, used = approach(search, rows[index], there, start, limit, seed)
        left[index] -= used
        if not bool((used > 0).any()) and not bool(found.any()):
            break  # a spent budget
        index, x = index[found], x[found]
        if not len(index) or trials == 1:
            best[index], radius[index] = x, lengths(x - clean[index])
            continue
        length = left[index].clamp(max=_TRIAL)
        x, r = _shrink_each(search, rows[index], x, length, last=0.3)
        left[index] -= length
        better = r < radius[index]
        best[index[better]], radius[index[better]] = x[better], r[better]
    if steps >= _STRAIGHT:
        straight_on(search, rows, known[1], best, radius, left, seed)
    index = (radius.isfinite() & (left > 2)).nonzero()[:, 0]
    pace = {"gamma": 0.03} if trials > 1 else {}
    best[index], radius[index] = _shrink_each(search, rows[index], best[index], left[index], **pace)
    return best, radius


def straight_on(
    search: Search, rows: Tensor, gradient: Tensor, best: Tensor, radius: Tensor, left: Tensor, seed: int
) -> None:
    """Where one straight step along the clip's own gradient is nearer than what was found, begin there.

    A feature that moves in steps (a share of zero crossings, where there is silence) can make a pocket beside
    the clip that no smooth way leads into. One query says whether there is none; ``best``, ``radius`` and
    ``left`` are brought up to date.
    """
    clean = search.y[rows]
    up = heading(gradient, seed, 0)
    high, low = 0.8 * radius, 0.8e-3 * radius
    size = high.clone()
    index = (radius.isfinite() & (left > _PROBES + 2)).nonzero()[:, 0]
    for probe in range(_PROBES):
        if not len(index):
            break
        x = place(clean[index], size[index, None] * up[index])
        try:
            _, reached, _ = search.climb_soft(x, rows[index], softness=0.1)
        except BudgetSpent:
            break
        left[index] -= 1
        here, short = index[reached], index[~reached]
        best[here], radius[here] = x[reached], lengths(x[reached] - clean[here])
        high[here], low[short] = size[here], size[short]
        index = here if probe == 0 else index
        size = (high * low).sqrt()


def _shrink_each(
    search: Search, rows: Tensor, x: Tensor, steps: Tensor, **pace: float
) -> tuple[Tensor, Tensor]:
    """Each row for its own number of steps, so that none depends on how its neighbours fared."""
    best, least = x.clone(), lengths(x - search.y[rows])
    for n in sorted(set(steps.tolist())):
        some = (steps == n).nonzero()[:, 0]
        best[some], least[some] = shrink(search, rows[some], x[some], int(n), **pace)
    return best, least


def approach(
    search: Search, rows: Tensor, known: tuple[Tensor, Tensor], start: Start, limit: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """From the clean clips to where the goal is reached, or a row has spent its ``limit`` of queries.

    Margin and gradient at the clips are ``known``: they need not be asked for again.
    """
    clean = search.y[rows]
    size = loudness(clean)
    level = clean.new_full((len(rows),), 10 ** (start.level / 10))
    x, found = clean.clone(), torch.zeros(len(rows), dtype=torch.bool, device=clean.device)
    if start.noise is not None:
        hiss = 10 ** (start.noise / 20) * heading(torch.zeros_like(clean), seed, int(-1e3 * start.noise))
        x = place(clean, size[:, None] * hiss)
    used = torch.zeros_like(rows)
    stride, last = 0.003 * size, torch.full_like(size, -torch.inf, dtype=torch.float64)
    course = torch.zeros_like(clean)
    for step in range(int(limit.max()) + 1):
        i = (~found & (used < limit)).nonzero()[:, 0]
        if not len(i):
            break
        guided = step < start.guide
        if step == start.guide:
            last[:] = -torch.inf
            course[:] = 0
        if step == 0 and not guided and start.noise is None:
            value, gradient = known
        else:
            try:
                if guided:
                    value, reached, gradient = search.climb_guide(x[i], rows[i])
                else:
                    value, reached, gradient = search.climb_soft(x[i], rows[i], softness=0.1)
            except BudgetSpent:  # of these rows; those that were found may have queries left
                break
            used[i] += 1
            found[i[reached]] = True
            i, value, gradient = i[~reached], value[~reached], gradient[~reached]
        value = value.double()
        if not len(i):
            break
        uphill = heading(hold_back(heading(gradient, seed, step), x[i], level[i]), seed, step)
        worse = value < last[i]
        # Where next to nothing is left of the clip (it may be silent), the stride may grow with the change.
        most = torch.maximum(0.05 * size[i], 0.2 * lengths(x[i] - clean[i]))
        stride[i] = torch.where(worse, 0.6 * stride[i], torch.minimum(1.2 * stride[i], most))
        last[i] = value
        course[i] = torch.where(worse[:, None], uphill, 0.7 * course[i] + uphill)
        x[i] = place(clean[i], x[i] + stride[i, None] * heading(course[i], seed, step) - clean[i])
    return x, found, used


def shrink(
    search: Search, rows: Tensor, x: Tensor, steps: int, *, gamma: float = 0.1, last: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Along the boundary to the nearest point of it.

    The perturbation lies on a sphere that shrinks where it succeeds and grows where it fails, and turns
    towards the smoothed margin's gradient: where it stands still, one is a multiple of the other, as the
    nearest point of a boundary demands. The sphere is that of Rony et al. (2019); they step from the last
    point where this turns the perturbation itself, by the mean of the last few gradients.

    Parameters
    ----------
    search : Search
    rows : Tensor of int64, shape (rows,)
    x : Tensor, shape (rows, samples)
        Where to begin: adversarial already.
    steps : int
    gamma : float
        By how much the radius changes at first, in (0, 1).
    last : float
        Share of the first strides that is left at the end: 0 to settle, more if it is to be gone on with.

    Returns
    -------
    best : Tensor, shape (rows, samples)
    least : Tensor, shape (rows,)
        Its distance from the clean clip.
    """
    clean = search.y[rows]
    delta = x - clean
    radius = lengths(delta)
    best, least = x.clone(), radius.clone()
    drift = torch.zeros_like(delta)
    for step in range(steps):
        change = cosine(step, steps, gamma, 0.0005 + gamma * last)
        pace = cosine(step, steps, 0.05, 0.005 + 0.05 * last)
        softness = 0.3 * (0.02 + 0.3 * last) ** (step / steps)
        x = place(clean, delta)
        delta = x - clean
        try:
            _, reached, gradient = search.climb_soft(x, rows, softness=softness)
        except BudgetSpent:  # of these rows; others may have queries left
            break
        length = lengths(delta)
        better = reached & (length < least)
        best[better], least[better] = x[better], length[better]
        radius = torch.where(reached, torch.minimum(radius, length) * (1 - change), radius * (1 + change))
        drift = 0.7 * drift + heading(gradient, 0, step) * length[:, None] - delta
        delta = delta + pace * drift
        delta = delta * (radius / lengths(delta).clamp(min=1e-30))[:, None]
    return best, least
