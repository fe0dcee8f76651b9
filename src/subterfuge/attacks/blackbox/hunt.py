"""``hunt``: our default where there are no gradients; it chooses among our searches, and chains them.

Which search a victim wants shows in how fast it gets on there. With scores, searches of different kinds take
turns: gains of bands for victims of averaged features, cosines and patches of time and frequency for those
that hear more than that. Who gets on fast goes on; when nobody does, the next one has a turn, at last from
the best there is. With labels alone one descent begins, and others when it has become slow. Victims at hand
that know the same label give starts that may carry over, for no query at all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator

import torch
from torch import Tensor

from subterfuge.attacks.blackbox.asking import Answer, Talk, converse
from subterfuge.attacks.blackbox.pack import Pack
from subterfuge.attacks.blackbox.runs import TRY, Run
from subterfuge.attacks.blackbox.starts import check_start, embedded_clips
from subterfuge.attacks.blackbox.transfer import transferred
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.search import Search, Watch
from subterfuge.attacks.whitebox.steps import seed_from
from subterfuge.criteria import Criterion
from subterfuge.victims.victim import Victim

# Queries of a turn; of the first turn of gains (so many, and such a share of the steps, up to so many).
_TURN, _GAINS, _GAINS_SHARE, _GAINS_MOST = 40, 25, 0.1, 100
# Share of the steps and the most queries of the first turn of patches, where gains have led nowhere, and of
# that of cosines, where there is something to outdo; queries of a descent with labels.
_PATCHES, _COSINES, _OTHERS_MOST, _LABELS = 0.3, 0.2, 100, 90
# Share of the steps that gains have before others go on from the best, if they are not far from it.
_GAINS_ALL = 0.6
# What a search must promise, in nepers, to go on: while others are untried, and once all were.
_FAST, _SLOW = 0.3, 0.03
# With labels alone, and so many steps: so many descents side by side, for so many queries each.
_MANY, _SIDE, _EACH = 800, 4, 100
# With fewer steps: one goes on until it becomes shorter by less than so much (nepers) in so many queries.
_LESS, _WHILE = 0.1, 90
# Without any success: queries that one descent has before the next is tried.
_LONG = 300
# Stretches of time that gains are told apart in, by turns; 0 begins somewhere else, and goes on if it is then
# not so many times longer than the best.
_ROUNDS, _HOPEFUL = (1, 0, 2, 0, 1, 0, 4, 0), 1.5


def hunt(
    victim: Victim,
    y: Tensor,
    criterion: Criterion,
    *,
    steps: int = 1000,
    generator: torch.Generator | None = None,
    watch: Watch | None = None,
    start: Tensor | None = None,
    transfer: bool = True,
) -> Outcome:
    """The smallest perturbation that queries lead to, by whichever of our searches gets on.

    Parameters
    ----------
    victim : Victim
        Of one that shows labels alone (:class:`subterfuge.attacks.oracle.Oracle`) nothing else is used.
    y : Tensor, shape (batch, samples)
        Clean clips in [-1, 1].
    criterion : Targeted or Untargeted
    steps : int
        Most queries a row.
    generator : torch.Generator, optional
    watch : Watch, optional
    start : Tensor, shape (batch, samples), optional
        Audio that is heard as wanted.
    transfer : bool
        Whether the embedded victims that know the label may be attacked in this one's place for a start,
        where nothing else has led anywhere yet.

    Returns
    -------
    Outcome
        Distances in L2.

    Raises
    ------
    SubterfugeError
        If ``y`` is no batch of finite audio, the start is none, or ``steps`` is under 2.

    Examples
    --------
    >>> outcome = hunt(victim, y, Targeted(1), steps=200)
    >>> outcome.queries.forward.tolist(), outcome.queries.backward.tolist()
    ([200, 200], [0, 0])
    """
    blind = getattr(victim, "access", "scores") == "label"
    with Search(victim, y, criterion, watch=watch, gradients=False, labels_only=blind) as search:
        start, seed = check_start(start, y), seed_from(generator)

        def talk(row: int, clean: Answer) -> Talk:
            label = None if search.goal.away else victim.labels[int(search.goal.label[row])]
            clips = embedded_clips(label, victim.sample_rate)
            given = None if start is None else start[row]
            others: Iterator[Tensor] = iter(())
            if transfer and label is not None:
                others = transferred(y[row : row + 1], label, victim)
            pack = Pack(
                y[row : row + 1], victim.sample_rate, seed, steps, start=given, clips=clips, others=others
            )
            return _with_labels(pack) if blind else _with_scores(pack, clean, any_duel=search.goal.away)

        converse(search, steps, talk)
    return search.outcome()


# ---------------------------------------------------------------- scores


def _with_scores(pack: Pack, clean: Answer, *, any_duel: bool) -> Talk:
    """Who gets on fast goes on; when nobody does, the next one has a turn."""
    climb = pack.climb(clean, any_duel=any_duel)
    yield from pack.go(climb, round(min(_GAINS_MOST, _GAINS + _GAINS_SHARE * pack.steps)))
    if pack.delta is None:
        yield from pack.find()
    begun = [climb]
    for run, first_turn in _others(pack, climb):
        yield from _while_promising(pack, begun, _FAST)
        begun.append(run)
        yield from pack.go(run, first_turn)
    yield from _until_there(pack, begun)
    yield from _while_promising(pack, begun, _FAST)
    for run, first_turn in _chained(pack, climb):
        begun = [one for one in begun if pack.promise(one) > 0] + [run]
        yield from pack.go(run, first_turn)
        yield from _while_promising(pack, begun, _SLOW)


def _until_there(pack: Pack, begun: list[Run]) -> Talk:
    """By turns the search that lacks least and the youngest, while none has found anything by itself."""
    for turn in itertools.count():
        if not all(math.isinf(one.length) for one in begun):
            return
        rank = [len(one.ages) if turn % 2 else -one.margin for one in begun]
        yield from pack.go(begun[rank.index(min(rank))], _TURN)


def _while_promising(pack: Pack, begun: list[Run], enough: float) -> Talk:
    while pack.promise(best := max(begun, key=pack.promise)) > enough:
        yield from pack.go(best, _TURN)


def _others(pack: Pack, climb: Run) -> Iterator[tuple[Run, int]]:
    """One search of each of the other kinds, with its first turn."""
    there = not math.isinf(climb.length)
    yield pack.patches(), _TURN if there else round(min(_OTHERS_MOST, _PATCHES * pack.steps))
    there = pack.delta is not None and not pack.found
    yield pack.cosines(), round(min(_OTHERS_MOST, _COSINES * pack.steps)) if there else 0


def _chained(pack: Pack, climb: Run) -> Iterator[tuple[Run, int]]:
    """Searches from the best there is, with their first turns, without end."""
    if climb.length < _HOPEFUL * pack.length:
        yield climb, max(_TURN, round(_GAINS_ALL * pack.steps) - len(climb.ages))
    more = itertools.cycle((pack.cosines, pack.patches))
    for times in itertools.cycle(_ROUNDS):
        if math.isinf(climb.length) and not climb.over:
            yield climb, _TURN
        elif not times:
            yield pack.descent(pack.start), _LABELS
        elif pack.gains_length < _HOPEFUL * pack.length:
            yield pack.polish(times), _LABELS
        yield next(more)(), _TURN


# ---------------------------------------------------------------- labels alone


def _with_labels(pack: Pack) -> Talk:
    """The best of several descents where there are steps for them, then others from the best."""
    several = [pack.descent(pack.start)]
    if pack.steps < _MANY:
        yield from pack.go(several[0], TRY)
        several[0] = yield from _way_in(pack, several[0])
        while several[0].fell(_WHILE) > _LESS:
            yield from pack.go(several[0], _WHILE)
    else:
        yield from pack.go(several[0], _EACH)
    while len(several) < _SIDE:
        several.append(pack.descent(pack.start))
        yield from pack.go(several[-1], _EACH)
    # The best of them is the one that was when all were as old.
    best = min(several, key=lambda run: run.at(_EACH))
    yield from pack.go(best)
    yield from _way_in(pack, best)
    for times in itertools.cycle(_ROUNDS):
        if times and pack.gains_length < math.inf:
            yield from pack.go(pack.polish(times))
        elif not times:
            run = pack.descent(pack.start)
            yield from pack.go(run, _EACH)
            if run.length < _HOPEFUL * pack.length:
                yield from pack.go(run)


def _way_in(pack: Pack, one: Run) -> Generator[Tensor, Answer, Run]:
    """Where a descent has led nowhere: other starts, then more of it, then others; which one it was."""
    if pack.delta is None and (found := (yield from pack.find())) is not None:
        # Its bands alone may do: then they are where the next search begins.
        pack.start, one = found, pack.descent(found)
    while math.isinf(pack.gains_length) and len(one.ages) < _LONG:
        yield from pack.go(one, _TURN)
    while pack.delta is None:
        one = pack.descent(None)
        yield from pack.go(one, _LONG)
    return one
