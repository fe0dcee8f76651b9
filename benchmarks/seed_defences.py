"""The seed's two light-side classifiers: its tables again, and what each bought against who knows it.

Run with the project's environment and ``pip install --no-deps noisereduce`` (which needs tqdm and joblib)::

    .venv/bin/python benchmarks/seed_defences.py ../shared/seed --resume

One process of one thread; one JSON file a job, so that a run can be stopped and gone on with (``--resume``),
and the page is made of what is there (``--report``). Files are judged from disk by ``librosa.load``,
``noisereduce``, librosa's features and scikit-learn alone.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import common
import seed_faults
from seed import CONFIDENCE, ROWS
from seed_defences_page import page
from seed_filter import Behind, reduced

# How a waveform gets to the denoise classifier. The second is what the seed's own code does.
FILTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda y: y,
    "noisereduce": reduced,
    "stationary": functools.partial(reduced, stationary=True),
    "torch": functools.partial(reduced, use_torch=True, device="cpu"),
    "gate": lambda y: gated(y),
}
MODELS = {"plain": "svc_irmas", "noisy": "svc_irmas_noisy", "denoise": "svc_irmas_denoise"}
# What a file is judged by: classifier and filter.
JUDGES = {
    "plain": ("plain", "none"),
    "noisy": ("noisy", "none"),
    "denoise": ("denoise", "noisereduce"),
    "gate": ("denoise", "gate"),
}
GATE_STEPS, SURE = 60, 0.5


@dataclass(frozen=True)
class Job:
    """One of the seven rows (from 1) against one victim; a run of the seed's algorithm has a number, too."""

    victim: str
    attack: str
    row: int
    steps: int
    confidence: float | None = None
    run: int = 0

    @property
    def name(self) -> str:
        """For its folder and its result."""
        sure = f"-at-{self.confidence:g}" if self.confidence is not None else ""
        return f"{self.victim}-{self.attack}-{self.steps}{sure}-row{self.row}-{self.run}"


def jobs(args: argparse.Namespace) -> list[Job]:
    """All there is to do, the cheap first."""
    rows = range(1, len(ROWS) + 1)
    # Row 7 is to be made more itself: that takes a confidence.
    sure = {row: CONFIDENCE if "voi" in ROWS[row - 1][1] else None for row in rows}
    found = [
        Job(victim, attack, row, steps, sure[row])
        for attack, steps in (("minimal", args.steps), ("masked", args.masked))
        for victim in ("plain", "noisy", "denoise")
        for row in rows
    ]
    found += [
        Job(victim, "genetic_seed", row, args.queries, run=run)
        for victim in ("noisy", "denoise")
        for run in range(args.runs)
        for row in rows
    ]
    found += [Job("gate", "minimal", row, GATE_STEPS, sure[row]) for row in rows]
    return found + [Job("gate", "minimal", row, GATE_STEPS, SURE) for row in rows if sure[row] is None]


# ---------------------------------------------------------------- hearing


def gated(y: np.ndarray) -> np.ndarray:
    """Through the gate that ``denoise-training`` put before its victims until this was measured."""
    import torch

    from subterfuge.defences.input.gate import Gate

    gate = Gate(stationary=False)
    return gate.apply(torch.from_numpy(y)[None], sr=common.SAMPLE_RATE, drawn={})[0].numpy()


@functools.cache
def pipeline(folder: Path, model: str) -> Any:
    """One of the seed's three pipelines, read by skops with nothing trusted."""
    import skops.io

    return skops.io.load(folder / f"{MODELS[model]}.skops", trusted=[])


def heard(folder: Path, y: np.ndarray, model: str, through: str) -> dict[str, Any]:
    """What the plain judge hears in a waveform: label, and all probabilities."""
    vector = common.plain_features(FILTERS[through](y))[None]
    judge = pipeline(folder, model)
    told = judge.predict_proba(vector)[0]
    label = common.LABELS[int(judge.predict(vector)[0])]
    return {"label": label, "probabilities": dict(zip(common.LABELS, map(float, told), strict=True))}


def phase_lost(y: np.ndarray) -> np.ndarray:
    """What the seed took for the clip: its short-time spectrum without the imaginary part."""
    import librosa

    return np.asarray(librosa.istft(np.real(librosa.stft(y))), dtype=np.float32)


def replayed(folder: Path) -> list[dict[str, Any]]:
    """Each row's clip as it is and without its phase, and the published file, heard in every way."""
    ways = [("noisy", "none"), *(("denoise", through) for through in FILTERS)]
    told = []
    for row, (_, wanted, _) in enumerate(ROWS, 1):
        path, _, _ = seed_faults.row_of(str(folder), row)
        y = common.load_waveform(path)
        file = common.load_waveform(folder / "published" / f"{path.stem}-to-{wanted}.wav")
        sounds = {"clip": y, "lost": phase_lost(y), "file": file}
        found = {
            f"{sound}-{model}-{through}": heard(folder, y, model, through)
            for sound, y in sounds.items()
            for model, through in ways
        }
        told.append({"row": row, "clip": path.stem, "own": own(path), "wanted": wanted, "heard": found})
    return told


