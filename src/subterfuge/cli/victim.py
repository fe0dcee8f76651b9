"""``subterfuge victim``: bring in, list and describe the classifiers under attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json

app = typer.Typer(name="victim", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def victim(context: typer.Context) -> None:
    """Bring in, list and describe classifiers.

    \b
    Examples:
      subterfuge victim list
      subterfuge victim info orchestra-svc
      subterfuge victim import --help
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("import")
def import_(
    path: Annotated[
        str, typer.Argument(metavar="MODEL", help="A fitted scikit-learn pipeline in a skops file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make of it.")],
    labels: Annotated[
        str,
        typer.Option("--labels", metavar="A,B,...", help="Its labels, in the order of its classes."),
    ],
    sample_rate: Annotated[
        int, typer.Option("--sample-rate", metavar="HZ", min=1, help="Rate that it hears at.")
    ],
    features: Annotated[
        str, typer.Option("--features", metavar="NAME", help="What it is fed with.")
    ] = "librosa25",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.")] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Convert a pickle, which may run any code that is in it."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it is there.")] = False,
) -> None:
    """Make a victim of a fitted scikit-learn model.

    \b
    Examples:
      subterfuge victim import svc.skops --labels cel,cla,flu --sample-rate 44100 \\
        --features librosa25 --out victims/mine
      subterfuge victim import svc.pkl --trust-pickle --labels cat,dog \\
        --sample-rate 22050 --out victims/pets
    """
    from subterfuge.cli import show
    from subterfuge.victims.store import import_victim

    folder = import_victim(
        path,
        labels=[label.strip() for label in labels.split(",")],
        sample_rate=sample_rate,
        features=features,
        out=out,
        name=name,
        trust_pickle=trust_pickle,
        force=force,
    )
    show.imported(folder)


@app.command("list")
def list_(json: Json = False) -> None:
    """The victims that can be called by name.

    \b
    Examples:
      subterfuge victim list
    """
    from subterfuge.cli import show
    from subterfuge.victims.store import list_victims

    show.victims(list_victims(), json=json)


@app.command("info")
def info(
    victim: Annotated[str, typer.Argument(metavar="NAME_OR_FOLDER", help="The victim.")], json: Json = False
) -> None:
    """What is known of a victim, its labels and measures.

    \b
    Examples:
      subterfuge victim info orchestra-svc
    """
    from subterfuge.cli import show
    from subterfuge.victims.store import victim_info

    show.facts(victim_info(victim), json=json)
