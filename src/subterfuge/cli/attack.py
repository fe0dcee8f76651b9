"""``subterfuge attack``: the smallest change that makes the victim hear what you choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import LEVEL, VICTIM, Device, Files, Json, Level, Seed, VictimName, Visqol


def attack(
    context: typer.Context,
    files: Files,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="LABEL", help="What it is to hear: code, name or unique prefix."),
    ] = None,
    away: Annotated[bool, typer.Option("--away", help="Anything will do but what it hears now.")] = False,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", metavar="P", help="Least probability of LABEL, between 0 and 1."),
    ] = None,
    victim: VictimName = VICTIM,
    attack: Annotated[
        str | None, typer.Option("--attack", metavar="NAME", help="How to search; see below.")
    ] = None,
    audibility: Annotated[
        str | None,
        typer.Option("--audibility", metavar="masked|l2", help="What the change is to be small by."),
    ] = None,
    access: Annotated[
        str,
        typer.Option(
            "--access", metavar="gradients|scores|top-k|label", help="What may be seen of the victim."
        ),
    ] = "gradients",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps of the search.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, metavar="QUERIES", help="Most queries a file.")
    ] = None,
    survive: Annotated[
        str | None,
        typer.Option(
            "--survive", metavar="NAMES", help="mp3,resample,gain,shift,noise,crop: what it must survive."
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    level: Level = LEVEL,
    visqol: Visqol = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "subterfuge-out"
    ),
    json: Json = False,
) -> None:
    """Make the victim hear what you choose, by the smallest change that is found.

    Every result is read back from disk before it is called a success. For each file DIR receives
    STEM-to-LABEL.EXT and STEM-to-LABEL.json; DIR/index.html lets you listen. The exit code is 0 if every
    attack succeeded, 1 if one did not, 2 if the input or the usage was wrong.

    \b
    Attacks:
      least audible     masked (the default: --audibility masked)
      smallest change   minimal (--audibility l2), ddn, fmn, fmn-linf, alma, carlini-wagner,
                        multiscale-cw, deepfool
      within a radius   apgd, apgd-linf, pgd, pgd-linf, fgsm, fgsm-l2
                        (here too the smallest radius that will do is sought)
      by scores         hunt (the default without gradients), subspace, cmaes, genetic, nes,
                        nes-subspace, spsa, spsa-subspace, square, simba, genetic-seed
      by labels         hunt, decide, surrogate, boundary, boundary-subspace, hopskipjump,
                        hopskipjump-subspace, surfree, surfree-subspace
      other libraries'  foolbox:NAME, art:NAME, torchattacks:NAME, adv-lib:NAME, as they name it,
                        where that library is installed

    \b
    Examples:
      subterfuge attack flute.wav --to trumpet
      subterfuge attack 'clips/*.wav' --to tru --confidence 0.9 --out out
      subterfuge attack flute.wav --away --victim victims/irmas-svc --json
      subterfuge attack flute.wav --to trumpet --survive mp3,gain
      subterfuge attack flute.wav --to trumpet --attack foolbox:L2CarliniWagnerAttack
    """
    from subterfuge.cli import show
    from subterfuge.runs import carry_out, plan

    run = plan(
        files,
        victim=victim,
        to=to,
        away=away,
        confidence=confidence,
        attack=attack,
        audibility=audibility,
        access=access,
        steps=steps,
        budget=budget,
        seed=seed,
        out=out,
        device=device,
        level=level,
        visqol=visqol,
        survive=survive,
    )
    results = carry_out(
        run,
        command=str(context.obj),
        onlooker=show.progress,
        done=None if json else show.result,
    )
    raise typer.Exit(show.results(results, total=len(run.jobs), json=json))
