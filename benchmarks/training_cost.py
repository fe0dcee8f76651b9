"""What training costs by the number of clips: seconds, core-seconds, memory, money; features for 6,705 clips.

    .venv/bin/python benchmarks/training_cost.py --corpus ORCHESTRA [--work out/training-cost]

Every measurement is a fresh process of one thread, one at a time: run it on a quiet machine. ``ORCHESTRA``
is rendered first where it is not there (364 clips a class make 4,004). Finished measurements are kept in
``--work``, and a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import common

SIZES = (500, 1000, 2000, 4000)
IRMAS = 6705  # clips in IRMAS's training part
BAR = 1.5  # core-minutes for the features of so many
CLIPS = 364  # a class, that make 4,000
PRICE = 0.04  # dollars a core-hour, an example
TUNES = (10, 100)
TUNE_MOST = 1000  # clips up to which the larger search is measured
EPOCHS = 2
SEED = 0

HOW = """
Clips of three seconds, 44.1 kHz stereo FLAC, from one orchestra: {clips} of {labels} classes, by whole
recordings, each number a part of the next. Every row is a process of its own with one thread, so that
core-seconds and seconds are nearly the same; both are of the work alone, without the start of Python and its
libraries ({start:.1f} core-s). Peak memory is of the whole process, libraries included ({idle:.0f} MB when
idle). Cost: at ${price:g} a core-hour, an example.
"""
FEATURES = """
## Features for {clips:,} clips, as many as IRMAS's training part has

