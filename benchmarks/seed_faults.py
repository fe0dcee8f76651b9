"""Which fault of the seed's genetic algorithm cost what: its seven rows, each repair alone and all together.

Run with the project's environment::

    .venv/bin/python benchmarks/seed_faults.py ../shared/seed --resume

Every file is PCM16 mono, as the seed's were, and judged from disk by librosa and scikit-learn alone. One JSON
file a job: a run can be stopped and resumed (``--resume``), and the page is made of what is there.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import common
import seed as seed_benchmark
from seed_faults_page import drawing, page

# The seed's: 25 queries and then about 45 a generation, so that a run in twenty falls one generation short.
GENERATIONS, STEPS = 50, 2300
# For variants that should be the same search as another: queries after which they are compared.
CHECK = 300
# Of the sounds that ship: an embedded clip, the label wanted, and the excerpt in seconds.
SOUND_CLIP, SOUND_TARGET, SOUND_FROM, SOUND_SECONDS = "cel-2", "pia", 0.5, 1.25


@dataclass(frozen=True)
class Variant:
    """One setting of the five switches.

    Attributes
    ----------
    name, title : str
    switches : dict
        Options of ``genetic_seed`` other than as published.
    twin : str or None
        The variant that must be the same search; it is run for long enough to see that it is.
    """

    name: str
    title: str
    switches: dict[str, str] = field(default_factory=dict)
    twin: str | None = None


KEPT = {"phase": "kept"}
COPIED = {"crossover": "copied"}
CLIP = {"fitness": "clip"}
WEIGHED = {"distortion": "weighed"}
SHAPED = {"mutation": "shaped"}
VARIANTS = (
    Variant("published", "as published"),
    Variant("phase", "phase kept", KEPT),
    Variant("crossover", "crossover that copies", COPIED, twin="published"),
    Variant("fitness", "distortion from the true clip", CLIP),
    Variant("distortion", "distortion that weighs", WEIGHED),
    Variant("mutation", "mutation shaped by the clip", SHAPED),
    Variant("two", "phase, crossover", KEPT | COPIED, twin="phase"),
    Variant("three", "phase, crossover, true clip", KEPT | COPIED | CLIP, twin="phase"),
    Variant("four", "phase, crossover, true clip, weight", KEPT | COPIED | CLIP | WEIGHED),
    Variant("five", "all five", KEPT | COPIED | CLIP | WEIGHED | SHAPED),
    Variant(
        "banded",
        "the first four, and noise by bands",
        KEPT | COPIED | CLIP | WEIGHED | {"mutation": "banded"},
    ),
)


@dataclass(frozen=True)
class Job:
    """One variant on one of the seven rows (counted from 1)."""

    variant: str
    row: int
    seed: int

    @property
    def name(self) -> str:
        """For its files."""
        return f"{self.variant}-row{self.row}-seed{self.seed}"


@dataclass(frozen=True)
class Task:
    """What all jobs share."""

    seed_folder: str
    victim: str
    out: str
    steps: int

    def settings(self, job: Job) -> dict[str, Any]:
        """What a result depends on, besides the code."""
        one = variant(job.variant)
        steps = min(CHECK, self.steps) if one.twin else self.steps
        return {"steps": steps, "switches": one.switches, "seed": job.seed, "row": job.row}


def variant(name: str) -> Variant:
    """The variant of that name."""
    return next(one for one in VARIANTS if one.name == name)


# ---------------------------------------------------------------- one job, in a worker


@functools.lru_cache(maxsize=2)
def _victim(folder: str) -> Any:
    from subterfuge.victims.store import load_victim

    return load_victim(Path(folder))


@functools.lru_cache(maxsize=1)
def _pipeline(seed_folder: str) -> Any:
    return common.plain_pipeline(Path(seed_folder))


def row_of(seed_folder: str, row: int) -> tuple[Path, int, str]:
    """Clip, wanted label and what the seed reported, of one of its rows (from 1)."""
    part, label, reported = seed_benchmark.ROWS[row - 1]
    path = next(path for path in common.clips(Path(seed_folder)) if part in path.name)
    return path, common.LABELS.index(label), reported


def evolve(victim: Any, y: Any, target: int, *, steps: int, seed: int, switches: dict[str, str]) -> Any:
    """Run ``genetic_seed`` through an oracle that shows probabilities: outcome, and each generation told."""
    import torch

    from subterfuge.attacks.blackbox.genetic_seed import genetic_seed
    from subterfuge.attacks.oracle import Oracle
    from subterfuge.criteria import Targeted

    curve: list[dict[str, Any]] = []
    last = []

    def told(one: Any) -> None:
        if one.number <= GENERATIONS:
            digest = hashlib.sha256(one.audio.numpy().tobytes()).hexdigest()[:12]
            known = {"queries": one.queries, "probability": one.probability, "fitness": one.fitness}
            curve.append({**known, "digest": digest})
            last[:] = [one.audio]

    outcome = genetic_seed(
        Oracle(victim),
        y[None],
        Targeted([target]),
        steps=steps,
        generator=torch.Generator().manual_seed(seed),
        told=told,
        **switches,
    )
    return outcome, curve, last[0]


def work(job: Job, task: Task) -> dict[str, Any]:
    """Evolve one row, write what the original would have written, and judge it from disk."""
    import torch

    common.one_thread()
    path, target, _ = row_of(task.seed_folder, job.row)
    settings = task.settings(job)
    y = torch.from_numpy(common.load_waveform(path))
    started = time.process_time()
    outcome, curve, fittest = evolve(
        _victim(task.victim),
        y,
        target,
        steps=settings["steps"],
        seed=1000 * job.seed + job.row,  # the rows' chances are not the same ones
        switches=settings["switches"],
    )
    seconds = time.process_time() - started
    told = {**asdict(job), "settings": settings, "core_seconds": seconds, "curve": curve}
    if variant(job.variant).twin:
        return told
    folder = Path(task.out) / "files"
    told["fittest"] = judged(fittest, folder / f"{job.name}.wav", path, target, task.seed_folder)
    told["nearest"] = None
    if bool(outcome.success[0]):
        near = folder / f"{job.name}-nearest.wav"
        told["nearest"] = judged(outcome.audio[0], near, path, target, task.seed_folder)
    return told


def judged(y: Any, out: Path, clean: Path, target: int, seed_folder: str) -> dict[str, Any]:
    """Write a waveform as the seed did (mono, PCM16), read it back, and say what is heard in it."""
    from subterfuge.audio import save_audio, to_lattice

    out.parent.mkdir(parents=True, exist_ok=True)
    save_audio(out, to_lattice(y[None], "PCM_16"), sr=common.SAMPLE_RATE, container="WAV", subtype="PCM_16")
    return heard(out, clean, target, seed_folder)


def heard(changed: Path, clean: Path, target: int, seed_folder: str) -> dict[str, Any]:
    """The plain judge's word on a file, and how near it is to anything that the classifier knows."""
    pipeline = _pipeline(seed_folder)
    found = seed_benchmark.judge(changed, clean, target, pipeline)
    vector = pipeline[0].transform(common.plain_features(common.load_waveform(changed))[None])
    svc = pipeline[-1]
    nearest = float(((svc.support_vectors_ - vector) ** 2).sum(1).min())
    keep = ("heard", "verified", "probability", "mono_snr_db")
    return {**{what: found[what] for what in keep}, "kernel": float(np.exp(-svc.gamma * nearest))}


