"""The highest probability that a support vector machine ever gives a label, found among feature vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.svm import SvmHead, SvmVictim, support_vectors

# Odds beyond these are all the same: libsvm keeps pairwise probabilities a ten-millionth from 0 and 1.
_SURE = 1e-9
# Two optima this near, in units of the standardised features, are one.
_SAME = 0.1
# Step of the differences that curvature is taken by.
_STEP = 1e-4


@dataclass(frozen=True)
class Ceiling:
    """The best optimum found, and how well that is known.

    Attributes
    ----------
    probability : float
        Of the label, there, as the victim reports it: no sound has features but some of these.
    exact : float
        The same by an exact solve of libsvm's pairwise coupling, which is what has a gradient and was
        climbed; libsvm itself stops early, up to about a thousandth away.
    features : Tensor, shape (d,)
        What the machine is given, after its scaler: standardised numbers.
    slope : float
        Length of the gradient of the log-odds there; zero at an optimum.
    curvature : float
        The largest eigenvalue of their Hessian there, over the largest in size; not positive at a maximum.
    certified : bool
        Whether it is a local maximum: slope and curvature say so, to the precision of the arithmetic, or,
        where libsvm's bounds on the pairwise probabilities put an edge there, a thousand points sampled about
        it, none of which is higher.
    starts : int
        How many the search began at.
    optima : int
        How many different ones they ended in.
    agree : float
        Share of the starts that ended at this probability, to a thousandth.
    """

    probability: float
    exact: float
    features: Tensor
    slope: float
    curvature: float
    certified: bool
    starts: int
    optima: int
    agree: float


def ceiling(victim: SvmVictim, label: int, *, starts: int = 24, seed: int = 0) -> Ceiling:
    """The optimum of a label's probability among all feature vectors, whether or not a sound has them.

    L-BFGS on the log-odds from the label's own support vectors, the surest ones and others drawn from them,
    then a few steps of Newton's method on the best. That the end is a maximum of its neighbourhood is
    certified by gradient and Hessian; that it is the highest of all is not, but many starts ending there
    speak for it.

    Parameters
    ----------
    victim : SvmVictim
        With probabilities.
    label : int
        Its index.
    starts : int
        At most as many as the label has support vectors.
    seed : int
        What the starts are drawn from.

    Returns
    -------
    Ceiling

    Raises
    ------
    SubterfugeError
        If the victim gives no probabilities, or ``starts`` is below 1.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
    Programming 45, 1989.
    """
    if not victim.head.has_probabilities:
        raise SubterfugeError("ceiling: the victim gives no probabilities, expected one that does")
    if starts < 1:
        raise SubterfugeError(f"starts: got {starts}, expected a whole number from 1 up")
    head = victim.head
    begin = _starts(victim, label, starts, seed)
    ends = torch.from_numpy(np.stack([_climbed(head, label, one) for one in begin.numpy()]))
    with torch.no_grad():
        p = head.exact_probabilities(ends)[:, label]
    best = _newton(head, label, ends[int(p.argmax())])
    slope, bent = _certificate(head, label, best)
    smooth = slope < 1e-4 and bent < 1e-4
    if not smooth:  # an edge of libsvm's bounds, or votes, which have no slope
        best = _wandered(head, label, best, seed)
        slope, bent = _certificate(head, label, best)
    with torch.no_grad():
        highest = float(head.exact_probabilities(best[None])[0, label])
        reported = float(head.reported_probabilities(torch.cat([best[None], ends]))[:, label].max())
    return Ceiling(
        probability=max(highest, reported),
        exact=highest,
        features=best,
        slope=slope,
        curvature=bent,
        certified=smooth or _highest_about(head, label, best, seed),
        starts=len(begin),
        optima=_different(ends[p > p.max() - 1e-3]),
        agree=float((p > highest - 1e-3).double().mean()),
    )


def _starts(victim: SvmVictim, label: int, starts: int, seed: int) -> Tensor:
    """The label's surest support vectors, and as many others of it."""
    rows, counts = support_vectors(victim.model)
    own = torch.split(rows, counts)[label]
    with torch.no_grad():
        order = victim.head.exact_probabilities(own)[:, label].argsort(descending=True)
    surest, rest = order[: -(-starts // 2)], order[-(-starts // 2) :]
    drawn = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))
    return own[torch.cat([surest, rest[drawn[: starts - len(surest)]]])]