As `subterfuge train` takes them, one clip after the other, {cycled}. Decoding: opening, FLAC, mixing down to
one channel (IRMAS itself is WAV). Features: the 25 of `librosa25`.
"""
SVC = """
`subterfuge train --model svc --tune N`, features known already: search, fits on both splits, measures,
importance of the features, the page.{most}
"""
CNN = """
`subterfuge train --model cnn --one-split --epochs {epochs}`: spectrograms, {epochs} epochs, measures, the
page. A whole run has {whole} epochs at most; the last two columns are **computed**: the rest as measured, and
{whole} times the epoch measured.
"""


@dataclass(frozen=True)
class Task:
    """One measurement: ``idle``, ``features``, ``apart``, ``svc`` or ``cnn``, of so many clips."""

    kind: str
    clips: int = 0
    tune: int = 0
    epochs: int = 0

    @property
    def name(self) -> str:
        """For its file."""
        more = f"-tune-{self.tune}" if self.tune else f"-epochs-{self.epochs}" if self.epochs else ""
        return f"{self.kind}-{self.clips}{more}"


def subset(clips: Sequence[Any], size: int) -> list[Any]:
    """The first recordings of each class in turn, until there are so many clips: fewer are a part of more.

    Never more than ``size``: the last clips of a recording are left out where they would be too many.
    """
    recordings: dict[str, dict[str, list[Any]]] = {}
    for clip in clips:
        recordings.setdefault(clip.label, {}).setdefault(clip.recording, []).append(clip)
    queues = [list(one.values()) for _, one in sorted(recordings.items())]
    taken: list[Any] = []
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue):
                taken += queue[turn][: size - len(taken)]
    return sorted(taken, key=lambda clip: str(clip.path))


# ---------------------------------------------------------------- one measurement, in a process of its own


def corpus_of(folder_: Path, size: int) -> Any:
    """So many clips of the orchestra."""
    from dataclasses import replace

    from subterfuge.corpora import folder

    whole = folder.read(folder_)
    return replace(whole, name="the orchestra", clips=tuple(subset(whole.clips, size)), skipped=())


def measure(task: Task, corpus: Path, work: Path) -> dict[str, Any]:
    """Do it, and say what it took."""
    import resource

    import torch  # noqa: F401, what every task needs is loaded before the clock starts

    from subterfuge.training.cnn import train_cnn  # noqa: F401
    from subterfuge.training.train import train  # noqa: F401

    common.one_thread()
    given = corpus_of(corpus, task.clips) if task.clips else None
    if task.kind not in ("idle", "apart"):
        _warm(given)
    began, spent = time.perf_counter(), time.process_time()
    told = {"idle": _idle, "features": _features, "apart": _apart, "svc": _svc, "cnn": _cnn}[task.kind](
        task, given, work
    )
    return {
        **told,
        "task": asdict(task),
        "content": common.fingerprint(str(corpus)),
        "seconds": round(time.perf_counter() - began, 2),
        "core_seconds": round(time.process_time() - spent, 2),
        "start_seconds": round(spent, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
    }


def _warm(given: Any) -> None:
    """One clip, so that what is loaded at the first use is not counted."""
    from subterfuge.audio import load_plain
    from subterfuge.features.summary import librosa25

    librosa25(load_plain(given.clips[0].path, 44100), sr=44100)
    load_plain(given.clips[0].path, 22050)


def _idle(task: Task, given: Any, work: Path) -> dict[str, Any]:
    return {}


def _features(task: Task, given: Any, work: Path) -> dict[str, Any]:
    from subterfuge.training.cache import Cache
    from subterfuge.training.extract import features_of

    cache = _cache(work, task.clips)
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    found = features_of(given.clips, cache=Cache(cache))
    return {"clips": len(found.clips), "labels": len({clip.label for clip in found.clips})}


def _cache(work: Path, clips: int) -> Path:
    return work / "caches" / str(clips)


def _apart(task: Task, given: Any, work: Path) -> dict[str, Any]:
    """Decoding and features by turns, each on its own clock; clips begin anew where there are too few."""
    import torch

    from subterfuge.audio import load_plain
    from subterfuge.features.summary import librosa25

    decoding = features = 0.0
    with torch.no_grad():
        for number in range(-3, task.clips):
            if number == 0:
                decoding = features = 0.0
            one = given.clips[number % len(given.clips)]
            began = time.process_time()
            y = load_plain(one.path, 44100)
            halfway = time.process_time()
            librosa25(y, sr=44100)
            decoding += halfway - began
            features += time.process_time() - halfway
    return {"decoding": round(decoding, 2), "features": round(features, 2), "distinct": len(given.clips)}


def _svc(task: Task, given: Any, work: Path) -> dict[str, Any]:
    from subterfuge.training.cache import Cache
    from subterfuge.training.train import train

    # Features are known, finished trials are not.
    known, fresh = _cache(work, task.clips), work / "caches" / task.name
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(known, fresh)
    told = train(
        given, out=work / "victims" / task.name, tune=task.tune, seed=SEED, force=True, cache=Cache(fresh)
    )
    shutil.rmtree(fresh)
    weights = work / "victims" / task.name / "model.skops"
    return {"clips": told.clips, "stages": told.seconds, "bytes": weights.stat().st_size}


def _cnn(task: Task, given: Any, work: Path) -> dict[str, Any]:
    from subterfuge.training.cnn import train_cnn

    told = train_cnn(
        given,
        out=work / "victims" / task.name,
        epochs=task.epochs,
        both=False,
        seed=SEED,
        force=True,
        epoch=lambda one: print(f"    epoch {one.number}: {one.seconds:.1f} s", file=sys.stderr, flush=True),
    )
    return {
        "clips": told.clips,
        "stages": told.seconds,
        "epochs": [one.seconds for one in told.epochs],
        "weights": told.parameters["weights"],
    }


# ---------------------------------------------------------------- the run


def tasks(sizes: Sequence[int], *, apart: int, tune_most: int, epochs: int) -> list[Task]:
    """All measurements, what others hang on first."""
    found = [Task("idle"), *(Task("features", size) for size in sizes)]
    found.append(Task("apart", apart))
    found += [Task("svc", size, tune=tune) for size in sizes for tune in _tunes(size, tune_most)]
    return found + [Task("cnn", size, epochs=epochs) for size in sizes]


def _tunes(size: int, most: int) -> tuple[int, ...]:
    return TUNES if size <= most else TUNES[:1]


def run(task: Task, corpus: Path, work: Path) -> dict[str, Any]:
    """Measure in a fresh process."""
    out = work / "results" / f"{task.name}.json"
    out.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--corpus", str(corpus), "--work", str(work)]
    child = subprocess.run([*command, "--measure", json.dumps(asdict(task))], env=environment, check=False)
    if child.returncode:
        raise SystemExit(f"{task.name}: the measurement failed (exit code {child.returncode})")
    return common.read_json(out)


def needed(task: Task, found: Any, corpus: Path, work: Path) -> bool:
    """Whether it is to be measured: there is no result of it and this orchestra, or what it left is gone."""
    if not found or found["task"] != asdict(task) or found["content"] != common.fingerprint(str(corpus)):
        return True
    return task.kind == "features" and not _cache(work, task.clips).is_dir()


# ---------------------------------------------------------------- the page


def money(core_seconds: float, price: float) -> str:
    """Cost in cents or dollars at a price a core-hour."""
    dollars = core_seconds / 3600 * price
    return f"${dollars:.2f}" if dollars >= 0.1 else f"{100 * dollars:.2g} ¢"


def page(
    results: Sequence[dict[str, Any]], *, price: float, whole: int, command: str
) -> tuple[str, list[str]]:
    """The page of what is there, and the bar if it was missed."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for one in results:
        by_kind.setdefault(one["task"]["kind"], []).append(one)
    features = by_kind.get("features", [])
    idle = (by_kind.get("idle") or [{"start_seconds": float("nan"), "peak_mb": float("nan")}])[0]
    text = common.header("What training costs", packages=["scipy", "soundfile"], command=command)
    text += HOW.format(
        clips=", ".join(f"{one['clips']:,}" for one in features) or "none",
        labels=features[0]["labels"] if features else 0,
        start=idle["start_seconds"],
        idle=idle["peak_mb"],
        price=price,
    )
    if features:
        text += "\n## Features\n\nDecoding included, nothing known before.\n\n"
        head = ["clips", *HEAD, "ms a clip"]
        rows = [
            [f"{one['clips']:,}", *_cells(one, price), f"{1e3 * one['core_seconds'] / one['clips']:.1f}"]
            for one in features
        ]
        text += common.table(head, rows)
    missed: list[str] = []
    for one in by_kind.get("apart", []):
        said, missed = _told_apart(one, price)
        text += said
    text += _told_svc(by_kind.get("svc", []), price)
    text += _told_cnn(by_kind.get("cnn", []), price, whole)
    return text, missed


