"""``subterfuge audit``: the whole examination of a victim in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json, Seed


def audit(
    context: typer.Context,
    victim: Annotated[str, typer.Argument(metavar="VICTIM", help="Name or folder of the classifier.")],
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", metavar="DIR", help="Labelled clips; by default the embedded ones."),
    ] = None,
    clips: Annotated[int, typer.Option("--clips", min=1, metavar="N", help="How many of them to draw.")] = 8,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="LABEL", help="What it is to hear; by default anything else."),
    ] = None,
    attacks: Annotated[
        str, typer.Option("--attacks", metavar="A,B,...", help="Of minimal, masked, scores and label.")
    ] = "minimal,masked,scores,label",
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", help="Gradient queries a clip of minimal.")
    ] = 150,
    masked_steps: Annotated[
        int, typer.Option("--masked-steps", metavar="N", help="Gradient queries a clip of masked.")
    ] = 300,
    queries: Annotated[
        int, typer.Option("--queries", metavar="N", help="Queries a clip of those without gradients.")
    ] = 300,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for audit.json and the page.")
    ] = Path("subterfuge-audit"),
    seed: Seed = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes; 0 for one a core.")
    ] = 0,
    json: Json = False,
) -> None:
    """Examine a victim: accuracy, attacks of every access, corruptions, certificates, sanity checks.

    What is found about a clip is kept in DIR/clips; after Ctrl-C the same command goes on where it was. The
    exit code is 1 if a sanity check fails or the run was ended early: do not rely on it then.

    \b
    Examples:
      subterfuge audit orchestra-svc
      subterfuge audit victims/mine --corpus my-clips --clips 20 --out examined
    """
    from subterfuge.audit.order import audit_on
    from subterfuge.cli.bar import bar

    with bar("clips") as tell:
        told, page = audit_on(
            victim,
            corpus=corpus,
            count=clips,
            to=to,
            columns=attacks,
            steps=steps,
            masked_steps=masked_steps,
            queries=queries,
            out=out,
            seed=seed,
            workers=workers,
            command=str(context.obj),
            progress=lambda _, done, total: tell(done, total),
        )
    from subterfuge.cli import show_audit

    raise typer.Exit(show_audit.show(told, page, json=json))
