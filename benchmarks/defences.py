"""What each training defence buys: clean accuracy, and the decibels that an attacker who knows it must spend.

Run on any corpus, an orchestra's folder say::

    python benchmarks/defences.py clips --clips 100 --recordings ../shared/recordings

All victims are SVMs fitted on the same few clips of the corpus, with the same recordings held out; each is
attacked by ``minimal`` through its own gradients, filter and features included. Victims and results go into
``--cache``, so that a run can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import common

HOW = """
{clips} clips of each of {labels} labels, a fifth of the recordings held out ({test} clips), the same for all
victims: RBF SVMs on 25 features at 44.1 kHz. *Accuracy* is that on the clips held out{real}. Attacked are the
first {attacked} clips held out, in one drawn order, that the victim hears rightly, away from their label, by
`minimal` with {steps} gradient queries, through the victim's own gradients (of the filter and the features
too); success is what the victim's plain path hears of the result. *SNR* is what the attacker had to spend:
the lower it is, the louder the change, and the better the defence. A failure counts as −∞ dB.

So few clips tell much of decibels and little of accuracy, which they know to ± {points:.0f} points (95 %).
"""


@dataclass(frozen=True)
class Trial:
    """One victim: the defence by its name in the registry, empty for none."""

    name: str
    title: str
    defence: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def trials(tune: int) -> tuple[Trial, ...]:
    """All there are, by name."""
    noise = {"tune": tune}
    rounds = {"rounds": 2, "clips": 120, "steps": 6}
    return (
        Trial("plain", "no defence"),
        Trial("noise", "noise augmentation, as the seed's", "noise-training", noise),
        Trial("denoise", "denoise training, as the seed's", "denoise-training", noise),
        Trial(
            "adversarial",
            "adversarial augmentation at 40 dB",
            "adversarial-augmentation",
            {"snr_db": 40.0, **rounds},
        ),
        Trial("hardened", "hardened features", "hardened-features", {"tune": tune}),
        Trial(
            "combined",
            "hardened features, adversarial augmentation at 20 dB",
            "hardened-adversarial",
            {"tune": tune, **rounds},
        ),
    )


def few(corpus: Path, clips: int, folder: Path) -> Path:
    """A folder of links to the first so many clips of each label."""
    for label in sorted(one for one in corpus.iterdir() if one.is_dir()):
        (folder / label.name).mkdir(parents=True, exist_ok=True)
        for path in sorted(label.iterdir())[:clips]:
            link = folder / label.name / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    return folder


def made(trial: Trial, corpus: Path, cache: Path, *, tune: int, seed: int) -> Path:
    """The victim's folder, made if it is not there."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.defences.defend import defend
    from subterfuge.training.train import train

    out = cache / "victims" / trial.name
    if (out / "victim.json").is_file():
        return out
    if not trial.defence:
        train(open_corpus(corpus), out=out, tune=tune, seed=seed)
        return out
    plain = made(trials(tune)[0], corpus, cache, tune=tune, seed=seed)
    return defend(plain, train=trial.defence, corpus=corpus, out=out, options=trial.options, seed=seed)


def held_out(corpus: Path, seed: int) -> list[tuple[Path, str]]:
    """The clips that no victim was fitted on, in the order in which they are attacked."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.training.splits import hold_out

    clips = open_corpus(corpus).clips
    test = hold_out([one.label for one in clips], [one.recording for one in clips], seed=seed).test
    order = np.random.default_rng(seed).permutation(test)
    return [(clips[i].path, clips[i].label) for i in order]


def real_accuracy(victim: Any, folder: Path) -> float:
    """Share of recordings heard rightly, among all of the victim's labels."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.training.hearing import Listener, hear_all

    clips = open_corpus(folder).clips
    heard, _ = hear_all(Listener(victim), [one.path for one in clips])
    right = [
        not isinstance(one, str) and victim.labels[one.predicted] == clips[i].label
        for i, one in heard.items()
    ]
    return float(np.mean(right))


