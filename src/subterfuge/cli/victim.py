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
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make of it.")],
    path: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="A file (skops, onnx), MODULE:CALLABLE, or an address."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="sklearn, onnx, function or http; told from MODEL."),
    ] = None,
    huggingface: Annotated[
        str | None,
        typer.Option(
            "--huggingface", metavar="FOLDER_OR_ID", help="An audio classifier of transformers instead."
        ),
    ] = None,
    musicnn: Annotated[
        str | None,
        typer.Option("--musicnn", metavar="WHEEL", help="The tagger in musicnn's wheel instead."),
    ] = None,
    tags: Annotated[
        str | None, typer.Option("--tags", metavar="mtt|msd", help="Which 50 tags of musicnn; mtt.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option("--threshold", metavar="T,...", help="Hear all labels from T on, one for all or each."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="A,B,...", help="Its labels, in the order of its classes."),
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option("--sample-rate", metavar="HZ", min=1, help="Rate that it hears at.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAME", help="What it is fed with: librosa25, MODULE:CALLABLE."),
    ] = None,
    gives: Annotated[
        str | None,
        typer.Option("--gives", metavar="WHAT", help="Its numbers: scores, probabilities or logits."),
    ] = None,
    window: Annotated[
        float | None, typer.Option("--window", metavar="S", help="Seconds that it hears at once.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option("--hop", metavar="S", help="Seconds between windows; one window.")
    ] = None,
    takes: Annotated[
        str | None,
        typer.Option("--takes", metavar="WHAT", help="A function: numpy, torch, numpy-clip, torch-clip."),
    ] = None,
    sends: Annotated[
        str | None, typer.Option("--sends", metavar="WHAT", help="To a service: wav, wav-float or floats.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token-variable", metavar="NAME", help="Where its token is: SUBTERFUGE_TOKEN."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", help="Seconds that a service may take; 30.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", metavar="N", help="Times that a service is asked again; 5.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", help="Most requests a second to a service.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.")] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Convert a pickle, which may run any code that is in it."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it is there.")] = False,
) -> None:
    """Make a victim of a classifier: of scikit-learn, ONNX, transformers, musicnn, a function, a service.

    Those of transformers are read from a folder that save_pretrained wrote, or from what was downloaded
    before; musicnn from its wheel (pip download --no-deps musicnn). Both bring labels and sample rate.

    \b
    Examples:
      subterfuge victim import svc.skops --labels cel,cla,flu --sample-rate 44100 \\
        --features librosa25 --out victims/mine
      subterfuge victim import svc.pkl --trust-pickle --labels cat,dog \\
        --sample-rate 22050 --out victims/pets
      subterfuge victim import forest.skops --features my_features:vector \\
        --sample-rate 22050 --out victims/forest
      subterfuge victim import net.onnx --labels cat,dog --sample-rate 16000 --out victims/net
      subterfuge victim import my_module:classify --out victims/function
      subterfuge victim import https://example.org/hear --labels cat,dog \\
        --sample-rate 16000 --rate 5 --out victims/service
      subterfuge victim import --huggingface my-ast-folder --out victims/ast
      subterfuge victim import --musicnn musicnn-0.1.0-py2.py3-none-any.whl --out victims/musicnn
    """
    from subterfuge.cli import show
    from subterfuge.victims.published import import_published
    from subterfuge.victims.store import import_victim

    named = None if labels is None else [label.strip() for label in labels.split(",")]
    asked: dict[str, object] = {
        "gives": gives,
        "thresholds": threshold,
        "window": window,
        "hop": hop,
        "takes": takes,
    }
    asked |= {"sends": sends, "token": token, "timeout": timeout, "retries": retries, "rate": rate}
    if path is not None and huggingface is None and musicnn is None:
        folder = import_victim(
            path,
            labels=named,
            sample_rate=sample_rate,
            features=features,
            out=out,
            name=name,
            kind=kind,
            options=asked,
            trust_pickle=trust_pickle,
            force=force,
        )
    else:
        given: list[tuple[str, object]] = [
            ("MODEL", path),
            ("--sample-rate", sample_rate),
            ("--trust-pickle", trust_pickle or None),
        ]
        given += [("--kind", kind), ("--features", features)]
        given += [(f"--{option}", one) for option, one in asked.items() if option != "thresholds"]
        folder = import_published(
            huggingface=huggingface,
            musicnn=musicnn,
            labels=named,
            tags=tags,
            threshold=threshold,
            unwanted=[option for option, one in given if one is not None],
            out=out,
            name=name,
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
