"""The least audible change to a linear victim, bounded from below by duality.

Power in a critical band is a quadratic form of the samples, so that any weighted mean of noise-to-mask ratios
is one too, and its least value beyond some planes is known in closed form. The worst ratio is the largest of
the weighted means; by convexity its least value is that of the hardest weights, and any weights bound it.
"""

from __future__ import annotations

from functools import cache

import torch
from closed_form import shortest_step
from torch import Tensor

from subterfuge.attacks.whitebox.hidden_norm import room
from subterfuge.audibility.masking import band_power

# Below -6 dB worst ratios are as good as each other: what `masked` says of its distances.
ENOUGH = 0.25


def heard(y: Tensor, changed: Tensor, *, sr: float, threshold: Tensor | None = None) -> Tensor:
    """What ``masked`` says that its distances are, by the words of its documentation; shape (rows,)."""
    ratio = ratios(y, changed, sr=sr, threshold=threshold).flatten(1)
    distance = (ratio.amax(1).clamp(min=ENOUGH) + ratio.mean(1)).sqrt()
    return torch.where((y == changed).all(1), 0.0, distance)


def ratios(y: Tensor, changed: Tensor, *, sr: float, threshold: Tensor | None = None) -> Tensor:
    """Power of the change over what may be filled, shape (rows, bands, frames)."""
    return band_power(changed - y, sr=sr) / (room(y, sr=sr) if threshold is None else threshold)


@cache
def _forms(samples: int, sr: float) -> Tensor:
    """Each cell's power as a quadratic form, shape (cells, samples, samples), float64."""
    eye = torch.eye(samples, dtype=torch.float64)
    i, j = torch.triu_indices(samples, samples)
    pairs = [band_power(part, sr=sr).flatten(1) for part in torch.split(eye[i] + eye[j], 512)]
    single = band_power(eye, sr=sr).flatten(1)
    upper = (torch.cat(pairs) - single[i] - single[j]) / 2
    forms = upper.new_zeros(upper.shape[1], samples, samples)
    forms[:, i, j] = upper.T
    forms[:, j, i] = upper.T
    return forms


def least_heard(duels: Tensor, normals: Tensor, *, threshold: Tensor, sr: float, rounds: int = 80) -> float:
    """A lower bound on ``heard`` of any change that brings a clip beyond all of some planes.

    ``duels`` (planes,) are what is missing there, negative; ``normals`` (planes, samples); ``threshold``
    (bands, frames). The weights are found by mirror ascent, the bound is the best that was met on the way.
    """
    forms, threshold = _forms(normals.shape[1], sr), threshold.double().flatten()
    cells = len(forms)
    weight = torch.full((cells + 1,), 1 / (cells + 1), dtype=torch.float64)
    best = 0.0
    for turn in range(rounds):
        form = torch.tensordot((weight[:-1] + 1 / cells) / threshold, forms, 1)
        root = torch.linalg.cholesky(form + 1e-12 * form.trace() / len(form) * torch.eye(len(form)))
        # In coordinates in which the form is a square: planes N x >= h become N root^-T u >= h.
        u = shortest_step(duels, torch.linalg.solve_triangular(root, normals.T, upper=False).T)
        best = max(best, float(u.square().sum() + weight[-1] * ENOUGH))
        x = torch.linalg.solve_triangular(root.T, u[:, None], upper=True)[:, 0]
        ratio = torch.cat([band_power(x[None], sr=sr).flatten() / threshold, torch.tensor([ENOUGH])])
        weight = weight * (ratio / ratio.max() * 4 / (1 + turn / 20) ** 0.5).exp()
        weight = weight / weight.sum()
    return float(best**0.5)
