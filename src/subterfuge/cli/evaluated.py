"""What ``subterfuge victim evaluate`` prints: figures and tables in plain text, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from subterfuge.labels import full_name

if TYPE_CHECKING:
    from subterfuge.training.evaluate import Evaluation
    from subterfuge.training.measures import Measures
    from subterfuge.training.protocol import ExcerptMeasures


def results(done: Evaluation, *, page: Path | None, json: bool) -> int:
    """Everything measured, as JSON or as tables; the exit code."""
    from subterfuge.training.codec import to_json

    if json:
        print(to_json(done), end="")
    else:
        print("\n".join(_plain(line) for line in _lines(done, page)))
    if done.partial:
        kept = f"{done.clips} of {done.of} clips heard"
        print(f"subterfuge: interrupted, {kept}, the figures are of these", file=sys.stderr)
        return 130
    return 0


def _lines(done: Evaluation, page: Path | None) -> Iterator[str]:
    from subterfuge.report import measured

    partial = " (PARTIAL)" if done.partial else ""
    yield f"{done.victim} on {done.corpus} [{done.kind}]{partial}"
    if done.single is not None:
        yield from _single(done, done.single)
    if done.excerpts is not None:
        yield from _excerpts(done, done.excerpts)
    for note in measured.evaluation_notes(done):
        yield ""
        yield note
    if page is not None:
        yield f"\nPage: {page}"


def _single(done: Evaluation, heard: Measures) -> Iterator[str]:
    from subterfuge.report import measured

    rows = [("clips", f"{heard.clips}, of {measured.plural(heard.recordings, 'recording')}")]
    rows += [(f"accuracy, among {len(done.labels)}", measured.with_interval(heard.accuracy))]
    if done.restricted is not None:
        rows += [(f"accuracy, among the {len(done.known)} there", measured.with_interval(done.restricted))]
    rows += [("macro F1", measured.with_interval(heard.macro_f1))]
    if heard.calibration_error is not None:
        rows += [("calibration error", measured.share(heard.calibration_error))]
        rows += [("log loss", f"{measured.number(heard.log_loss)} nat")]
    yield from _facts(rows)
    yield ""
    yield from _table(
        ("label", "clips", "precision", "recall", "F1"),
        [
            (
                _named(one.label),
                str(one.clips),
                *map(measured.with_interval, (one.precision, one.recall, one.f1)),
            )
            for one in heard.classes
            if one.clips
        ],
    )
    yield ""
    yield measured.mistakes_sentence(heard)


def _excerpts(done: Evaluation, heard: ExcerptMeasures) -> Iterator[str]:
    from subterfuge.report import measured

    yield from _facts(
        [
            ("excerpts", f"{heard.excerpts}, of {measured.plural(heard.recordings, 'recording')}"),
            ("windows", f"{done.window:g} s, one every {done.hop:g} s"),
            ("strategy", f"{heard.strategy}, threshold {heard.threshold:g}"),
            ("nothing heard in", measured.plural(heard.unheard, "excerpt")),
        ]
    )
    yield ""
    scores = [("micro", "", heard.micro), ("macro", "", heard.macro)]
    scores += [(_named(one.label), str(one.excerpts), one.scores) for one in heard.classes if one.excerpts]
    yield from _table(
        ("label", "excerpts", "precision", "recall", "F1"),
        [
            (name, n, *map(measured.with_interval, (one.precision, one.recall, one.f1)))
            for name, n, one in scores
        ],
    )


def _facts(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        yield f"  {name:<{width}}  {value}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        yield ("  " + "  ".join(cells)).rstrip()


def _named(label: str) -> str:
    name = full_name(label)
    return label if name == label else f"{label} {name}"


def _plain(line: str) -> str:
    """Without the finer spaces and dashes that not every terminal can show."""
    for fine, plain in (("\N{NO-BREAK SPACE}", " "), ("\N{NARROW NO-BREAK SPACE}", ","), ("–", "-")):
        line = line.replace(fine, plain)
    return line.replace("\N{MINUS SIGN}", "-")
