"""How a black-box attack asks: each row is a talk of its own, and what all rows ask is heard together."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.attacks.search import Search
from subterfuge.errors import SubterfugeError


@dataclass(frozen=True)
class Answer:
    """What the victim said to some candidates of one row.

    Attributes
    ----------
    duels : Tensor of float64, shape (candidates, duels)
        As ``Goal.duels``: towards a label all must be positive, away from one any.
    margin : Tensor of float64, shape (candidates,)
        The one of them that decides.
    reached : Tensor of bool, shape (candidates,)
        The truth: it need not agree with the margin's sign.
    distance : Tensor of float64, shape (candidates,)
        From the clip, of what was asked about: clamped to [-1, 1].
    """

    duels: Tensor
    margin: Tensor
    reached: Tensor
    distance: Tensor


# Yields perturbations, shape (candidates, samples), and is sent the answer to them.
Talk = Generator[Tensor, Answer, None]


def converse(search: Search, steps: int, talk: Callable[[int, Answer], Talk]) -> None:
    """Ask about every clip itself, then let each row that is not there yet ask what it wants.

    Parameters
    ----------
    search : Search
    steps : int
        Most forward queries a row, that about the clip among them (and one that binding the criterion took).
        A talk is ended when they are spent.
    talk : callable
        ``talk(row, answer)`` starts the talk of a row, given the answer to the clip itself.

    Raises
    ------
    SubterfugeError
        If ``steps`` is under 2.
    """
    if steps < 2:
        raise SubterfugeError(f"steps: got {steps}, expected at least 2")
    y, rows = search.y, len(search.y)
    spent_before = search.forward_queries.cpu()
    left = steps - spent_before // search.cost
    if search.watch.budget is not None:
        left = left.minimum((search.watch.budget - spent_before) // search.cost)
    first = _hear(search, [(row, y[row][None]) for row in range(rows) if left[row] > 0])
    left -= 1
    talks = {row: talk(row, answer) for row, answer in first.items() if not bool(answer.reached[0])}
    wanted: list[tuple[int, Tensor]] = []
    for row in list(talks):
        _go_on(talks, row, None, wanted)
    while wanted:
        asked = [(row, (y[row] + delta[: left[row]]).clamp(-1, 1)) for row, delta in wanted]
        answers = _hear(search, [(row, x) for row, x in asked if len(x)])
        spent = {row for row, delta in wanted if len(delta) >= left[row]}
        wanted = []
        for row, answer in answers.items():
            left[row] -= len(answer.margin)
            if row not in spent:
                _go_on(talks, row, answer, wanted)


def _go_on(talks: dict[int, Talk], row: int, answer: Answer | None, wanted: list[tuple[int, Tensor]]) -> None:
    try:
        wanted.append((row, next(talks[row]) if answer is None else talks[row].send(answer)))
    except StopIteration:
        del talks[row]


def _hear(search: Search, asked: list[tuple[int, Tensor]]) -> dict[int, Answer]:
    """Everything that is asked through the victim, a chunk at a time."""
    if not asked:
        return {}
    rows = torch.cat([torch.full((len(x),), row) for row, x in asked]).to(search.y.device)
    x = torch.cat([one for _, one in asked])
    heard = [
        search.look_each(part, index)
        for part, index in zip(torch.split(x, search.chunk), torch.split(rows, search.chunk), strict=True)
    ]
    duels = torch.cat([one for one, _ in heard]).double()
    reached = torch.cat([one for _, one in heard])
    margin = duels.amax(1) if search.goal.away else duels.amin(1)
    distance = search.distance_to(x, rows).double()
    return {
        row: Answer(*(whole[rows == row] for whole in (duels, margin, reached, distance))) for row, _ in asked
    }
