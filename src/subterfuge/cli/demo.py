"""``subterfuge demo``: the whole job on an embedded clip and an embedded victim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Seed


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "subterfuge-demo"
    ),
    seed: Seed = 0,
) -> None:
    """Fool the embedded victim with an embedded clip, and say where to listen. Needs no network.

    \b
    Examples:
      subterfuge demo
      subterfuge demo --out listen-here
    """
    from subterfuge.cli import show
    from subterfuge.demo import demo_run
    from subterfuge.runs import carry_out

    run = demo_run(out, seed=seed)
    results = carry_out(
        run,
        command=str(context.obj),
        title="Sonic Subterfuge: a demonstration",
        onlooker=show.progress,
        done=show.result,
    )
    raise typer.Exit(show.results(results, total=len(run.jobs), json=False))
