"""``subterfuge universal``: one perturbation for many clips, also for those that it has not heard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import VICTIM, Device, Files, Json, Seed, VictimName


def universal(
    context: typer.Context,
    files: Files,
    to: Annotated[
        str, typer.Option("--to", metavar="LABEL", help="What it is to hear: code, name or unique prefix.")
    ],
    victim: VictimName = VICTIM,
    test: Annotated[
        list[str] | None,
        typer.Option("--test", metavar="FILE", help="Clips to try it on, instead of a third of those."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", help="Its length; it is repeated.")
    ] = 1.0,
    snr: Annotated[
        float, typer.Option("--snr", metavar="DB", help="Signal-to-noise ratio that it is learnt at.")
    ] = 20.0,
    access: Annotated[
        str,
        typer.Option(
            "--access", metavar="gradients|scores|top-k|label", help="What may be seen of the victim."
        ),
    ] = "gradients",
    steps: Annotated[
        int, typer.Option("--steps", min=1, metavar="N", help="Steps, or generations without gradients.")
    ] = 200,
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, metavar="QUERIES", help="Most queries of the search.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "subterfuge-out"
    ),
    json: Json = False,
) -> None:
    """Search for one sound that, added to any clip, makes the victim hear LABEL.

    DIR receives universal-to-LABEL.wav, which may be added to clips of any rate, length and number of
    channels; universal.json, with its success on clips held out from the search at several signal-to-noise
    ratios, judged from files read back from disk; those clips with the sound in them; and index.html to
    listen to them. The exit code is 0 whatever its success, 2 if the input or the usage was wrong.

    \b
    Examples:
      subterfuge universal 'clips/*.wav' --to trumpet --out out
      subterfuge universal 'a/*.wav' --to tru --test 'b/*.wav' --snr 15 --access scores
    """
    from subterfuge.cli import show_universal
    from subterfuge.universals import universal_run

    with show_universal.progress() as report:
        result = universal_run(
            files,
            victim=victim,
            to=to,
            out=out,
            test=test or (),
            seconds=seconds,
            snr_db=snr,
            steps=steps,
            access=access,
            budget=budget,
            seed=seed,
            device=device,
            command=str(context.obj),
            report=report,
        )
    raise typer.Exit(show_universal.result(result, json=json))
