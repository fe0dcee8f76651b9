"""``subterfuge compare``: how audible is what differs between two files?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subterfuge.cli.options import LEVEL, Json, Level, Visqol


def compare(
    original: Annotated[Path, typer.Argument(metavar="ORIGINAL", help="A file.")],
    changed: Annotated[Path, typer.Argument(metavar="CHANGED", help="What became of it.")],
    level: Level = LEVEL,
    visqol: Visqol = False,
    json: Json = False,
) -> None:
    """How audible is what differs between two files?

    By several measures, each beside the threshold from which on listeners notice, where one has been
    published; the verdict counts those. The files must be alike in sample rate, channels and length.

    \b
    Examples:
      subterfuge compare flute.wav subterfuge-out/flute-to-tru.wav
      subterfuge compare flute.wav out/flute-to-tru.wav --level 80 --visqol --json
    """
    from subterfuge.audibility.compare import compare_files
    from subterfuge.cli import show_audibility

    with show_audibility.measuring(changed) as report:
        found = compare_files(original, changed, level=level, visqol=visqol, report=report)
    show_audibility.comparison(found, json=json)
