"""From a feature vector to the pairwise duels of a support vector machine, with a closed-form gradient."""

from __future__ import annotations

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

    def __init__(self, classes: int, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("weights", weights)
        self.register_buffer("bias", bias)


class LinearMachine(Machine):
    """Linear kernel: the support vectors collapse into one direction a duel."""

    weights: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        return torch.addmm(self.bias, x, self.weights)


class DotMachine(Machine):
    """Polynomial (``degree`` given) or sigmoid kernel of the scaled dot product."""

    weights: Tensor
    bias: Tensor
    scaled: Tensor

    def __init__(
        self, classes: int, weights: Tensor, bias: Tensor, scaled: Tensor, coef0: float, degree: int | None
    ) -> None:
        super().__init__(classes, weights, bias)
        self.coef0, self.degree = coef0, degree
        self.register_buffer("scaled", scaled)

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        inner = x @ self.scaled + self.coef0
        kernel = torch.tanh(inner) if self.degree is None else inner.pow(self.degree)
        return torch.addmm(self.bias, kernel, self.weights)


class RbfMachine(Machine):
    """Gaussian kernel, in the matrix-product form of the squared distance about the data's centre.

    The exponent -gamma |x - s|^2 is one product of (x, |x|^2, 1) with (2 gamma s, -gamma, -gamma |s|^2).
    Cancellation costs about machine epsilon times gamma |s|^2; that is checked when the machine is made.
    """

    weights: Tensor
    bias: Tensor
    centre: Tensor
    augmented: Tensor
    share: Tensor
    gamma: float

    def __init__(
        self, classes: int, weights: Tensor, bias: Tensor, vectors: Tensor, gamma: float, counts: list[int]
    ) -> None:
        super().__init__(classes, weights, bias)
        self.gamma, self.counts = gamma, counts
        centre = vectors.mean(0)
        vectors = vectors - centre
        square = vectors.square().sum(1, keepdim=True)
        augmented = torch.cat([2 * gamma * vectors, torch.full_like(square, -gamma), -gamma * square], 1)
        self.register_buffer("centre", centre)
        self.register_buffer("augmented", augmented.mT.contiguous())
        strength = weights.abs().sum(1)
        share = torch.cat([torch.log(part / part.sum()) for part in torch.split(strength, counts)])
        self.register_buffer("share", share)

    def exponent(self, x: Tensor) -> Tensor:
        """-gamma |x - s|^2 for every support vector s, shape (batch, vectors); plain autograd."""
        return _augment(x - self.centre) @ self.augmented

    def forward(self, x: Tensor) -> Tensor:
        """Duels, shape (batch, duels)."""
        centred = x - self.centre
        if torch.is_grad_enabled() and x.requires_grad:
            duels: Tensor = _RbfDuels.apply(centred, self.augmented, self.weights, self.bias)  # type: ignore[no-untyped-call]
            return duels
        return torch.addmm(self.bias, (_augment(centred) @ self.augmented).exp_(), self.weights)

    def density(self, x: Tensor, gamma: float) -> Tensor:
        """Log of each class's kernel density under another width, shape (batch, K).

        The support vectors of a class share a weight of one in proportion to the sum of their dual
        coefficients; in logs, so that no distance is too great for a gradient.
        """
        logs = self.exponent(x) * (gamma / self.gamma) + self.share
        return torch.stack([part.logsumexp(1) for part in torch.split(logs, self.counts, 1)], 1)


def _augment(x: Tensor) -> Tensor:
    square = x.square().sum(1, keepdim=True)
    return torch.cat([x, square, torch.ones_like(square)], 1)


class _RbfDuels(torch.autograd.Function):
    """Duels of an RBF machine whose backward pass is two matrix products and keeps only the kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, augmented: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        kernel = (_augment(x) @ augmented).exp_()
        ctx.save_for_backward(x, augmented, weights, kernel)
        return torch.addmm(bias, kernel, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, augmented, weights, kernel = ctx.saved_tensors
        pull = (grad @ weights.mT).mul_(kernel) @ augmented.mT
        d = x.shape[1]
        return torch.addcmul(pull[:, :d], x, pull[:, d : d + 1], value=2), None, None, None


def duel_weights(svc: Any) -> tuple[np.ndarray, np.ndarray]:
    """Dual coefficients as one dense matrix (vectors, duels), and the intercepts (duels,), libsvm's signs."""
    dual = svc.dual_coef_.toarray() if hasattr(svc.dual_coef_, "toarray") else np.asarray(svc.dual_coef_)
    bias = np.asarray(svc.intercept_, dtype=np.float64)
    classes = len(svc.classes_)
    if classes == 2:
        # scikit-learn flips the one duel of a binary machine so that positive means the second class.
        return np.ascontiguousarray(-dual.T, dtype=np.float64), -bias
    ends = np.cumsum(svc.n_support_)
    blocks = [slice(end - n, end) for end, n in zip(ends, svc.n_support_, strict=True)]
    weights = np.zeros((dual.shape[1], len(bias)))
    for duel, (i, j) in enumerate(zip(*(x.tolist() for x in pairs(classes)), strict=True)):
        weights[blocks[i], duel] = dual[j - 1, blocks[i]]
        weights[blocks[j], duel] = dual[i, blocks[j]]
    return weights, bias


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
    dense, intercept = duel_weights(svc)
    weights, bias = torch.from_numpy(dense), torch.tensor(intercept)
    classes = len(svc.classes_)
    if svc.kernel == "linear":
        return LinearMachine(classes, support.mT @ weights, bias)
    gamma = float(svc._gamma)
    if svc.kernel == "rbf":
        return RbfMachine(classes, weights, bias, support, gamma, [int(n) for n in svc.n_support_])
    degree = int(svc.degree) if svc.kernel == "poly" else None
    scaled = (gamma * support).mT.contiguous()
    return DotMachine(classes, weights, bias, scaled, float(svc.coef0), degree)
