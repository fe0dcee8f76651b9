"""How audible: ``masked`` beside ``minimal``, on the seed's classifier and on the embedded network.

Run with the project's environment::

    .venv/bin/python benchmarks/audibility.py ../shared/seed --jobs 2

Every file is judged and measured as it is on disk: the seed's by librosa and scikit-learn alone, the
network's by its plain path. Results are one JSON file a job, so that a run can be stopped, resumed
(``--resume``) and done attack by attack (``--only``); the page is made of all that is there. Exits 1, naming
it, where one of the bars is missed.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import seed as seed_benchmark
from audibility_page import ATTACKS, OTHERS, PUBLISHED, page

if TYPE_CHECKING:
    import torch

    from subterfuge.victims.victim import Victim

NETWORK = "orchestra-cnn"
# Every clip toward so many labels; every so-manieth pair is in a trial's subset (no common divisor with 66).
TARGETS, STRIDE = 3, 13
# How many pairs of either victim C&W and white noise are shown for.
BESIDE = 12
SETTINGS = ("svc", "cnn")


@dataclass(frozen=True)
class Job:
    """One clip toward one label by one attack; or, of what is ``made`` already, only what it amounts to.

    Attributes
    ----------
    setting : str
        ``svc`` or ``cnn``.
    clip, path : str
    target : str
        A label.
    attack : str
    noise : bool
        Whether white noise at the result's SNR is to be measured too.
    made : str
        A changed file that is there already.
    """

    setting: str
    clip: str
    path: str
    target: str
    attack: str
    noise: bool = False
    made: str = ""

    @property
    def name(self) -> str:
        """For its result file."""
        clip = "".join(c if c.isalnum() or c in "._-" else "-" for c in self.clip).strip("-")
        return f"{self.setting}-{clip}-to-{self.target}-{self.attack}"


@dataclass(frozen=True)
class Task:
    """What all the jobs of a run share; a result is only good for the same."""

    seed_folder: str
    victims: tuple[tuple[str, str], ...]
    out: str
    steps: int | None
    seed: int
    visqol: bool

    def settings(self, job: Job) -> dict[str, Any]:
        """What a result depends on, besides the code."""
        known = {"seed": self.seed, "visqol": self.visqol, "noise": job.noise}
        steps = None if job.made else self.steps
        return {**known, "steps": steps, "victim": content(dict(self.victims)[job.setting])}


@functools.cache
def content(folder: str) -> str:
    """What tells a folder's files from others: a hash of their names and all that is in them."""
    told = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            told.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return told.hexdigest()[:16]


# ---------------------------------------------------------------- one job, in a worker


@functools.lru_cache(maxsize=2)
def _victim(folder: str) -> Victim:
    from subterfuge.victims.store import load_victim

    return load_victim(Path(folder))


@functools.lru_cache(maxsize=1)
def _pipeline(seed_folder: str) -> Any:
    return common.plain_pipeline(Path(seed_folder))


@functools.cache
def _warm(visqol: bool) -> None:
    """What is compiled or loaded at its first use is no pair's cost."""
    import torch

    from subterfuge.audibility.metrics import measure_audibility

    y = torch.randn(1, 2 * 44100, generator=torch.Generator().manual_seed(0)) / 10
    measure_audibility(y, 1.01 * y, sr=44100, visqol=visqol)


def work(job: Job, task: Task) -> dict[str, Any]:
    """Attack one clip with default settings, then judge and measure the file that was written."""
    common.one_thread()
    _warm(task.visqol)
    told: dict[str, Any] = {"settings": task.settings(job), **asdict(job)}
    if job.made:
        return {**told, **measured(job, task, Path(job.made))}
    from subterfuge.attacks.workbench import attack_file
    from subterfuge.criteria import Targeted

    victim = _victim(dict(task.victims)[job.setting])
    folder = Path(task.out) / "files" / job.setting / job.attack
    folder.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    record = attack_file(
        Path(job.path),
        victim=victim,
        victim_name=job.setting,
        criterion=Targeted(job.target),
        attack=job.attack,
        steps=task.steps,
        seed=task.seed,
        out=folder,
    )
    told["core_seconds"] = time.process_time() - started
    told |= {"claimed": record.success, "queries": record.queries, "notes": record.notes}
    told |= measured(job, task, Path(record.output))
    # What ViSQOL says is not in the record: it was not asked.
    known = ("snr_db", "nmr_worst_db", "nmr_mean_db", "nmr_share", "zimtohrli")
    told["record_agrees"] = all(record.audibility.get(what) == told["audibility"][what] for what in known)
    if job.noise:
        noise = white_noise(job, Path(record.output), record.snr_db, seed=task.seed)
        told["at_same_snr"] = measured(job, task, noise)
    return told


