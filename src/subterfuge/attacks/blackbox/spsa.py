"""SPSA: the slope from answers about pairs of random signs, and a climb along it by Adam."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.slopes import Way, by_slopes
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Watch
from subterfuge.attacks.whitebox.steps import Adam
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim


def spsa(
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
    stride: float = 0.1,
    patience: int = 100,
    snr_db: float = 20.0,
) -> Outcome:
    """Small change in L2 from scores, by slopes that pairs of random signs show.

    All numbers are moved up or down at once, by chance, and the other way round; what the margins differ by,
    over twice the way, is each number's slope but for chance, and the mean over some pairs is followed by
    Adam, within a ball. The published attack keeps one size; here the first success is followed by smaller
    balls (see :func:`subterfuge.attacks.blackbox.shrinking.shrink`).

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
    Uesato, O'Donoghue, Kohli and van den Oord, "Adversarial risk and the dangers of evaluating against weak
    attacks", ICML 2018, section 4; Spall, "Multivariate stochastic approximation using a simultaneous
    perturbation gradient approximation", 1992.

    Examples
    --------
    >>> outcome = spsa(victim, y, Targeted(1), steps=200)
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
        draw=signs,
        way=by_adam,
    )


def signs(chance: torch.Generator, number: int, size: int) -> Tensor:
    """Directions (number, size) of ones and minus ones."""
    return 2.0 * torch.randint(2, (number, size), generator=chance) - 1


def by_adam(size: int) -> Way:
    """The way that Adam goes."""
    adam: list[Adam] = []

    def way(slope: Tensor) -> Tensor:
        if not adam:
            adam.append(Adam(slope[None]))
        return adam[0].direction(slope[None])[0]

    return way
