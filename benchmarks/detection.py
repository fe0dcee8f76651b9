"""What a guard before each of the shipped classifiers finds, and what it costs an attacker who knows it.

Run on the orchestra that both were trained on::

    subterfuge corpus build orchestra --clips 1200 --seed 10 --out orchestra
    python benchmarks/detection.py orchestra

What was measured of a clip is kept in ``--cache`` as it comes, so that a run can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import common
import detection_page

VICTIMS = ("orchestra-svc", "orchestra-cnn")
SQUEEZERS = ("median", "bits", "resample")
_SCALES = (1.0, 1.01, 1.03, 1.1, 1.3)
_LATTICE = 2.0**15


def sides(args: argparse.Namespace) -> tuple[list[Any], list[Any], list[Any]]:
    """Clips to fit detectors on, to set thresholds on, and to measure and attack: no recording in two."""
    from subterfuge.corpora.open import open_corpus
    from subterfuge.defences.detection.fitting import halves
    from subterfuge.training.splits import hold_out

    clips, rng = open_corpus(args.corpus).clips, np.random.default_rng(args.seed)
    # The seed of the shipped classifiers' own split.
    side = hold_out([one.label for one in clips], [one.recording for one in clips], seed=0)
    held = [clips[i] for i in rng.permutation(side.test)]
    first, second = halves([one.recording for one in held], rng)
    fitted = [clips[i] for i in rng.permutation(side.train)[: args.fitted]]
    return fitted, [held[i] for i in first[: args.clean]], [held[i] for i in second[: args.clean]]


class Bench:
    """A victim, its detectors with thresholds, and what clean clips score."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        import torch

        from subterfuge.audio import load_plain
        from subterfuge.defences.detection.detector import threshold_for
        from subterfuge.defences.detection.stability import Stability
        from subterfuge.defences.detection.statistics import Forest, Mahalanobis, features_of
        from subterfuge.defences.input.defence import make
        from subterfuge.victims.store import load_victim

        self.args, self.victim = args, load_victim(name)
        sr = self.victim.sample_rate
        self.audio = functools.partial(load_plain, sr=sr)
        fitted, setting, self.clips = sides(args)
        features = features_of((self.audio(one.path)[0] for one in fitted), sample_rate=sr)
        labels = torch.tensor([self.victim.labels.index(one.label) for one in fitted])
        squeezing = Stability(self.victim, [make(one) for one in SQUEEZERS])
        self.detectors: dict[str, Any] = {
            "mahalanobis": Mahalanobis(features, sample_rate=sr),
            "mahalanobis, groups": Mahalanobis(features, sample_rate=sr, groups=labels),
            "forest": Forest(features, sample_rate=sr),
            "stability": squeezing.fit(self.audio(one.path)[0] for one in fitted[: args.clean]),
        }
        set_on = self._scores(setting)
        self.clean = self._scores(self.clips)
        self.thresholds = {
            name: threshold_for(set_on[name], false_alarms=args.false_alarms) for name in self.detectors
        }
        spread = float(self.clean["margin"].std())
        self.weights = {name: spread / float(set_on[name].std()) for name in self.detectors}

    def score(self, y: Any) -> dict[str, float]:
        """What each detector makes of a clip; the features are taken once."""
        import torch

        from subterfuge.features.summary import librosa25

        with torch.no_grad():
            features = librosa25(y, sr=self.victim.sample_rate)
            return {
                name: float(one.distance(features)[0] if hasattr(one, "distance") else one.score(y)[0])
                for name, one in self.detectors.items()
            }

    def _scores(self, clips: Sequence[Any]) -> dict[str, Any]:
        import torch

        rows = []
        for one in clips:
            y = self.audio(one.path)
            with torch.no_grad():
                heard = self.victim.hear(y)
            best = heard.scores[0].double().topk(2).values
            right = self.victim.labels[int(heard.predicted[0])] == one.label
            rows.append({**self.score(y), "margin": float(best[0] - best[1]), "right": float(right)})
        return {key: torch.tensor([row[key] for row in rows], dtype=torch.float64) for key in rows[0]}

    def attack(self, y: Any, guard: str) -> dict[str, Any]:
        """``minimal`` away from what is heard, judged as 16 bits hold it; ``guard`` empty for none."""
        import torch

        from subterfuge.attacks.registry import get_attack
        from subterfuge.criteria import Untargeted
        from subterfuge.defences.detection.guarded import Guarded

        victim: Any = self.victim
        if guard:
            threshold, weight = self.thresholds[guard], self.weights[guard]
            victim = Guarded(self.victim, self.detectors[guard], threshold=threshold, weight=weight)
        criterion = Untargeted(int(self.victim.predict(y)[0]))
        generator = torch.Generator().manual_seed(self.args.seed)
        outcome = get_attack("minimal")(victim, y, criterion, steps=self.args.steps, generator=generator)
        told: dict[str, Any] = {"success": False, "snr_db": None, "scores": None}
        if not bool(outcome.success[0]):
            return told
        goal = criterion.bind(victim, y)
        for scale in _SCALES:
            found = y + scale * (outcome.audio - y)
            found = (found.clamp(-1, 1 - 1 / _LATTICE) * _LATTICE).round() / _LATTICE
            if bool(goal.reached(victim.verdict(found))[0]):
                snr = common.snr_db(y.numpy(), found.numpy())
                return {"success": True, "snr_db": snr, "scores": self.score(found)}
        return told


