"""What ``subterfuge listen`` prints: where the page is and what it holds, or what all listeners heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subterfuge.cli.show import as_json
from subterfuge.errors import SubterfugeError

if TYPE_CHECKING:
    from subterfuge.audibility.pooling import Listener, Pool


def refuse(read: bool, **options: Any) -> None:
    """Say of an option that it means nothing here.

    Raises
    ------
    SubterfugeError
        For the first that was given.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            flag = "--" + name.replace("_", "-")
            why = "with --read, which makes no page" if read else "without --read"
            raise SubterfugeError(f"got {flag} {why}, expected one or the other")


def made(
    results: Sequence[str],
    *,
    pair: bool,
    trials: int,
    seconds: float | None,
    seed: int,
    out: Path | None,
    command: str,
    json: bool,
) -> None:
    """Make the page and say where it is."""
    from subterfuge.cli.bar import bar
    from subterfuge.inputs import expand
    from subterfuge.report.listening_material import in_pairs
    from subterfuge.report.listening_page import write_listening_page

    if pair:
        # A file may be named twice on purpose, so patterns are not expanded as one list.
        source = in_pairs([path for name in results for path in expand([name])])
    elif len(results) > 1:
        raise SubterfugeError(f"got {len(results)} folders, expected one (or --pair before files)")
    with bar("pairs") as report:
        page = write_listening_page(
            source if pair else Path(results[0]),
            out or (Path() if pair else Path(results[0])) / "listen.html",
            trials=trials,
            seed=seed,
            seconds=seconds,
            command=command,
            report=report,
        )
    if json:
        as_json(page.as_json())
        return
    for note in page.notes:
        print(note)
    some = f"{len(page.pairs)} pair{'s' * (len(page.pairs) != 1)}"
    print(f"{some}, {page.trials} trials that count and {page.controls} controls")
    print(f"Listen: {page.path}")
    print("Put saved results together with: subterfuge listen --read RESULT.json ...")


def pooled(names: Sequence[str], *, keep_all: bool, json: bool) -> None:
    """Read results and say what they come to."""
    from subterfuge.audibility.listeners import read_session
    from subterfuge.audibility.pooling import pool
    from subterfuge.inputs import expand

    pools = pool([read_session(path) for path in expand(names)], keep_all=keep_all)
    if json:
        as_json([one.as_json() for one in pools])
        return
    for number, one in enumerate(pools):
        print("\n" * bool(number) + "\n".join(_lines(one, several=len(pools) > 1)))


def _lines(pooled: Pool, *, several: bool) -> Iterator[str]:
    from subterfuge.audibility.pooling import p_words, statement

    if several:
        names = ", ".join(one.name for one in pooled.pairs) or pooled.title
        yield f"{names} (material {pooled.material})"
    rows: list[tuple[str, ...]] = [
        ("listener", "right", "p", "95 % interval", "audible", "identical", "time", "")
    ]
    rows += [_row(one) for one in pooled.listeners]
    yield from _table(rows)
    if len(pooled.pairs) > 1:
        yield ""
        rows = [("pair", "right", "p", "95 % interval")]
        rows += [
            (
                one.name,
                f"{one.score.right}/{one.score.total}",
                p_words(one.score.p_value),
                _interval(one.score),
            )
            for one in pooled.pairs
        ]
        yield from _table(rows)
        least = min(one.adjusted for one in pooled.pairs)
        yield f"  (smallest p of the pairs, adjusted for their number: {p_words(least)})"
    yield ""
    yield statement(pooled)


def _row(one: Listener) -> tuple[str, ...]:
    from subterfuge.audibility.pooling import p_words

    session = one.session
    own, plain, same = (session.score(kind) for kind in ("pair", "audible", "identical"))
    return (
        session.name,
        f"{own.right}/{own.total}",
        p_words(own.p_value),
        _interval(own),
        f"{plain.right}/{plain.total}",
        f"{same.right}/{same.total}",
        f"{session.seconds:.1f} s",
        "LEFT OUT" if one.left_out else "",
    )


def _interval(score: Any) -> str:
    return f"{100 * score.low:.0f} to {100 * score.high:.0f} %"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row[1:], widths[1:], strict=True)
        yield "  ".join([f"  {row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in cells)]).rstrip()