def attacked(victim: Any, clips: Sequence[tuple[Path, str]], *, number: int, steps: int) -> list[float]:
    """SNR of each of the first ``number`` clips heard rightly, in dB; minus infinity for a failure."""
    import torch

    from subterfuge.attacks.whitebox.minimal import minimal
    from subterfuge.audio import load_plain
    from subterfuge.criteria import Untargeted

    spent: list[float] = []
    for path, label in clips:
        y = load_plain(path, victim.sample_rate)
        if victim.labels[int(victim.verdict(y).predicted)] != label:
            continue
        outcome = minimal(victim, y, Untargeted(), steps=steps)
        # Where rounding keeps it from the plain path, a little more is spent, for every victim alike.
        found = float("-inf")
        for scale in (1.0, 1.001, 1.005, 1.02) if bool(outcome.success) else ():
            x = (y + scale * (outcome.audio - y)).clamp(-1, 1)
            if victim.labels[int(victim.verdict(x).predicted)] != label:
                found = float(20 * torch.log10(y.norm() / (x - y).norm()))
                break
        spent.append(found)
        if len(spent) == number:
            break
    return spent


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, help="one folder a class")
    parser.add_argument("--clips", type=int, default=100, help="of each class")
    parser.add_argument("--attacked", type=int, default=12, help="clips to attack")
    parser.add_argument("--steps", type=int, default=150, help="gradient queries a clip")
    parser.add_argument("--tune", type=int, default=20, help="settings to try where one is searched for")
    parser.add_argument("--victims", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--recordings", type=Path, help="real recordings, one folder a class")
    parser.add_argument("--report", action="store_true", help="write the page from what is there")
    parser.add_argument(
        "--cache", type=Path, default=common.ROOT / "out" / "defences", help="where results go"
    )
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure, attack, write the page."""
    from subterfuge.victims.store import load_victim

    args = arguments(argv)
    common.one_thread()
    clock, cache = common.Clock(), args.cache.resolve()
    os.environ.setdefault("SUBTERFUGE_CACHE", str(cache / "features"))
    everyone = [one for one in trials(args.tune) if args.victims is None or one.name in args.victims]
    if not everyone:
        raise SystemExit(f"--victims: expected some of {', '.join(one.name for one in trials(0))}")
    corpus = few(args.corpus, args.clips, cache / "corpus")
    clips = held_out(corpus, args.seed)
    rows: dict[str, dict[str, Any]] = {}
    for trial in everyone:
        file = cache / "results" / f"{trial.name}-{args.attacked}-{args.steps}.json"
        if args.report and not file.is_file():
            continue
        if not file.is_file():
            victim = load_victim(made(trial, corpus, cache, tune=args.tune, seed=args.seed))
            clock.say(f"{trial.name}: made")
            assert victim.info is not None
            result: dict[str, Any] = {"accuracy": victim.info.accuracy["held_out_grouped"]}
            if args.recordings is not None:
                result["real"] = real_accuracy(victim, args.recordings)
            result["snr_db"] = attacked(victim, clips, number=args.attacked, steps=args.steps)
            result["trained"] = victim.info.trained
            common.write_json(file, result)
        rows[trial.name] = json.loads(file.read_text(encoding="utf-8"))
        clock.say(f"{trial.name}: {rows[trial.name]}")
    if "plain" not in rows:
        print("no result of the victim without a defence: no page", file=sys.stderr)
        return 0
    common.write_page("defences", page(everyone, rows, args, len(clips)), folder=args.docs)
    return 0


def page(
    everyone: Sequence[Trial], rows: dict[str, dict[str, Any]], args: argparse.Namespace, test: int
) -> str:
    """The page."""
    command = f"python benchmarks/defences.py {args.corpus.name} --clips {args.clips}"
    command += f" --attacked {args.attacked} --steps {args.steps} --tune {args.tune}"
    real = all("real" in row for row in rows.values())
    labels = len([one for one in args.corpus.iterdir() if one.is_dir()])
    how = HOW.strip().format(
        clips=args.clips,
        labels=labels,
        test=test,
        real=", *real* that on recordings of real players, among all labels" if real else "",
        attacked=args.attacked,
        steps=args.steps,
        points=100 * 1.96 * (0.25 / test) ** 0.5,
    )
    plain = rows["plain"]
    base = common.median_with_failures(plain["snr_db"])
    head = [
        "victim",
        "accuracy",
        *(["real"] if real else []),
        "median SNR, dB",
        "least",
        "most",
        "dearer by, dB",
    ]
    table = []
    for trial in everyone:
        if trial.name not in rows:
            continue
        row = rows[trial.name]
        median = common.median_with_failures(row["snr_db"])
        table.append(
            [
                trial.title,
                common.share(row["accuracy"]),
                *([common.share(row["real"])] if real else []),
                common.db(median),
                common.db(min(row["snr_db"])),
                common.db(max(row["snr_db"])),
                "" if trial.name == "plain" else common.db(base - median),
            ]
        )
    said = [f"- {one.title}: {rows[one.name]['trained']}" for one in everyone if one.name in rows]
    parts = [
        common.header("Training defences, attacked", command=command),
        how,
        "",
        common.table(head, table),
    ]
    own = ["", "The seed's own classifiers, attacked: [seed-defences](seed-defences.md)."]
    return "\n".join([*parts, "## How each was fitted", "", *said, *own])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
