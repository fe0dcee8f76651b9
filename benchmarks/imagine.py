"""The sounds that classes are made of: every label in every style, for the seed's SVM and our network.

    .venv/bin/python benchmarks/imagine.py SEED [--workers 2] [--labels 11] [--gallery]

Each sound goes the way of ``subterfuge imagine``: searched for, written, read back, heard by the plain path,
then asked about of every other victim at hand. What is done is kept under ``out/imagine`` (``--work``): a run
that was ended goes on where it was. ``--gallery`` also writes ``docs/gallery``: the best sound of each label,
as FLAC, with its page. Exits 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
from imagine_page import bars, page

NETWORK = "orchestra-cnn"
STYLES = ("free", "spectral", "harmonic", "mosaic")
GALLERY = common.ROOT / "docs" / "gallery"
COMMAND = "python benchmarks/imagine.py SEED --gallery"


@dataclass(frozen=True)
class Task:
    """One sound."""

    victim: str
    label: str
    style: str
    start: str | None
    steps: int | None
    seed: int
    out: str

    @property
    def file(self) -> Path:
        """Where what was measured of it is kept."""
        return Path(self.out) / "measured" / f"{self.label}-{self.style}.json"

    @property
    def told(self) -> dict[str, Any]:
        """What must be the same for a result to be of use again."""
        return {"victim": self.victim, "steps": self.steps, "seed": self.seed, "start": self.start}


def do(task: Task) -> dict[str, Any]:
    """Make a sound, and measure time and memory, in a worker."""
    import resource

    from subterfuge.synthesis.work import Job, Order, made

    ceiling, ceiling_seconds = height(task.victim, task.label)
    order = Order(
        victim=task.victim, start=task.start, seconds=3.0, snr=None, seeds=1, steps=task.steps,
        seed=task.seed, corpus=None, survive=True, format="wav", out=task.out,
    )  # fmt: skip
    began = time.process_time()
    record = made(Job(task.label, task.style), order=order, stop=os.devnull + "/never")[0]
    return {
        "task": task.told,
        "record": record,
        "ceiling": ceiling,
        "ceiling_seconds": ceiling_seconds,
        "core_seconds": time.process_time() - began,
        "before": None if task.start is None else before(task),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **loudness(Path(task.out) / record["output"]),
    }


@functools.cache
def height(name: str, label: str) -> tuple[dict[str, Any] | None, float]:
    """The ceiling of a label, its certificate, and the core-seconds that finding it took."""
    from subterfuge.synthesis.ceiling import ceiling
    from subterfuge.synthesis.work import _ceiling, _victim
    from subterfuge.victims.svm import SvmVictim

    victim = _victim(name)
    began = time.process_time()
    found = None
    if isinstance(victim, SvmVictim):
        one = ceiling(victim, victim.labels.index(label))
        found = {
            "probability": one.probability, "exact": one.exact, "slope": one.slope,
            "curvature": one.curvature, "certified": one.certified, "starts": one.starts, "agree": one.agree,
        }  # fmt: skip
    took = time.process_time() - began
    _ceiling(name, victim.labels.index(label))  # and what all sounds share is not counted with the first
    return found, took


def before(task: Task) -> float:
    """The label's probability in the clip itself."""
    from subterfuge.audio import load_plain
    from subterfuge.synthesis.survives import heard
    from subterfuge.synthesis.work import _victim

    victim = _victim(task.victim)
    clip = load_plain(str(task.start), victim.sample_rate)
    return heard(victim, clip, victim.labels.index(task.label))[0]


def loudness(path: Path) -> dict[str, float]:
    """Peak in dBFS and mean of a file, read anew."""
    import numpy as np
    import soundfile

    y, _ = soundfile.read(path, dtype="float64")
    return {"peak_db": 20 * float(np.log10(np.abs(y).max())), "dc": float(y.mean())}


def made_already(task: Task) -> dict[str, Any] | None:
    """What was measured of it in an earlier run, where its file is still there."""
    found = common.read_json(task.file)
    if found is None or found["task"] != task.told:
        return None
    return found if (Path(task.out) / found["record"]["output"]).is_file() else None


