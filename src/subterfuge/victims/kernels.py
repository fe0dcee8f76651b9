"""From a feature vector to the pairwise duels of a support vector machine, with a closed-form gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from subterfuge.errors import SubterfugeError
from subterfuge.victims.libsvm import pairs


class Machine(torch.nn.Module):
    """Duels of a fitted SVC: ``forward(x)``, (batch, d) float64 to (batch, K (K - 1) / 2).

    Attributes
    ----------
    classes : int
    gamma : float or None
        Of the RBF kernel; None for the others.
    """

    classes: int
    gamma: float | None = None

    def __init__(self, classes: int, bias: Tensor) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("bias", bias)


class LinearMachine(Machine):
    """Linear kernel: the support vectors collapse into one direction a duel."""

    bias: Tensor
    directions: Tensor

    def __init__(self, classes: int, bias: Tensor, directions: Tensor) -> None:
        super().__init__(classes, bias)
        self.register_buffer("directions", directions)

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        return torch.addmm(self.bias, x, self.directions)


class DotMachine(Machine):
    """Polynomial (``degree`` given) or sigmoid kernel of the scaled dot product."""

    bias: Tensor
    weights: Tensor
    scaled: Tensor

    def __init__(
        self, classes: int, bias: Tensor, weights: Tensor, scaled: Tensor, coef0: float, degree: int | None
    ) -> None:
        super().__init__(classes, bias)
        self.coef0, self.degree = coef0, degree
        self.register_buffer("weights", weights)
        self.register_buffer("scaled", scaled)

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        inner = x @ self.scaled + self.coef0
        kernel = torch.tanh(inner) if self.degree is None else inner.pow(self.degree)
        return torch.addmm(self.bias, kernel, self.weights)


class RbfMachine(Machine):
    """Gaussian kernel, in the matrix-product form of the squared distance about the data's centre.

    The exponent -gamma |x - s|^2 is one product of (x, |x|^2, 1) with (2 gamma s, -gamma, -gamma |s|^2).
    Cancellation costs about machine epsilon times gamma |s|^2 of it; where that could be felt in a duel
    (unscaled features under a narrow kernel) distances are taken by differences instead.

    A support vector takes part in K - 1 of the K (K - 1) / 2 duels, so its coefficients are kept as such,
    in blocks of one size, each of one class, padded with vectors infinitely far away: a small part of the
    memory that one dense matrix takes, and at a batch of one reading memory is all the work.
    """

    bias: Tensor
    centre: Tensor
    augmented: Tensor  # (d + 2, blocks * size)
    dual: Tensor  # (blocks, size, K - 1)
    collect: Tensor  # (blocks * (K - 1), duels)
    share: Tensor  # (blocks * size,)
    vectors: Tensor  # (blocks * size, d), or empty where it is not needed
    gamma: float

    def __init__(self, dual: Tensor, bias: Tensor, vectors: Tensor, gamma: float, counts: list[int]) -> None:
        super().__init__(len(counts), bias)
        self.gamma = gamma
        self.register_buffer("centre", vectors.mean(0))
        size, per_class = _blocks(counts)
        self.widths = [n * size for n in per_class]

        def padded(rows: Tensor, fill: float = 0.0) -> Tensor:
            parts = zip(torch.split(rows, counts), self.widths, strict=True)
            return torch.cat([_lengthened(part, width, fill) for part, width in parts])

        near = vectors - self.centre
        square = near.square().sum(1, keepdim=True)
        columns = torch.cat([2 * gamma * near, torch.full_like(square, -gamma)], 1)
        self.register_buffer(
            "augmented", torch.cat([padded(columns), padded(-gamma * square, _FAR)], 1).mT.contiguous()
        )
        self.register_buffer("dual", padded(dual).view(-1, size, dual.shape[1]))
        self.register_buffer("collect", _collect(len(counts), per_class))
        strength = dual.abs().sum(1)
        self.register_buffer(
            "share", padded(torch.cat([(x / x.sum()).log() for x in torch.split(strength, counts)]))
        )
        lost = torch.finfo(torch.float64).eps * gamma * float(square.max())
        self.by_differences = lost * float(torch.linalg.vector_norm(dual, dim=0).max()) > _LEAST_FELT
        self.register_buffer("vectors", padded(near, math.sqrt(-_FAR)) if self.by_differences else near[:0])

    def exponent(self, x: Tensor) -> Tensor:
        """-gamma |x - s|^2 for every support vector s of centred ``x``, shape (batch, padded vectors)."""
        if self.by_differences:
            distance = torch.cdist(x, self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
            return distance.square() * -self.gamma
        square = x.square().sum(1, keepdim=True)
        return torch.cat([x, square, torch.ones_like(square)], 1) @ self.augmented

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        # Few rows at once, so that the kernel stays in the cache instead of being paged in anew.
        parts: list[Tensor] = [_RbfDuels.apply(part, self) for part in x.split(_CHUNK)]  # type: ignore[no-untyped-call]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def density(self, x: Tensor, gamma: float) -> Tensor:
        """Log of each class's kernel density under another width, shape (batch, K).

        The support vectors of a class share a weight of one in proportion to the sum of their dual
        coefficients; in logs, so that no distance is too great for a gradient.
        """
        logs = self.exponent(x - self.centre) * (gamma / self.gamma) + self.share
        return torch.stack([part.logsumexp(1) for part in torch.split(logs, self.widths, 1)], 1)


# Rows that go through the kernel at once; the rounding in a duel above which differences are taken; the
# exponent of a vector that is not there (finite, since zero times infinity is not a number).
_CHUNK, _LEAST_FELT, _FAR = 32, 1e-11, -1e30


def _blocks(counts: list[int]) -> tuple[int, list[int]]:
    """The size of a block, about the fastest for a batched product, and how many each class takes."""
    size = min(72, max(counts))
    return size, [-(-n // size) for n in counts]


def _lengthened(rows: Tensor, length: int, fill: float) -> Tensor:
    return torch.cat([rows, rows.new_full((length - len(rows), *rows.shape[1:]), fill)])


def _collect(classes: int, per_class: list[int]) -> Tensor:
    """Which block's which coefficient belongs to which duel, as zeros and ones.

    libsvm keeps a vector of class i against class j in row j - 1 of its coefficients if j > i, else row j.
    """
    first, second = (x.tolist() for x in pairs(classes))
    duel_of = {(i, j): n for n, (i, j) in enumerate(zip(first, second, strict=True))}
    owners = [i for i, n in enumerate(per_class) for _ in range(n)]
    collect = torch.zeros(len(owners), classes - 1, len(first), dtype=torch.float64)
    for block, i in enumerate(owners):
        for j in range(classes):
            if j != i:
                collect[block, j - (j > i), duel_of[min(i, j), max(i, j)]] = 1
    return collect.flatten(0, 1)


class _RbfDuels(torch.autograd.Function):
    """Duels of an RBF machine whose backward pass is a few matrix products and keeps only the kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, machine: RbfMachine) -> Tensor:
        x = x - machine.centre
        kernel = machine.exponent(x).exp_()
        ctx.machine = machine
        ctx.save_for_backward(x, kernel)
        blocks, size, _ = machine.dual.shape
        sums = torch.bmm(kernel.view(-1, blocks, size).transpose(0, 1), machine.dual)
        return torch.addmm(machine.bias, sums.transpose(0, 1).reshape(len(x), -1), machine.collect)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, kernel = ctx.saved_tensors
        machine: RbfMachine = ctx.machine
        blocks, _, rivals = machine.dual.shape
        by_sum = (grad @ machine.collect.mT).view(-1, blocks, rivals).transpose(0, 1)
        by_kernel = torch.bmm(by_sum, machine.dual.mT).transpose(0, 1).reshape(kernel.shape)
        pull = by_kernel.mul_(kernel) @ machine.augmented.mT
        # Columns: the sum of 2 gamma s, then minus gamma times the sum of weights, each under the kernel.
        d = x.shape[1]
        return torch.addcmul(pull[:, :d], x, pull[:, d : d + 1], value=2), None


