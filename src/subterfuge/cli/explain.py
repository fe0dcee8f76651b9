"""``subterfuge explain``: what in a clip decides what the victim hears?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import VICTIM, Device, Files, Json


def explain(
    context: typer.Context,
    files: Files,
    victim: Annotated[
        str, typer.Option("--victim", metavar="NAME_OR_FOLDER", help="The classifier that is asked.")
    ] = VICTIM,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="What to explain (what is heard).")
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            "--share", metavar="PART", help="How much of time and critical bands counts as decisive."
        ),
    ] = 0.2,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "explained"
    ),
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """What in a clip decides what the victim hears: which features, bands and moments?

    By integrated gradients, with the check that they add up, and by leaving out one critical band or moment
    after the other; of a victim without gradients by the latter alone. For each file DIR receives
    STEM-only.wav, the clip with only its decisive parts, STEM-without.wav, the clip without them, each judged
    as written, and STEM-explained.json; DIR/index.html lets you listen.

    \b
    Examples:
      subterfuge explain flute.wav
      subterfuge explain 'clips/*.wav' --victim victims/irmas-svc --out explained
      subterfuge explain flute.wav --label trumpet --share 0.1 --json
    """
    from subterfuge.cli import show_explanation
    from subterfuge.explanation.run import carry_out, plan

    run = plan(files, victim=victim, label=label, share=share, out=out, device=device)
    with show_explanation.progress() as progress:
        done = carry_out(
            run,
            command=str(context.obj),
            done=None if json else show_explanation.one,
            progress=progress,
        )
    raise typer.Exit(show_explanation.results(done, total=len(run.paths), json=json))
