"""Black-box attacks side by side: ours and the peers', the same victim, the same pairs, every query counted.

Run with the environment that ``make bench`` builds::

    .venv-bench/bin/python benchmarks/blackbox.py ../shared/seed --jobs 2 --resume

One JSON file a contestant and pair, so that a run can be stopped and resumed (``--resume``); ``--report``
only writes the page from what is there. One run of an attack is read off at every budget below its own.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
from blackbox_contestants import Contestant, attempt, contestants, stub
from blackbox_page import page
from door import Door
from whitebox import _victim, _waveform, plain_judge

MARKS = (100, 300, 700, 1000, 2300, 3000, 3400, 10000)


@dataclass(frozen=True)
class Job:
    """One attack on one pair, with its longest budget or another."""

    attack: str
    budget: int
    pair: common.Pair

    def file(self, cache: Path) -> Path:
        """Where its result lies."""
        return cache / self.attack / str(self.budget) / f"{self.pair.key}.json"


def work(job: Job, victim_folder: str, seed_folder: str, cache: str, seed: int) -> dict[str, Any]:
    """Run one job and judge it; never raises for what an attack does wrong."""
    import torch

    common.one_thread()
    stub()
    victim = _victim(victim_folder)
    (one,) = contestants([job.attack])
    y = torch.from_numpy(_waveform(job.pair.path))
    marks = [mark for mark in MARKS if mark < job.budget] + [job.budget]
    door = Door(victim, y, job.pair.target, access=one.access, marks=marks)
    error = None
    started = time.process_time()
    try:
        attempt(one, door, job.budget, seed=seed)
    except Exception as problem:  # a peer that cannot run is a line of the table, not the end of it
        error = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
    seconds = time.process_time() - started
    file = job.file(Path(cache)).with_suffix(".wav")
    snr = door.judged(plain_judge(seed_folder), file)
    return {
        "attack": job.attack,
        "access": one.access,
        "budget": job.budget,
        "clip": job.pair.clip,
        "target": common.LABELS[job.pair.target],
        "queries": door.queries,
        "snr_db": {str(mark): value for mark, value in snr.items()},
        "seconds": seconds,
        "error": error,
        "library": one.distribution and f"{one.distribution} {common.version(one.distribution)}",
        "seed": seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def load(cache: Path) -> list[tuple[Contestant, int, list[dict[str, Any]]]]:
    """All results that are there: contestant, budget, one result a pair."""
    found = []
    for one in contestants(None):
        for folder in sorted((cache / one.name).glob("*"), key=lambda folder: int(folder.name)):
            results = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
            if results:
                found.append((one, int(folder.name), results))
    return found


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seed_folder", type=Path, help="the seed's data: clips/ and svc_irmas.skops")
    parser.add_argument(
        "--pairs", type=int, help="so many of the 40 pairs, instead of each contestant's own number"
    )
    parser.add_argument("--budget", type=int, help="queries, instead of each contestant's own")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes, one thread each")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these contestants")
    parser.add_argument("--resume", action="store_true", help="keep the results that are already there")
    parser.add_argument(
        "--report", action="store_true", help="run nothing, write the page from what is there"
    )
    parser.add_argument(
        "--cache", type=Path, default=common.ROOT / "out" / "blackbox", help="where results go"
    )
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--seed", type=int, default=0, help="of every attack's random numbers")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, write the page; 1 where ours misses what it promises."""
    args = arguments(argv)
    common.one_thread()
    seed_folder, cache = str(args.seed_folder.resolve()), args.cache.resolve()
    if not args.report:
        heard = [plain_judge(seed_folder)(_waveform(str(path))) for path in common.clips(args.seed_folder)]
        jobs = [
            Job(one.name, args.budget or one.most, pair)
            for one in contestants(args.only)
            for pair in common.pairs(args.seed_folder, heard=heard, count=args.pairs or one.pairs)
        ]
        if args.resume:
            jobs = [job for job in jobs if not job.file(cache).is_file()]
        victim = str(common.import_seed(args.seed_folder, cache / "victim"))
        clock = common.Clock()

        def done(number: int, job: Job, result: dict[str, Any]) -> None:
            common.write_json(job.file(cache), result)
            got = result["snr_db"][str(job.budget)]
            said = result["error"] or ("failed" if got is None else f"{got:.1f} dB")
            clock.say(
                f"[{number}/{len(jobs)}] {job.attack} {job.pair.key}: {said}, {result['seconds']:.0f} core-s"
            )

        do = functools.partial(
            work, victim_folder=victim, seed_folder=seed_folder, cache=str(cache), seed=args.seed
        )
        common.carry_out(jobs, do, workers_=args.jobs, done=done)
    text, missed = page(load(cache), ".venv-bench/bin/python benchmarks/blackbox.py ../shared/seed")
    common.write_page("blackbox", text, folder=args.docs)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
