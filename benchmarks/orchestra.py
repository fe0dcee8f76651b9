"""The orchestra: how fast it is rendered, whether it is the same again, and how near IRMAS it comes.

    .venv/bin/python benchmarks/orchestra.py SEED_FOLDER [--clips 30]

Renders the corpus anew, by one process and by two, and takes the 25 features of what was made.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import common

SECONDS = 3.0
BAR = 20.0  # times real time a core

HOW = """
{clips} clips of three seconds a class, {total} in all, seed {seed}, from {fonts}. Core-seconds hold
everything: reading the soundfonts, playing, mixing, writing FLAC.
"""

FOUND = """
The bar is {bar:.0f} × real time a core. {alike} of {files} files are the same to the byte by one process and
by two. In {share:.0%} of the recordings somebody plays along.

## Against IRMAS

Each feature of the corpus in IRMAS's own units: 0 and 1 would be the mean and the spread of the clips that
the seed's classifier was fitted on. The last column is the share of clips within the 5 % and 95 % quantiles
of IRMAS's 5,027 support vectors, where 90 % would be alike.

"""


def rendered(out: Path, *, clips: int, seed: int, workers: int) -> dict[str, float]:
    """Render and time it; the processes' own core-seconds, children included."""
    from subterfuge.corpora import orchestra

    before, began = os.times(), time.monotonic()
    corpus = orchestra.build(out, clips=clips, seed=seed, workers=workers)
    after = os.times()
    core = sum(after[:4]) - sum(before[:4])
    return {"clips": len(corpus.clips), "core": core, "wall": time.monotonic() - began}


def same(one: Path, other: Path) -> tuple[int, int]:
    """Files in both folders, and how many of them are alike to the byte."""
    names = sorted(path.relative_to(one) for path in one.glob("*/*.flac"))
    return len(names), sum(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def accompanied(folder: Path) -> float:
    """Share of the recordings in which somebody plays along."""
    from subterfuge.corpora import orchestra
    from subterfuge.corpora.manifest import read_manifest
    from subterfuge.corpora.soundfonts import installed_soundfonts, read_soundfont

    fonts = [read_soundfont(path) for path in installed_soundfonts()]
    seed, drawn = read_manifest(folder).seed, []
    for path in sorted({(p.parent.name, p.stem.partition("__")[0]) for p in folder.glob("*/*.flac")}):
        label, number = path[0], int(path[1].removeprefix(path[0]))
        font = fonts[number % len(fonts)]
        drawn.append(bool(orchestra.draw_recording(font, label, number, len(fonts), seed).backing))
    return float(np.mean(drawn))


def coverage(folder: Path, seed_folder: Path, workers: int) -> list[list[str]]:
    """Each feature's mean and spread in the corpus, in IRMAS's own standard deviations."""
    from subterfuge.corpora import folder as folders
    from subterfuge.features.summary import NAMES
    from subterfuge.training.extract import features_of

    arrays = np.load(seed_folder / "svc_irmas.npz")
    found = features_of(folders.read(folder).clips, workers=workers)
    scaled = (found.vectors - arrays["mean"]) / arrays["scale"]
    low, high = np.quantile(arrays["sv"], (0.05, 0.95), axis=0)
    inside = ((scaled >= low) & (scaled <= high)).mean(axis=0)
    return [
        [name, f"{mean:+.2f}", f"{spread:.2f}", f"{share:.0%}"]
        for name, mean, spread, share in zip(NAMES, scaled.mean(0), scaled.std(0), inside, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed_folder", type=Path)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    from subterfuge.corpora.soundfonts import installed_soundfonts

    with tempfile.TemporaryDirectory() as scratch:
        one, two = Path(scratch) / "one", Path(scratch) / "two"
        alone = rendered(one, clips=given.clips, seed=given.seed, workers=1)
        both = rendered(two, clips=given.clips, seed=given.seed, workers=2)
        files, alike = same(one, two)
        share = accompanied(one)
        rows = coverage(one, given.seed_folder, 2)
    fonts = " and ".join(path.name for path in installed_soundfonts())
    speed = [
        [
            f"{workers}",
            f"{run['clips'] * SECONDS / run['core']:.1f}",
            f"{1000 * run['core'] / run['clips']:.0f}",
            f"{run['wall']:.1f}",
        ]
        for workers, run in ((1, alone), (2, both))
    ]
    text = common.header(
        "The orchestra",
        packages=("midirenderer", "soundfile", "soxr"),
        command="benchmarks/orchestra.py SEED_FOLDER",
    )
    text += HOW.format(clips=given.clips, total=int(alone["clips"]), seed=given.seed, fonts=fonts)
    text += "\n" + common.table(["Processes", "× real time a core", "core-ms a clip", "wall s"], speed)
    text += FOUND.format(bar=BAR, alike=alike, files=files, share=share)
    text += common.table(["Feature", "mean", "spread", "within"], rows)
    common.write_page("orchestra", text)
    return 0 if alike == files and alone["clips"] * SECONDS / alone["core"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
