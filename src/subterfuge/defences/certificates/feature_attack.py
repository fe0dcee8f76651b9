"""The nearest feature vector that is heard as something else: the attack that certificates are held to.

Two stages. For each duel of the label elected, the nearest point of its boundary, by sequential quadratic
programming from the point itself and from others about it; where a turned duel does not turn the vote, and
from a few random starts besides, steps down the vote's own margin. Then the best few points found are drawn
nearer within the cell of duels that they lie in, all of whose signs are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from subterfuge.defences.certificates.duelling import Array, Duel, Duels
from subterfuge.victims.libsvm import vote_margins

# So many of the nearest boundary points are started from in the descent on the vote.
ROWS = 8
# A vote's margin that no rounding turns.
CLEAR = 1e-8


@dataclass(frozen=True)
class Flip:
    """The nearest point found with another label.

    Attributes
    ----------
    point : array, shape (d,)
        Standardised; not finite where none was found.
    label : int
        Its label, -1 where none was found.
    distance : float
        Euclidean, infinite where none was found.
    """

    point: Array
    label: int
    distance: float


def nearest_flip(
    duels: Duels, x: Array, *, starts: int = 1, steps: int = 40, seed: int = 0, target: int | None = None
) -> Flip:
    """Search the nearest point that the vote gives another label (or ``target``).

    Parameters
    ----------
    duels : Duels
    x : array, shape (d,)
        Standardised.
    starts : int
        Random starts a duel and of the descent, besides ``x`` itself.
    steps : int
        Of the descent on the vote.
    seed : int
    target : int, optional

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from subterfuge.defences.certificates.duelling import duels_of
    >>> duels = duels_of(SVC(C=10, gamma=0.5).fit([[-1.0], [1.0]], [0, 1]))
    >>> round(nearest_flip(duels, np.array([-1.0])).distance, 4)
    1.0
    """
    rng = np.random.default_rng(seed)
    label = int(duels.votes(x[None])[0])
    found = [x + h for h in _boundaries(duels, x, label, starts, rng)]
    found += _descents(duels, x, label, found, starts, steps, rng, target)
    best = Flip(np.full_like(x, np.nan), -1, np.inf)
    points = sorted(found, key=lambda point: float(np.linalg.norm(point - x)))
    heard = _heard(duels, np.stack(points)) if points else []
    polished = 0
    for point, got in zip(points, heard, strict=True):
        if got in (label, -1) or (target is not None and got != target):
            continue
        distance = float(np.linalg.norm(point - x))
        if distance < best.distance:
            best = Flip(point, got, distance)
        if polished < 2:
            polished += 1
            best = min(best, _polished(duels, x, point, got), key=lambda flip: flip.distance)
    return best


def _boundaries(duels: Duels, x: Array, label: int, starts: int, rng: np.random.Generator) -> list[Array]:
    """Displacements onto (and a hair over) the boundaries of the duels of ``label``."""
    from scipy.optimize import minimize

    out = []
    for duel in duels.each:
        if label not in (duel.first, duel.second):
            continue
        if float(duel(x[None])[0]) < 0:
            duel = duel.turned()
        tried = [_newton(duel, x)]
        reach = float(np.linalg.norm(tried[0]))
        tried += [rng.normal(size=len(x)) / np.sqrt(len(x)) * reach for _ in range(starts)]
        for begin in tried:
            result = minimize(
                lambda h: (0.5 * h @ h, h),
                begin,
                jac=True,
                method="SLSQP",
                constraints={
                    "type": "ineq",
                    "fun": lambda h, duel=duel: -duel((x + h)[None])[0],
                    "jac": lambda h, duel=duel: -duel.slope(x + h),
                },
                options={"maxiter": 60, "ftol": 1e-12},
            )
            out += [_over(duel, x, result.x)] if np.isfinite(result.x).all() else []
    return out


def _newton(duel: Duel, x: Array, steps: int = 30) -> Array:
    """Repeated projections onto the duel's tangent plane, each held to a length that the kernel bears."""
    h = np.zeros_like(x)
    for _ in range(steps):
        value, slope = float(duel((x + h)[None])[0]), duel.slope(x + h)
        goal = (slope @ h - value) / max(float(slope @ slope), 1e-12) * slope
        move = goal - h
        size = float(np.linalg.norm(move))
        h = h + move * min(1.0, 0.5 / np.sqrt(duel.gamma) / max(size, 1e-12))
    return h


