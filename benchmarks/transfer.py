"""What carries over: from a substitute to the victim it was learnt from, from some clips to unseen ones.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/transfer.py CORPUS --recordings RECORDINGS --resume

CORPUS is the orchestra that the embedded victims were trained on. One JSON file a job under ``--cache``, so
that a run can be stopped and resumed (``--resume``); ``--report`` only writes the page from what is there.
"""

from __future__ import annotations

import argparse
import functools
import math
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import common
from transfer_page import page

VICTIMS = ("orchestra-cnn", "orchestra-svc")
# Of the attack on a substitute, and on a victim in another's place: levels in dB, steps along the gradient.
LEVELS, STEPS = (40.0, 30.0, 20.0), 20
# Queries that a substitute learns from.
QUERIES = (50, 100, 200, 400)
# The whole attack: steps, and clips that it is run on.
WHOLE, FEW = 200, 3
# Universal perturbations: targets, levels that they are learnt and tried at, clips a label.
TARGETS, FITTED, TRIED = ("cel", "org", "voi"), (30.0, 20.0), (50, 40, 35, 30, 25, 20, 15, 10)
LEARN, UNSEEN, UNIVERSAL_STEPS = 6, 5, 150


@dataclass(frozen=True)
class Job:
    """One thing to be measured, of one victim."""

    part: str
    victim: str
    clip: str = ""
    target: str = ""
    access: str = "scores"
    snr_db: float = 0.0

    def file(self, cache: Path) -> Path:
        """Where its result lies."""
        words = (self.victim, Path(self.clip).stem, self.target, self.access, f"{self.snr_db:g}")
        return cache / self.part / f"{'-'.join(words)}.json"