# ---------------------------------------------------------------- what needs no search


def published(seed_folder: Path) -> list[dict[str, Any]]:
    """The seed's own seven files, row by row, under the same judge."""
    results = []
    for row in range(1, len(seed_benchmark.ROWS) + 1):
        path, target, reported = row_of(str(seed_folder), row)
        file = seed_folder / "published" / f"{path.stem}-to-{common.LABELS[target]}.wav"
        told = heard(file, path, target, str(seed_folder))
        results.append({**told, "row": row, "reported": reported, "wanted": common.LABELS[target]})
    return results


def nowhere(seed_folder: Path) -> dict[str, float]:
    """What the classifier's probabilities are far from all that it was trained on."""
    pipeline = _pipeline(str(seed_folder))
    far = pipeline[-1].predict_proba(np.full((1, 25), 1e3))[0]
    return dict(zip(common.LABELS, map(float, far), strict=True))


def one_mutation(seed_folder: Path, *, draws: int = 24) -> list[dict[str, Any]]:
    """Where one mutation takes the 25 features: how far all draws go alike, and how far they differ.

    In units of the classifier's scaler; medians over the four clips.
    """
    import torch

    from subterfuge.attacks.blackbox import genetic_seed as module
    from subterfuge.features.summary import librosa25

    scale = torch.from_numpy(_pipeline(str(seed_folder))[0].scale_)
    told: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for path in common.clips(seed_folder):
        y = torch.from_numpy(common.load_waveform(path))
        for mutation, louder in (("flat", 1.0), ("shaped", 1.0), ("shaped", 10.0), ("banded", 1.0)):
            line = module._Line(
                y,
                0,
                sr=common.SAMPLE_RATE,
                phase="kept",
                crossover="copied",
                fitness="clip",
                distortion="faint",
                mutation=mutation,
            )
            line.deviation = line.deviation * louder
            x = torch.stack([module.waveform(line._mutated(line.first), len(y)) for _ in range(draws)])
            moved = torch.cat([librosa25(part, sr=common.SAMPLE_RATE) for part in x.split(8)]).double()
            moved = (moved - librosa25(y[None], sr=common.SAMPLE_RATE).double()) / scale
            snr = 10 * torch.log10(y.square().sum() / (x - y).square().sum(1))
            apart = (moved - moved.mean(0)).square().sum(1).mean().sqrt()
            found = float(snr.mean()), float(moved.mean(0).norm()), float(apart)
            told.setdefault((mutation, louder), []).append(found)
    return [
        {
            "mutation": mutation,
            "louder": louder,
            **dict(zip(("snr_db", "alike", "apart"), middle, strict=True)),
        }
        for (mutation, louder), values in told.items()
        for middle in [np.median(np.array(values), axis=0).tolist()]
    ]


