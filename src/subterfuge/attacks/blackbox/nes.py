"""NES: the slope from answers about pairs of Gaussian noise, and a climb along its running mean."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.slopes import Way, by_slopes
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Watch
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Part of the running mean that the next slope leaves as it was.
_MOMENTUM = 0.5


def nes(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    subspace: bool = False,
    pairs: int = 10,
    reach: float = 0.3,
    stride: float = 0.2,
    patience: int = 100,
    snr_db: float = 20.0,
) -> Outcome:
    """Small change in L2 from scores, by slopes that pairs of Gaussian noise show.

    Noise is added and taken away; the differences of the margins, each times its noise, add up to a slope.
    Steps go along its running mean, within a ball. The published attack ends with the first success; here it
    goes on from there in smaller balls (see :func:`subterfuge.attacks.blackbox.shrinking.shrink`). Among all
    samples of a clip the slope of a few dozen queries is mostly chance: the subspace is for that.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most forward queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    subspace : bool
        Whether to search among gains of bands (see :class:`subterfuge.attacks.blackbox.subspace.Subspace`)
        or among all samples.
    pairs : int
        Of directions for each slope: twice as many queries.
    reach, stride : float
        How far the directions go, and the first step along a slope, as shares of the ball's radius.
    patience : int
        Queries in vain after which the ball grows.
    snr_db : float
        Of the first ball to the clip.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, ``steps`` is under 2, or another option makes no sense.

    References
    ----------
    Ilyas, Engstrom, Athalye and Lin, "Black-box adversarial attacks with limited queries and information",
    ICML 2018, section 2.2: projected steps along an estimate by antithetic noise.

    Examples
    --------
    >>> outcome = nes(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.backward.tolist()
    [0, 0]
    """
    return by_slopes(
        victim,
        y,
        criterion,
        steps=steps,
        generator=generator,
        watch=watch,
        subspace=subspace,
        pairs=pairs,
        reach=reach,
        stride=stride,
        patience=patience,
        snr_db=snr_db,
        draw=gaussian,
        way=running_mean,
    )


def gaussian(chance: torch.Generator, number: int, size: int) -> Tensor:
    """Directions (number, size) of white noise."""
    return torch.randn(number, size, generator=chance, dtype=torch.float64)


def running_mean(size: int) -> Way:
    """The way along the running mean of the slopes."""
    before: list[Tensor] = []

    def way(slope: Tensor) -> Tensor:
        mean = torch.lerp(slope, before[0], _MOMENTUM) if before else slope
        before[:] = [mean]
        return mean

    return way
