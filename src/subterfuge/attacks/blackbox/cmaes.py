"""CMA-ES in few numbers: gains of critical bands and coarse times, and noise under what the clip masks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.evolving import Array, Fitness, Numbers
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim


def cmaes(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    bands: int | None = 24,
    times: int = 1,
    population: int | None = None,
    sigma: float = 0.3,
) -> Outcome:
    """Small change, in L2, by a search that learns which way, and how far, its population should spread.

    One number more than there are gains and levels of noise says how loud they all are.

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
    start : Tensor, shape (batch, samples), optional
        Audio that may be heard as wanted; by default the embedded clips of the label are tried.
    bands, times : int, optional
        See :class:`subterfuge.attacks.blackbox.subspace.Subspace`: each has a gain and a level of noise.
    population : int, optional
        Candidates of a generation; by default ``4 + 3 log(numbers)``, as Hansen recommends.
    sigma : float
        First deviation of the numbers, as a share of what they begin with.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``cma`` is not installed, ``population`` is under 2, ``sigma`` is not positive, or as for any
        attack.

    References
    ----------
    Hansen and Ostermeier, "Completely derandomized self-adaptation in evolution strategies", Evolutionary
    Computation 9, 2001; the implementation is Hansen's own, ``cma``.

    Examples
    --------
    >>> outcome = cmaes(victim, y, Targeted(1), steps=60)
    >>> outcome.queries.forward
    tensor([60, 60])
    """
    if population is not None and population < 2:
        raise SubterfugeError(f"population: got {population}, expected at least 2")
    if not 0 < sigma < np.inf:
        raise SubterfugeError(f"sigma: got {sigma}, expected a share above 0")
    cma = _cma()
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            numbers = Numbers(y[row : row + 1], sr=victim.sample_rate, seed=seed, bands=bands, times=times)
            best = yield from numbers.begin(None if start is None else start[row], clips, steps)
            chance, fitness = np.random.default_rng(seed), Fitness()
            while True:
                # Begun anew from the best whenever it has come to rest.
                scale = numbers.scale(best)
                strategy = _strategy(cma, np.append(best / scale, 0.0), sigma, population, chance)
                least = np.inf
                while not strategy.stop():
                    candidates = np.stack(strategy.ask())
                    # The last one is how loud the others are, in nepers: the nearest way to a shorter change.
                    asked = scale * np.exp(candidates[:, -1:]) * candidates[:, :-1]
                    answer = yield numbers.deltas(asked)
                    if len(answer.margin) < len(candidates):
                        return
                    strategy.tell(list(candidates), fitness.of(answer).tolist())
                    lengths = np.where(answer.reached.numpy(), answer.distance.numpy(), np.inf)
                    if lengths.min() < least:
                        least, best = float(lengths.min()), asked[int(lengths.argmin())]

        converse(search, steps, talk)
    return search.outcome()


def _strategy(
    cma: Any, best: Array, sigma: float, population: int | None, chance: np.random.Generator
) -> Any:
    options = {"verbose": -9, "seed": np.nan, "randn": lambda *shape: chance.standard_normal(shape)}
    if population is not None:
        options["popsize"] = population
    return cma.CMAEvolutionStrategy(best, sigma, options)


def _cma() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it cannot plot
            import cma
    except ImportError as error:
        raise SubterfugeError(
            "cmaes: the library cma is not installed, expected pip install 'sonic-subterfuge[cmaes]'"
        ) from error
    return cma
