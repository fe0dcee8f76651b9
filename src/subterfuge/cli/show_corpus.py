"""What the commands about corpora print: a table a class, what was skipped, what was fetched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from subterfuge.cli.show import as_json
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.fetch import Fetched
from subterfuge.corpora.summary import Row, grouped, summarise
from subterfuge.corpora.summary import as_json as corpus_json
from subterfuge.labels import full_name

_KINDS = {
    "irmas-training": "IRMAS, training part",
    "irmas-testing": "IRMAS, testing part",
    "folder": "a folder a class",
}


def corpus(found: Corpus, path: str, *, lines: int, json: bool) -> int:
    """A table of a corpus and what was skipped, ``lines`` lines of it; the exit code."""
    if json:
        as_json(corpus_json(found, path))
    else:
        _table(found, path)
        _skipped(found, Path(path), lines)
    return 1 if found.skipped else 0


def fetched(done: Fetched) -> None:
    """What is there now, and what to type next."""
    if not done.fetched:
        print(f"{done.folder}: all of it is there already, nothing was done")
    elif done.present:
        print(f"{done.folder}: {_listed(done.fetched)} fetched, {_listed(done.present)} were there")
    else:
        print(f"{done.folder}: {_listed(done.fetched)} fetched")
    print(f"Look at it with: subterfuge corpus check {done.folder}")


def _table(found: Corpus, path: str) -> None:
    print(f"{path}: {_KINDS.get(found.kind, found.kind)}")
    summary = summarise(found)
    rows = [_cells(row, full_name(row.label)) for row in summary.classes]
    head = ("class", "", "clips", "recordings", "time", "a clip", "rate", "channels")
    total = _cells(summary.total, "")
    widths = [max(len(row[i]) for row in (head, *rows, total)) for i in range(len(head))]
    rule = "  ".join("-" * width for width in widths)
    for line in (
        _line(head, widths),
        rule,
        *(_line(row, widths) for row in rows),
        rule,
        _line(total, widths),
    ):
        print(f"  {line}".rstrip())
    if any(len(clip.labels) > 1 for clip in found.clips):
        print("  (a clip of several labels counts for each of them)")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One row: words to the left, numbers to the right."""
    return "  ".join(
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )


def _cells(row: Row, name: str) -> tuple[str, ...]:
    clips = f"{row.clips:,}"
    if row.published not in (None, row.clips):
        clips += f" of {row.published:,}"
    shortest, longest = f"{row.shortest:.1f}", f"{row.longest:.1f}"
    return (
        row.label,
        "" if name == row.label else name,
        clips,
        f"{row.recordings:,}",
        _time(row.seconds),
        f"{shortest} s" if shortest == longest else f"{shortest} to {longest} s",
        ", ".join(f"{rate / 1000:g}" for rate in row.rates) + " kHz" if row.rates else "",
        ", ".join(map(str, row.channels)),
    )


def _skipped(found: Corpus, root: Path, lines: int) -> None:
    """What was skipped by reason, each with some of its files: ``lines`` lines at most, all of it as JSON."""
    if not found.skipped:
        return
    groups = grouped(found)
    room = max(1, lines // len(groups) - 2)  # files of each reason
    shown: list[str] = []
    for why, group in groups.items():
        if len(group) == 1:
            shown.append(f"  {_below(group[0].path, root)}: {group[0].why}")
            continue
        shown.append(f"  {len(group):,} times: {why}")
        shown += [f"    {_below(one.path, root)}{one.why.removeprefix(why)}" for one in group[:room]]
        if len(group) > room:
            shown.append(f"    and {len(group) - room:,} more")
    print(f"\nSkipped, {len(found.skipped):,} in all (--json names each):")
    print("\n".join(shown[:lines]))
    if len(shown) > lines:
        print(f"  and {len(shown) - lines:,} more lines")


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) and path != root else path


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def note(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)