def sounds(folder: Path, *, steps: int, seed: int) -> list[dict[str, Any]]:
    """An embedded clip through the loss of its phase, the algorithm as published, and with its phase kept.

    Excerpts as FLAC; what they are heard as and their SNR are of the whole clips, PCM16 as well.
    """
    import torch

    from subterfuge.attacks.blackbox.genetic_seed import spectrum, waveform
    from subterfuge.audio import load_plain, save_audio, to_lattice
    from subterfuge.corpora.embedded import clips, victim_folder

    victim = _victim(str(victim_folder("orchestra-svc")))
    clip = next(one for one in clips() if one.path.stem == SOUND_CLIP)
    y = load_plain(clip.path, victim.sample_rate)[0]
    target = victim.labels.index(SOUND_TARGET)
    made = {"1-clip": y, "2-phase-lost": waveform(spectrum(y, "lost"), len(y))}
    for name, switches in (("3-as-published", {}), ("4-phase-kept", KEPT)):
        made[name] = evolve(victim, y, target, steps=steps, seed=seed, switches=switches)[2]
    told = []
    for name, x in made.items():
        whole = to_lattice(x[None], "PCM_16").float()
        hearing = victim.verdict(whole)
        assert hearing.probabilities is not None
        begin, end = (int(at * victim.sample_rate) for at in (SOUND_FROM, SOUND_FROM + SOUND_SECONDS))
        part = whole[:, begin:end]
        file = folder / f"{name}.flac"
        folder.mkdir(parents=True, exist_ok=True)
        save_audio(file, part, sr=victim.sample_rate, container="FLAC", subtype="PCM_16")
        change = float((whole[0] - y).square().sum())
        told.append(
            {
                "file": file.name,
                "bytes": file.stat().st_size,
                "heard": victim.labels[int(hearing.predicted[0])],
                "probability": float(hearing.probabilities[0, target]),
                "snr_db": None if name == "1-clip" else 10 * float(torch.log10(y.square().sum() / change)),
            }
        )
    return told


