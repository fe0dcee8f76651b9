"""Many listeners' results as one statement: who counts, what all of them heard, pair by pair too.

References
----------
S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2),
1979.
W. Hoeffding, "On the distribution of the number of successes in independent trials", Annals of Mathematical
Statistics 27(3), 1956: where listeners differ, the number right of all of them spreads less than a binomial,
so that its interval is, if anything, too wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from subterfuge.audibility.listeners import Session
from subterfuge.audibility.listening import ALPHA, Score, holm, power, score
from subterfuge.errors import SubterfugeError

_GIVEN_AWAY = 0.01  # answers to what nobody can know may not be this unlikely


@dataclass(frozen=True)
class Listener:
    """A session within a pool.

    Attributes
    ----------
    session : Session
    adjusted : float or None
        The p-value adjusted (Holm) for all listeners counted; None of one who is left out.
    left_out : str
        Why it is left out; empty where it counts.
    """

    session: Session
    adjusted: float | None
    left_out: str


@dataclass(frozen=True)
class PairScore:
    """All listeners' answers to one pair; ``adjusted`` is the p-value adjusted (Holm) for all the pairs."""

    name: str
    score: Score
    adjusted: float


@dataclass(frozen=True)
class Pool:
    """All sessions on the same pairs of files.

    Attributes
    ----------
    title, material : str
    listeners : tuple of Listener
        Those left out too.
    score : Score
        Of all trials that count, of all listeners that count.
    identical : Score
        Of the trials in which A and B were the same.
    pairs : tuple of PairScore
    notes : tuple of str
        What else must be known, a sentence each.
    """

    title: str
    material: str
    listeners: tuple[Listener, ...]
    score: Score
    identical: Score
    pairs: tuple[PairScore, ...]
    notes: tuple[str, ...]

    @property
    def counted(self) -> tuple[Listener, ...]:
        """Those not left out."""
        return tuple(one for one in self.listeners if not one.left_out)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "title": self.title,
            "material": self.material,
            "statement": statement(self),
            "pooled": self.score.as_json() | {"listeners": len(self.counted)},
            "identical": self.identical.as_json(),
            "listeners": [_listener_json(one) for one in self.listeners],
            "pairs": [
                {"name": one.name, **one.score.as_json(), "p_adjusted": one.adjusted} for one in self.pairs
            ],
            "notes": list(self.notes),
        }


def pool(sessions: Iterable[Session], *, keep_all: bool = False) -> list[Pool]:
    """One pool for each material, in the order in which they first appear.

    A listener who missed a plainly audible control is left out. That errs on the safe side where one wants to
    show that a difference is *not* heard: those who remain are the attentive ones.

    Parameters
    ----------
    sessions : iterable of Session
    keep_all : bool
        Whether those who missed audible controls count all the same.

    Raises
    ------
    SubterfugeError
        If two files tell different things of one session.
    """
    by_material: dict[str, list[Session]] = {}
    twins: dict[str, list[str]] = {}
    known: dict[tuple[str, int], Session] = {}
    for session in sessions:
        first = known.setdefault((session.page, session.listener), session)
        if first is session:
            by_material.setdefault(session.material, []).append(session)
        elif first.answers == session.answers:
            twins.setdefault(session.material, []).append(
                f"{session.path} is the same session as {first.path}, and is counted once."
            )
        else:
            raise SubterfugeError(
                f"{first.path} and {session.path}: tell different answers of one session, expected one file"
            )
    return [_pool(some, twins.get(key, []), keep_all) for key, some in by_material.items()]


def statement(pooled: Pool) -> str:
    """What the pool says, in plain sentences that claim no more than was found."""
    n, given = len(pooled.counted), pooled.score
    if not n:
        return " ".join(["No listener is left to say anything by.", *pooled.notes])
    who = "1 listener" if n == 1 else f"{n} listeners"
    said = [f"{who}, {given.total} trials, {given.right} right ({_percent(given.share)})."]
    if given.p_value <= ALPHA:
        said.append(f"That is evidence that a difference is heard: {_chance(given.p_value)}.")
    else:
        said.append(f"That is no evidence that the files can be told apart: {_chance(given.p_value)}.")
    least, most = (_percent(max(0.0, 2 * bound - 1)) for bound in (given.low, given.high))
    said.append(
        f"95 % interval of right answers {_percent(given.low)} to {_percent(given.high)}, which leaves room "
        f"for a difference heard in {least} to {most} of the trials."
    )
    if given.p_value > ALPHA:
        found = _percent(findable(given.total))
        said.append(f"Listeners right in {found} of so many trials are found out nine times in ten.")
    best = min(pooled.counted, key=lambda one: one.session.score().p_value)
    if n > 1 and best.adjusted is not None:
        own = best.session.score()
        verdict = "tells them apart" if best.adjusted <= ALPHA else "is no exception"
        said.append(
            f"The best of them, {best.session.name} ({own.right} of {own.total}), {verdict}: "
            f"p = {p_words(best.adjusted)}, adjusted for {n} listeners."
        )
    return " ".join([*said, *pooled.notes])


