"""How the commands print measures of audibility: a table with thresholds and sources, then the verdict."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from subterfuge.cli.show import as_json, progress

if TYPE_CHECKING:
    from subterfuge.audibility.compare import Comparison

_WIDTH = 100


@contextmanager
def measuring(path: Path) -> Iterator[Callable[[str], None]]:
    """What is being measured, on standard error where that is a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with progress(1, 1, path) as report:
        yield report


def comparison(found: Comparison, *, json: bool) -> None:
    """Two files compared: every measure with its value and threshold, the sources, and the verdict."""
    from subterfuge.audibility.metrics import verdict
    from subterfuge.audibility.thresholds import MEASURES

    if json:
        as_json(found.as_json())
        return
    heard = found.audibility
    print(
        f"{found.original} and {found.changed}: {found.frames / found.sample_rate:.1f} s, "
        f"channels: {found.channels}, {found.sample_rate} Hz, full scale played at {heard.level_db:g} dB SPL"
    )
    # ViSQOL is no row where nobody asked for it.
    shown = [
        each
        for each in MEASURES
        if each.name != "visqol" or heard.visqol is not None or "visqol" in heard.notes
    ]
    rows = [("measure", "value", "unheard", "verdict", "source of the threshold")]
    notes = []
    for each in shown:
        value = getattr(heard, each.name)
        unheard = each.unheard(value)
        judged = "" if unheard is None else "below" if unheard else "ABOVE"
        limit = "" if each.threshold is None else each.limit
        rows.append((each.title, each.shown(value), limit, judged, each.source))
        if each.threshold is not None:
            notes.append(f"{each.title}: {each.about}")
        if each.name in heard.notes:
            notes.append(f"{each.title}: not measured, {heard.notes[each.name]}")
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [
            f"{cell:{'>' if i == 1 else '<'}{width}}"
            for i, (cell, width) in enumerate(zip(row[:4], widths, strict=True))
        ]
        print("  ".join(["", *cells, row[-1]]).rstrip())
    for note in notes:
        print(textwrap.fill(note, _WIDTH, initial_indent="  ", subsequent_indent="    "))
    print(f"Verdict: {verdict(heard)}.")
