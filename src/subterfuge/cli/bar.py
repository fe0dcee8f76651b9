"""A progress bar on standard error, for anything that counts, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told how many of how many are done; it begins anew where the total changes.

    Parameters
    ----------
    what : str
        What is counted, said before the bar.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with naming_bar() as tell:
        yield lambda done, total: tell(what, done, total)


@contextmanager
def naming_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar that is also told, each time, what is being done; where there is no terminal, a line for each."""
    if not sys.stderr.isatty():
        said = ""

        def say(what: str, done: int, total: int) -> None:
            nonlocal said
            if what != said:
                print(f"{what} ...", file=sys.stderr, flush=True)
                said = what

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        # Never as markup: file names may hold [brackets].
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, count="")
        now: tuple[str, int] | None = None

        def tell(what: str, done: int, total: int) -> None:
            nonlocal now
            if (what, total) != now:
                progress.reset(task, description=what, total=total or None)
                now = (what, total)
            progress.update(task, completed=done, count=_count(done, total))

        yield tell


def _count(done: int, total: int) -> str:
    if max(done, total) < 10_000_000:
        return f"{done:,} of {total:,}" if total else f"{done:,}"
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
