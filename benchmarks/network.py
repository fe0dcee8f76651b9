"""White-box `minimal` on the embedded network: every embedded clip toward every other label, files on disk.

    .venv/bin/python benchmarks/network.py [--steps 500] [--workers 2] [--victim orchestra-svc]

Each pair goes through the file-in, verified-file-out path, and the file that was written is judged once more,
read by librosa. Every result is one line in a file under ``out/network`` (``--work``): a run that was ended
goes on where it was; ``--report`` only writes the page from what is there. Exits 1 where the network's bars
are missed.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

INF = float("inf")
NETWORK = "orchestra-cnn"
# The bars: share of pairs verified, median SNR in dB.
VERIFIED, MEDIAN_DB = 0.99, 44.0
PUBLISHED_DB = 44.2  # mean of Prinz, Flexer and Widmer (2021)
# What 220 pairs leave time for in a quarter of an hour on two cores.
STEPS = 500
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

HOW = """
The {clips} embedded clips ({seconds:g} s, FLAC, 16 bit), none of which a victim was trained on, toward each
of the {targets} labels that they are not: {pairs} pairs. `minimal`, files in the clip's own format out. Every
figure is of the file on disk: what the victim hears in it, read by `librosa.load` at the victim's rate; its
SNR over all channels of both files. Core-seconds include reading, writing and verifying. A failure counts as
−∞ dB in the median and the quantiles; the mean is over the verified alone.
"""
PEER = """
For orientation: the best mean SNR published for targeted attacks on a convolutional instrument classifier is
{db} dB (Prinz, Flexer and Widmer, 2021), on a network and clips of their own.
"""
LIMIT = """
{steps:,} steps are what all pairs leave time for in a quarter of an hour on two cores; the attack's own
default is 1,000 (`--steps`).
"""


@dataclass(frozen=True)
class Job:
    """One clip toward one label."""

    victim: str
    weights: str
    clip: str
    path: str
    label: str
    target: str
    steps: int
    seed: int
    out: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells its result from others'."""
        return (self.weights, self.clip, self.target, self.steps, self.seed)


# ---------------------------------------------------------------- one job, in a worker


@functools.lru_cache(maxsize=2)
def _victim(name: str) -> Any:
    """The victim, once it has heard a clip: no pair pays for what is loaded at the first."""
    import torch

    from subterfuge.victims.store import load_victim

    victim = load_victim(name)
    victim.verdict(torch.linspace(-0.5, 0.5, victim.sample_rate)[None])
    return victim


def work(job: Job) -> dict[str, Any]:
    """Attack one clip, then judge the file that was written."""
    import librosa
    import soundfile
    import torch

    from subterfuge.attacks.workbench import attack_file
    from subterfuge.criteria import Targeted

    common.one_thread()
    victim = _victim(job.victim)
    began, wall = time.process_time(), time.monotonic()
    record = attack_file(
        job.path,
        victim=victim,
        victim_name=Path(job.victim).name,
        criterion=Targeted(job.target),
        attack="minimal",
        steps=job.steps,
        seed=job.seed,
        out=job.out,
    )
    seconds, wall = time.process_time() - began, time.monotonic() - wall
    y, _ = librosa.load(record.output, sr=victim.sample_rate)
    heard = victim.labels[int(victim.verdict(torch.from_numpy(y)[None]).predicted[0])]
    clean, changed = (soundfile.read(path, always_2d=True)[0] for path in (job.path, record.output))
    one, two = (soundfile.info(path) for path in (job.path, record.output))
    return {
        "key": list(job.key),
        "victim": Path(job.victim).name,
        "clip": job.clip,
        "label": job.label,
        "heard_before": record.predicted_before,
        "target": job.target,
        "steps": job.steps,
        "claimed": record.success,
        "heard": heard,
        "verified": heard == job.target and record.success,
        "snr_db": common.snr_db(clean, changed),
        "same_format": all(
            getattr(one, what) == getattr(two, what)
            for what in ("samplerate", "channels", "frames", "subtype", "format")
        ),
        "core_seconds": round(seconds, 3),
        "seconds": round(wall, 3),
        "queries": record.queries,
        "notes": record.notes,
    }


