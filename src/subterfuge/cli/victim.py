"""``subterfuge victim``: bring in, list, describe and measure the classifiers under attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import Device, Json, Seed

app = typer.Typer(name="victim", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def victim(context: typer.Context) -> None:
    """Bring in, list, describe and measure classifiers.

    \b
    Examples:
      subterfuge victim list
      subterfuge victim info orchestra-svc
      subterfuge victim evaluate orchestra-svc --corpus clips
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


@app.command("evaluate")
def evaluate(
    context: typer.Context,
    victim: Annotated[str, typer.Argument(metavar="NAME_OR_FOLDER", help="The victim.")],
    corpus: Annotated[
        Path, typer.Option("--corpus", metavar="DIR", help="Labelled clips: a folder a class, or IRMAS.")
    ],
    part: Annotated[
        str | None, typer.Option("--part", metavar="PART", help="Of IRMAS: training or testing.")
    ] = None,
    window: Annotated[
        float | None,
        typer.Option("--window", metavar="S", help="Seconds heard at once, of clips of several labels."),
    ] = None,
    hop: Annotated[
        float | None, typer.Option("--hop", metavar="S", help="Seconds between windows; half of one.")
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="T", help="From where a label counts as heard, to 1.")
    ] = 0.5,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes.")] = 1,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write a page and its JSON there.")
    ] = None,
    json: Json = False,
    device: Device = "cpu",
) -> int:
    """How well does a victim hear what it is for?

    Clips with one label each are heard whole; of clips with several (IRMAS's testing part), windows are heard
    and put together as the field does it.

    \b
    Examples:
      subterfuge victim evaluate orchestra-svc --corpus recordings --out evaluated
      subterfuge victim evaluate victims/irmas-svc --corpus IRMAS --part testing
    """
    from subterfuge.cli import evaluated
    from subterfuge.cli.bar import bar
    from subterfuge.corpora.open import open_corpus
    from subterfuge.files import make_folder
    from subterfuge.report.evaluation_page import write_evaluation
    from subterfuge.runs import check_device, load_on
    from subterfuge.training.evaluate import check_options
    from subterfuge.training.evaluate import evaluate as hear_and_measure

    check_device(device)
    check_options(workers=workers, window=window, hop=hop, threshold=threshold)
    model = load_on(victim, device)
    if out is not None:
        make_folder(out)
    with bar("looking at files") as report:
        found = open_corpus(corpus, part=part, report=report)
    with bar("hearing") as report:
        done = hear_and_measure(
            model,
            found,
            victim_name=victim,
            workers=workers,
            window=window,
            hop=hop,
            threshold=threshold,
            seed=seed,
            command=context.obj,
            report=report,
        )
    page = None if out is None else write_evaluation(done, out)
    return evaluated.results(done, page=page, json=json)
