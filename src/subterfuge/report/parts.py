"""Parts that pages of measures share, ready for their templates: scores, confusion, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from subterfuge.labels import full_name
from subterfuge.report import charts
from subterfuge.report.measured import interval, mistakes_sentence, number, points, share
from subterfuge.report.site import level
from subterfuge.report.wording import count
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.protocol import ExcerptMeasures

View = dict[str, Any]
_NAMES = ("precision", "recall", "f1")
_HEADS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_OF_CLIPS = (
    "Precision: of what is heard as this label, how much is it. Recall: of what is this label, how much is "
    "heard as it. F1: their harmonic mean. Bars: 95 % intervals, resampled by recording; a dash where "
    "nothing can be said."
)
_OF_EXCERPTS = (
    "Precision: of the excerpts in which this label is heard, how many carry it. Recall: of those that carry "
    "it, in how many it is heard. F1: their harmonic mean. Micro pools all decisions, macro is the mean over "
    "the labels. Bars: 95 % intervals, resampled by recording."
)
_RELIABILITY = (
    "Of clips whose largest probability is 80 %, that label ought to be right for 80 %: on the dashed line. "
    "Orange is how far off it is; beneath, how many clips there are."
)


def whisk(one: Estimate, *, low: float = 0.0, high: float = 1.0, zero: float | None = None) -> View:
    """Where a value, its interval and, if wanted, a zero line lie on a scale, in per cent of its width."""

    def at(value: float) -> float | None:
        if math.isnan(value):
            return None
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)

    left, right = at(one.low), at(one.high)
    known = left is not None and right is not None
    return {
        "at": at(one.value),
        "low": left if known else None,
        "width": round(right - left, 2) if left is not None and right is not None else None,
        "zero": None if zero is None else at(zero),
    }


def split(name: str, about: str, one: Estimate, *, style: str = "", spread: bool = False) -> View:
    """A row of the chart at the top: an accuracy, and its interval or (``spread``) its spread over folds."""
    inner = interval(one)
    if inner and spread:
        inner = f"± {points((one.high - one.low) / 2)} points"
    return {
        "name": name,
        "about": about,
        "style": style,
        "whisk": whisk(one),
        "value": share(one.value),
        "range": inner,
    }


def constant(name: str, about: str, value: float) -> View:
    """A row of the chart at the top without an interval."""
    return split(name, about, Estimate(value, math.nan, math.nan), style="plain")


def scores(measures: Measures) -> View:
    """The table of labels, of clips with one label each."""
    rows = [
        _row(one.label, one.clips, (one.precision, one.recall, one.f1))
        for one in measures.classes
        if one.clips
    ]
    return {
        "about": _OF_CLIPS,
        "counted": "Clips",
        "together": [],
        "rows": rows,
        "sorted": False,
    }


def excerpt_scores(measures: ExcerptMeasures) -> View:
    """The table of labels, of excerpts with several labels each."""
    return {
        "about": _OF_EXCERPTS,
        "counted": "Excerpts",
        "together": [
            _row(name, None, (one.precision, one.recall, one.f1))
            for name, one in (("micro", measures.micro), ("macro", measures.macro))
        ],
        "rows": [
            _row(one.label, one.excerpts, (one.scores.precision, one.scores.recall, one.scores.f1))
            for one in measures.classes
            if one.excerpts
        ],
        "sorted": False,
    }


def _row(label: str, clips: int | None, estimates: Sequence[Estimate]) -> View:
    return {
        "name": full_name(label),
        "clips": "" if clips is None else count(clips),
        "clips_value": clips or 0,
        "scores": [
            {
                "key": key,
                "name": _HEADS[key],
                "value": share(one.value),
                "range": interval(one),
                "sort": -1.0 if math.isnan(one.value) else one.value,
                "whisk": whisk(one),
            }
            for key, one in zip(_NAMES, estimates, strict=True)
        ],
    }


def confusion(measures: Measures) -> View:
    """The confusion matrix: counts, shaded by their share of the row; rows without clips are left out."""
    names = [full_name(label) for label in measures.labels]
    rows: list[View] = []
    for i, (label, counts) in enumerate(zip(measures.labels, measures.confusion, strict=True)):
        total = sum(counts)
        if not total:
            continue
        cells = [
            {
                "level": level(n / total),
                "text": str(n) if n else "",
                "right": i == j,
                "says": f"{names[i]}, heard as {names[j]}: {n} of {total} clips ({share(n / total)})",
            }
            for j, n in enumerate(counts)
        ]
        rows.append(
            {
                "name": names[i],
                "short": _short(label),
                "cells": cells,
                "total": total,
                "says": f"{names[i]}: {total} clips in all, {share(counts[i] / total)} heard rightly",
            }
        )
    style = "wide" if len(names) > 12 else ""
    if any(len(row["short"]) > 4 for row in rows):
        style += " words"
    missing = [name for name, row in zip(names, measures.confusion, strict=True) if not sum(row)]
    about = mistakes_sentence(measures)
    if missing:
        about += f" No clip carries {', '.join(missing)}, so there is no row for it."
    return {
        "about": about,
        "names": names,
        "rows": rows,
        "style": style.strip(),
        "rest": "Point at a cell, or walk through them with the arrow keys, to read it in full.",
    }


def _short(label: str) -> str:
    """What a row is called where there is little room."""
    return label if len(label) <= 12 else label[:11] + "…"


def reliability(measures: Measures) -> View | None:
    """The reliability diagram; None without probabilities."""
    if not measures.reliability:
        return None
    error = share(measures.calibration_error)
    lean = sum(one.clips * (one.confidence - one.accuracy) for one in measures.reliability) / measures.clips
    by = f", by {points(abs(lean))} points on average"
    word = f"too sure of itself{by}" if lean > 0.01 else f"not sure enough{by}" if lean < -0.01 else "honest"
    return {
        "about": _RELIABILITY,
        "drawing": charts.reliability(measures.reliability),
        "says": f"Calibration error {error}, log loss {number(measures.log_loss)} nat. It is {word}.",
    }