def jobs_of(victim: str, *, steps: int, seed: int, work_: Path, pairs: int | None = None) -> list[Job]:
    """Every clip toward every other label; or every 17th of these, round and round, for a trial."""
    from subterfuge.corpora.embedded import clips
    from subterfuge.victims.store import victim_info

    info = victim_info(victim)
    everything = [
        Job(
            victim=victim,
            weights=info.sha256[:16],
            clip=clip.recording,
            path=str(clip.path),
            label=clip.label,
            target=target,
            steps=steps,
            seed=seed,
            out=str(work_ / "files" / info.name),
        )
        for clip in clips()
        for target in info.labels
        if target != clip.label
    ]
    if pairs is None or pairs >= len(everything):
        return everything
    stride = next(n for n in (17, 19, 23, 29) if len(everything) % n)
    return [everything[stride * i % len(everything)] for i in range(pairs)]


# ---------------------------------------------------------------- the page


@dataclass(frozen=True)
class Group:
    """All pairs of one victim at one number of steps."""

    victim: str
    steps: int
    results: list[dict[str, Any]]

    @property
    def snrs(self) -> list[float]:
        """SNR of each pair in dB; minus infinity where it failed."""
        return [one["snr_db"] if one["verified"] else -INF for one in self.results]

    @property
    def verified(self) -> float:
        """Share of the pairs."""
        return statistics.fmean(bool(one["verified"]) for one in self.results)


def missed_bars(group: Group) -> list[str]:
    """The bars that a group misses, each in words."""
    median = common.median_with_failures(group.snrs)
    missed = []
    if group.verified < VERIFIED:
        missed.append(f"verified: {group.verified:.1%}, wanted {VERIFIED:.0%}")
    if median < MEDIAN_DB:
        missed.append(f"median SNR: {common.db(median)} dB, wanted {MEDIAN_DB:g} dB")
    return missed


def figures(groups: Sequence[Group]) -> str:
    """One column a group."""
    rows: list[list[object]] = []

    def add(name: str, values: list[str]) -> None:
        rows.append([name, *values])

    def most(group: Group, name: str) -> str:
        values = [
            one[name] if name == "core_seconds" else one["queries"][name.partition(" ")[0]]
            for one in group.results
        ]
        return f"{statistics.median(values):,.1f} ({max(values):,.1f})".replace(".0", "")

    add("pairs", [str(len(group.results)) for group in groups])
    add(
        "verified from disk",
        [f"{sum(one['verified'] for one in g.results)} ({g.verified:.1%})" for g in groups],
    )
    add("same format", [str(sum(one["same_format"] for one in g.results)) for g in groups])
    add("median SNR, dB", [common.db(common.median_with_failures(g.snrs)) for g in groups])
    add(
        "mean SNR of the verified, dB",
        [common.db(statistics.fmean([x for x in g.snrs if x > -INF] or [-INF])) for g in groups],
    )
    add("least SNR, dB", [common.db(min(g.snrs)) for g in groups])
    add("greatest SNR, dB", [common.db(max(g.snrs)) for g in groups])
    for q in QUANTILES:
        add(
            f"{q:.0%} of pairs at or under, dB",
            [common.db(common.quantile_with_failures(g.snrs, q)) for g in groups],
        )
    add("core-seconds a pair, median (most)", [most(g, "core_seconds") for g in groups])
    for way in ("forward", "backward"):
        add(f"{way} queries, median (most)", [most(g, way) for g in groups])
    head = ["", *(f"{g.victim}, {g.steps:,} steps" for g in groups)]
    return common.table(head, rows)


def matrix(group: Group) -> str:
    """SNR of each clip toward each label."""
    labels = sorted({one["target"] for one in group.results} | {one["label"] for one in group.results})
    found = {(one["clip"], one["target"]): one for one in group.results}
    rows = []
    for clip in sorted({one["clip"] for one in group.results}):
        cells = []
        for label in labels:
            one = found.get((clip, label))
            if one is None:
                cells.append("·")
            else:
                cells.append(common.db(one["snr_db"]) if one["verified"] else "**failed**")
        rows.append([f"`{clip}`", *cells])
    return common.table(["clip", *labels], rows)


