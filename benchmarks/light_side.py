"""What every defence buys, for both of the shipped classifiers, against an attacker who knows it.

Run on an orchestra and on real recordings::

    subterfuge corpus build orchestra --clips 1200 --seed 10 --out orchestra
    python benchmarks/light_side.py orchestra --recordings ../shared/recordings

The trained defences are made first (in ``--cache``; hours on one core, most of them for the network), by the
function behind ``subterfuge defend``; the others are wrapped round the two. What was measured of a clip is
kept there as it comes, so that a run can be stopped and gone on with, or be shared out by ``--only``.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import common
import light_side_page

RANDOM = {"draws": 4}


@dataclass(frozen=True)
class Trial:
    """A victim: one of a family, wrapped, or trained from another; attacked on one clip in so many."""

    name: str
    family: str
    title: str
    wrapped: tuple[str, ...] = ()
    train: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    base: str = ""
    every: int = 1


def wraps(family: str) -> list[Trial]:
    """Each defence that goes before the ears, with its defaults."""
    from subterfuge.defences.registry import DEFENCES

    found = []
    for name, entry in DEFENCES.items():
        if entry.kind not in ("wrap", "smooth"):
            continue
        draws = entry.adaptive == "expectation"
        found.append(
            Trial(
                f"{family}-{name}",
                family,
                entry.about,
                wrapped=(name,),
                options=RANDOM if draws else {},
                base=f"{family}-plain",
                every=2,
            )
        )
    return found


def trials() -> list[Trial]:
    """All there are."""
    rounds = {"rounds": 2, "clips": 200, "steps": 6}
    taught = {"clips": 1500, "epochs": 8, "steps": 3}
    return [
        Trial("svc-plain", "svc", "no defence", train="hardened-features", options={"features": "librosa25"}),
        *wraps("svc"),
        Trial("svc-trained-noise", "svc", "noise in the training, as the seed's", train="noise-training"),
        Trial(
            "svc-trained-denoise", "svc", "fitted on, and fed with, filtered clips", train="denoise-training"
        ),
        Trial(
            "svc-adversarial",
            "svc",
            "adversarial augmentation at 40 dB",
            train="adversarial-augmentation",
            options={"snr_db": 40.0, **rounds},
            base="svc-plain",
        ),
        Trial("svc-hardened", "svc", "hardened features", train="hardened-features", options={"tune": 6}),
        Trial(
            "svc-combined",
            "svc",
            "hardened features, adversarial augmentation at 20 dB",
            train="hardened-adversarial",
            options={"snr_db": 20.0, **rounds},
            base="svc-hardened",
        ),
        Trial(
            "svc-ensemble",
            "svc",
            "a vote of three: this one, that on hardened features, the network",
            wrapped=("ensemble",),
            options={"others": "{svc-hardened},orchestra-cnn"},
            base="svc-plain",
        ),
        Trial("cnn-plain", "cnn", "no defence"),
        *wraps("cnn"),
        Trial(
            "cnn-pgd",
            "cnn",
            "adversarial training at 30 dB (PGD)",
            train="adversarial-training",
            options={"snr_db": 30.0, **taught},
        ),
        Trial(
            "cnn-eased",
            "cnn",
            "the same, taught on at 36 dB",
            train="adversarial-training",
            options={"snr_db": 36.0, "clips": 2500, "epochs": 5, "steps": 3},
            base="cnn-pgd",
        ),
        Trial(
            "cnn-veiled",
            "cnn",
            "the last, taught on against all that is up to 6 dB over the masking threshold",
            train="adversarial-training",
            options={"norm": "masked", "nmr_db": 6.0, "clips": 2000, "epochs": 4, "steps": 3},
            base="cnn-eased",
        ),
        Trial(
            "cnn-longer",
            "cnn",
            "the last, taught on for longer, up to 8 dB over the threshold",
            train="adversarial-training",
            options={"norm": "masked", "nmr_db": 8.0, "clips": 2500, "epochs": 8, "steps": 3},
            base="cnn-veiled",
        ),
        Trial(
            "cnn-combined",
            "cnn",
            "the one taught on at 36 dB, and a vote over noise",
            wrapped=("smoothing",),
            options=RANDOM,
            base="cnn-eased",
            every=2,
        ),
    ]


def folder_of(name: str, args: argparse.Namespace) -> str:
    """The victim's folder or shipped name, made if it is not there."""
    from subterfuge.defences.defend import defend

    trial = next(one for one in trials() if one.name == name)
    if not trial.train and not trial.wrapped:
        return f"orchestra-{trial.family}"
    out = args.cache / "victims" / name
    if not (out / "victim.json").is_file():
        base = folder_of(trial.base, args) if trial.base else f"orchestra-{trial.family}"
        defend(base, train=trial.train, corpus=args.corpus, out=out, options=trial.options, seed=args.seed)
    return str(out)