HEAD = ("seconds", "core-seconds", "peak memory, MB", "cost")


def _cells(one: dict[str, Any], price: float) -> list[str]:
    return [
        f"{one['seconds']:.1f}",
        f"{one['core_seconds']:.1f}",
        f"{one['peak_mb']:,.0f}",
        money(one["core_seconds"], price),
    ]


def _told_apart(one: dict[str, Any], price: float) -> tuple[str, list[str]]:
    clips, distinct = one["task"]["clips"], one["distinct"]
    cycled = "all different" if distinct >= clips else f"{distinct:,} of them, over and over"
    rows = [
        [
            name,
            f"{one[name]:.1f}",
            f"{one[name] / 60:.2f}",
            f"{1e3 * one[name] / clips:.2f}",
            money(one[name], price),
        ]
        for name in ("decoding", "features")
    ]
    text = FEATURES.format(clips=clips, cycled=cycled) + "\n"
    text += common.table(["", "core-seconds", "core-minutes", "ms a clip", "cost"], rows)
    minutes = one["features"] / 60
    missed = (
        [] if minutes <= BAR else [f"features of {clips:,} clips: {minutes:.2f} core-minutes, wanted {BAR}"]
    )
    verdict = "missed" if missed else "met"
    return f"{text}\nBar: at most {BAR:g} core-minutes for the features beside decoding: {verdict}.\n", missed


def _told_svc(found: Sequence[dict[str, Any]], price: float) -> str:
    if not found:
        return ""
    larger = [one["clips"] for one in found if one["task"]["tune"] == TUNES[1]]
    most = ""
    if larger and max(larger) < max(one["clips"] for one in found):
        most = f" {TUNES[1]} settings were measured up to {max(larger):,} clips."
    rows = [
        [
            f"{one['clips']:,}",
            one["task"]["tune"],
            *_cells(one, price),
            *(f"{one['stages'].get(stage, 0):.1f}" for stage in ("search", "fit", "measure")),
            f"{one['bytes'] / 1e3:,.0f}",
        ]
        for one in sorted(found, key=lambda one: (one["task"]["tune"], one["clips"]))
    ]
    head = ["clips", "settings", *HEAD, "search, s", "fits, s", "measures, s", "weights, kB"]
    return "\n## SVC\n" + SVC.format(most=most) + "\n" + common.table(head, rows)


