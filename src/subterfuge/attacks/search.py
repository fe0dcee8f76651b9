"""The book-keeping that every attack shares: asking the victim, the best so far, queries, the trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from subterfuge.attacks.outcome import Outcome, Queries
from subterfuge.criteria import Criterion, Goal, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, Victim


@dataclass(frozen=True)
class Watch:
    """What an onlooker may do with a running attack.

    Attributes
    ----------
    budget : int or None
        Queries (forward) that a row may spend; the attack ends, with its best so far, when it is spent.
    report : callable or None
        Called after each query with ``(queries so far, best distance of each row)``.
    """

    budget: int | None = None
    report: Callable[[int, Tensor], None] | None = None

    def __post_init__(self) -> None:
        """Check the budget as soon as it is named."""
        if self.budget is not None and self.budget < 1:
            raise SubterfugeError(f"budget: got {self.budget}, expected at least one query")


class BudgetSpent(Exception):
    """Raised by a search whose budget is spent; ends the ``with`` block that it runs in."""


class Search:
    """Everything an attack asks of a victim goes through here, so that no attack can miscount or forget.

    Use as a context: a spent budget or Ctrl-C ends the block quietly, and :meth:`outcome` still holds the
    best found so far.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (batch, samples)
        The clean clips, in [-1, 1].
    criterion : Criterion
    norm : float
        2 or ``inf``: how distance is measured.
    measure : callable, optional
        ``measure(delta, rows)``: another measure of perturbations, shape (rows,), instead of the norm.
    watch : Watch, optional
    chunk : int
        Rows that go through the victim at once; small chunks are faster (fewer page faults).
    gradients : bool
        Whether the attack will ask for gradients; the victim must then be differentiable.
    labels_only : bool
        Whether the attack is told no more than what is reached: margin and duels are then 1 or -1.

    Raises
    ------
    SubterfugeError
        If gradients are needed of a victim that has none, or ``y`` is not a finite batch of waveforms.

    Examples
    --------
    An attack in four lines: walk up the margin of any differentiable ``victim`` from two clips ``y``.

    >>> x = y
    >>> with Search(victim, y, Targeted(1), watch=Watch(budget=50)) as search:
    ...     while True:
    ...         x = (x + 0.01 * search.climb(x)[2].sign()).clamp(-1, 1)
    >>> search.outcome().success, search.outcome().queries.forward
    (tensor([True, True]), tensor([50, 50]))
    """

    def __init__(
        self,
        victim: Victim,
        y: Tensor,
        criterion: Criterion,
        *,
        norm: float = 2.0,
        measure: Callable[[Tensor, Tensor], Tensor] | None = None,
        watch: Watch | None = None,
        chunk: int = 8,
        gradients: bool = True,
        labels_only: bool = False,
    ) -> None:
        if y.ndim != 2:
            raise SubterfugeError(f"attack: got audio of shape {tuple(y.shape)}, expected (batch, samples)")
        if not bool(torch.isfinite(y).all()):
            raise SubterfugeError("attack: the audio holds NaN or infinite samples, expected finite ones")
        if gradients and not victim.differentiable:
            raise SubterfugeError("attack: this one needs gradients, and the victim has none")
        self.victim, self.y, self.norm, self.chunk = victim, y, norm, chunk
        self.measure, self.labels_only = measure, labels_only
        # Waveforms that one question puts through the victim: more than one where variants are heard too.
        self.cost = int(getattr(victim, "cost", 1))
        self.watch = watch or Watch()
        self.goal: Goal = criterion.bind(victim, y)
        n = len(y)
        self.best = y.clone()
        self.best_distance = torch.full((n,), math.inf, dtype=y.dtype, device=y.device)
        self.success = torch.zeros(n, dtype=torch.bool, device=y.device)
        self.forward_queries = torch.zeros(n, dtype=torch.int64, device=y.device)
        self.backward_queries = torch.zeros(n, dtype=torch.int64, device=y.device)
        self.interrupted = False
        self._nearest_margin = torch.full((n,), -math.inf, dtype=torch.float64, device=y.device)
        self._nearest = y.clone()
        self._moved = torch.zeros(n, dtype=torch.bool, device=y.device)
        self._trace: list[tuple[Tensor, Tensor]] = []
        if isinstance(criterion, Untargeted) and criterion.label is None:
            # Binding it asked the victim what it hears in each clip; that was a query like any other.
            self.forward_queries += self.cost
            self._trace.append((torch.arange(n, device=y.device), self.best_distance.clone()))

    def __enter__(self) -> Search:
        """Start the search."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        """End it quietly on a spent budget or Ctrl-C, keeping what was found."""
        if kind is not None and issubclass(kind, (BudgetSpent, KeyboardInterrupt)):
            self.interrupted = issubclass(kind, KeyboardInterrupt) or self.interrupted
            return True
        return False

    @property
    def distance_to(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Row-wise distance by this search's measure: ``distance_to(x, rows)``."""
        if self.measure is not None:
            measure = self.measure
            return lambda x, rows: measure(x - self.y[rows], rows)
        return lambda x, rows: torch.linalg.vector_norm(x - self.y[rows], self.norm, dim=1)

    def look(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One forward query a row.

        Parameters
        ----------
        x : Tensor, shape (rows, samples)
            Candidates; clamp them to [-1, 1] first.
        rows : Tensor of int64, optional
            Which rows of the batch they belong to; all of them by default.

        Returns
        -------
        margin : Tensor, shape (rows,)
        reached : Tensor of bool, shape (rows,)
        """
        margin, reached, _ = self._ask(x, rows, slopes=None)
        return margin, reached

    def look_each(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """One forward query a candidate, of which a row may have several: all through the victim together.

        Parameters
        ----------
        x : Tensor, shape (candidates, samples)
            Clamp them to [-1, 1] first.
        rows : Tensor of int64, shape (candidates,)
            Which row of the batch each belongs to. What a row asks beyond its budget is not asked.

        Returns
        -------
        duels : Tensor, shape (candidates, duels)
            As ``Goal.duels``; ``-inf`` where the budget was spent.
        reached : Tensor of bool, shape (candidates,)
        """
        turn = torch.zeros_like(rows)
        for row in set(rows.tolist()):
            mine = rows == row
            turn[mine] = torch.arange(int(mine.sum()), device=rows.device)
        if self.watch.budget is not None:
            able = self.forward_queries[rows] + self.cost * (turn + 1) <= self.watch.budget
            if not bool(able.any()):
                raise BudgetSpent
            if not bool(able.all()):
                some, done = self.look_each(x[able], rows[able])
                duels = some.new_full((len(rows), some.shape[1]), -math.inf)
                reached = torch.zeros(len(rows), dtype=torch.bool, device=done.device)
                duels[able], reached[able] = some, done
                return duels, reached
        told = []
        for some in torch.split(torch.arange(len(x), device=x.device), self.chunk):
            part, index = x[some], rows[some]
            with torch.no_grad():
                goal = self.goal.rows(index)
                hearing = self.victim.hear(part, probabilities=goal.needs_probabilities)
                margin, duels, reached = goal.margin(hearing), goal.duels(hearing), goal.reached(hearing)
            if self.labels_only:
                margin = _told(reached, margin)
                duels = margin[:, None]
            # Before the next chunk is asked about: whoever ends the search there keeps what was heard here.
            for number in sorted(set(turn[some].tolist())):
                now = turn[some] == number
                self.forward_queries[index[now]] += self.cost
                self._keep(part[now], index[now], margin[now], reached[now])
            told.append((duels, reached))
        return torch.cat([duels for duels, _ in told]), torch.cat([reached for _, reached in told])

    def lend(self, x: Tensor, row: int) -> tuple[Tensor, Tensor, bool]:
        """What the victim makes of several candidates of one row, for code that takes its own gradients.

        One forward query a candidate, and a backward one for each whenever a gradient passes back to ``x``.
        A candidate beyond [-1, 1] is answered, but is never the best.

        Parameters
        ----------
        x : Tensor, shape (candidates, samples)
            The answers are in its graph.
        row : int

        Returns
        -------
        scores : Tensor, shape (candidates, labels)
        margin : Tensor, shape (candidates,)
        several : bool
            Whether the victim may hear several labels at once.
        """
        if self.watch.budget is not None:
            able = max(0, (self.watch.budget - int(self.forward_queries[row])) // self.cost)
            if able < len(x):
                if able:
                    self.lend(x[:able].detach(), row)
                raise BudgetSpent
        rows = torch.full((len(x),), row, device=x.device)
        scores, margins, several = [], [], False
        for part, index in zip(torch.split(x, self.chunk), torch.split(rows, self.chunk), strict=True):
            goal = self.goal.rows(index)
            hearing = self.victim.hear(part, probabilities=goal.needs_probabilities)
            margin, found = goal.margin(hearing), goal.reached(hearing)
            scores.append(hearing.scores)
            margins.append(margin)
            several = hearing.multilabel
            there = part.detach()
            # No more beyond than the rounding of somebody's arithmetic.
            inside = (there.abs() <= 1 + 1e-6).all(1)
            sure = torch.where(inside, margin.detach(), -math.inf)
            for number in range(len(part)):
                one = slice(number, number + 1)
                self.forward_queries[row] += self.cost
                self._keep(there[one].clamp(-1, 1), index[one], sure[one], (found & inside)[one])

        def count(gradient: Tensor) -> None:
            self.backward_queries[row] += self.cost * len(gradient)

        if x.requires_grad:
            x.register_hook(count)  # type: ignore[no-untyped-call]
        return torch.cat(scores), torch.cat(margins), several

    def climb(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One forward and one backward query a row: margin, reached, and the margin's gradient.

        Shapes as in :meth:`look`; the gradient has the shape of ``x``.
        """
        margin, reached, gradient = self._ask(x, rows, slopes=Goal.margin)
        assert gradient is not None
        return margin, reached, gradient

    def climb_duels(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One forward query a row and one backward query a duel (see ``Goal.duels``).

        Returns
        -------
        duels : Tensor, shape (rows, duels)
        reached : Tensor of bool, shape (rows,)
        gradients : Tensor, shape (rows, duels, samples)
        """
        duels, reached, gradients = self._ask(x, rows, slopes=Goal.duels)
        assert gradients is not None
        return duels, reached, gradients

    def climb_guide(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`climb`, but value and gradient are the guide's (see ``Goal.nearness``).

        Of a victim that is not ``guided`` they are the margin's.
        """
        if not getattr(self.victim, "guided", False):
            return self.climb(x, rows)
        value, reached, gradient = self._ask(x, rows, slopes=Goal.nearness, guide=True)
        assert gradient is not None
        return value, reached, gradient

    def climb_soft(
        self, x: Tensor, rows: Tensor | None = None, *, softness: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`climb`, but value and gradient are the smoothed margin's (see ``Goal.soft_margin``)."""

        def soft(goal: Goal, hearing: Hearing) -> Tensor:
            return goal.soft_margin(hearing, softness)

        value, reached, gradient = self._ask(x, rows, slopes=soft, guide=True)
        assert gradient is not None
        return value, reached, gradient

    def outcome(self) -> Outcome:
        """The best found so far, as the attack's result."""
        audio = torch.where(self.success[:, None], self.best, self._nearest)
        distance = self.distance_to(audio, torch.arange(len(audio), device=audio.device))
        queries = Queries(self.forward_queries.clone(), self.backward_queries.clone())
        return Outcome(audio, self.success.clone(), distance, queries, self._traces(), self.interrupted)

    def _traces(self) -> Tensor:
        """One row a problem, one column a query of that row; the last value carried to the right."""
        width = int(self.forward_queries.max()) if len(self.y) else 0
        trace = torch.full((len(self.y), width), math.inf, dtype=self.y.dtype, device=self.y.device)
        asked = torch.zeros(len(self.y), dtype=torch.int64, device=self.y.device)
        for rows, distance in self._trace:
            asked[rows] += self.cost
            trace[rows, asked[rows] - 1] = distance
        return trace.cummin(1).values if width else trace

    def _ask(
        self,
        x: Tensor,
        rows: Tensor | None,
        *,
        slopes: Callable[[Goal, Hearing], Tensor] | None,
        guide: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ask the victim; with ``slopes``, also for the gradient of each of the values that it names."""
        rows = torch.arange(len(self.y), device=self.y.device) if rows is None else rows
        if self.watch.budget is not None:
            able = self.forward_queries[rows] + self.cost <= self.watch.budget
            if not bool(able.all()):
                return self._ask_some(x, rows, able, slopes, guide)
        if not len(rows):
            return x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device), torch.zeros_like(x)
        chunks: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        try:
            for part, index in zip(torch.split(x, self.chunk), torch.split(rows, self.chunk), strict=True):
                chunks.append(self._hear(part, self.goal.rows(index), slopes, guide))
        finally:
            # Also where somebody ends the search in a later chunk: what was heard by then is kept.
            if chunks:
                margin, done, value, gradient = (torch.cat(one) for one in zip(*chunks, strict=True))
                heard = rows[: len(done)]
                self.forward_queries[heard] += self.cost
                if slopes is not None:
                    self.backward_queries[heard] += math.prod(value.shape[1:]) * self.cost
                self._keep(x[: len(done)].detach(), heard, margin, done)
        return value, done, None if slopes is None else gradient

    def _hear(
        self, x: Tensor, goal: Goal, slopes: Callable[[Goal, Hearing], Tensor] | None, guide: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Margin and reached of one chunk; the values that slopes are wanted of, and these.

        Where none are wanted the value is the margin and the slopes are empty.
        """
        with torch.set_grad_enabled(slopes is not None):
            x = x.detach().requires_grad_(slopes is not None)
            asked = {"guide": True} if guide and getattr(self.victim, "guided", False) else {}
            hearing = self.victim.hear(x, probabilities=goal.needs_probabilities, **asked)
            margin, reached = goal.margin(hearing).detach(), goal.reached(hearing)
            if self.labels_only:
                margin = _told(reached, margin)
            if slopes is None:
                return margin, reached, margin, margin.new_zeros(0)
            value = slopes(goal, hearing)
            columns = value.unbind(1) if value.ndim == 2 else (value,)
            each = [_slope(one, x, last=i + 1 == len(columns)) for i, one in enumerate(columns)]
            gradient = torch.nan_to_num(torch.stack(each, 1) if value.ndim == 2 else each[0])
        return margin, reached, value.detach(), gradient

    def _ask_some(
        self,
        x: Tensor,
        rows: Tensor,
        able: Tensor,
        slopes: Callable[[Goal, Hearing], Tensor] | None,
        guide: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ask for the rows that still may; the others are told nothing (-inf, not reached, flat).

        So one row's spending never ends another's search. An attack should therefore ask for all the rows
        that still want an answer in one call: the search ends when none of those may ask.
        """
        if not bool(able.any()):
            raise BudgetSpent
        some, done, some_gradient = self._ask(x[able], rows[able], slopes=slopes, guide=guide)
        value = some.new_full((len(rows), *some.shape[1:]), -math.inf)
        reached = torch.zeros(len(rows), dtype=torch.bool, device=done.device)
        value[able], reached[able] = some, done
        if some_gradient is None:
            return value, reached, None
        gradient = some_gradient.new_zeros((len(rows), *some_gradient.shape[1:]))
        gradient[able] = some_gradient
        return value, reached, gradient

    def _keep(self, x: Tensor, rows: Tensor, margin: Tensor, reached: Tensor) -> None:
        distance = self.distance_to(x, rows)
        better = reached & (distance < self.best_distance[rows])
        self.best[rows[better]] = x[better]
        self.best_distance[rows[better]] = distance[better]
        self.success[rows[better]] = True
        # The clean clip is no attempt: a row that fails gives back the best point that it moved to.
        nearer = (distance > 0) & ((margin.double() > self._nearest_margin[rows]) | ~self._moved[rows])
        self._nearest[rows[nearer]] = x[nearer]
        self._nearest_margin[rows[nearer]] = margin[nearer].double()
        self._moved[rows[nearer]] = True
        self._trace.append((rows, self.best_distance[rows]))
        if self.watch.report is not None:
            self.watch.report(self.cost * len(self._trace), self.best_distance)


def _slope(value: Tensor, x: Tensor, *, last: bool) -> Tensor:
    """Gradient of each row's value by its own waveform; zero where the one does not depend on the other."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(value.sum(), x, retain_graph=not last, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


def _told(reached: Tensor, margin: Tensor) -> Tensor:
    """A margin that tells nothing but its sign."""
    return torch.where(reached, 1.0, -1.0).to(margin)
