"""A genetic algorithm in few numbers: tournaments, blended crossover, mutation that adapts itself."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.evolving import Array, Numbers
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

# Who takes part in a tournament; how far beyond its parents a blended child may lie, in their distances.
TOURNAMENT, BEYOND = 3, 0.25
# First deviations of a mutation, as a share of what the numbers begin with, and the share of the numbers that
# one mutation changes.
FIRST, CHANGED = 0.3, 0.3


def genetic(
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
    population: int = 16,
) -> Outcome:
    """Small change, in L2, by the survival of the fittest gains of bands and levels of hidden noise.

    What is reached is fitter than what is not; of what is reached the shorter, of what is not the one with
    the larger margin. Parents are drawn by tournaments, children blend them and are mutated, each with a
    deviation of its own that it inherits and that changes by chance, and the fittest of parents and children
    live on.

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
    population : int

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``population`` is under 4, or as for any attack.

    References
    ----------
    Eshelman and Schaffer, "Real-coded genetic algorithms and interval-schemata", FOGA 2, 1993 (blended
    crossover); Deb, "An efficient constraint handling method for genetic algorithms", CMAME 186, 2000;
    Schwefel, "Numerical optimization of computer models", 1981 (deviations that adapt themselves).

    Examples
    --------
    >>> outcome = genetic(victim, y, Targeted(1), steps=60)
    >>> outcome.queries.forward
    tensor([60, 60])
    """
    if population < 4:
        raise SubterfugeError(f"population: got {population}, expected at least 4")
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, _: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            numbers = Numbers(y[row : row + 1], sr=victim.sample_rate, seed=seed, bands=bands, times=times)
            first = yield from numbers.begin(None if start is None else start[row], clips, steps)
            yield from _evolve(numbers, first, population, np.random.default_rng(seed))

        converse(search, steps, talk)
    return search.outcome()


def _evolve(numbers: Numbers, first: Array, population: int, chance: np.random.Generator) -> Talk:
    """Generations without end."""
    deviations = FIRST * numbers.scale(first) * np.exp(0.5 * chance.standard_normal(population))
    genes = first + deviations[:, None] * chance.standard_normal((population, len(first)))
    genes[0] = first
    # Part of what they began with: where it is reached, most of it is too much.
    genes *= chance.uniform(0.5, 1.0, (population, 1)) ** (np.arange(population) > 0)[:, None]
    answer = yield numbers.deltas(genes)
    rank = _keys(answer)
    while len(rank) == len(genes):
        children, inherited = _children(genes, deviations, rank, chance)
        answer = yield numbers.deltas(children)
        if len(answer.margin) < len(children):
            return
        genes, deviations = np.concatenate([genes, children]), np.concatenate([deviations, inherited])
        rank = np.concatenate([rank, _keys(answer)])
        fittest = order(rank)[:population]
        genes, deviations, rank = genes[fittest], deviations[fittest], rank[fittest]


def _keys(answer: Answer) -> NDArray[np.float64]:
    """Whether not reached, then length or lack of margin, shape (candidates, 2): the less the fitter."""
    reached = answer.reached.numpy()
    margin = np.nan_to_num(answer.margin.cpu().numpy().astype(np.float64), posinf=1e30, neginf=-1e30)
    return np.stack([~reached, np.where(reached, answer.distance.numpy(), -margin)], 1).astype(np.float64)


def order(keys: NDArray[np.float64]) -> NDArray[np.intp]:
    """Numbers of the candidates, the fittest first: those that are reached, by length; then by margin.

    Examples
    --------
    >>> order(np.array([[1, -0.2], [0, 3.0], [1, -0.4], [0, 2.0]])).tolist()
    [3, 1, 2, 0]
    """
    return np.lexsort((keys[:, 1], keys[:, 0]))


def _children(
    genes: Array, deviations: Array, keys: NDArray[np.float64], chance: np.random.Generator
) -> tuple[Array, Array]:
    """As many children as there are parents, and their deviations."""
    number, size = genes.shape
    place = np.empty(number, dtype=np.int64)
    place[order(keys)] = np.arange(number)
    lots = chance.integers(number, size=(2, number, TOURNAMENT))
    mother, father = np.take_along_axis(lots, place[lots].argmin(2)[..., None], 2)[..., 0]
    share = chance.uniform(-BEYOND, 1 + BEYOND, (number, size))
    children = genes[mother] + share * (genes[father] - genes[mother])
    inherited = np.sqrt(deviations[mother] * deviations[father])
    inherited = inherited * np.exp(chance.standard_normal(number) / np.sqrt(2 * np.sqrt(size)))
    changed = chance.random((number, size)) < CHANGED
    children += changed * inherited[:, None] * chance.standard_normal((number, size))
    # A child in three is turned down or up as a whole: the nearest way to a shorter change.
    whole = np.exp(-np.abs(chance.standard_normal((number, 1))) * 0.2)
    children *= np.where(chance.random((number, 1)) < 1 / 3, whole, 1.0)
    return children, inherited