def carry_out(tasks: list[Task], workers: int) -> list[dict[str, Any]]:
    """All sounds, those that are there already from disk."""
    clock = common.Clock()
    left = [task for task in tasks if made_already(task) is None]

    def done(number: int, task: Task, result: dict[str, Any]) -> None:
        common.write_json(task.file, result)
        p = result["record"]["probability"]
        clock.say(f"{number} of {len(left)}: {Path(task.victim).name} {task.label} {task.style} {p:.4f}")

    common.carry_out(left, do, workers_=workers, done=done)
    return [found for task in tasks if (found := made_already(task)) is not None]


def cross_examined(results: list[dict[str, Any]], work: Path, named: dict[str, str]) -> None:
    """What every other victim hears in each sound, into the records."""
    from subterfuge.synthesis.cross_examination import at_hand, cross_examine

    clock = common.Clock()
    everybody = [*dict.fromkeys([*named, *at_hand()])]
    for folder in dict.fromkeys(one["task"]["victim"] for one in results):
        mine = [one["record"] for one in results if one["task"]["victim"] == folder]
        paths = [work / "sounds" / Path(folder).name / one["output"] for one in mine]
        for record, heard in zip(mine, cross_examine(paths, everybody, leave_out=[folder]), strict=True):
            record["heard_by"] = heard
            record["victim"] = Path(folder).name
        clock.say(f"asked the others about the sounds of {Path(folder).name}")


def gallery(results: list[dict[str, Any]], work: Path, victim: str) -> Path:
    """The best sound of each label of a victim, as FLAC, with the page that plays them."""
    import soundfile

    from subterfuge.report.gallery_page import write_gallery
    from subterfuge.synthesis.cross_examination import convinced

    def rank(record: dict[str, Any]) -> tuple[float, ...]:
        others = sum(bool(convinced(record["label"], one)) for one in record["heard_by"].values())
        return float(record["reached"]), others, sum(record["survives"].values())

    mine = [one["record"] for one in results if one["record"]["victim"] == victim]
    labels = dict.fromkeys(one["label"] for one in mine)
    best = [max((one for one in mine if one["label"] == label), key=rank) for label in labels]
    shutil.rmtree(GALLERY, ignore_errors=True)
    GALLERY.mkdir(parents=True)
    shown = []
    for record in best:
        name = f"{record['label']}-{record['style']}.flac"
        y, sr = soundfile.read(work / "sounds" / victim / record["output"], dtype="int16")
        soundfile.write(GALLERY / name, y, sr, subtype="PCM_16", compression_level=1.0)
        shown.append({**record, "output": name})
    return write_gallery(shown, GALLERY, command=COMMAND, embed=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=Path, metavar="SEED", help="folder of the seed's data")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--labels", type=int, default=len(common.LABELS), help="how many, for a trial")
    parser.add_argument("--steps", type=int, help="most steps of a search, for a trial")
    parser.add_argument("--styles", default=",".join(STYLES), help="for a trial")
    parser.add_argument("--work", type=Path, default=common.ROOT / "out" / "imagine")
    parser.add_argument("--gallery", action="store_true", help="write docs/gallery too")
    options = parser.parse_args()
    work: Path = options.work
    folder = common.import_seed(options.seed, work / "irmas-svc")
    svm = os.path.relpath(folder)
    clip = next(path for path in common.clips(options.seed) if "[voi]" in path.name)

    def task(victim: str, label: str, style: str, start: str | None = None) -> Task:
        out = work / "sounds" / Path(victim).name
        return Task(victim, label, style, start, options.steps, 0, str(out))

    tasks = [
        task(victim, label, style)
        for victim in (svm, NETWORK)
        for style in options.styles.split(",")
        for label in common.LABELS[: options.labels]
    ]
    tasks.append(task(svm, "voi", "clip", str(clip)))
    for one in tasks:
        Path(one.out).mkdir(parents=True, exist_ok=True)
    results = carry_out(tasks, options.workers)
    cross_examined(results, work, {svm: "", NETWORK: ""})
    whole = (options.labels, options.steps, options.styles) == (len(common.LABELS), None, ",".join(STYLES))
    folder = common.DOCS if whole else work  # a trial's page is not for the documentation
    common.write_page("imagine", page(results, svm="irmas-svc", network=NETWORK), folder=folder)
    if options.gallery:
        print(f"written: {os.path.relpath(gallery(results, work, 'irmas-svc'))}")
    sys.exit(0 if all(met for _, _, met in bars(results, svm="irmas-svc", network=NETWORK)) else 1)


if __name__ == "__main__":
    main()