def coefficients(svc: Any) -> tuple[Tensor, Tensor]:
    """Dual coefficients (vectors, K - 1) and intercepts (duels,), positive for the first class of a duel."""
    dual = svc.dual_coef_.toarray() if hasattr(svc.dual_coef_, "toarray") else svc.dual_coef_
    # scikit-learn flips the one duel of a binary machine so that positive means the second class.
    flip = -1.0 if len(svc.classes_) == 2 else 1.0
    return (
        torch.tensor(flip * np.asarray(dual, dtype=np.float64).T).contiguous(),
        torch.tensor(flip * np.asarray(svc.intercept_, dtype=np.float64)),
    )


def dense_weights(dual: Tensor, counts: list[int]) -> Tensor:
    """Every support vector's coefficient in every duel, most of them zero, shape (vectors, duels)."""
    classes = len(counts)
    collect = _collect(classes, [1] * classes).view(classes, classes - 1, -1)
    return torch.cat([part @ rows for part, rows in zip(torch.split(dual, counts), collect, strict=True)])


def machine(svc: Any) -> Machine:
    """The duels of a fitted ``SVC`` or ``NuSVC`` as a torch module.

    Raises
    ------
    SubterfugeError
        If the kernel is precomputed or a function.
    """
    if svc.kernel not in ("rbf", "linear", "poly", "sigmoid"):
        got = "a function" if callable(svc.kernel) else repr(svc.kernel)
        raise SubterfugeError(
            f"{type(svc).__name__}: got kernel {got}, expected rbf, linear, poly or sigmoid"
        )
    vectors = svc.support_vectors_
    vectors = vectors.toarray() if hasattr(vectors, "toarray") else vectors
    support = torch.tensor(np.asarray(vectors), dtype=torch.float64)
    dual, bias = coefficients(svc)
    classes, counts = len(svc.classes_), [int(n) for n in svc.n_support_]
    gamma = float(svc._gamma)
    if svc.kernel == "rbf":
        return RbfMachine(dual, bias, support, gamma, counts)
    weights = dense_weights(dual, counts)
    if svc.kernel == "linear":
        return LinearMachine(classes, bias, support.mT @ weights)
    degree = int(svc.degree) if svc.kernel == "poly" else None
    return DotMachine(classes, bias, weights, (gamma * support).mT.contiguous(), float(svc.coef0), degree)
