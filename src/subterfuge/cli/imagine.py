"""``subterfuge imagine``: the sound that a victim finds most like a label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import VICTIM, Json, Seed


def imagine(
    context: typer.Context,
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL]...", help="Code, name or unique prefix of each.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the victim's labels.")] = False,
    victim: Annotated[
        str, typer.Option("--victim", metavar="NAME_OR_FOLDER", help="The classifier that is asked.")
    ] = VICTIM,
    style: Annotated[
        str, typer.Option("--style", metavar="NAMES", help="What kind of sound (with commas), or all; below.")
    ] = "free",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="CLIP|silence|noise", help="What to begin with (noise)."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="Length (3; of style clip, the clip's).")
    ] = None,
    snr: Annotated[
        float | None,
        typer.Option("--snr", metavar="DB", help="Style clip: least distance of the change (20)."),
    ] = None,
    survive: Annotated[
        bool, typer.Option("--survive/--no-survive", help="Heed what may become of a file.")
    ] = True,
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", metavar="DIR", help="Style mosaic: clips to take grains from."),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Searches; up to three unlike finds are kept.")
    ] = 1,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Most steps of a search.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes; 0 for one a core.")
    ] = 1,
    format: Annotated[str, typer.Option("--format", metavar="wav|flac", help="Of the files.")] = "wav",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "imagined"
    ),
    json: Json = False,
) -> None:
    """Search for the sound that the victim finds most like LABEL.

    DIR receives LABEL-STYLE.wav and LABEL-STYLE.json for each, and index.html with all of them: the
    probability, of the file as read back from disk, beside the highest that there is (the ceiling, where the
    victim is an SVM), what is left of it after gain, shift, resampling, noise and MP3, and what every other
    victim at hand calls the sound. The exit code is 0 if every label is heard, 1 if one is not, 2 if the
    input or the usage was wrong.

    \b
    Styles:
      free       every sample as it pleases: what the model alone wants
      spectral   cells of a spectrogram, deep ones moving more than high ones
      harmonic   one instrument: a harmonic tone and filtered noise, smooth in time
      mosaic     a mixture of grains of a corpus
      clip       a clip (--from), changed within a bound (--snr)

    \b
    Examples:
      subterfuge imagine trumpet
      subterfuge imagine --all --style harmonic,free --out sounds
      subterfuge imagine voice --style clip --from voice.wav --snr 20
      subterfuge imagine cello --style mosaic --seeds 5 --json
    """
    from subterfuge.cli import show_imagine
    from subterfuge.synthesis.run import carry_out, plan

    run = plan(
        labels or (),
        everything=everything,
        victim=victim,
        style=style,
        start=start,
        seconds=seconds,
        snr=snr,
        seeds=seeds,
        steps=steps,
        seed=seed,
        corpus=corpus,
        survive=survive,
        format=format,
        workers=workers,
        out=out,
    )
    with show_imagine.progress() as progress:
        results = carry_out(
            run,
            command=str(context.obj),
            done=None if json else show_imagine.sound,
            progress=progress,
        )
    raise typer.Exit(show_imagine.results(results, total=len(run.jobs), json=json))