def measured(job: Job, task: Task, changed: Path) -> dict[str, Any]:
    """What a file on disk is heard as, how audible its change is, and what it took to measure that."""
    from subterfuge.audibility.metrics import measure_audibility
    from subterfuge.audibility.visqol import visqol_mos

    before, after, sr, same = both(Path(job.path), changed)
    started = time.process_time()
    found = measure_audibility(before, after, sr=sr).as_json()
    seconds = time.process_time() - started
    started = time.process_time()
    if task.visqol:
        found["visqol"] = visqol_mos(before, after, sr=sr)
    asked = time.process_time() - started
    heard = hear(job, task, changed)
    return {
        "heard": heard,
        "verified": heard == job.target,
        "same_format": same,
        "audibility": found,
        "metric_seconds": seconds,
        "visqol_seconds": asked if task.visqol else None,
    }


def hear(job: Job, task: Task, changed: Path) -> str:
    """The label that the victim hears in a file, by a path that owes nothing to the attack."""
    if job.setting == "svc":
        target = common.LABELS.index(job.target)
        judged = seed_benchmark.judge(changed, Path(job.path), target, _pipeline(task.seed_folder))
        return str(judged["heard"])
    return plainly(_victim(dict(task.victims)[job.setting]), changed)


def plainly(victim: Victim, path: Path) -> str:
    """The label that a victim's plain path hears in a file."""
    from subterfuge.audio import load_plain

    y = load_plain(path, victim.sample_rate)
    return victim.labels[int(victim.verdict(y).predicted[0])]


def both(clean: Path, changed: Path) -> tuple[torch.Tensor, torch.Tensor, int, bool]:
    """Samples of both files, shape (channels, frames), their rate, and whether their formats are the same.

    A file that is mono or shorter than what it was made of is held against as much of that.
    """
    from subterfuge.audio import read_audio

    a, b = read_audio(clean), read_audio(changed)
    what = ("sr", "channels", "frames", "subtype", "container")
    same = all(getattr(a, one) == getattr(b, one) for one in what)
    before, after = a.data, b.data
    if b.channels == 1:
        before = before.mean(0, keepdim=True)
    length = min(before.shape[1], after.shape[1])
    return before[:, :length], after[:, :length], a.sr, same


