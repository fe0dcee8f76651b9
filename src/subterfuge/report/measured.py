"""What is said of measures, on pages and terminals alike: numbers with intervals, and plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from subterfuge.labels import full_name
from subterfuge.report.wording import count
from subterfuge.training.evaluate import Evaluation
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.report import TrainingReport

_NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_MISTAKES = 3  # named at most
_CLEAR = 0.005  # half a point: less is not told from none


def share(value: float | None) -> str:
    """A share in per cent with one decimal; a dash where it cannot be said.

    Examples
    --------
    >>> share(0.625).replace("\\xa0", " "), share(float("nan"))
    ('62.5 %', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{_signed(100 * value, 1)}{_NBSP}%"


def points(value: float | None, *, sign: bool = False) -> str:
    """A difference of shares in percentage points, if wanted with its sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    shown = _signed(100 * value, 1)
    return f"+{shown}" if sign and value > 0 and shown != "0.0" else shown


def interval(one: Estimate) -> str:
    """A 95 % interval of shares, for brackets: ``57.9 to 66.8 %``; empty where there is none.

    One without width (all clips heard alike) is none: it would claim a certainty that nobody has.
    """
    if not one.low < one.high:
        return ""
    return f"{_signed(100 * one.low, 1)} to {_signed(100 * one.high, 1)}{_NBSP}%"


def with_interval(one: Estimate) -> str:
    """A share and its interval: ``62.5 % (57.9 to 66.8 %)``."""
    inner = interval(one)
    return f"{share(one.value)} ({inner})" if inner else share(one.value)


def number(value: float | None, digits: int = 2) -> str:
    """A plain number; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else _signed(value, digits)


def plural(n: int, one: str, many: str | None = None) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{count(n)}{_NBSP}{one if n == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """Words for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def mistakes(measures: Measures) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: true label, heard label, how often, of how many clips; at most three."""
    rows = [
        (measures.confusion[i][j], true, heard, sum(measures.confusion[i]))
        for i, true in enumerate(measures.labels)
        for j, heard in enumerate(measures.labels)
        if i != j and measures.confusion[i][j]
    ]
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    return [(true, heard, n, of) for n, true, heard, of in rows[:_MISTAKES]]


def mistakes_sentence(measures: Measures) -> str:
    """The most frequent mistakes in a sentence."""
    found = mistakes(measures)
    if not found:
        return "Not one clip was mistaken."
    said = [f"{full_name(true)} for {full_name(heard)} ({n} of {of})" for true, heard, n, of in found]
    return f"Most often mistaken: {listed(said)}."


def commonest(measures: Measures) -> float:
    """Accuracy of always answering with the commonest label."""
    return max(sum(row) for row in measures.confusion) / measures.clips


def leak(report: TrainingReport) -> str:
    """What the two splits of a training run say of recordings on both sides, in a sentence or two."""
    grouped, random = report.grouped, report.random
    if grouped is None and random is None:
        return "Nothing was held out, so how well it hears what it was not trained on is not known."
    if grouped is None:
        return (
            "Only a part drawn clip by clip was held out: clips of one recording are on both sides of the "
            "split, so this figure is too kind to an unknown degree."
        )
    if random is None:
        return "The split drawn clip by clip was not measured, so no leak can be told from these figures."
    # Of the figures as they are shown, or a reader who subtracts them would find another.
    gap = round(random.accuracy.value, 3) - round(grouped.accuracy.value, 3)
    if gap > _CLEAR:
        overlap = random.accuracy.low <= grouped.accuracy.high
        doubt = " The two intervals overlap, so part of it may be chance." if overlap else ""
        return (
            f"Drawn clip by clip instead, with clips of one recording on both sides, the same model scores "
            f"{share(random.accuracy.value)}. The {points(gap)} points between the two are the leak: "
            f"recordings that it knows again.{doubt}"
        )
    verdict = "no leak shows" if gap > -_CLEAR else "no leak shows (the clip-by-clip figure is even lower)"
    return (
        f"Drawn clip by clip instead, with clips of one recording on both sides, the same model scores "
        f"{share(random.accuracy.value)}: here {verdict}."
    )


def training_headline(report: TrainingReport) -> str:
    """What a training run came to, in a sentence."""
    best = report.grouped or report.random
    if best is None:
        return f"{report.name} is trained, and was not measured."
    unseen = "recordings it was not trained on" if report.grouped else "clips it was not trained on"
    return f"On {unseen}, {report.name} hears {share(best.accuracy.value)} of the clips rightly."


def evaluation_headline(evaluation: Evaluation) -> str:
    """What an evaluation came to, in a sentence."""
    if evaluation.single is not None:
        return (
            f"{evaluation.victim} hears {share(evaluation.single.accuracy.value)} of the clips "
            f"of {evaluation.corpus} rightly."
        )
    assert evaluation.excerpts is not None
    f1 = evaluation.excerpts
    return (
        f"On {evaluation.corpus}, {evaluation.victim} reaches a micro F1 of {share(f1.micro.f1.value)} "
        f"and a macro F1 of {share(f1.macro.f1.value)}."
    )


def evaluation_notes(evaluation: Evaluation) -> list[str]:
    """What must be known beside the figures of an evaluation, a sentence each."""
    notes = []
    if evaluation.partial:
        notes.append(
            f"Cut short: {count(evaluation.clips)} of {plural(evaluation.of, 'clip')} were heard, "
            "drawn at random, so the figures stand for the whole but are less sure."
        )
    if evaluation.unknown:
        named = [f"{full_name(x)} ({plural(n, 'clip')})" for x, n in evaluation.unknown.items()]
        notes.append(f"Labels of the corpus that the victim does not know, left out: {listed(named)}.")
    if evaluation.skipped:
        first = evaluation.skipped[0]
        notes.append(
            f"{plural(len(evaluation.skipped), 'file')} of no use, the first: {first.path.name}, {first.why}."
        )
    if evaluation.refused is not None:
        notes.append(
            f"The victim's guard notices {count(evaluation.refused)} of {plural(evaluation.clips, 'clip')}: "
            "false alarms, unless somebody has tampered with them. The figures are of what is heard."
        )
    if evaluation.votes:
        notes.append(
            "The victim gives no probabilities: each window counts as one vote for what is heard in it."
        )
    return notes


def _signed(value: float, digits: int) -> str:
    """A number with a true minus sign, and no minus before nothing."""
    shown = f"{value:.{digits}f}"
    if not float(shown):
        return shown.lstrip("-")
    return shown.replace("-", _MINUS)
