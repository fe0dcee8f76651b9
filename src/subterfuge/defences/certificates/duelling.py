"""The duels of an RBF machine one by one: support vectors, signed weights, bias, and the norm in its RKHS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError
from subterfuge.victims.kernels import RbfMachine
from subterfuge.victims.libsvm import pairs

Array = NDArray[np.float64]

# Exponent beyond which a stored vector is padding, see RbfMachine.
_PADDING = -1e29


@dataclass(frozen=True)
class Duel:
    """One decision function, ``bias + sum(weights * exp(-gamma |x - vectors|^2))``.

    Attributes
    ----------
    first, second : int
        The classes; a positive value is a vote for ``first``.
    vectors : array, shape (n, d)
    weights : array, shape (n,)
    bias, gamma : float
    norm : float
        Of the function without its bias, in the kernel's Hilbert space (never too small).
    """

    first: int
    second: int
    vectors: Array
    weights: Array
    bias: float
    gamma: float
    norm: float

    def __call__(self, x: Array) -> Array:
        """Values at points ``x``, shape (batch, d); shape (batch,)."""
        return np.asarray(self.kernel(x) @ self.weights + self.bias)

    def kernel(self, x: Array) -> Array:
        """Of points ``x`` (batch, d) with each support vector, shape (batch, n)."""
        away = x[:, None, :] - self.vectors
        return np.asarray(np.exp(-self.gamma * np.einsum("ijk,ijk->ij", away, away)))

    def slope(self, x: Array) -> Array:
        """Gradient at one point ``x``, shape (d,)."""
        away = self.vectors - x
        pull = self.weights * np.exp(-self.gamma * np.einsum("ij,ij->i", away, away))
        return np.asarray(2 * self.gamma * (pull @ away))

    @property
    def slack(self) -> float:
        """What float64 may get a value wrong by, with a wide margin, and more than libsvm itself may."""
        return 1e-10 * (1.0 + abs(self.bias) + float(np.abs(self.weights).sum()))

    def turned(self) -> Duel:
        """The same duel seen by the other class: every sign reversed."""
        return replace(self, first=self.second, second=self.first, weights=-self.weights, bias=-self.bias)


@dataclass(frozen=True)
class Duels:
    """All duels of a machine and the linear map from feature vectors to the space that they live in.

    Attributes
    ----------
    classes : int
    each : tuple of Duel
        In libsvm's order (0, 1), (0, 2), ..., (K - 2, K - 1).
    matrix, shift : array, shape (d, features) and (d,)
        ``matrix @ v + shift`` of a feature vector ``v`` is its standardised vector.
    support, dense : array, shape (n, d) and (n, duels)
        All support vectors, and their weights in every duel: all values at once.
    """

    classes: int
    each: tuple[Duel, ...]
    matrix: Array
    shift: Array
    support: Array
    dense: Array

    def place(self, features: Array) -> Array:
        """Standardised vectors of feature vectors, shape (..., features)."""
        return np.asarray(features @ self.matrix.T + self.shift)

    def values(self, x: Array) -> Array:
        """Every duel at standardised points ``x`` (batch, d), shape (batch, duels)."""
        square = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", self.support, self.support)
        kernel = np.exp(-self.each[0].gamma * np.maximum(square - 2 * x @ self.support.T, 0))
        return np.asarray(kernel @ self.dense + np.array([duel.bias for duel in self.each]))

    def slopes(self, x: Array, weights: Array) -> Array:
        """Gradients of ``sum(weights * values)`` by row, (batch, d); ``weights`` are (batch, duels)."""
        square = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", self.support, self.support)
        gamma = self.each[0].gamma
        pull = np.exp(-gamma * np.maximum(square - 2 * x @ self.support.T, 0)) * (weights @ self.dense.T)
        return np.asarray(2 * gamma * (pull @ self.support - pull.sum(1, keepdims=True) * x))

    def votes(self, x: Array) -> NDArray[np.int64]:
        """Label that standardised points ``x`` (batch, d) are given by the vote, ties to the lower index."""
        return elected(self.values(x) > 0, self.classes)


def elected(first_wins: NDArray[np.bool_], classes: int) -> NDArray[np.int64]:
    """Labels by vote, shape (batch,), of outcomes of duels, shape (batch, duels)."""
    count = np.zeros((len(first_wins), classes), dtype=np.int64)
    for n, (i, j) in enumerate(zip(*(p.tolist() for p in pairs(classes)), strict=True)):
        count[:, i] += first_wins[:, n]
        count[:, j] += ~first_wins[:, n]
    return np.asarray(count.argmax(1), dtype=np.int64)


def duels_of(victim: Any) -> Duels:
    """The duels of a victim with an RBF support vector machine behind linear steps.

    Parameters
    ----------
    victim : SvmVictim, SvmHead, or a fitted model
        Of scikit-learn, as :func:`~subterfuge.victims.svm.svm_head` takes.

    Raises
    ------
    SubterfugeError
        If it is not a vote of RBF duels: another kernel or model, calibrated probabilities, ties broken by
        confidence, or a step before it that is not linear.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> duels = duels_of(SVC(kernel="rbf", gamma=0.5).fit([[-1.0], [1.0]], [0, 1]))
    >>> duels.votes(np.array([[-2.0], [2.0]])).tolist()
    [0, 1]
    """
    from subterfuge.victims.svm import SvmHead, svm_head

    head = victim if isinstance(victim, SvmHead) else getattr(victim, "head", None)
    if head is None and hasattr(victim, "fit"):
        head = svm_head(victim)
    if not isinstance(head, SvmHead) or not isinstance(head.machine, RbfMachine):
        name = getattr(victim, "name", type(victim).__name__)
        raise SubterfugeError(f"certificates: got {name}, expected a victim whose model is an RBF SVC")
    if head.calibrated is not None or head.break_ties:
        what = "calibrated probabilities" if head.calibrated is not None else "break_ties=True"
        raise SubterfugeError(f"certificates: got {what}, expected an SVC whose votes decide")
    matrix, shift = _linear(head.before, head.features)
    return gathered(head.classes, tuple(_duels(head.machine)), matrix, shift)


def gathered(classes: int, each: tuple[Duel, ...], matrix: Array, shift: Array) -> Duels:
    """Duels with their support vectors, each of which takes part in several, brought together."""
    everything = np.concatenate([duel.vectors for duel in each])
    support, place = np.unique(everything, axis=0, return_inverse=True)
    dense = np.zeros((len(support), len(each)))
    start, place = 0, place.reshape(-1)
    for n, duel in enumerate(each):
        np.add.at(dense[:, n], place[start : start + len(duel.weights)], duel.weights)
        start += len(duel.weights)
    return Duels(classes, each, matrix, shift, support, dense)


def _linear(before: torch.nn.Sequential, features: int) -> tuple[Array, Array]:
    """The steps before the machine as one matrix and one shift."""
    from subterfuge.victims.preprocessing import Affine, Rotation

    for step in before:
        if not isinstance(step, Affine | Rotation) or getattr(step, "bounds", None) is not None:
            raise SubterfugeError(
                f"certificates: got a pipeline with {type(step).__name__} before the SVC that is not linear, "
                "expected scalers (without clip) and PCA only"
            )
    with torch.no_grad():
        shift = before(torch.zeros(1, features, dtype=torch.float64))
        matrix = before(torch.eye(features, dtype=torch.float64)) - shift
    return matrix.T.numpy().copy(), shift[0].numpy().copy()


def _duels(machine: RbfMachine) -> Iterable[Duel]:
    dimensions = len(machine.centre)
    augmented = machine.augmented.numpy()
    vectors = (augmented[:dimensions] / (2 * machine.gamma)).T + machine.centre.numpy()
    dual = machine.dual.reshape(-1, machine.dual.shape[-1]).numpy()
    real = augmented[dimensions + 1] > _PADDING
    owner = np.repeat(np.arange(machine.classes), machine.widths)
    bias = machine.bias.numpy()
    for n, (i, j) in enumerate(zip(*(p.tolist() for p in pairs(machine.classes)), strict=True)):
        mine, theirs = real & (owner == i), real & (owner == j)
        # libsvm keeps a vector of class i against class j in column j - 1 if j > i, else in column j.
        weights = np.concatenate([dual[mine, j - 1], dual[theirs, i]])
        used = weights != 0
        inside = np.concatenate([vectors[mine], vectors[theirs]])[used]
        yield duel(i, j, inside, weights[used], float(bias[n]), machine.gamma)


def duel(first: int, second: int, vectors: Array, weights: Array, bias: float, gamma: float) -> Duel:
    """A duel with its norm worked out (and rounded up by far more than float64 may have lost)."""
    square = np.einsum("ij,ij->i", vectors, vectors)
    gram = np.exp(-gamma * np.maximum(square[:, None] + square - 2 * vectors @ vectors.T, 0))
    power = float(weights @ gram @ weights) + 1e-11 * float(np.abs(weights).sum()) ** 2
    return Duel(first, second, vectors, weights, bias, gamma, float(np.sqrt(power)))
