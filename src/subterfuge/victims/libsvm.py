"""What libsvm does after the kernel, in torch: votes among duels, their margins, coupled probabilities.

Throughout, ``duels`` has shape (batch, K (K - 1) / 2): one decision value for every pair of classes i < j, in
libsvm's order (0, 1), (0, 2), ..., (K - 2, K - 1); a positive one means that i beats j.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

# libsvm keeps every pairwise probability at least this far from 0 and 1.
LEAST_PROBABILITY = 1e-7


def pairs(classes: int) -> tuple[Tensor, Tensor]:
    """First and second class of each duel, int64, shape (K (K - 1) / 2,) each.

    Examples
    --------
    >>> [x.tolist() for x in pairs(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    first, second = torch.triu_indices(classes, classes, offset=1)
    return first, second


@lru_cache(maxsize=32)
def _pairs_on(classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    first, second = pairs(classes)
    return first.to(device), second.to(device)


@lru_cache(maxsize=32)
def _spread(classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each entry of the (K, K) matrix of duels is found in the list of duels, and its sign."""
    first, second = pairs(classes)
    where = torch.zeros(classes, classes, dtype=torch.int64)
    sign = torch.zeros(classes, classes, dtype=torch.float64)
    where[first, second] = where[second, first] = torch.arange(len(first))
    sign[first, second], sign[second, first] = 1.0, -1.0
    return where.flatten().to(device), sign.flatten().to(device)


def duel_matrix(duels: Tensor, classes: int) -> Tensor:
    """The duels as antisymmetric matrices, shape (batch, K, K): entry (i, j) positive where i beats j."""
    where, sign = _spread(classes, duels.device)
    return (duels[:, where] * sign.to(duels.dtype)).view(-1, classes, classes)


@lru_cache(maxsize=32)
def _ballot(classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Votes = (duel > 0) @ gains + base: what each class has when it loses all as first, and what changes."""
    first, second = pairs(classes)
    one = torch.eye(classes)
    return (one[first] - one[second]).to(device), one[second].sum(0).to(device)


def votes(duels: Tensor, classes: int) -> Tensor:
    """Duels won by each class, float32, shape (batch, K); a duel at exactly zero goes to the second class."""
    gains, base = _ballot(classes, duels.device)
    return torch.addmm(base, (duels > 0).to(gains.dtype), gains)


def vote(duels: Tensor, classes: int) -> Tensor:
    """libsvm's prediction: most duels won, ties to the lower index; int64, shape (batch,)."""
    return votes(duels, classes).argmax(1)


@dataclass(frozen=True)
class _MarginTable:
    """Constants of :func:`vote_margins` for one number of classes K; a *cell* is (t, m, j), flattened."""

    spread: Tensor  # (duels, K * K): from the list of duels to the flat matrix
    diagonal: Tensor  # (K * K,): minus infinity on the diagonal
    look: Tensor  # (cells,): where a cell's condition lies among the sorted duels and their negatives
    rank: Tensor  # (cells,): the same without the negatives
    row: Tensor  # (cells,): whose duel it is, times K
    side: Tensor  # (cells,): 1 for one's own duel, -1 for a rival's
    where: Tensor  # (K * K,): the duel in each entry of the matrix
    sign: Tensor  # (K * K,): and its sign there
    start: Tensor  # (K,): first cell of each t


@lru_cache(maxsize=32)
def _margin_table(classes: int, dtype: torch.dtype, device: torch.device) -> _MarginTable:
    """The condition of cell (t, m, j): on j for t to win with at least m + 1 votes.

    For j = t: its duel of rank m is won. For j after t: that of rank m + 1 is lost; before t: that of rank
    m. The rank after the last one holds minus infinity (nobody duels with itself): no condition.
    """
    where, sign = _spread(classes, torch.device("cpu"))
    size = classes * classes
    spread = torch.zeros(len(pairs(classes)[0]), size, dtype=torch.float64)
    spread[where, torch.arange(size)] = sign
    diagonal = torch.zeros(classes, classes, dtype=torch.float64).fill_diagonal_(-torch.inf).flatten()
    t, m, j = (
        x.flatten()
        for x in torch.meshgrid(
            torch.arange(classes), torch.arange(classes - 1), torch.arange(classes), indexing="ij"
        )
    )
    rank = j * classes + torch.where(j > t, m + 1, m)
    side = torch.where(j == t, 1.0, -1.0)
    return _MarginTable(
        spread=spread.to(device, dtype),
        diagonal=diagonal.to(device, dtype),
        look=torch.where(j == t, rank, rank + size).to(device),
        rank=rank.to(device),
        row=(j * classes).to(device),
        side=side.to(device, dtype),
        where=where.to(device),
        sign=sign.to(device, dtype),
        start=torch.arange(0, len(t), size - classes).to(device),
    )


class _VoteMargins(torch.autograd.Function):
    """See :func:`vote_margins`; which duel each margin is, is only worked out if a gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, duels: Tensor, classes: int) -> Tensor:
        table = _margin_table(classes, duels.dtype, duels.device)
        matrix = torch.addmm(table.diagonal, duels, table.spread).view(-1, classes, classes)
        best, opponent = matrix.sort(dim=2, descending=True)
        best = best.flatten(1)
        conditions = torch.cat([best, -best], 1)[:, table.look].view(-1, classes, classes - 1, classes)
        worst, binding = conditions.min(3)
        margins, votes = worst.max(2, keepdim=True)
        ctx.shape = duels.shape
        ctx.save_for_backward(binding, votes, opponent)
        return margins[:, :, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        binding, votes, opponent = ctx.saved_tensors
        classes = binding.shape[1]
        table = _margin_table(classes, grad.dtype, grad.device)
        cell = (binding.gather(2, votes) + votes * classes)[:, :, 0] + table.start
        entry = opponent.flatten(1).gather(1, table.rank[cell]) + table.row[cell]
        out = grad.new_zeros(ctx.shape)
        return out.scatter_add_(1, table.where[entry], grad * table.sign[entry] * table.side[cell]), None


def vote_margins(duels: Tensor, classes: int) -> Tensor:
    """How far each class is inside (positive) or outside the region where the vote elects it.

    Class t wins with at least m votes just if its m-th best duel is won and no rival reaches the votes
    that would beat it: at most m for those after it (ties go to the lower index), at most m - 1 for those
    before it. "j has at most q votes" is the same as "its (q + 1)-th best duel is lost". The margin is the
    best m's worst condition, so every margin is one signed duel, and the gradient is that duel's.

    Parameters
    ----------
    duels : Tensor, shape (batch, K (K - 1) / 2)
    classes : int
        K, at least 2.

    Returns
    -------
    Tensor, shape (batch, K)
        In the units of the decision function. Off the boundaries exactly one is positive, the winner's.

    Examples
    --------
    >>> vote_margins(torch.tensor([[1.0, 2.0, 0.5]]), 3)  # 0 beats 1 and 2, 1 beats 2
    tensor([[ 1., -1., -2.]])
    """
    if classes == 2:
        return torch.cat([duels, -duels], 1)
    margins: Tensor = _VoteMargins.apply(duels, classes)  # type: ignore[no-untyped-call]
    return margins


def vote_clearances(duels: Tensor, classes: int) -> Tensor:
    """The conditions behind each class's vote margin, all of which must be positive for it to be elected.

    For the number of votes m that :func:`vote_margins` settles on: the class's m best duels, and for each
    rival the duel that it must lose (see there); the least of them is the margin.

    Parameters
    ----------
    duels : Tensor, shape (batch, K (K - 1) / 2)
    classes : int
        K, at least 2.

    Returns
    -------
    Tensor, shape (batch, K, 2 K - 1)
        Padded with ``inf``.

    Examples
    --------
    >>> vote_clearances(torch.tensor([[1.0, 2.0, 0.5]]), 3).amin(2)  # the vote margins
    tensor([[ 1., -1., -2.]])
    """
    ranked = duel_matrix(duels, classes)
    own = torch.eye(classes, dtype=torch.bool, device=duels.device)
    ranked = ranked.masked_fill(own, -torch.inf).sort(2, descending=True).values[..., : classes - 1]
    earlier = torch.ones_like(own).tril(-1)
    best, worst = None, None
    for votes in range(classes - 1, 0, -1):
        won = ranked.clone()
        won[..., votes:] = torch.inf
        if votes == classes - 1:  # nobody else can have as many
            lost = ranked.new_full((len(duels), classes, classes), torch.inf)
        else:
            lost = torch.where(earlier, -ranked[:, None, :, votes - 1], -ranked[:, None, :, votes])
            lost = lost.masked_fill(own, torch.inf)
        conditions = torch.cat([won, lost], 2)
        least = conditions.detach().amin(2)
        if best is None or worst is None:
            best, worst = conditions, least
        else:
            better = least > worst
            best = torch.where(better[..., None], conditions, best)
            worst = torch.maximum(least, worst)
    assert best is not None
    return best


def confidences(duels: Tensor, classes: int) -> Tensor:
    """Sum of each class's duels, shape (batch, K); what scikit-learn breaks ties by."""
    gains, _ = _ballot(classes, duels.device)
    return duels @ gains.to(duels.dtype)


def ovr_decision(duels: Tensor, classes: int, *, smooth: bool = False) -> Tensor:
    """scikit-learn's ``decision_function_shape="ovr"`` values: votes plus a fraction for the confidence.

    Parameters
    ----------
    duels : Tensor, shape (batch, K (K - 1) / 2)
    classes : int
    smooth : bool
        Give the votes, whose true gradient is zero, that of ``d / (1 + |d|) / 2``: an attack then sees
        which duels are close to turning. Values are the same.

    Returns
    -------
    Tensor, shape (batch, K)
    """
    gains, base = _ballot(classes, duels.device)
    gains = gains.to(duels.dtype)
    won = (duels >= 0).to(duels.dtype)
    if smooth and duels.requires_grad:
        soft = duels / (1 + duels.abs()) / 2
        won = won + (soft - soft.detach())
    total = duels @ gains
    return won @ gains + base.to(duels.dtype) + total / (3 * (total.abs() + 1))


def tie_break_margins(duels: Tensor, classes: int) -> Tensor:
    """As :func:`vote_margins` where equal votes are decided by confidence (``break_ties=True``)."""
    matrix = duel_matrix(duels, classes)
    diagonal = torch.eye(classes, dtype=torch.bool, device=duels.device)
    best = matrix.masked_fill(diagonal, -torch.inf).sort(dim=2, descending=True).values
    confidence = confidences(duels, classes) / (classes - 1)
    lead = confidence[:, :, None] - confidence[:, None, :]
    # Axes (batch, t, m, j): fewer than m votes, or no more than m and less confidence.
    fewer, equal = -best[:, None, :, :-1].mT, -best[:, None, :, 1:].mT
    beaten = torch.maximum(fewer, torch.minimum(equal, lead[:, :, None, :]))
    beaten = beaten.masked_fill(diagonal[:, None, :], torch.inf).amin(3)
    return torch.minimum(best[:, :, :-1], beaten).amax(2)


def platt(duels: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Platt's sigmoid on each duel: P(i | i or j), same shape, in [1e-7, 1 - 1e-7] as libsvm has it."""
    p = torch.sigmoid(torch.addcmul(-b, duels, a, value=-1))
    return p.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)


@lru_cache(maxsize=32)
def _both_ways(classes: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """r = base + p @ spread: p for i < j, 1 - p below the diagonal, zero on it."""
    table = _margin_table(classes, dtype, device)
    first, second = pairs(classes)
    base = torch.zeros(classes, classes, dtype=dtype)
    base[second, first] = 1
    return base.flatten().to(device), table.spread


def pairwise_probabilities(duels: Tensor, a: Tensor, b: Tensor, classes: int) -> Tensor:
    """r(i, j) = P(i | i or j) as matrices, shape (batch, K, K), diagonal zero; see :func:`platt`."""
    return _as_matrix(platt(duels, a, b), classes)


def _as_matrix(p: Tensor, classes: int) -> Tensor:
    base, spread = _both_ways(classes, p.dtype, p.device)
    return torch.addmm(base, p, spread).view(-1, classes, classes)


def coupling_matrix(r: Tensor) -> Tensor:
    """Q of Wu, Lin and Weng (2004), eq. 20, from pairwise probabilities ``r``; shape (batch, K, K)."""
    q = -r * r.mT
    return q + torch.diag_embed(r.square().sum(1))


def coupled(r: Tensor) -> Tensor:
    """The probabilities that best explain the pairwise ones, solved exactly; differentiable.

    Second method of Wu, Lin and Weng, "Probability estimates for multi-class classification by pairwise
    coupling" (JMLR 5, 2004): minimise p' Q p with p summing to one. Since Q p is constant at the optimum,
    p is (Q + e e')^-1 e, normalised.

    Parameters
    ----------
    r : Tensor, shape (batch, K, K)
        Pairwise probabilities, as :func:`pairwise_probabilities` gives them.

    Returns
    -------
    Tensor, shape (batch, K)
    """
    x: Tensor = torch.linalg.solve(coupling_matrix(r) + 1, torch.ones_like(r[:, :, 0]))
    return x / x.sum(1, keepdim=True)


class _Reported(torch.autograd.Function):
    """Values by libsvm's iteration, gradient by implicit differentiation of the exact solve."""

    @staticmethod
    def forward(ctx: Any, duels: Tensor, a: Tensor, b: Tensor, classes: int) -> Tensor:
        p = platt(duels, a, b)
        q = coupling_matrix(_as_matrix(p, classes))
        ctx.save_for_backward(p, q, a)
        return _iterated(q)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        p, q, a = ctx.saved_tensors
        # The probabilities are x / sum(x), x = M^-1 e, M = Q + e e'; hence dL/dM = -y x', y = M^-1 dL/dx.
        inverse = torch.linalg.inv(q + 1)
        x = inverse.sum(2, keepdim=True)
        total = x.sum(1, keepdim=True)
        down = grad[:, :, None] - grad[:, None, :] @ x / total
        both = torch.cat([x, inverse @ down / total], 2)
        # Q(i, j) = -r(i, j) r(j, i), Q(j, j) = sum over i of r(i, j)^2, and r(i, j) = 1 - r(j, i) = p.
        i, j = _pairs_on(q.shape[1], q.device)
        xi, yi = both[:, i].unbind(2)
        xj, yj = both[:, j].unbind(2)
        xs, ys = xi + xj, yi + yj
        other = 1 - p
        by_p = other * (yi * xs + xi * ys) - p * (yj * xs + xj * ys)
        # Where libsvm's bound holds p, no duel moves it.
        slope = a * p * other * ((p > LEAST_PROBABILITY) & (other > LEAST_PROBABILITY))
        return -by_p * slope, None, None, None


def reported_probabilities(duels: Tensor, a: Tensor, b: Tensor, classes: int) -> Tensor:
    """``SVC(probability=True)``'s probabilities: libsvm's values, and the gradient of :func:`coupled`.

    Parameters
    ----------
    duels : Tensor, shape (batch, K (K - 1) / 2)
    a, b : Tensor, shape (K (K - 1) / 2,)
        Of Platt's sigmoids.
    classes : int

    Returns
    -------
    Tensor, shape (batch, K)
    """
    p: Tensor = _Reported.apply(duels, a, b, classes)  # type: ignore[no-untyped-call]
    return p


@torch.no_grad()
def coupled_as_libsvm(r: Tensor) -> Tensor:
    """The probabilities that libsvm reports: its own iteration, stopped as early as it stops.

    Differs from :func:`coupled` by up to about 1e-3, since libsvm stops once no component of Q p is
    further than 0.005 / K from p' Q p. Runs on the CPU.

    Parameters
    ----------
    r : Tensor, shape (batch, K, K)

    Returns
    -------
    Tensor, shape (batch, K), no gradient
    """
    return _iterated(coupling_matrix(r))


def _iterated(q: Tensor) -> Tensor:
    numbers = q.cpu().numpy()
    if len(numbers) <= _FEW:
        p = np.array([_couple_one(x) for x in numbers.tolist()]).reshape(numbers.shape[:2])
    else:
        p = _couple_many(numbers)
    return torch.from_numpy(p).to(q)


# Up to this many rows plain Python beats numpy, whose every call costs a microsecond.
_FEW = 3


def _couple_one(q: list[list[float]]) -> list[float]:
    """One row of the iteration, in plain Python.

    Within a sweep p is kept unnormalised, with its sum, which saves dividing everything at each step.
    """
    classes = len(q)
    p = [1.0 / classes] * classes
    for _ in range(max(100, classes)):
        v = [sum(map(mul, row, p)) for row in q]
        w = sum(map(mul, p, v))
        if max(max(v) - w, w - min(v)) < 0.005 / classes:
            break
        total = 1.0
        for t, row in enumerate(q):
            step = (w / total - v[t]) / row[t]
            p[t] += step
            w += step * (step * row[t] + 2 * v[t])
            total += step
            v = [x + step * y for x, y in zip(v, row, strict=True)]
        p = [x / total for x in p]
    return p


def _couple_many(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Many rows of the iteration side by side; each leaves when it has stopped, none sees another."""
    rows, k, _ = q.shape
    result = np.full((k, rows), 1.0 / k)
    busy = np.arange(rows)
    # Classes first, so that each step works on contiguous numbers.
    q = np.ascontiguousarray(q.transpose(1, 2, 0))
    for _ in range(max(100, k)):
        p = result[:, busy]
        v = np.einsum("tjb,jb->tb", q, p)
        w = np.einsum("tb,tb->b", p, v)
        going = np.abs(v - w).max(0) >= 0.005 / k
        if not going.all():
            busy, p, v, w, q = busy[going], p[:, going], v[:, going], w[going], q[:, :, going]
            if not len(busy):
                break
        total = np.ones(len(busy))
        for t in range(k):
            step = (w / total - v[t]) / q[t, t]
            p[t] += step
            w += step * (step * q[t, t] + 2 * v[t])
            total += step
            v += step * q[t]
        result[:, busy] = p / total
    return result.T
