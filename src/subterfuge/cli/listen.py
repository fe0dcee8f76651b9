"""``subterfuge listen``: can anybody hear it? A listening test to give away, and its results put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json, Seed


def listen(
    context: typer.Context,
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="Folder of an attack; with --pair, files two by two; with --read, listeners' JSON.",
        ),
    ],
    abx: Annotated[bool, typer.Option("--abx", help="Make an ABX test (the default).")] = False,
    pair: Annotated[bool, typer.Option("--pair", help="Test these files: A B, A B, ...")] = False,
    read: Annotated[bool, typer.Option("--read", help="Pool the results that listeners saved.")] = False,
    trials: Annotated[
        int, typer.Option("--trials", metavar="N", help="Trials that count, 8 to 32; controls come on top.")
    ] = 16,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="Longest excerpt (10, less if many pairs).")
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page (RESULTS/listen.html).")
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="With --read: also who missed plainly audible controls.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a listening test of what an attack wrote, or put listeners' results together.

    The page is one file that plays offline: X is A or B, and listeners say which. Some trials are controls,
    identical pairs and plainly audible ones. At the end it tells how many were right, how probably by
    guessing, and saves a JSON; --read pools many of those into one statement.

    \b
    Examples:
      subterfuge listen subterfuge-out --abx
      subterfuge listen subterfuge-out --abx --trials 32 --seed 7 --out test.html
      subterfuge listen --pair flute.wav flute-changed.wav
      subterfuge listen --read results/*.json
    """
    from subterfuge.cli import show_listening

    if read:
        show_listening.refuse(read, abx=abx, pair=pair, out=out, seconds=seconds)
        show_listening.pooled(results, keep_all=keep_all, json=json)
    else:
        show_listening.refuse(read, keep_all=keep_all)
        show_listening.made(
            results,
            pair=pair,
            trials=trials,
            seconds=seconds,
            seed=seed,
            out=out,
            command=str(context.obj),
            json=json,
        )