def victim_of(trial: Trial, args: argparse.Namespace) -> Any:
    """A trial's victim, ready to be attacked."""
    from subterfuge.defences.defend import wrap
    from subterfuge.victims.store import load_victim

    if not trial.wrapped:
        return load_victim(folder_of(trial.name, args))
    options = dict(trial.options)
    if "others" in options:
        options["others"] = re.sub(r"\{(.*?)\}", lambda one: folder_of(one[1], args), options["others"])
    return wrap(load_victim(folder_of(trial.base, args)), trial.wrapped, seed=args.seed, **options)


def sources(args: argparse.Namespace) -> dict[str, list[tuple[Path, str]]]:
    """Clips held out from every training, and the real recordings, each in one drawn order."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.training.splits import hold_out

    rng = np.random.default_rng(args.seed)
    made = open_corpus(args.corpus).clips
    test = hold_out([one.label for one in made], [one.recording for one in made], seed=args.seed).test
    found = {"orchestra": [(made[i].path, made[i].label) for i in rng.permutation(test)[: args.heard]]}
    if args.recordings is not None:
        real = open_corpus(args.recordings).clips
        found["real"] = [(real[i].path, real[i].label) for i in rng.permutation(len(real))]
    return found


def trained_on(args: argparse.Namespace) -> int:
    """How many clips the trainings had."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.training.splits import hold_out

    made = open_corpus(args.corpus).clips
    return len(hold_out([one.label for one in made], [one.recording for one in made], seed=args.seed).train)


def heard(victim: Any, clips: Sequence[tuple[Path, str]]) -> list[bool]:
    """Which clips are heard rightly, by the victim's plain path."""
    from subterfuge.training.hearing import Listener, hear_all

    told, _ = hear_all(Listener(victim), [path for path, _ in clips])
    return [
        not isinstance(told[i], str) and victim.labels[told[i].predicted] == label  # type: ignore[union-attr]
        for i, (_, label) in enumerate(clips)
    ]


def chosen(
    rights: dict[str, list[bool]], everyone: dict[str, list[tuple[Path, str]]], counts: dict[str, int]
) -> Iterator[tuple[str, Path, str]]:
    """The first so many clips of each source that are heard rightly."""
    for source, right in rights.items():
        good = [one for one, yes in zip(everyone[source], right, strict=True) if yes]
        yield from ((source, path, label) for path, label in good[: counts[source]])


