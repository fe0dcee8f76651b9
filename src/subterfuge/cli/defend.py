"""``subterfuge defend``: a victim that is harder to fool, wrapped or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json, Seed


def defend(
    victim: Annotated[
        str | None, typer.Argument(metavar="VICTIM", help="Name or folder of the victim to defend.")
    ] = None,
    with_: Annotated[
        str | None, typer.Option("--with", metavar="NAME,...", help="Before its ears; the first comes first.")
    ] = None,
    train: Annotated[
        str | None, typer.Option("--train", metavar="NAME", help="Train a new one instead, on --corpus.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", metavar="DIR", help="Labelled clips to train on.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="K=V", help="Of a defence (or NAME.K=V); several times."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder to make.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the victim in DIR.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="What defences there are, with options.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make a victim that is harder to fool, and keep it as a victim's folder like any other.

    A wrapped victim hears through its defences. To attack it is to attack it knowing them: gradients go
    through each, by a stand-in where there are none, and over what is drawn by chance in the mean.

    \b
    Examples:
      subterfuge defend --list
      subterfuge defend orchestra-svc --with median --option size=7 --out victims/steady
      subterfuge defend orchestra-svc --with mp3,noise --option noise.draws=16 --out victims/both
      subterfuge defend orchestra-svc --with smoothing --option sigma=0.01 --out victims/smooth
      subterfuge defend orchestra-svc --with ensemble --option others=orchestra-cnn --out victims/vote
      subterfuge defend orchestra-svc --train detector --corpus orchestra --out victims/guarded
      subterfuge attack flute.wav --to trumpet --victim victims/steady
    """
    from subterfuge.cli import show, show_defences
    from subterfuge.cli.bar import naming_bar
    from subterfuge.defences.defend import defend as make
    from subterfuge.defences.defend import listed
    from subterfuge.errors import SubterfugeError
    from subterfuge.victims.store import victim_info

    if list_:
        show_defences.listed(listed(), json=json)
        return
    if victim is None:
        raise SubterfugeError("VICTIM: got none, expected a victim's name or folder (or --list)")
    if out is None:
        raise SubterfugeError("--out: got none, expected a folder to make")
    with naming_bar() as report:
        made = make(
            victim,
            names=[] if with_ is None else [one.strip() for one in with_.split(",") if one.strip()],
            train=train,
            corpus=corpus,
            out=out,
            options=show_defences.read_options(option or []),
            seed=seed,
            name=name,
            force=force,
            report=report,
        )
    if json:
        show.facts(victim_info(made.resolve()), json=True)
    else:
        print(f"{made}: a victim like any other; attack it with: subterfuge attack FILE --victim {made}")
