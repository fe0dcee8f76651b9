"""The page of benchmarks/detection.py: what each detector finds, and what it costs who knows it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import common

HOW = """
Detectors are fitted on {fitted} clean clips of the orchestra's training side (`stability` on {clean} of
them); the thresholds are set for {alarms} false alarms on {clean} clips held out, and all figures are of
{clean} other clips held out, no recording of which is among the former. The first {attacked} of these
that are heard rightly are attacked, away from the label heard, by `minimal` with {steps} gradient
queries, and judged as 16 bits hold the result by the victim's plain path. The shipped `orchestra-svc` was
fitted on a smaller orchestra, some of whose recordings may be among the clips held out here.

- *AUC*, *found*: how well the detector tells the adversarial clips that were **made not knowing it** from
  clean ones, and the share of them found at {alarms} false alarms of the same clean clips; *alarms* is
  the share of these that lies above the threshold set before.
- *got through*: of the clips attacked **knowing the guard** (`minimal` on the guarded victim, gradients
  through the detector where it has some), the share that is misheard and not noticed.
- *static*, *adaptive*: median SNR in dB of the change on the victim without a guard and with it; a
  failure counts as −∞. *cost*: the median over the clips where both succeeded of how much louder the
  change had to be, *most* its greatest.

`mahalanobis` is the distance of the 25 features from the mean of clean ones, *groups* from the nearest
label's; `forest` is scikit-learn's isolation forest on the same features, which has no gradient: the
attacker follows the victim's and is told whether it was noticed; `stability` is the largest change of
what is heard under a median filter, fewer bits and resampling.
"""


def page(found: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> str:
    """The whole page."""
    how = HOW.strip().format(
        fitted=args.fitted,
        clean=args.clean,
        alarms=f"{args.false_alarms:.0%}",
        attacked=args.attacked,
        steps=args.steps,
    )
    title = "Detectors, against attacks that do not know them and attacks that do"
    parts = [common.header(title, command=f"python benchmarks/detection.py {args.corpus.name}"), how, ""]
    for name, lines in found.items():
        parts += [f"## {name}", "", _table(lines, args), *_said(lines, args), ""]
    return "\n".join(parts)


def row(lines: Sequence[dict[str, Any]], guard: str, false_alarms: float) -> dict[str, Any]:
    """The figures of one detector."""
    import torch

    from subterfuge.defences.detection.detector import roc

    clean = next(one for one in lines if one["key"] == "clean")
    by_clip: dict[str, dict[str, Any]] = {}
    for one in lines:
        if one["key"] != "clean":
            by_clip.setdefault(one["key"].partition("/")[2], {})[one["guard"]] = one
    both = [one for one in by_clip.values() if "" in one and guard in one]
    static = [one[""] for one in both]
    known = [one[guard] for one in both]
    told = torch.tensor(clean["scores"][guard])
    fooled = torch.tensor([one["scores"][guard] for one in static if one["success"]])
    curve = roc(told, fooled) if len(fooled) else None
    pairs = [(one[""], one[guard]) for one in both if one[""]["success"] and one[guard]["success"]]
    return {
        "clips": len(both),
        "alarms": float((told > clean["thresholds"][guard]).double().mean()),
        "auc": curve.auc if curve else math.nan,
        "found": curve.found_at(false_alarms) if curve else math.nan,
        "through": sum(one["success"] for one in known) / max(1, len(known)),
        "static": common.median_with_failures([_snr(one) for one in static]) if static else None,
        "adaptive": common.median_with_failures([_snr(one) for one in known]) if known else None,
        "cost": common.median_with_failures([a["snr_db"] - b["snr_db"] for a, b in pairs]) if pairs else None,
        "most": max((a["snr_db"] - b["snr_db"] for a, b in pairs), default=None),
    }


def _snr(one: dict[str, Any]) -> float:
    return float(one["snr_db"]) if one["success"] else -math.inf


def _guards(lines: Sequence[dict[str, Any]]) -> list[str]:
    return list(next(one["thresholds"] for one in lines if one["key"] == "clean"))


def _table(lines: Sequence[dict[str, Any]], args: argparse.Namespace) -> str:
    head = [
        "detector",
        "AUC",
        "found",
        "alarms",
        "clips",
        "got through",
        "static",
        "adaptive",
        "cost",
        "most",
    ]
    cells = []
    for guard in _guards(lines):
        told = row(lines, guard, args.false_alarms)
        cells.append(
            [
                guard,
                f"{told['auc']:.2f}",
                common.share(told["found"]),
                common.share(told["alarms"]),
                told["clips"],
                common.share(told["through"]),
                common.db(told["static"]),
                common.db(told["adaptive"]),
                _db(told["cost"]),
                _db(told["most"]),
            ]
        )
    return common.table(head, cells)


def _said(lines: Sequence[dict[str, Any]], args: argparse.Namespace) -> list[str]:
    clean = next(one for one in lines if one["key"] == "clean")["scores"]["right"]
    told = [(guard, row(lines, guard, args.false_alarms)) for guard in _guards(lines)]
    best, figures = max(told, key=lambda pair: pair[1]["found"])
    least = min(one["through"] for _, one in told)
    cost = _db(max(one["cost"] or 0.0 for _, one in told))
    through = "all" if least == 1 else f"at least {common.share(least)}"
    return [
        f"Heard rightly without a guard: {common.share(sum(clean) / len(clean))} of the clean clips. Of the "
        f"clips made not knowing it, `{best}` finds most ({common.share(figures['found'])}); of those made "
        f"knowing the guard {through} get through, for {cost} dB or less in the median."
    ]


def _db(value: float | None) -> str:
    """A difference in dB, without a nought below nought."""
    return "" if value is None else common.db(round(value, 1) + 0.0)
