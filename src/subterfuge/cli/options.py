"""Options that several commands share, so that they are named and explained alike."""

from __future__ import annotations

from typing import Annotated

import typer

VICTIM = "orchestra-svc"
LEVEL = 92.0  # that of subterfuge.audibility.masking, which cannot be imported without torch

Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Audio files, or patterns of some.")]
VictimName = Annotated[
    str,
    typer.Option(
        "--victim", metavar="NAME_OR_FOLDER", help="The classifier under attack (several: with commas)."
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda, ...")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Level = Annotated[
    float, typer.Option("--level", metavar="DB", help="Playback level: dB SPL of a sine of full scale.")
]
Visqol = Annotated[
    bool, typer.Option("--visqol", help="Ask ViSQOL too, which takes longer than all other measures.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="What the random numbers start from.")]