def _over(duel: Duel, x: Array, h: Array) -> Array:
    """The least stretch of ``h`` that is over the boundary, else ``h``."""
    for stretch in (1, 1 + 1e-8, 1 + 1e-7, 1 + 1e-6, 1 + 1e-5, 1 + 1e-3):
        if float(duel((x + stretch * h)[None])[0]) < -2 * CLEAR:
            return np.asarray(stretch * h)
    return h


def _descents(
    duels: Duels,
    x: Array,
    label: int,
    found: list[Array],
    starts: int,
    steps: int,
    rng: np.random.Generator,
    target: int | None,
) -> list[Array]:
    """Points reached by stepping down the vote's margin on spheres that shrink on success and else grow."""
    reach = float(np.median([np.linalg.norm(p - x) for p in found])) if found else 1.0
    begin = rng.normal(size=(starts, len(x))) / np.sqrt(len(x)) * reach
    begin = np.concatenate([begin, [p - x for p in found]])
    begin = begin[np.argsort(np.linalg.norm(begin, axis=1))][:ROWS]
    radius = np.maximum(np.linalg.norm(begin, axis=1), 1e-9)
    h, best = begin.copy(), np.full_like(begin, np.nan)
    least = np.full(len(begin), np.inf)
    for step in range(steps):
        reached, slope = _vote_slope(duels, x + h, label, target)
        better = reached & (np.linalg.norm(h, axis=1) < least)
        least[better], best[better] = np.linalg.norm(h[better], axis=1), h[better]
        radius = radius * np.where(reached, 0.95, 1.05)
        pace = radius * (0.02 + 0.28 * (1 + np.cos(np.pi * step / steps)))
        h = h + pace[:, None] * slope / np.maximum(np.linalg.norm(slope, axis=1), 1e-30)[:, None]
        h *= (radius / np.maximum(np.linalg.norm(h, axis=1), 1e-30))[:, None]
    return [x + h for h in best[np.isfinite(least)]]


def _vote_slope(duels: Duels, points: Array, label: int, target: int | None) -> tuple[Array, Array]:
    """Whether each point is flipped, and the direction in which it would be more so."""
    values = torch.from_numpy(duels.values(points)).requires_grad_()
    margins = vote_margins(values, duels.classes)
    goal = -margins[:, label] if target is None else margins[:, target]
    (by_duel,) = torch.autograd.grad(goal.sum(), values)
    return (goal > 0).numpy(), duels.slopes(points, by_duel.numpy())


def _heard(duels: Duels, points: Array) -> list[int]:
    """Labels of points, -1 where rounding might decide."""
    margins, labels = vote_margins(torch.from_numpy(duels.values(points)), duels.classes).max(1)
    return [n if clear else -1 for n, clear in zip(labels.tolist(), (margins > CLEAR).tolist(), strict=True)]


def _polished(duels: Duels, x: Array, point: Array, label: int) -> Flip:
    """Nearer to ``x`` within the cell of ``point``: the signs of all duels of its label are kept."""
    from scipy.optimize import minimize

    signs = np.sign(duels.values(point[None])[0])
    mine = [n for n, duel in enumerate(duels.each) if label in (duel.first, duel.second)]

    def values(h: Array) -> Array:
        return np.array([signs[n] * float(duels.each[n]((x + h)[None])[0]) for n in mine])

    def slopes(h: Array) -> Array:
        return np.stack([signs[n] * duels.each[n].slope(x + h) for n in mine])

    result = minimize(
        lambda h: (0.5 * h @ h, h),
        point - x,
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda h: values(h) - 2 * CLEAR, "jac": slopes},
        options={"maxiter": 40, "ftol": 1e-12},
    )
    for stretch in (1, 1 + 1e-7, 1 + 1e-4):
        h = stretch * result.x
        if np.isfinite(h).all() and _heard(duels, (x + h)[None]) == [label]:
            return Flip(x + h, label, float(np.linalg.norm(h)))
    return Flip(point, label, float(np.linalg.norm(point - x)))