def findable(total: int) -> float:
    """The least share of right answers, in whole per cent, that so many trials find out nine times in ten.

    Examples
    --------
    >>> findable(16), findable(160)
    (0.84, 0.62)
    """
    return next((n / 100 for n in range(51, 100) if power(total, n / 100) >= 0.9), 1.0)


def p_words(p: float) -> str:
    """A p-value, short.

    Examples
    --------
    >>> p_words(0.40181), p_words(0.00213), p_words(1.5e-5)
    ('0.40', '0.0021', '0.000015')
    """
    if p >= 0.0995:
        return f"{p:.2f}"
    digits = 1 - math.floor(math.log10(max(p, 1e-12)))
    return f"{p:.{min(digits, 12)}f}"


def _pool(sessions: list[Session], notes: list[str], keep_all: bool) -> Pool:
    reasons = ["" if keep_all or one.awake else _asleep(one) for one in sessions]
    counted = [one for one, reason in zip(sessions, reasons, strict=True) if not reason]
    adjusted = iter(holm([one.score().p_value for one in counted]))
    listeners = tuple(
        Listener(one, None if reason else next(adjusted), reason)
        for one, reason in zip(sessions, reasons, strict=True)
    )
    identical = _together(one.score("identical") for one in counted)
    notes = [*notes, *_remarks(listeners, identical, keep_all)]
    return Pool(
        title=sessions[0].title,
        material=sessions[0].material,
        listeners=listeners,
        score=_together(one.score() for one in counted),
        identical=identical,
        pairs=_by_pair(counted),
        notes=tuple(notes),
    )


def _remarks(listeners: Sequence[Listener], identical: Score, keep_all: bool) -> list[str]:
    said = [f"{one.session.name} is left out: {one.left_out}." for one in listeners if one.left_out]
    asleep = [one.session for one in listeners if not one.session.awake and not one.left_out]
    said += [f"{one.name} counts, although {_asleep(one)}." for one in asleep if keep_all]
    if identical.total:
        from scipy.stats import binomtest

        p = float(binomtest(identical.right, identical.total, 0.5).pvalue)
        if p < _GIVEN_AWAY:
            said.append(
                f"Where A and B are the same, {identical.right} of {identical.total} answers agree with the "
                "key, which nobody can hear: something else than the sound tells, and nothing is proved here."
            )
    return said


def _asleep(session: Session) -> str:
    heard = session.score("audible")
    return f"{heard.total - heard.right} of {heard.total} plainly audible controls were missed"


def _together(scores: Iterable[Score]) -> Score:
    some = list(scores)
    return score(sum(one.right for one in some), sum(one.total for one in some))


def _by_pair(sessions: Sequence[Session]) -> tuple[PairScore, ...]:
    """Right answers pair by pair; the same pair may have another number on another page."""
    names: dict[str, str] = {}
    tally: dict[str, list[bool]] = {}
    for session in sessions:
        for answer in session.answers:
            if answer.trial.kind == "pair":
                key, name = session.pairs[answer.trial.pair]
                names.setdefault(key, name)
                tally.setdefault(key, []).append(answer.right)
    order = sorted(tally, key=lambda key: (names[key], key))
    scores = [score(sum(tally[key]), len(tally[key])) for key in order]
    adjusted = holm([one.p_value for one in scores])
    return tuple(PairScore(names[key], one, p) for key, one, p in zip(order, scores, adjusted, strict=True))


def _listener_json(one: Listener) -> dict[str, Any]:
    session = one.session
    return {
        "name": session.name,
        "file": str(session.path),
        "page": session.page,
        "listener": session.listener,
        **session.score().as_json(),
        "p_adjusted": one.adjusted,
        "audible": {k: v for k, v in session.score("audible").as_json().items() if k in ("right", "total")},
        "identical": {
            k: v for k, v in session.score("identical").as_json().items() if k in ("right", "total")
        },
        "median_seconds": session.seconds,
        "left_out": one.left_out or None,
    }


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _chance(p: float) -> str:
    """What guessing would do, in words: how often, and the exact probability."""
    often = f"one time in {1 / p:,.0f}" if p <= ALPHA else f"{_percent(p)} of the time"
    return f"guessing does as well {often} (exact binomial, one-sided p = {p_words(p)})"