def own(path: Path) -> str:
    """The label that a clip bears: its first bracket."""
    return path.name.split("[")[1][:3]


# ---------------------------------------------------------------- attacks


@functools.cache
def victim(folder: Path, cache: Path, name: str) -> Any:
    """One of the four victims: the denoise classifier is behind the seed's filter, or behind our gate."""
    from subterfuge.defences.defended import Defended
    from subterfuge.defences.input.gate import Gate
    from subterfuge.defences.input.reduced import Reduced
    from subterfuge.victims.store import import_victim, load_victim

    model = MODELS[JUDGES[name][0]]
    out = cache / "victims" / model
    if not (out / "victim.json").is_file():
        import_victim(
            folder / f"{model}.skops", labels=common.LABELS, sample_rate=common.SAMPLE_RATE, out=out
        )
    inner = load_victim(out)
    if name == "gate":
        return Defended(inner, Gate(stationary=False))
    return Behind(inner, Reduced()) if name == "denoise" else inner


def work(job: Job, folder: Path, cache: Path) -> dict[str, Any]:
    """Do one job: an attack on the file, judged from disk, or a run of the seed's algorithm."""
    began = time.process_time()
    told = evolved(job, folder, cache) if job.attack == "genetic_seed" else attacked(job, folder, cache)
    return {"job": asdict(job), **told, "core_seconds": time.process_time() - began}


def evolved(job: Job, folder: Path, cache: Path) -> dict[str, Any]:
    """The seed's genetic algorithm, run against this victim; its fittest, judged as a waveform."""
    import torch

    path, target, _ = seed_faults.row_of(str(folder), job.row)
    y = torch.from_numpy(common.load_waveform(path))
    asked = victim(folder, cache, job.victim)
    chances = 1000 * job.run + job.row
    _, _, last = seed_faults.evolve(asked, y, target, steps=job.steps, seed=chances, switches={})
    return {"heard": heard(folder, last.float().numpy(), *JUDGES[job.victim])}


def attacked(job: Job, folder: Path, cache: Path) -> dict[str, Any]:
    """One attack on the clip's file; what every judge hears in the file that was written."""
    from subterfuge.attacks.workbench import attack_file
    from subterfuge.criteria import Targeted

    path, _, _ = seed_faults.row_of(str(folder), job.row)
    out = cache / "files" / job.name
    out.mkdir(parents=True, exist_ok=True)
    record = attack_file(
        path,
        victim=victim(folder, cache, job.victim),
        criterion=Targeted(ROWS[job.row - 1][1], confidence=job.confidence),
        out=out,
        attack=job.attack,
        steps=job.steps,
    )
    y = common.load_waveform(record.output)
    return {
        "claimed": record.success,
        "before": record.predicted_before,
        "snr_db": record.snr_db,
        "nmr_worst_db": record.audibility["nmr_worst_db"],
        "nmr_mean_db": record.audibility["nmr_mean_db"],
        "heard": {name: heard(folder, y, *way) for name, way in JUDGES.items()},
        "notes": record.notes,
    }


# ---------------------------------------------------------------- the run


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seed_folder", type=Path, help="the seed's data: clips, files and three classifiers")
    parser.add_argument("--cache", type=Path, default=common.ROOT / "out" / "seed-defences")
    parser.add_argument("--resume", action="store_true", help="keep the results that are already there")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is there")
    parser.add_argument("--steps", type=int, default=150, help="gradient queries of minimal")
    parser.add_argument("--masked", type=int, default=200, help="gradient queries of masked")
    parser.add_argument("--queries", type=int, default=600, help="of the seed's genetic algorithm")
    parser.add_argument("--runs", type=int, default=1, help="of the seed's genetic algorithm, a row")
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Replay, attack, write the page."""
    args = arguments(argv)
    if importlib.util.find_spec("noisereduce") is None:
        raise SystemExit("noisereduce is not installed: pip install --no-deps noisereduce")
    common.one_thread()
    folder, cache, clock = args.seed_folder.resolve(), args.cache.resolve(), common.Clock()
    results = []
    todo = jobs(args)
    for number, job in enumerate(todo, 1):
        file = cache / "results" / f"{job.name}.json"
        told = common.read_json(file) if args.resume or args.report else None
        if told is None and not args.report:
            told = work(job, folder, cache)
            common.write_json(file, told)
            clock.say(f"{number}/{len(todo)} {job.name}: {told['core_seconds']:.1f} s of one core")
        if told is not None:
            results.append(told)
    old = common.read_json(cache / "replayed.json") if args.resume or args.report else None
    if old is None:
        old = replayed(folder)
        common.write_json(cache / "replayed.json", old)
    head = common.header(
        "The seed's light side: its tables again, and under attack",
        packages=["scipy", "skops", "noisereduce"],
        command=".venv/bin/python benchmarks/seed_defences.py ../shared/seed --resume",
    )
    common.write_page("seed-defences", page(head, old, results), folder=args.docs)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
