"""``subterfuge train``: fit a classifier on a corpus, measure it honestly, keep it as a victim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Json


def train(
    context: typer.Context,
    corpus: Annotated[
        Path, typer.Option("--corpus", metavar="DIR", help="Labelled clips: IRMAS, or one folder a class.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make of the victim.")],
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="svc, tree, logistic, forest, boosting, mlp or cnn."),
    ] = "svc",
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="A,B,...", help="Only these; default: all.")
    ] = None,
    tune: Annotated[
        int | None,
        typer.Option("--tune", min=0, metavar="N", help="Settings to try (100); 0 for the model's own."),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="wide|seed", help="What settings are drawn from (wide)."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, metavar="N", help="Folds of the search (5).")
    ] = None,
    split: Annotated[
        str,
        typer.Option("--split", metavar="grouped|random", help="Hold out whole recordings, or single clips."),
    ] = "grouped",
    final: Annotated[
        str | None,
        typer.Option("--final", metavar="train|all", help="Fit on the training part, or at last on all."),
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option("--sample-rate", metavar="HZ", min=1, help="Rate that it hears at (44100).")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAME", help="librosa25, or hardened25: harder to fool."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, metavar="N", help="Most epochs (cnn).")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="Where to compute (cnn): cpu, cuda, ...")
    ] = None,
    one_split: Annotated[
        bool, typer.Option("--one-split", help="Measure on --split alone: half the time (cnn).")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch (cnn).")] = False,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, metavar="N", help="What the random numbers start from (42, cnn 0)."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes; 0 for one a core.")
    ] = 0,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the victim in DIR.")] = False,
    json: Json = False,
) -> None:
    """Train a classifier on a corpus, and keep it as a victim with a page of its measures.

    Whole recordings are held out, since clips of one recording are alike: a split that parts them tells how
    well recordings are known again. Both accuracies are printed. DIR receives victim.json, the weights,
    training.json and index.html. Features and finished trials are remembered; after Ctrl-C the same command
    goes on where it was (a network, with --resume).

    \b
    Examples:
      subterfuge train --corpus IRMAS-TrainingData --out victims/mine
      subterfuge train --corpus clips --model forest --tune 20 --out victims/forest
      subterfuge train --corpus clips --model svc --search seed --split random \\
        --labels cel,flu,gac,org,pia,voi --out victims/as-the-seed
      subterfuge train --corpus clips --features hardened25 --out victims/hardened
      subterfuge train --corpus clips --model cnn --device cuda --out victims/net
      subterfuge train --corpus clips --model cnn --device cuda --out victims/net --resume
    """
    from subterfuge.cli import show_training
    from subterfuge.training.order import train_on

    with show_training.progress(model) as report:
        told = train_on(
            corpus,
            model=model,
            out=out,
            labels=None if labels is None else labels.split(","),
            split=split,
            seed=seed,
            workers=workers,
            name=name,
            force=force,
            command=str(context.obj),
            only_features={
                "tune": tune,
                "space": search,
                "folds": folds,
                "final": final,
                "sample_rate": sample_rate,
                "features": features,
            },
            only_network={
                "epochs": epochs,
                "device": device,
                "one_split": one_split or None,
                "resume": resume or None,
            },
            report=report,
            skip=show_training.skipped,
            epoch=show_training.epoch,
        )
    show_training.report(told, out, json=json)