# ---------------------------------------------------------------- the run


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seed_folder", type=Path, help="the seed's data: clips/, published/, svc_irmas.skops")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes, one thread each")
    parser.add_argument(
        "--out", type=Path, default=common.ROOT / "out" / "seed-faults", help="where files go"
    )
    parser.add_argument("--resume", action="store_true", help="keep the results that are already there")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run of all rows for each")
    parser.add_argument("--steps", type=int, default=STEPS, help="most queries a row, fewer for a trial")
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--sounds", type=Path, help="also make the sounds, into this folder")
    parser.add_argument(
        "--only", nargs="+", choices=[one.name for one in VARIANTS], metavar="VARIANT", help="run only these"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, then write the page."""
    args = arguments(argv)
    common.one_thread()
    folder, out = args.seed_folder.resolve(), args.out.resolve()
    task = Task(str(folder), str(common.import_seed(folder, out / "victim")), str(out), args.steps)
    jobs = [
        Job(one.name, row, seed)
        for seed in args.seeds
        for one in VARIANTS
        for row in range(1, len(seed_benchmark.ROWS) + 1)
        if (args.only is None or one.name in args.only) and not args.report
    ]
    run(jobs, task, args.jobs, resume=args.resume)
    if args.sounds:
        common.write_json(out / "sounds.json", sounds(args.sounds, steps=args.steps, seed=0))
    results = [r for r in map(common.read_json, sorted((out / "results").glob("*.json"))) if fits(r, task)]
    head = common.header(
        "The seed's genetic algorithm, fault by fault",
        packages=["skops", "soundfile"],
        command=".venv/bin/python benchmarks/seed_faults.py ../shared/seed --resume",
    )
    old, far = published(folder), nowhere(folder)
    text = page(
        head,
        VARIANTS,
        results,
        published=old,
        nowhere=far,
        mutations=one_mutation(folder),
        sounds=common.read_json(out / "sounds.json") or [],
    )
    common.write_page("seed-faults", text, folder=args.docs)
    figure = drawing(VARIANTS, results, published=old, nowhere=far)
    (args.docs / "seed-faults.svg").write_text(figure, encoding="utf-8")
    return 0


def fits(result: dict[str, Any], task: Task) -> bool:
    """Whether a result is one of this task's, not one of other settings."""
    job = Job(result["variant"], result["row"], result["seed"])
    return bool(result["settings"] == task.settings(job))


def run(jobs: Sequence[Job], task: Task, workers: int, *, resume: bool) -> None:
    """Do the jobs, each result to its file as soon as it is there."""
    clock = common.Clock()
    files = {job: Path(task.out) / "results" / f"{job.name}.json" for job in jobs}
    left = []
    for job in jobs:
        known = common.read_json(files[job]) if resume else None
        if known is None or not fits(known, task):
            left.append(job)

    def done(number: int, job: Job, result: dict[str, Any]) -> None:
        common.write_json(files[job], result)
        said = (
            "compared"
            if "fittest" not in result
            else "{heard} {mono_snr_db:.1f} dB".format(**result["fittest"])
        )
        clock.say(f"{number}/{len(left)} {job.name}: {said} ({result['core_seconds']:.1f} s)")

    common.carry_out(left, functools.partial(work, task=task), workers_=workers, done=done)


if __name__ == "__main__":
    sys.exit(main())
