"""White-box attacks side by side: ours and the peers', the same victim, the same pairs, the same budgets.

Run with the environment that ``make bench`` builds::

    .venv-bench/bin/python benchmarks/whitebox.py ../shared/seed --pairs 12 --jobs 2 --resume

Every result goes into one JSON file per attack, budget and pair, so a run can be stopped, resumed
(``--resume``) and merged with another by copying files; ``--report`` only writes the page from what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import common
from contestants import Contestant, attempt, contestants
from metering import Meter
from whitebox_page import Row, page

INF = float("inf")


@dataclass(frozen=True)
class Job:
    """One attack on one pair with one budget."""

    attack: str
    budget: int
    pair: common.Pair

    def file(self, cache: Path) -> Path:
        """Where its result lies."""
        return cache / self.attack / str(self.budget) / f"{self.pair.key}.json"


# ---------------------------------------------------------------- one job, in a worker


@functools.lru_cache(maxsize=1)
def _victim(folder: str) -> Any:
    from subterfuge.victims.store import load_victim

    return load_victim(Path(folder))


@functools.lru_cache(maxsize=1)
def _pipeline(seed_folder: str) -> Any:
    return common.plain_pipeline(Path(seed_folder))


@functools.lru_cache(maxsize=8)
def _waveform(path: str) -> np.ndarray:
    return common.load_waveform(path)


def plain_judge(seed_folder: str) -> Callable[[np.ndarray], int]:
    """What the seed's own pipeline hears in a waveform, by librosa's features."""
    model = _pipeline(seed_folder)
    return lambda y: int(model.predict(common.plain_features(y)[None])[0])


@functools.lru_cache(maxsize=64)
def _warm(attack: str, victim_folder: str) -> None:
    """One query on a short clip before the clock starts, so that no attack pays for imports."""
    import torch

    (one,) = contestants([attack])
    victim = _victim(victim_folder)
    clip = torch.linspace(-0.5, 0.5, victim.sample_rate // 4)
    with contextlib.suppress(Exception):  # what fails here fails again, and is told, on the clock
        attempt(one, victim, Meter(clip, 0, 2), seed=0)


def work(job: Job, victim_folder: str, seed_folder: str, seed: int) -> dict[str, Any]:
    """Run one job and judge it; never raises for what an attack does wrong."""
    import torch

    common.one_thread()
    victim = _victim(victim_folder)
    y = torch.from_numpy(_waveform(job.pair.path))
    meter = Meter(y, job.pair.target, job.budget)
    (one,) = contestants([job.attack])
    error = None
    _warm(job.attack, victim_folder)
    started = time.process_time()
    try:
        attempt(one, victim, meter, seed=seed)
    except Exception as problem:  # a peer that cannot run is a line of the table, not the end of it
        error = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
    seconds = time.process_time() - started
    judged = meter.judged(plain_judge(seed_folder))
    norm = INF if judged is None else judged[0]
    snr = -INF if judged is None else common.snr_db(y.numpy(), judged[1])
    return {
        "attack": job.attack,
        "budget": job.budget,
        "clip": job.pair.clip,
        "target": common.LABELS[job.pair.target],
        "success": judged is not None,
        "norm": None if judged is None else norm,
        "snr_db": None if judged is None else snr,
        "norm_before_judgement": None if meter.best_norm == INF else meter.best_norm,
        "forward": meter.forward,
        "backward": meter.backward,
        "seconds": seconds,
        "improvements": [[passes, round(found, 6)] for passes, found in meter.improvements],
        "error": error,
        "library": one.distribution and f"{one.distribution} {common.version(one.distribution)}",
        "seed": seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


# ---------------------------------------------------------------- the run


def done(file: Path) -> bool:
    """Whether a result is there and is more than the word that the attack could not run."""
    return file.is_file() and json.loads(file.read_text())["error"] is None


def load(
    cache: Path, everyone: Sequence[Contestant], budgets: Sequence[int], pairs: Sequence[common.Pair]
) -> tuple[dict[int, list[Row]], dict[str, str]]:
    """Complete rows for each budget, and what is there of the incomplete ones."""
    rows: dict[int, list[Row]] = {budget: [] for budget in budgets}
    partial: dict[str, str] = {}
    for budget in budgets:
        for one in everyone:
            files = [Job(one.name, budget, pair).file(cache) for pair in pairs]
            results = [json.loads(file.read_text()) for file in files if file.is_file()]
            if len(results) == len(pairs):
                rows[budget].append(Row(one, results))
            elif results:
                partial[f"{one.title} at {budget}"] = f"{len(results)} of {len(pairs)} pairs"
    return rows, partial


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seed_folder", type=Path, help="the seed's data: clips/ and svc_irmas.skops")
    parser.add_argument("--pairs", type=int, help="a fixed subset of so many of the 40 pairs")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 300, 1000], help="gradient queries")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes, one thread each")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these attacks")
    parser.add_argument("--resume", action="store_true", help="keep the results that are already there")
    parser.add_argument(
        "--report", action="store_true", help="run nothing, write the page from what is there"
    )
    parser.add_argument(
        "--cache", type=Path, default=common.ROOT / "out" / "whitebox", help="where results go"
    )
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--seed", type=int, default=0, help="of every attack's random numbers")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, write the page; 1 where our default misses what it promises."""
    args = arguments(argv)
    common.one_thread()
    everyone = contestants(args.only)
    seed_folder, cache = str(args.seed_folder.resolve()), args.cache.resolve()
    heard = [plain_judge(seed_folder)(_waveform(str(path))) for path in common.clips(args.seed_folder)]
    pairs = common.pairs(args.seed_folder, heard=heard, count=args.pairs)
    if not args.report:
        victim_folder = str(common.import_seed(args.seed_folder, cache / "victim"))
        jobs = [Job(one.name, b, pair) for b in args.budgets for pair in pairs for one in everyone]
        if args.resume:
            jobs = [job for job in jobs if not done(job.file(cache))]
        run(
            jobs,
            cache,
            args.jobs,
            functools.partial(work, victim_folder=victim_folder, seed_folder=seed_folder, seed=args.seed),
        )
    rows, partial = load(cache, contestants(None), args.budgets, pairs)
    subset = f" --pairs {args.pairs}" if args.pairs else ""
    command = f".venv-bench/bin/python benchmarks/whitebox.py ../shared/seed{subset}"
    text, drawing, missed = page(rows, partial, pairs, command)
    common.write_page("whitebox", text, folder=args.docs)
    (args.docs / "whitebox.svg").write_text(drawing, encoding="utf-8")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


def run(jobs: Sequence[Job], cache: Path, workers: int, do: Callable[[Job], dict[str, Any]]) -> None:
    """Run the jobs, each result to its file as soon as it is there."""
    started = time.monotonic()
    with common.workers(workers) as pool:
        futures = {pool.submit(do, job): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                job, result = futures[future], future.result()
                common.write_json(job.file(cache), result)
                got = f"{result['snr_db']:.1f} dB" if result["success"] else result["error"] or "failed"
                minutes = (time.monotonic() - started) / 60
                where = f"[{number}/{len(jobs)}, {minutes:.0f} min]"
                print(
                    f"{where} {job.attack} {job.budget} {job.pair.key}: {got} "
                    f"({result['seconds']:.1f} s, {result['forward']}+{result['backward']})",
                    file=sys.stderr,
                    flush=True,
                )
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise SystemExit("stopped; run again with --resume to go on") from None


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