def _told_cnn(found: Sequence[dict[str, Any]], price: float, whole: int) -> str:
    if not found:
        return ""
    rows = []
    for one in found:
        epoch = sum(one["epochs"]) / len(one["epochs"])
        rest = one["seconds"] - sum(one["epochs"])
        computed = rest + whole * epoch
        rows.append(
            [
                f"{one['clips']:,}",
                *_cells(one, price),
                f"{one['stages'].get('features', 0):.1f}",
                f"{epoch:.1f}",
                f"{computed / 60:.1f}",
                money(computed, price),
            ]
        )
    head = [
        "clips",
        *HEAD,
        "spectrograms, s",
        "an epoch, s",
        f"{whole} epochs, minutes",
        "cost of these",
    ]
    told = CNN.format(epochs=found[0]["task"]["epochs"], whole=whole)
    return "\n## Network\n" + told + "\n" + common.table(head, rows)


# ---------------------------------------------------------------- the command


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="an orchestra; rendered where it is not there")
    add("--sizes", type=int, nargs="+", default=list(SIZES), help=f"numbers of clips (default: {SIZES})")
    add("--apart", type=int, default=IRMAS, help=f"clips to decode and hear apart (default: {IRMAS})")
    add("--tune-most", type=int, default=TUNE_MOST, help=f"most clips for {TUNES[1]} settings ({TUNE_MOST})")
    add("--epochs", type=int, default=EPOCHS, help=f"of the network that are measured (default: {EPOCHS})")
    add("--only", nargs="+", choices=("idle", "features", "apart", "svc", "cnn", "page"), help="only these")
    add("--price", type=float, default=PRICE, help=f"dollars a core-hour (default: {PRICE})")
    add("--work", type=Path, default=common.ROOT / "out" / "training-cost", help="where results are kept")
    add("--docs", type=Path, default=common.DOCS, help="where the page goes")
    add("--measure", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is not there yet, write the page; 1 where the bar is missed."""
    args = arguments(argv)
    args.corpus, args.work = args.corpus.resolve(), args.work.resolve()
    if args.measure:
        task = Task(**json.loads(args.measure))
        common.write_json(args.work / "results" / f"{task.name}.json", measure(task, args.corpus, args.work))
        return 0
    from subterfuge.corpora import folder, orchestra
    from subterfuge.training.cnn import EPOCHS as WHOLE

    clock = common.Clock()
    if not any(args.corpus.glob("*/*")):
        clock.say(f"rendering {CLIPS} clips a class into {args.corpus}")
        orchestra.build(args.corpus, clips=CLIPS, workers=os.cpu_count() or 1)
    there = len(folder.read(args.corpus).clips)
    sizes = sorted({min(size, there) for size in args.sizes})
    if there < max(args.sizes):
        clock.say(f"{args.corpus.name} has {there} clips: measured up to these")
    everything = tasks(sizes, apart=args.apart, tune_most=args.tune_most, epochs=args.epochs)
    found = []
    for number, task in enumerate(everything, 1):
        kept = common.read_json(args.work / "results" / f"{task.name}.json")
        if needed(task, kept, args.corpus, args.work):
            if args.only and task.kind not in args.only:
                continue
            clock.say(f"{number} of {len(everything)}: {task.name}")
            kept = run(task, args.corpus, args.work)
            clock.say(f"    {kept['core_seconds']:.1f} core-s, {kept['peak_mb']:,.0f} MB")
        found.append(kept)
    command = ".venv/bin/python benchmarks/training_cost.py --corpus ORCHESTRA"
    text, missed = page(found, price=args.price, whole=WHOLE, command=command)
    common.write_page("training-cost", text, folder=args.docs)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