def white_noise(job: Job, beside: Path, snr_db: float, *, seed: int) -> Path:
    """The clip with white noise, the same in every channel as an attack's change is, at that SNR."""
    import torch

    from subterfuge.audio import read_audio, to_lattice, write_audio

    file = read_audio(job.path)
    noise = torch.randn(file.frames, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    clip = file.data.double()
    wanted = clip.square().sum() / 10 ** (snr_db / 10)
    noise = noise * (wanted / (noise.square().sum() * file.channels)).sqrt()
    folder = beside.parent / "noise"
    folder.mkdir(exist_ok=True)
    changed = to_lattice((clip + noise).to(file.data.dtype), file.subtype)
    return write_audio(folder / beside.name, changed, file)


# ---------------------------------------------------------------- what there is to do


def seed_jobs(folder: Path, count: int | None) -> list[Job]:
    """The seed's pairs, and its published files."""
    pipeline = common.plain_pipeline(folder)
    heard = [
        int(pipeline.predict(common.plain_features(common.load_waveform(path))[None])[0])
        for path in common.clips(folder)
    ]
    everything = common.pairs(folder, heard=heard)
    shown = set(common.pairs(folder, heard=heard, count=BESIDE))
    chosen = everything if count is None else common.pairs(folder, heard=heard, count=count)
    found = [
        job
        for pair in chosen
        for job in of_pair("svc", pair.clip, pair.path, common.LABELS[pair.target], pair in shown)
    ]
    for path in sorted((folder / "published").glob("*-to-???.wav")):
        clip, target = path.stem.rsplit("-to-", 1)
        clean = folder / "clips" / f"{clip}.wav"
        found.append(Job("svc", clip, str(clean), target, PUBLISHED, made=str(path)))
    return found


def network_jobs(folder: Path, count: int | None) -> list[Job]:
    """The embedded clips toward three labels each."""
    everything = network_pairs(folder)
    order = [everything[STRIDE * i % len(everything)] for i in range(len(everything))]
    shown = set(order[:BESIDE])
    chosen = everything if count is None else order[:count]
    return [job for pair in chosen for job in of_pair("cnn", *pair, pair in shown)]


@functools.cache
def network_pairs(folder: Path) -> tuple[tuple[str, str, str], ...]:
    """Clip, path and label of each pair.

    A label's first clip goes toward the labels 1, 4 and 7 further on than what the network hears in it, its
    second toward those 2, 5 and 8 further on: fixed, never by result, and every label is wanted alike.
    """
    from subterfuge.corpora.embedded import clips

    victim = _victim(str(folder))
    found: list[tuple[str, str, str]] = []
    number: dict[str, int] = {}
    for clip in clips():
        number[clip.label] = number.get(clip.label, 0) + 1
        heard = victim.labels.index(plainly(victim, clip.path))
        for turn in range(TARGETS):
            target = (heard + number[clip.label] + 3 * turn) % len(victim.labels)
            found.append((clip.path.stem, str(clip.path), victim.labels[target]))
    return tuple(found)


def of_pair(setting: str, clip: str, path: str, target: str, shown: bool) -> list[Job]:
    """The attacks on one pair."""
    found = [Job(setting, clip, path, target, attack, noise=shown) for attack in ATTACKS]
    return found + [Job(setting, clip, path, target, attack) for attack in OTHERS if shown]


# ---------------------------------------------------------------- the run


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seed_folder", type=Path, help="the seed's data: clips/, published/, svc_irmas.skops")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes, one thread each")
    parser.add_argument("--out", type=Path, default=common.ROOT / "out" / "audibility", help="where files go")
    parser.add_argument("--resume", action="store_true", help="keep the results that are already there")
    parser.add_argument("--pairs", type=int, help="a fixed subset of the pairs of either victim, for a trial")
    parser.add_argument("--steps", type=int, help="of every attack, instead of its default, for a trial")
    parser.add_argument("--seed", type=int, default=0, help="of the attacks' random numbers")
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--victims", nargs="+", choices=SETTINGS, default=SETTINGS, help="only those")
    parser.add_argument("--without-visqol", action="store_true", help="do not ask ViSQOL")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is there")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*ATTACKS, *OTHERS, PUBLISHED),
        metavar="ATTACK",
        help="do these, and take what is there of the others",
    )
    args = parser.parse_args(argv)
    if args.pairs is not None and args.pairs < 1:
        parser.error(f"--pairs: got {args.pairs}, expected at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Attack, judge, measure, write the page; 1 where a bar is missed."""
    from subterfuge.audibility.visqol import check_visqol
    from subterfuge.corpora.embedded import victim_folder

    args = arguments(argv)
    common.one_thread()
    if not args.without_visqol:
        check_visqol()
    folder, out = args.seed_folder.resolve(), args.out.resolve()
    victims = {
        "svc": str(common.import_seed(folder, out / "victim")),
        "cnn": str(victim_folder(NETWORK)),
    }
    task = Task(str(folder), tuple(victims.items()), str(out), args.steps, args.seed, not args.without_visqol)
    jobs = seed_jobs(folder, args.pairs) if "svc" in args.victims else []
    jobs += network_jobs(Path(victims["cnn"]), args.pairs) if "cnn" in args.victims else []
    wanted = (*ATTACKS, *OTHERS, PUBLISHED) if args.only is None else tuple(args.only)
    if args.report:
        wanted = ()
    results = run(jobs, task, args.jobs, wanted, resume=args.resume)
    pairs = {
        setting: [(job.clip, job.target) for job in jobs if (job.setting, job.attack) == (setting, "masked")]
        for setting in args.victims
    }
    trial = f" --pairs {args.pairs}" if args.pairs else ""
    trial += f" --steps {args.steps}" if args.steps else ""
    head = common.header(
        "How audible: the least audible change beside the smallest",
        packages=["skops", "soundfile", "zimtohrli", "visqol-python"],
        command=f".venv/bin/python benchmarks/audibility.py ../shared/seed{trial}",
    )
    text, missed = page(head, results, pairs)
    common.write_page("audibility", text, folder=args.docs)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


def run(
    jobs: Sequence[Job],
    task: Task,
    workers: int,
    wanted: Sequence[str],
    *,
    resume: bool,
    do: Callable[..., dict[str, Any]] = work,
) -> list[dict[str, Any]]:
    """Results of the jobs, in their order, each written as soon as it is there.

    Of attacks that are not wanted, those results that are there already.
    """
    files = {job: Path(task.out) / "results" / f"{job.name}.json" for job in jobs}

    def known(job: Job) -> dict[str, Any] | None:
        found: dict[str, Any] | None = common.read_json(files[job])
        return found if found is not None and found["settings"] == task.settings(job) else None

    waiting = [job for job in jobs if job.attack in wanted and not (resume and known(job))]
    clock = common.Clock()

    def done(number: int, job: Job, result: dict[str, Any]) -> None:
        common.write_json(files[job], result)
        found = result["audibility"]
        told = f"worst {common.db(found['nmr_worst_db'])} dB, SNR {common.db(found['snr_db'])} dB"
        told += f", {result.get('core_seconds', 0):.1f} s{'' if result['verified'] else ', NOT HEARD'}"
        clock.say(f"[{number}/{len(waiting)}] {job.name}: {told}")

    common.carry_out(waiting, functools.partial(do, task=task), workers_=workers, done=done)
    return [result for job in jobs if (result := known(job)) is not None]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