def measured(victim: Any, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What the least change and the least audible one cost on a clip, and what is certified there."""
    from subterfuge.audio import load_plain
    from subterfuge.audit.attempts import attempt
    from subterfuge.audit.plan import Plan

    y = load_plain(path, victim.sample_rate)
    plan = Plan(steps=args.steps, masked_steps=args.masked_steps, seed=args.seed)
    label = int(victim.predict(y)[0])
    told: dict[str, Any] = {
        task: attempt(victim, y, task, plan, heard=label) for task in ("minimal", "masked")
    }
    return {**told, "certified": certified(victim, y, args)}


def certified(victim: Any, y: Any, args: argparse.Namespace) -> float | None:
    """The SNR in dB above which nothing can succeed, proved or with 99.9 % confidence; infinity for none."""
    from subterfuge.defences.smoothing import Smoothed
    from subterfuge.errors import SubterfugeError
    from subterfuge.victims.svm import SvmVictim

    if isinstance(victim, Smoothed):
        return float(victim.certify(y[0], votes=args.votes).snr_db)
    if not isinstance(victim, SvmVictim):
        return None
    from subterfuge.defences.certificates.bracket import bracket

    try:
        return float(bracket(victim, y)[0].certified_db)
    except SubterfugeError:
        return None


def one_trial(trial: Trial, args: argparse.Namespace, clock: common.Clock) -> None:
    """Measure whatever of a trial is not there yet."""
    kept = args.cache / "results" / f"{trial.name}.jsonl"
    known = {one["key"]: one for one in common.read_lines(kept)}
    everyone, setting = sources(args), {"steps": args.steps, "masked": args.masked_steps}
    victim: Any = None
    if "heard" not in known:
        victim = victim_of(trial, args)
        known["heard"] = {
            "key": "heard",
            "rights": {source: heard(victim, clips) for source, clips in everyone.items()},
            "trained": victim.info.trained if trial.train and victim.info else "",
            "setting": setting,
            "trial": asdict(trial),
        }
        common.append_line(kept, known["heard"])
    if known["heard"]["setting"] != setting:
        raise SystemExit(f"{kept}: was measured with other settings; remove it or choose another --cache")
    counts = {
        "orchestra": math.ceil(args.attacked / trial.every),
        "real": math.ceil(args.reals / trial.every),
    }
    for source, path, label in chosen(known["heard"]["rights"], everyone, counts):
        key = f"{source}/{path.parent.name}/{path.name}"
        if key in known:
            continue
        victim = victim or victim_of(trial, args)
        known[key] = {"key": key, "source": source, "label": label, **measured(victim, path, args)}
        common.append_line(kept, known[key])
        clock.say(f"{trial.name} {key}: minimal {known[key]['minimal']['snr_db']} dB")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, help="the orchestra, one folder a class")
    parser.add_argument("--recordings", type=Path, help="real recordings, one folder a class")
    parser.add_argument("--heard", type=int, default=440, help="clips held out that are listened to")
    parser.add_argument("--attacked", type=int, default=8, help="of these, attacked (half if wrapped)")
    parser.add_argument("--reals", type=int, default=4, help="recordings attacked (half if wrapped)")
    parser.add_argument("--steps", type=int, default=60, help="gradient queries of `minimal`")
    parser.add_argument("--masked-steps", type=int, default=120, help="gradient queries of `masked`")
    parser.add_argument("--votes", type=int, default=500, help="of the smoothed, for a certificate")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only the trials whose names begin so")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--cache", type=Path, default=common.ROOT / "out" / "light-side")
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    args.cache = args.cache.resolve()
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Make, measure, write the page."""
    args = arguments(argv)
    common.one_thread()
    os.environ.setdefault("SUBTERFUGE_CACHE", str(args.cache / "features"))
    asked = [one for one in trials() if not args.only or one.name.startswith(tuple(args.only))]
    if not asked:
        raise SystemExit(f"--only: expected beginnings of {', '.join(one.name for one in trials())}")
    clock = common.Clock()
    for trial in () if args.report else asked:
        one_trial(trial, args, clock)
    found = {one.name: common.read_lines(args.cache / "results" / f"{one.name}.jsonl") for one in trials()}
    shown = [one for one in trials() if len(found[one.name]) > 1]
    text = light_side_page.page(shown, found, args, trained_on=trained_on(args))
    common.write_page("light-side", text, folder=args.docs)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