def log_odds(head: SvmHead, label: int, z: Tensor) -> Tensor:
    """Log-odds of the label for standardised features ``z``, shape (batch,)."""
    return torch.logit(head.exact_probabilities(z)[:, label], eps=_SURE)


def _slopes(head: SvmHead, label: int, z: Tensor) -> tuple[Tensor, Tensor]:
    """Log-odds and their gradients, shapes (batch,) and (batch, d)."""
    z = z.detach().requires_grad_()
    value = log_odds(head, label, z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope


def _climbed(head: SvmHead, label: int, z: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import minimize

    def down(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, slope = _slopes(head, label, torch.from_numpy(x)[None])
        return -float(value[0]), -slope[0].numpy()

    found = minimize(down, z, jac=True, method="L-BFGS-B", options={"maxiter": 200, "gtol": 1e-7})
    return np.asarray(found.x, dtype=np.float64)


def hessian(head: SvmHead, label: int, z: Tensor) -> Tensor:
    """Of the log-odds, by central differences of the gradient, shape (d, d), symmetric."""
    steps = _STEP * torch.eye(len(z), dtype=torch.float64)
    _, slopes = _slopes(head, label, torch.cat([z + steps, z - steps]))
    up, down = slopes.chunk(2)
    raw = (up - down) / (2 * _STEP)
    return (raw + raw.mT) / 2


def _newton(head: SvmHead, label: int, z: Tensor) -> Tensor:
    """A few steps to where the gradient is zero, as long as they shorten it and lose nothing."""
    value, slope = _slopes(head, label, z[None])
    for _ in range(5):
        step = torch.linalg.lstsq(hessian(head, label, z), -slope[0], driver="gelsd").solution
        value_there, slope_there = _slopes(head, label, (z + step)[None])
        if float(slope_there.norm()) >= float(slope.norm()) or float(value_there) < float(value) - 1e-9:
            break
        z, value, slope = z + step, value_there, slope_there
    return z


def _certificate(head: SvmHead, label: int, z: Tensor) -> tuple[float, float]:
    _, slope = _slopes(head, label, z[None])
    eigenvalues = torch.linalg.eigvalsh(hessian(head, label, z))
    size = float(eigenvalues.abs().max())
    return float(slope.norm()), float(eigenvalues.max()) / size if size > 0 else 0.0


def _wandered(head: SvmHead, label: int, z: Tensor, seed: int) -> Tensor:
    """Where a search without slopes gets to: the best of 128 points about, then about that, nearer by."""
    generator = torch.Generator().manual_seed(seed)
    reach = 0.5
    with torch.no_grad():
        while reach > 1e-4:
            ways = torch.randn(128, len(z), generator=generator, dtype=torch.float64) * reach / len(z) ** 0.5
            about = torch.cat([z[None], z + ways])
            best = int(head.exact_probabilities(about)[:, label].argmax())
            z, reach = about[best], reach if best else 0.7 * reach
    return z


def _highest_about(head: SvmHead, label: int, z: Tensor, seed: int) -> bool:
    """Whether no point sampled at distances from a thousandth to a tenth is higher, to a ten-millionth."""
    generator = torch.Generator().manual_seed(seed)
    ways = torch.randn(1024, len(z), generator=generator, dtype=torch.float64)
    ways = ways / ways.norm(dim=1, keepdim=True)
    reach = 10 ** torch.linspace(-3, -1, len(ways), dtype=torch.float64)[:, None]
    with torch.no_grad():
        p = head.exact_probabilities(torch.cat([z[None], z + reach * ways]))[:, label]
    return bool(p[1:].max() <= p[0] + 1e-7)


def _different(ends: Tensor) -> int:
    """How many of the ends are apart from all before them."""
    kept: list[Tensor] = []
    for end in ends:
        if all(float((end - other).norm()) > _SAME for other in kept):
            kept.append(end)
    return len(kept)
