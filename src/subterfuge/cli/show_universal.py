"""What ``subterfuge universal`` prints: success on held-out clips at each signal-to-noise ratio."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from subterfuge.cli.show import as_json
from subterfuge.labels import full_name

if TYPE_CHECKING:
    from subterfuge.universals import UniversalResult


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error that is kept up to date where that is a terminal."""
    if not sys.stderr.isatty():
        print("searching for one perturbation ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    # As Text, never as markup: file names may hold [brackets].
    with Console(stderr=True).status(Text("reading")) as status:
        yield lambda news: status.update(Text(news))


def result(found: UniversalResult, *, json: bool) -> int:
    """The table, or JSON; the exit code."""
    if json:
        as_json(found.as_json())
    else:
        queries = f"{found.queries['forward']:,} queries"
        print(
            f"{found.perturbation}: {found.seconds:g} s, to be heard as {full_name(found.target)}, "
            f"learnt from {len(found.learnt_from)} clips at {found.snr_db:g} dB, {queries}"
        )
        for one in found.tried:
            share = one.reached / one.clips
            print(
                f"  {one.snr_db:5.1f} dB  {one.reached} of {one.clips} held-out clips  {100 * share:.0f} % "
                f"(95 % interval {100 * one.low:.0f} to {100 * one.high:.0f} %)"
            )
        if found.records:
            print(f"Listen: {Path(found.perturbation).parent / 'index.html'}")
    if found.interrupted:
        print("subterfuge: interrupted, what was found is kept", file=sys.stderr)
        return 130
    return 0