def examine(name: str, args: argparse.Namespace, clock: common.Clock) -> None:
    """Measure whatever of a victim is not there yet."""
    kept = args.cache / f"{name}.jsonl"
    known = {one["key"]: one for one in common.read_lines(kept)}
    keys = ["", "mahalanobis", "mahalanobis, groups", "forest", "stability"]
    setting = {key: getattr(args, key) for key in ("fitted", "clean", "steps", "false_alarms", "seed")}
    if known.get("clean", {"setting": setting})["setting"] != setting:
        raise SystemExit(f"{kept}: was measured with other settings; remove it or choose another --cache")
    wanted = [f"{guard}/{number}" for number in range(args.attacked) for guard in keys]
    if "clean" in known and all(key in known for key in wanted):
        return
    bench = Bench(name, args)
    if "clean" not in known:
        scores = {key: one.tolist() for key, one in bench.clean.items()}
        told = {"key": "clean", "setting": setting, "scores": scores, "thresholds": bench.thresholds}
        common.append_line(kept, told)
        clock.say(f"{name}: clean clips scored")
    rightly = [one for one, right in zip(bench.clips, bench.clean["right"].tolist(), strict=True) if right]
    for key in wanted:
        if key in known:
            continue
        guard, _, number = key.partition("/")
        found = bench.attack(bench.audio(rightly[int(number)].path), guard)
        common.append_line(kept, {"key": key, "guard": guard, **found})
        clock.say(f"{name} {key}: {found['snr_db'] if found['success'] else -math.inf:.1f} dB")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, help="the orchestra, one folder a class")
    parser.add_argument("--attacked", type=int, default=12, help="clips attacked a victim")
    parser.add_argument("--fitted", type=int, default=400, help="clean clips that detectors are fitted on")
    parser.add_argument("--clean", type=int, default=120, help="clips for thresholds, and as many to measure")
    parser.add_argument("--steps", type=int, default=60, help="gradient queries of `minimal`")
    parser.add_argument("--false-alarms", type=float, default=0.05)
    parser.add_argument("--only", nargs="+", choices=VICTIMS, default=VICTIMS)
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--cache", type=Path, default=common.ROOT / "out" / "detection")
    parser.add_argument("--docs", type=Path, default=common.DOCS, help="where the page goes")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, attack, write the page."""
    args = arguments(argv)
    common.one_thread()
    clock = common.Clock()
    for name in () if args.report else args.only:
        examine(name, args, clock)
    found = {name: common.read_lines(args.cache / f"{name}.jsonl") for name in VICTIMS}
    found = {name: lines for name, lines in found.items() if lines}
    common.write_page("detection", detection_page.page(found, args), folder=args.docs)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
