"""What ``train`` prints: progress and skipped files on standard error, the measures on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from subterfuge.cli.bar import naming_bar
from subterfuge.cli.show import as_json
from subterfuge.corpora.corpus import Skipped
from subterfuge.labels import full_name
from subterfuge.training.codec import plain
from subterfuge.training.measures import Estimate
from subterfuge.training.order import CNN
from subterfuge.training.report import Epoch, TrainingReport


@contextmanager
def progress(model: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar; after Ctrl-C a word of what is kept."""
    try:
        with naming_bar() as tell:
            yield tell
    except KeyboardInterrupt:
        kept = "what was computed is kept, the same command goes on from there"
        if model == CNN:
            kept = "whole epochs are kept, the same command with --resume goes on from there"
        print(f"subterfuge: {kept}", file=sys.stderr)
        raise


def skipped(one: Skipped) -> None:
    """A file that is of no use, and why."""
    print(f"skipped {one.path}: {one.why}", file=sys.stderr)


def epoch(one: Epoch) -> None:
    """How a network does after each epoch."""
    print(
        f"epoch {one.number}: {100 * one.validation_accuracy:.1f} % of the clips set aside heard rightly, "
        f"loss {one.validation_loss:.3f}, {one.seconds:.1f} s",
        file=sys.stderr,
    )


def report(told: TrainingReport, folder: Path, *, json: bool) -> None:
    """The measures in a few lines, and where the rest is."""
    if json:
        as_json(plain(told))
        return
    gone = f", {told.skipped} files skipped" if told.skipped else ""
    print(
        f"{told.corpus}: {told.clips} clips of {told.recordings} recordings, {len(told.labels)} labels{gone}"
    )
    setting = ", ".join(f"{name}={_short(value)}" for name, value in told.parameters.items())
    print(f"{told.model}: {setting}")
    grouped, random = (one.accuracy if one else None for one in (told.grouped, told.random))
    rows: list[tuple[str, Estimate | None, str]] = [
        ("cross-validated", told.cross_validated, "on the training part, best of the search"),
        ("held out by recording", grouped, "none of them trained on"),
        ("held out clip by clip", random, "recordings on both sides"),
    ]
    for what, value, how in rows:
        if value is not None:
            print(f"  {what:<21}  {_percent(value)}  {how}")
    if grouped and random:
        leak = 100 * (random.value - grouped.value)
        print(f"  {'a random split adds':<21}  {leak:+5.1f} points")
    measures = told.grouped if told.split == "grouped" else told.random
    for one in measures.classes if measures else ():
        name = full_name(one.label) if full_name(one.label) != one.label else ""
        print(f"    {one.label:<5} {name:<16} F1 {_percent(one.f1)}  {one.clips} clips")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in told.seconds.items())
    print(f"{seconds}; {told.peak_mb:.0f} MB at most")
    print(f"{folder}: made; look at {folder / 'index.html'}")


def _percent(value: Estimate) -> str:
    if value.value != value.value:
        return "  none"
    spread = f" [{100 * value.low:.1f}, {100 * value.high:.1f}]" if value.low == value.low else ""
    return f"{100 * value.value:5.1f} %{spread}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
