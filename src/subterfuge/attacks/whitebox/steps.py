"""Lengths, directions and schedules that the white-box attacks share, all of them row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.search import Search
from subterfuge.errors import SubterfugeError

# The quietest that a clip is taken to be (root mean square) where lengths are measured against its own.
QUIET = 1e-3


def lengths(x: Tensor, norm: float = 2.0) -> Tensor:
    """Norm of each row, safe where squares would overflow or vanish.

    Examples
    --------
    >>> lengths(torch.tensor([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]]))
    tensor([5.0000e+30, 5.0000e-30, 0.0000e+00])
    """
    largest = x.abs().amax(1, keepdim=True)
    unit = torch.where(largest > 0, largest, 1.0)
    length: Tensor = torch.linalg.vector_norm(x / unit, norm, dim=1) * unit[:, 0]
    return length


def loudness(y: Tensor, norm: float = 2.0) -> Tensor:
    """The L2 norm of each clip (``norm=inf``: its root mean square), but never less than a faint one's."""
    rms = lengths(y) / math.sqrt(y.shape[1])
    return rms.clamp(min=QUIET) * (1.0 if norm == math.inf else math.sqrt(y.shape[1]))


def seed_from(generator: torch.Generator | None) -> int:
    """One seed for a whole attack; 0 without a generator.

    Every row draws the same noise from it, so that what a row gets does not depend on its neighbours.
    """
    if generator is None:
        return 0
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def noise(like: Tensor, seed: int, step: int) -> Tensor:
    """Gaussian noise of shape (samples,) that depends on the seed and the step alone."""
    generator = torch.Generator().manual_seed((seed + 7919 * step) % 2**63)
    return torch.randn(like.shape[1], generator=generator, dtype=torch.float64).to(like)


def heading(gradient: Tensor, seed: int, step: int, norm: float = 2.0) -> Tensor:
    """Steepest direction of unit length in ``norm``: the unit gradient (2) or its signs (inf).

    Where the gradient is exactly zero the direction is a random one, so that no attack stands still.
    """
    largest = gradient.abs().amax(1, keepdim=True)
    flat = largest == 0
    if bool(flat.any()):
        gradient = torch.where(flat, noise(gradient, seed, step), gradient)
        largest = gradient.abs().amax(1, keepdim=True)
    if norm == math.inf:
        return gradient.sign()
    gradient = gradient / largest
    return gradient / lengths(gradient)[:, None]


def linear_distance(margin: Tensor, gradient: Tensor, y: Tensor, norm: float = 2.0) -> Tensor:
    """How far the boundary is if the victim were linear: ``|margin| / ||gradient||`` in the dual norm.

    Kept between 120 and 10 dB below the clip, since a flat gradient promises a boundary at infinity.
    """
    dual = 1.0 if norm == math.inf else 2.0
    far = loudness(y, norm)
    # A victim's scores may be float64 where its waveforms are float32.
    distance = (margin.abs() / lengths(gradient, dual)).to(y.dtype)
    distance = torch.nan_to_num(distance, nan=math.inf, posinf=math.inf)
    return torch.minimum(torch.maximum(distance, 1e-6 * far), 10**-0.5 * far)


def project(delta: Tensor, radius: Tensor, norm: float = 2.0) -> Tensor:
    """The nearest point of the ball of each row's radius."""
    if norm == math.inf:
        return torch.minimum(torch.maximum(delta, -radius[:, None]), radius[:, None])
    return delta * (radius / lengths(delta).clamp(min=1e-30)).clamp(max=1)[:, None]


def place(y: Tensor, delta: Tensor) -> Tensor:
    """The perturbed clips, within [-1, 1]."""
    return (y + delta).clamp(-1, 1)


def cosine(step: int, steps: int, first: float, last: float) -> float:
    """A value that goes from ``first`` to ``last`` along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * min(step / max(steps, 1), 1))) / 2


@dataclass(frozen=True)
class Opening:
    """What the first query tells of the rows that are not yet where they should be.

    Attributes
    ----------
    rows : Tensor of int64, shape (rows,)
        Rows of the batch that remain to be attacked.
    y, gradient : Tensor, shape (rows, samples)
        Their clean clips and the margin's gradient there.
    margin, distance : Tensor, shape (rows,)
        Their margins, and how far the boundary would be were the victim linear.
    seed : int
        For :func:`noise`.
    """

    rows: Tensor
    y: Tensor
    gradient: Tensor
    margin: Tensor
    distance: Tensor
    seed: int


def check_steps(steps: int) -> None:
    """Refuse a number of steps that leaves nothing after the query at the clean clip."""
    if steps < 2:
        raise SubterfugeError(f"steps: got {steps}, expected at least 2 (one goes to the clean clip)")


def opening(search: Search, steps: int, generator: torch.Generator | None) -> Opening:
    """Ask about the clean clips (one query, with gradient) and set aside the rows that already succeed."""
    check_steps(steps)
    margin, reached, gradient = search.climb(search.y)
    rows = (~reached).nonzero()[:, 0]
    y, margin, gradient = search.y[rows], margin[rows], gradient[rows]
    distance = linear_distance(margin, gradient, y, search.norm)
    return Opening(rows, y, gradient, margin, distance, seed_from(generator))


class Adam:
    """Adam's direction (Kingma and Ba, 2015), without a learning rate, for rows that may restart alone."""

    def __init__(self, like: Tensor, *, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.beta1, self.beta2, self.count = beta1, beta2, 0

    def direction(self, gradient: Tensor) -> Tensor:
        """The bias-corrected first moment over the root of the second."""
        self.count += 1
        self.first.lerp_(gradient, 1 - self.beta1)
        self.second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        second = (self.second / (1 - self.beta2**self.count)).sqrt_().add_(1e-12)
        return self.first / (1 - self.beta1**self.count) / second
