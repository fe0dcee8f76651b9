"""The page of benchmarks/light_side.py: a table a classifier, and what the best of each came to."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import common

HOW = """
Two classifiers: an RBF SVM on 25 features at 44.1 kHz, fitted anew on the orchestra's {train} training clips,
and the shipped network `orchestra-cnn` (log-mel, 22.05 kHz), taught on the same clips. Every defence is
attacked through itself (gradients through it, past it by a stand-in, or in the mean over its draws; 4 draws
where it draws), away from the label heard, by `minimal` with {steps} gradient queries and by `masked` with
{masked}; success is what the victim's own `predict` hears of the result in 16 bits.

- *clean*, *real*: share heard rightly of {heard} clips held out from all training, and of the {reals}
  recordings of real players (among all 11 labels); *points lost* of the former against no defence, with the
  95 % interval of the difference on the same clips.
- *minimal*, *masked*: median SNR in dB of the change that sufficed, over so many *clips* that are heard
  rightly, two thirds of them held out and one third recordings; the lower, the louder the change had to be.
  A failure counts as −∞. *dearer*: by how much louder than without a defence, the median over the clips that
  were attacked in both.
- *least NMR*: median of the worst noise-to-mask ratio that `masked` needed, in dB; *heard*: the share of
  clips whose least audible change is above the masking threshold somewhere (NMR over 0 dB), or was not found.
- *certified*: median SNR in dB above which nothing can succeed, proved (SVM) or at 99.9 % confidence
  (smoothing, {votes:,} votes); an infinity says that for most clips nothing is certified.
"""


def page(
    trials: Sequence[Any],
    found: dict[str, list[dict[str, Any]]],
    args: argparse.Namespace,
    *,
    trained_on: int,
) -> str:
    """The whole page."""
    command = f"python benchmarks/light_side.py {args.corpus.name} --recordings ../shared/recordings"
    first = next(one for one in found[trials[0].name] if one["key"] == "heard")
    how = HOW.strip().format(
        train=f"{trained_on:,}",
        steps=args.steps,
        masked=args.masked_steps,
        heard=len(first["rights"]["orchestra"]),
        reals=len(first["rights"].get("real", [])),
        votes=args.votes,
    )
    parts = [common.header("Every defence, attacked by one who knows it", command=command), how, ""]
    for family, title in (("svc", "The SVM"), ("cnn", "The network")):
        rows = [(one, summary(found[one.name])) for one in trials if one.family == family]
        plain = next((row for one, row in rows if one.name == f"{family}-plain"), None)
        if plain is None:
            continue
        parts += [f"## {title}", "", _table(rows, plain), *_verdict(rows, plain), ""]
    said = [
        f"- `{one.name}`: {head['trained']}"
        for one in trials
        for head in found[one.name]
        if head["key"] == "heard" and head["trained"]
    ]
    return "\n".join([*parts, "## How each was fitted", "", *said])


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A trial's figures."""
    rights = next(one["rights"] for one in lines if one["key"] == "heard")
    clips = [one for one in lines if one["key"] != "heard"]
    spent = {
        (task, of): [_or(one[task][of], -math.inf if of == "snr_db" else math.inf) for one in clips]
        for task in ("minimal", "masked")
        for of in ("snr_db", "nmr_db")
    }
    certified = [one["certified"] for one in clips if one["certified"] is not None]
    return {
        "rights": rights,
        "clips": len(clips),
        "spent": dict(zip((one["key"] for one in clips), spent["minimal", "snr_db"], strict=True)),
        "failed": sum(not one["minimal"]["success"] for one in clips),
        "minimal": common.median_with_failures(spent["minimal", "snr_db"]) if clips else None,
        "masked": common.median_with_failures(spent["masked", "snr_db"]) if clips else None,
        "nmr": -common.median_with_failures([-one for one in spent["masked", "nmr_db"]]) if clips else None,
        "above": float(np.mean([one > 0 for one in spent["masked", "nmr_db"]])) if clips else None,
        "certified": -common.median_with_failures([-one for one in certified]) if certified else None,
    }


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def lost(row: dict[str, Any], plain: dict[str, Any]) -> tuple[float, float]:
    """Points of accuracy lost on the same clips, and half the 95 % interval's width."""
    apart = np.array(plain["rights"]["orchestra"], float) - np.array(row["rights"]["orchestra"], float)
    return 100 * float(apart.mean()), 100 * 1.96 * float(apart.std(ddof=1) / math.sqrt(len(apart)))


def dearer(row: dict[str, Any], plain: dict[str, Any]) -> float | None:
    """Median of what the attacker paid more on each clip that both were attacked on, in dB."""
    both = [key for key in row["spent"] if key in plain["spent"]]
    return float(np.median([plain["spent"][key] - row["spent"][key] for key in both])) if both else None


def _table(rows: Sequence[tuple[Any, dict[str, Any]]], plain: dict[str, Any]) -> str:
    head = ["defence", "clean", "points lost", "real", "clips", "minimal", "dearer", "masked"]
    head += ["least NMR", "heard", "certified"]
    cells = []
    for one, row in rows:
        points, half = lost(row, plain)
        name = f"`{one.wrapped[0]}`: {one.title}" if one.wrapped and one.base.endswith("plain") else one.title
        cells.append(
            [
                name,
                common.share(float(np.mean(row["rights"]["orchestra"]))),
                "" if row is plain else f"{points:.1f} ± {half:.1f}".replace("-", "−"),
                common.share(float(np.mean(row["rights"]["real"]))) if "real" in row["rights"] else "",
                row["clips"],
                common.db(row["minimal"]),
                "" if row is plain or dearer(row, plain) is None else common.db(dearer(row, plain)),
                common.db(row["masked"]),
                _infinite(row["nmr"]),
                common.share(row["above"]),
                "" if row["certified"] is None else _infinite(row["certified"]),
            ]
        )
    return common.table(head, cells)


def _infinite(value: float | None) -> str:
    return "∞" if value == math.inf else common.db(value)


def _verdict(rows: Sequence[tuple[Any, dict[str, Any]]], plain: dict[str, Any]) -> list[str]:
    """The aim, and the dearest that keeps to three points."""
    others = [(one, row) for one, row in rows if row is not plain and row["clips"]]
    within = [(one, row) for one, row in others if lost(row, plain)[0] <= 3]
    if not within:
        return ["No defence keeps to three points of accuracy."]
    one, row = max(within, key=lambda pair: dearer(pair[1], plain) or 0.0)
    points = f"{lost(row, plain)[0]:.1f}".replace("-", "−")
    return [
        "The aim is 15 dB dearer at no more than 3 points, with 70 % of the least audible changes heard. "
        f"The dearest that keeps to 3 points: **{one.title}**, "
        f"{common.db(dearer(row, plain))} dB dearer, {points} points lost, "
        f"{common.share(row['above'])} above the threshold "
        f"(without a defence {common.share(plain['above'])})."
    ]