def page(groups: Sequence[Group], *, command: str, clip_seconds: float = 3.0) -> tuple[str, list[str]]:
    """The page, and the bars that the network missed with the most steps that it was given."""
    first = groups[0]
    clips = len({one["clip"] for one in first.results})
    text = common.header("White-box attacks on the embedded victims", packages=["soundfile"], command=command)
    text += HOW.format(
        clips=clips,
        seconds=clip_seconds,
        targets=len({one["target"] for one in first.results}) - 1,
        pairs=len(first.results),
    )
    text += "\n" + figures(groups)
    networks = [group for group in groups if group.victim == NETWORK]
    missed = missed_bars(max(networks, key=lambda group: group.steps)) if networks else []
    if networks:
        text += (
            f"\nBars of `{NETWORK}`: at least {VERIFIED:.0%} verified, a median SNR of at least "
            f"{MEDIAN_DB:g} dB. " + (f"Missed: {'; '.join(missed)}.\n" if missed else "Both met.\n")
        )
    text += PEER.format(db=PUBLISHED_DB)
    if any(group.steps == STEPS for group in groups):
        text += LIMIT.format(steps=STEPS)
    for group in groups:
        text += f"\n## SNR in dB, `{group.victim}`, {group.steps:,} steps, clip by wanted label\n\n"
        text += matrix(group)
    return text, missed


def groups_in(lines: Sequence[dict[str, Any]], wanted: dict[str, list[Job]]) -> list[Group]:
    """What is complete: for each victim, each number of steps of which every pair is there."""
    groups = []
    for victim, jobs in wanted.items():
        by_key = {tuple(one["key"]): one for one in lines}
        every = {one["steps"] for one in lines if one["victim"] == victim}
        for steps in sorted(every):
            keys = [(job.weights, job.clip, job.target, steps, job.seed) for job in jobs]
            if jobs and all(key in by_key for key in keys):
                groups.append(Group(victim, steps, [by_key[key] for key in keys]))
    return groups


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--victim", action="append", help=f"name or folder, as often as there are (default: {NETWORK})")
    add("--steps", type=int, default=STEPS, help=f"of the attack (default: {STEPS})")
    add("--pairs", type=int, help="a fixed subset, for a trial; no page is written")
    add("--workers", type=int, default=2, help="processes, one thread each")
    add("--seed", type=int, default=0)
    add("--work", type=Path, default=common.ROOT / "out" / "network", help="where results are kept")
    add("--docs", type=Path, default=common.DOCS, help="where the page goes")
    add("--report", action="store_true", help="run nothing, write the page from what is there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is not there yet, write the page; 1 where the network misses a bar."""
    args = arguments(argv)
    victims = args.victim or [NETWORK]
    store, clock = args.work / "results.jsonl", common.Clock()
    done = {tuple(one["key"]) for one in common.read_lines(store)}
    jobs = [
        job
        for victim in victims
        for job in jobs_of(victim, steps=args.steps, seed=args.seed, work_=args.work, pairs=args.pairs)
        if job.key not in done
    ]

    def told(number: int, job: Job, result: dict[str, Any]) -> None:
        if not any(note.startswith("interrupted") for note in result["notes"]):
            common.append_line(store, result)
        got = f"{result['snr_db']:.1f} dB" if result["verified"] else f"failed, heard as {result['heard']}"
        left = clock.seconds / number * (len(jobs) - number) / 60
        clock.say(
            f"{number} of {len(jobs)}, about {left:.1f} min left: {Path(job.victim).name} {job.clip} to "
            f"{job.target}: {got} ({result['core_seconds']:.1f} core-s)"
        )

    if not args.report:
        clock.say(f"{len(jobs)} pairs to do, {len(done)} results there")
        common.carry_out(jobs, work, workers_=args.workers, done=told)
    if args.pairs is not None:
        return 0
    every = {
        Path(victim).name: jobs_of(victim, steps=args.steps, seed=args.seed, work_=args.work)
        for victim in victims
    }
    groups = groups_in(common.read_lines(store), every)
    if not groups:
        print(f"nothing is complete in {store}, so there is no page", file=sys.stderr)
        return 1
    also = "".join(f" --victim {victim}" for victim in args.victim or ())
    steps = "" if args.steps == STEPS else f" --steps {args.steps}"
    command = f".venv/bin/python benchmarks/network.py --workers {args.workers}{steps}{also}"
    text, missed = page(groups, command=command)
    common.write_page("network", text, folder=args.docs)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
