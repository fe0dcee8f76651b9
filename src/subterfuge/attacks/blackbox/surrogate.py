"""``surrogate``: learn a substitute from queries, attack that with gradients, see what carries over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.starts import embedded_clips, fitted
from subterfuge.attacks.blackbox.student import Student
from subterfuge.attacks.blackbox.substitute import Substitute
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import BudgetSpent, Search, Watch
from subterfuge.attacks.whitebox.steps import check_steps, seed_from
from subterfuge.criteria import Criterion
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim


def surrogate(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    material: Tensor | None = None,
) -> Outcome:
    """Learn a substitute of the victim near the clip, and attack it in the victim's place.

    First the clip, other clips and shaped variations of the clip are asked about. Then, again and again, the
    substitute (:class:`subterfuge.attacks.blackbox.substitute.Substitute`) learns all the answers so far, an
    attack with gradients finds what it takes for the nearest success, by a margin that grows with every
    failure and falls with every success, and the victim is asked about that, and about less of it. Where the
    substitute knows no way, its slope at earlier questions says what to ask next, as in Papernot et al.

    Parameters
    ----------
    victim : Victim
        Only asked, never differentiated.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1]; each row learns a substitute of its own.
    criterion : Targeted or Untargeted
    steps : int
        Most queries a row, at least 2.
    generator : torch.Generator, optional
        For the variations, and what is chosen to be asked again.
    watch : Watch, optional
    material : Tensor, shape (clips, samples), optional
        Other clips to begin with, at the victim's rate; the embedded ones by default.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``steps`` is under 2.

    References
    ----------
    Papernot, McDaniel, Goodfellow, Jha, Celik and Swami, "Practical black-box attacks against machine
    learning", ASIA CCS 2017.

    Examples
    --------
    >>> y = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    >>> outcome = surrogate(victim, y, Targeted("right"), steps=30)
    >>> outcome.queries.forward.item() <= 30, outcome.queries.backward.item()
    (True, 0)
    """
    check_steps(steps)
    seed = seed_from(generator)
    with Search(victim, y, criterion, watch=watch, gradients=False) as search:
        others = _others(victim, y, material)
        for row in range(len(y)):
            try:
                Student(search, row, others, steps, seed).learn()
            except BudgetSpent:  # of this row; others may have queries left
                continue
    return search.outcome()


def substitutes(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    after: Sequence[int],
    generator: torch.Generator | None = None,
    material: Tensor | None = None,
) -> Iterator[Substitute]:
    """Learn what :func:`surrogate` learns, but attack nothing: what the substitute alone is worth.

    The questions are those that :func:`surrogate` begins with, and after those the ones that the slope of the
    substitute suggests, a quarter more each round. What an attack on the substitute finds can then be tried
    on the victim once, which is transfer in the proper sense.

    Parameters
    ----------
    victim : Victim
        Only asked, never differentiated.
    y : Tensor, shape (1, samples)
        A clean clip in [-1, 1].
    criterion : Targeted or Untargeted
    after : sequence of int
        Numbers of queries, rising, the least at least 2.
    generator, material
        As in :func:`surrogate`.

    Yields
    ------
    Substitute
        After each of these numbers of queries in all, the same one, taught further: use it before the next is
        asked for. "wanted", its label 1, stands for the goal. None at all if the clip is there already.

    Raises
    ------
    SubterfugeError
        If there is not one clip, or the numbers do not rise from 2 at least.

    References
    ----------
    Papernot et al., 2017, as above.

    Examples
    --------
    >>> y = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    >>> [one.labels for one in substitutes(victim, y, Targeted("right"), after=(10, 20))]
    [('other', 'wanted'), ('other', 'wanted')]
    """
    if len(y) != 1:
        raise SubterfugeError(f"substitutes: got {len(y)} clips, expected one, of which they learn")
    if not after or min(after) < 2 or any(b <= a for a, b in pairwise(after)):
        raise SubterfugeError(f"after: got {list(after)}, expected numbers of queries that rise, from 2 up")
    search = Search(victim, y, criterion, gradients=False)
    student = Student(search, 0, _others(victim, y, material), after[0], seed_from(generator))
    for queries in after:
        taught = student.study(queries)
        if taught is None:
            return
        yield taught


def _others(victim: Victim, y: Tensor, material: Tensor | None) -> Tensor:
    """Other clips to begin with, as long as the clip itself, shape (clips, samples)."""
    known = embedded_clips(None, victim.sample_rate) if material is None else tuple(material)
    others = [fitted(clip.to(y), y.shape[1]) for clip in known]
    return torch.stack(others) if others else y[:0]
