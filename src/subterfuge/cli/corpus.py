"""``subterfuge corpus``: make, fetch and look at labelled clips."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json, Seed

app = typer.Typer(name="corpus", rich_markup_mode=None)

Part = Annotated[
    str | None, typer.Option("--part", metavar="PART", help="Of IRMAS: training (the default) or testing.")
]


@app.callback(invoke_without_command=True)
def corpus(context: typer.Context) -> None:
    """Labelled clips to train and measure on: make, fetch and look at them.

    \b
    Examples:
      subterfuge corpus build orchestra --clips 300 --out orchestra
      subterfuge corpus fetch irmas --out irmas
      subterfuge corpus check irmas
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("build")
def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to make: orchestra.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write it to.")],
    clips: Annotated[int, typer.Option("--clips", min=1, metavar="N", help="Clips a class.")] = 300,
    soundfont: Annotated[
        list[Path] | None,
        typer.Option(
            "--soundfont", metavar="FILE", help="SF2, as often as there are; default: those found installed."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes; default: one a core.")
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make a corpus like IRMAS offline: phrases of eleven instruments, rendered from soundfonts.

    \b
    Examples:
      subterfuge corpus build orchestra --clips 300 --out orchestra
      subterfuge corpus build orchestra --clips 40 --out few --soundfont FluidR3_GM.sf2
    """
    from subterfuge.cli import show_corpus
    from subterfuge.cli.bar import bar
    from subterfuge.corpora import orchestra
    from subterfuge.errors import SubterfugeError

    if name != "orchestra":
        raise SubterfugeError(f"corpus: got {name!r}, expected orchestra, which is all that can be built")
    with bar("rendering") as report:
        made = orchestra.build(
            out,
            clips=clips,
            soundfonts=soundfont or None,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            report=report,
        )
    raise typer.Exit(show_corpus.corpus(made, str(out), lines=20, json=json))


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to fetch: irmas.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to unpack it to.")] = Path(
        "irmas"
    ),
    part: Annotated[
        str, typer.Option("--part", metavar="PART", help="training, testing or all of it.")
    ] = "all",
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A mirror's folder, instead of Zenodo's record."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the archives there, once unpacked.")] = False,
) -> None:
    """Download IRMAS from Zenodo, check it and unpack it; after a break, type the same again to go on.

    Unpacked, the training part takes 3.5 GB, the testing part more than twice as much; while an archive is
    being unpacked, as much again.

    \b
    Examples:
      subterfuge corpus fetch irmas
      subterfuge corpus fetch irmas --part training --out data/irmas
    """
    from subterfuge.cli import show_corpus
    from subterfuge.cli.bar import naming_bar
    from subterfuge.corpora import zenodo
    from subterfuge.corpora.fetch import fetch_irmas
    from subterfuge.errors import SubterfugeError

    if name != "irmas":
        raise SubterfugeError(f"corpus: got {name!r}, expected irmas, which is all that can be fetched")
    show_corpus.note(f"{zenodo.LICENCE}\n{zenodo.CREDIT}")
    try:
        with naming_bar() as tell:
            done = fetch_irmas(
                out,
                part=part,
                base=url or zenodo.BASE,
                keep=keep,
                report=lambda archive, what, done, total: tell(f"{archive}: {what}", done, total),
            )
    except KeyboardInterrupt:
        show_corpus.note(
            "subterfuge: interrupted, what has come is kept, the same command goes on from there"
        )
        raise typer.Exit(130) from None
    show_corpus.fetched(done)


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of clips, or IRMAS's archives.")],
    part: Part = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every file, not only its header.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", min=1, metavar="N", help="Lines at most on what was skipped.")
    ] = 20,
    json: Json = False,
) -> None:
    """Count the clips of a corpus, and name what is missing or broken in it.

    Exits with 0 where all is well, 1 where something was skipped, 2 where nothing can be used.

    \b
    Examples:
      subterfuge corpus check irmas
      subterfuge corpus check irmas --part testing --deep
      subterfuge corpus check my-clips --json
    """
    from subterfuge.cli import show_corpus
    from subterfuge.cli.bar import bar
    from subterfuge.corpora.open import open_corpus

    with bar(path.name) as report:
        found = open_corpus(path, part=part, deep=deep, report=report)
    raise typer.Exit(show_corpus.corpus(found, str(path), lines=lines, json=json))