def pairs(count: int) -> list[tuple[str, str]]:
    """Paths of embedded clips, each with one label that it is not; of all 22, each label is wanted twice."""
    from subterfuge.corpora.embedded import clips

    found = clips()
    labels = sorted({clip.label for clip in found})
    shift = {"1": 4, "2": 7}
    every = [
        (str(clip.path), labels[(labels.index(clip.label) + shift[clip.path.stem[-1]]) % len(labels)])
        for clip in found
    ]
    return [every[i * len(every) // count] for i in range(min(count, len(every)))]


def jobs(count: int, few: int, corpus: bool, labels_alone: int) -> list[Job]:
    """Everything, the cheap first."""
    some, network, svc = pairs(count), *VICTIMS
    out = [Job("lent", victim, *pair) for victim in VICTIMS for pair in some]
    if corpus:
        out += [Job("noise", victim) for victim in VICTIMS]
        out += [Job("universal", network, target=t, snr_db=snr) for t in TARGETS for snr in FITTED]
    out += [Job("lesson", victim, *pair) for pair in some for victim in VICTIMS]
    out += [Job("whole", victim, *pair) for pair in pairs(few) for victim in VICTIMS]
    if corpus:
        out += [Job("universal", svc, target=t, snr_db=FITTED[-1]) for t in TARGETS]
    blind = pairs(labels_alone) if labels_alone else []
    return out + [Job("lesson", victim, *pair, access="label") for pair in blind for victim in VICTIMS]


# ---------------------------------------------------------------- what a victim hears


@functools.lru_cache(maxsize=2)
def _victim(name: str) -> Any:
    from subterfuge.victims.store import load_victim

    return load_victim(name)


def sound(perturbation: Any, sr: int) -> Any:
    """A perturbation, shape (samples,), as a file in memory."""
    from subterfuge.audio import AudioFile

    return AudioFile(Path("perturbation.wav"), perturbation[None].float(), sr, "WAV", "FLOAT")


def noise(samples: int, sr: int, seed: int) -> Any:
    """White noise as a file in memory."""
    import torch

    return sound(torch.randn(samples, generator=torch.Generator().manual_seed(seed)), sr)


def heard(path: str, added_: Any, snr_db: float, victims: Iterable[str]) -> dict[str, str]:
    """What victims hear in a file with something in it, as written to disk and read back by librosa."""
    import soundfile

    from subterfuge.audio import load_plain, lossless, read_audio
    from subterfuge.universals import added

    file = lossless(read_audio(path))
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / "heard.wav"
        data = file.data if added_ is None else added(file, added_, snr_db=snr_db)
        soundfile.write(there, data.T.numpy(), file.sr, subtype=file.subtype)
        out = {}
        for name in victims:
            victim = _victim(name)
            hearing = victim.verdict(load_plain(there, victim.sample_rate))
            out[name] = victim.labels[int(hearing.predicted[0])]
    return out


@functools.lru_cache(maxsize=1000)
def before(path: str, name: str) -> str:
    """What a victim hears in the clip itself."""
    return heard(path, None, 0, [name])[name]


def nudge(victim: Any, y: Any, label: int | str, snr_db: float) -> tuple[Any, bool]:
    """Follow a victim's gradient at a fixed level, and whether that victim is fooled at last."""
    from subterfuge.attacks.universal import universal
    from subterfuge.criteria import Targeted

    # One perturbation for one clip, that begins with it and is as long.
    found = universal(
        victim,
        [y[0]],
        Targeted(label),
        seconds=y.shape[1] / victim.sample_rate,
        snr_db=snr_db,
        steps=STEPS,
        batch=1,
        shifts=False,
    )
    return sound(found.perturbation.detach(), victim.sample_rate), bool(found.trace[-1])


# ---------------------------------------------------------------- the jobs


def lent(job: Job, seed: int) -> dict[str, Any]:
    """What is made on a victim itself, heard by it and by the other, and noise of the same loudness."""
    from subterfuge.audio import load_plain

    victim = _victim(job.victim)
    y = load_plain(job.clip, victim.sample_rate)
    out: dict[str, Any] = {"before": before(job.clip, job.victim), "made": {}, "noise": {}, "steps": STEPS}
    hiss = noise(y.shape[1], victim.sample_rate, seed)
    for snr in LEVELS:
        made, _ = nudge(victim, y, job.target, snr)
        out["made"][f"{snr:g}"] = heard(job.clip, made, snr, VICTIMS)
        out["noise"][f"{snr:g}"] = heard(job.clip, hiss, snr, [job.victim])[job.victim]
    return out


def lesson(job: Job, seed: int) -> dict[str, Any]:
    """A substitute after so many queries, attacked at each level; the victim hears the result once."""
    import torch

    from subterfuge.attacks.blackbox.surrogate import substitutes
    from subterfuge.attacks.oracle import Oracle
    from subterfuge.audio import load_plain
    from subterfuge.criteria import Targeted

    victim = _victim(job.victim)
    y = load_plain(job.clip, victim.sample_rate)
    asked = Oracle(victim, access=job.access)
    generator = torch.Generator().manual_seed(seed)
    out: dict[str, Any] = {}
    taught = substitutes(asked, y, Targeted(job.target), after=QUERIES, generator=generator)
    for queries, substitute in zip(QUERIES, taught, strict=False):
        one = out[str(queries)] = {"heard": {}, "fooled": {}}
        for snr in LEVELS:
            made, one["fooled"][f"{snr:g}"] = nudge(substitute, y, 1, snr)
            one["heard"][f"{snr:g}"] = heard(job.clip, made, snr, [job.victim])[job.victim]
    return {"after": out}


def whole(job: Job, seed: int) -> dict[str, Any]:
    """The attack itself, which asks about what it finds: its SNR after so many queries."""
    import torch

    from subterfuge.attacks.blackbox.surrogate import surrogate
    from subterfuge.attacks.oracle import Oracle
    from subterfuge.audio import load_plain
    from subterfuge.criteria import Targeted

    victim = _victim(job.victim)
    y = load_plain(job.clip, victim.sample_rate)
    generator = torch.Generator().manual_seed(seed)
    outcome = surrogate(
        Oracle(victim, access=job.access), y, Targeted(job.target), steps=WHOLE, generator=generator
    )
    snrs = {}
    for queries in (one for one in QUERIES if one <= WHOLE):
        distance = float(outcome.trace[0, min(queries, outcome.trace.shape[1]) - 1])
        snrs[str(queries)] = 20 * math.log10(float(y.norm()) / distance) if distance < math.inf else None
    return {"snr_db": snrs, "interrupted": outcome.interrupted}


@functools.lru_cache(maxsize=1)
def _split(corpus: str, recordings: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Paths and labels: clips to learn from, rendered ones and recordings that no victim was trained on.

    One clip a recording. The embedded victims' own split (seed 0) says what is held out; the last
    recordings of each label are in neither victim's training.
    """
    from subterfuge.corpora.folder import read
    from subterfuge.training.splits import hold_out

    found = read(Path(corpus)).clips
    side = hold_out([clip.label for clip in found], [clip.recording for clip in found], seed=0)

    def some(indices: Any, count: int, last: bool) -> tuple[tuple[str, str], ...]:
        out = []
        for label in sorted({clip.label for clip in found}):
            mine = {found[i].recording: found[i] for i in indices if found[i].label == label}
            chosen = list(mine.values())[-count:] if last else list(mine.values())[:count]
            out += [(str(clip.path), label) for clip in chosen]
        return tuple(out)

    real = []
    for folder in sorted(one for one in Path(recordings).iterdir() if one.is_dir()) if recordings else ():
        # The other half was looked at while the victims' recipe was made.
        real += [(str(path), folder.name) for path in sorted(folder.iterdir())[1::2]]
    return some(side.train, LEARN, False), some(side.test, UNSEEN, True), tuple(real)


def universal_(job: Job, seed: int, corpus: str, recordings: str) -> dict[str, Any]:
    """One perturbation learnt at one level (or noise), in unseen clips at every level: what is heard."""
    import torch

    from subterfuge.attacks.universal import universal
    from subterfuge.audio import load_plain
    from subterfuge.criteria import Targeted
    from subterfuge.resampling import resample

    victim = _victim(job.victim)
    learn, *unseen = _split(corpus, recordings)
    trace: tuple[float, ...] = ()
    if job.part == "noise":
        shape = noise(victim.sample_rate, victim.sample_rate, seed)
    else:
        waves = [load_plain(path, victim.sample_rate)[0] for path, label in learn if label != job.target]
        found = universal(
            victim,
            waves,
            Targeted(job.target),
            snr_db=job.snr_db,
            steps=UNIVERSAL_STEPS,
            generator=torch.Generator().manual_seed(seed),
        )
        shape, trace = sound(found.perturbation.detach(), victim.sample_rate), found.trace
    # Once for all files of that rate.
    shape = sound(resample(shape.data, orig_sr=shape.sr, target_sr=common.SAMPLE_RATE)[0], common.SAMPLE_RATE)
    out: dict[str, Any] = {"learnt_from": len(learn), "trace": trace[-10:], "heard": {}}
    for kind, some in zip(("rendered", "recordings"), unseen, strict=True):
        out["heard"][kind] = [
            {
                "label": label,
                "before": before(path, job.victim),
                **{str(snr): heard(path, shape, snr, [job.victim])[job.victim] for snr in TRIED},
            }
            for path, label in some
            if label != job.target
        ]
    return out


def work(job: Job, corpus: str, recordings: str, seed: int) -> dict[str, Any]:
    """Do one job."""
    common.one_thread()
    began = time.process_time()
    if job.part in ("universal", "noise"):
        found = universal_(job, seed, corpus, recordings)
    else:
        found = {"lent": lent, "lesson": lesson, "whole": whole}[job.part](job, seed)
    job_ = {**asdict(job), "clip": Path(job.clip).stem, "seed": seed}
    return {**job_, **found, "core_seconds": round(time.process_time() - began, 2)}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("corpus", type=Path, nargs="?", help="the orchestra, a folder a class; without it no universal ones")
    add("--recordings", type=Path, help="real recordings, a folder a class, to try universal ones on too")
    add("--pairs", type=int, default=11, help="clips (of 22) of which a substitute is learnt")
    add("--whole", type=int, default=FEW, help="clips that the whole attack is run on")
    add("--label", type=int, default=0, help="clips of which a substitute is learnt from labels alone")
    add("--only", nargs="+", metavar="PART", help="lent, noise, universal, lesson or whole")
    add("--jobs", type=int, default=1, help="worker processes, one thread each")
    add("--resume", action="store_true", help="keep the results that are already there")
    add("--report", action="store_true", help="run nothing, write the page from what is there")
    add("--cache", type=Path, default=common.ROOT / "out" / "transfer", help="where results go")
    add("--docs", type=Path, default=common.DOCS, help="where the page goes")
    add("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, write the page."""
    args = arguments(argv)
    cache, clock = args.cache.resolve(), common.Clock()
    wanted = jobs(args.pairs, args.whole, args.corpus is not None, args.label)
    wanted = [job for job in wanted if not args.only or job.part in args.only]
    if args.resume:
        wanted = [job for job in wanted if not job.file(cache).is_file()]

    def done(number: int, job: Job, result: dict[str, Any]) -> None:
        if not result.get("interrupted"):
            common.write_json(job.file(cache), result)
        clock.say(f"[{number}/{len(wanted)}] {job.file(cache).stem}, {result['core_seconds']:.1f} core-s")

    if not args.report:
        corpus, recordings = (str(one.resolve()) if one else "" for one in (args.corpus, args.recordings))
        do = functools.partial(work, corpus=corpus, recordings=recordings, seed=args.seed)
        common.carry_out(wanted, do, workers_=args.jobs, done=done)
    found = [common.read_json(path) for path in sorted(cache.glob("*/*.json"))]
    command = ".venv/bin/python benchmarks/transfer.py ORCHESTRA --recordings RECORDINGS"
    common.write_page("transfer", page(found, command), folder=args.docs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
