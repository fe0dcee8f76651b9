"""Fitted scikit-learn scalers and PCA as torch modules on feature vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError

SUPPORTED = "StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer, PCA"


class Affine(torch.nn.Module):
    """(x - shift) / scale, element by element, then held to a range where one was fitted."""

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Any, scale: Any, bounds: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.bounds = bounds
        self.register_buffer("shift", torch.as_tensor(np.asarray(shift), dtype=torch.float64).clone())
        self.register_buffer("scale", torch.as_tensor(np.asarray(scale), dtype=torch.float64).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Scaled vectors, same shape."""
        x = (x - self.shift) / self.scale
        return x if self.bounds is None else x.clamp(*self.bounds)


class Rotation(torch.nn.Module):
    """PCA: (x - mean) on the components, whitened where it was fitted so."""

    mean: Tensor
    components: Tensor

    def __init__(self, mean: Any, components: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(np.asarray(mean), dtype=torch.float64))
        self.register_buffer("components", torch.tensor(np.asarray(components).T, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Projected vectors, shape (batch, components)."""
        return (x - self.mean) @ self.components


class Unit(torch.nn.Module):
    """Each vector over its own norm (L1, L2 or max); a zero vector stays as it is."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.order = {"l1": 1.0, "l2": 2.0, "max": torch.inf}[norm]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised vectors, same shape."""
        size = torch.linalg.vector_norm(x, self.order, dim=1, keepdim=True)
        return x / torch.where(size == 0, 1.0, size)


def step(name: str, fitted: Any) -> torch.nn.Module | None:
    """One fitted step of a Pipeline as a torch module, or None where it changes nothing.

    Raises
    ------
    SubterfugeError
        If the step is of a kind that is not supported; it is named, with those that are.
    """
    kind = type(fitted).__name__
    if fitted is None or (isinstance(fitted, str) and fitted == "passthrough"):
        return None
    match kind:
        case "StandardScaler":
            shift = fitted.mean_ if fitted.with_mean else 0.0
            return Affine(shift, fitted.scale_ if fitted.with_std else 1.0)
        case "RobustScaler":
            shift = fitted.center_ if fitted.with_centering else 0.0
            return Affine(shift, fitted.scale_ if fitted.with_scaling else 1.0)
        case "MaxAbsScaler":
            bounds = (-1.0, 1.0) if getattr(fitted, "clip", False) else None
            return Affine(0.0, fitted.scale_, bounds)
        case "MinMaxScaler":
            low, high = fitted.feature_range
            return Affine(
                -fitted.min_ / fitted.scale_, 1 / fitted.scale_, (low, high) if fitted.clip else None
            )
        case "Normalizer":
            return Unit(fitted.norm)
        case "PCA":
            components = np.asarray(fitted.components_)
            if fitted.whiten:
                spread = np.sqrt(fitted.explained_variance_)
                least = np.finfo(spread.dtype).eps
                components = components / np.maximum(spread, least)[:, None]
            return Rotation(fitted.mean_, components)
    raise SubterfugeError(f"pipeline step {name!r} is a {kind}: expected one of {SUPPORTED}, then SVC")


def steps(fitted: Sequence[tuple[str, Any]]) -> torch.nn.Sequential:
    """All the steps before the classifier, as one module on float64 vectors."""
    made = [module for name, one in fitted if (module := step(name, one)) is not None]
    return torch.nn.Sequential(*made)
