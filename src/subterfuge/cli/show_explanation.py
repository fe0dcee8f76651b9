"""What ``subterfuge explain`` prints: a few lines a clip on standard output, a bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from subterfuge.cli.bar import naming_bar as progress
from subterfuge.cli.show import as_json
from subterfuge.labels import full_name

if TYPE_CHECKING:
    from subterfuge.explanation.occlusion import Dropped
    from subterfuge.explanation.run import Explained, Part, Results

__all__ = ["one", "progress", "results"]

_SHOWN = 3


def one(found: Explained) -> None:
    """One clip: what is heard, what carries that, whether it adds up, and what the parts are heard as."""
    told = found.explanation
    label = full_name(told.label)
    sure = "" if found.probability is None else f" {100 * found.probability:.1f} %"
    heard = full_name(found.predicted)
    what = f"{heard}{sure}" if heard == label else f"{heard}; explained: {label}{sure}"
    print(f"{found.input}: {what} ({told.unit} {told.evidence:+.2f})")
    print(f"  bands    {_largest(told.bands, _hertz)}")
    print(f"  moments  {_largest(told.moments, _seconds)}")
    if told.features is not None:
        order = sorted(
            told.features.features, key=lambda f: -(f.drop if f.integrated is None else f.integrated)
        )
        shares = (f"{f.name} {f.drop if f.integrated is None else f.integrated:+.2f}" for f in order[:_SHOWN])
        print(f"  features {', '.join(shares)}")
    if told.completeness is not None:
        sums = told.completeness
        print(
            f"  from silence {sums['baseline']:+.2f} to {sums['value']:+.2f}: shares add up to "
            f"{sums['sum']:+.2f}, residual {sums['residual']:+.2f}"
        )
    print(f"  only the decisive {100 * told.share:g} %: {_part(found.only, label)}")
    print(f"  without them: {_part(found.without, label)}", flush=True)
    for note in told.notes:
        print(f"  {note}")


def results(done: Results, *, total: int, json: bool) -> int:
    """The end of a run: JSON or the page's path; the exit code."""
    if json:
        as_json([one.as_json() for one in done.explained])
    elif done.page is not None:
        print(f"Listen: {done.page}")
    if done.interrupted:
        print(
            f"subterfuge: interrupted, {len(done.explained)} of {total} clips explained, which are kept",
            file=sys.stderr,
        )
        return 130
    return 0


def _part(part: Part, label: str) -> str:
    sure = "" if part.probability is None else f", {label} {100 * part.probability:.1f} %"
    return f"{full_name(part.predicted)}{sure} -> {Path(part.output)}"


def _largest(parts: Sequence[Dropped], named: Callable[[Dropped], str]) -> str:
    order = sorted(parts, key=lambda one: -one.drop)[:_SHOWN]
    return ", ".join(f"{named(one)} {one.drop:+.2f}" for one in order)


def _hertz(one: Dropped) -> str:
    return f"{one.low:.0f}-{one.high:.0f} Hz"


def _seconds(one: Dropped) -> str:
    return f"{one.low:.2f}-{one.high:.2f} s"
