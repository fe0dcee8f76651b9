"""What the gallery shows of each sound, and the grid of labels and styles that leads to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from subterfuge.labels import full_name
from subterfuge.report import spectrogram, wording
from subterfuge.report.gallery_sounds import Sound
from subterfuge.synthesis.cross_examination import convinced, counterparts

View = dict[str, Any]
_NBSP = "\N{NO-BREAK SPACE}"

STYLES = {
    "free": "any waveform: what the model alone wants",
    "spectral": "by its spectrum, the highs held back as in nature (1/f)",
    "harmonic": "a note: harmonics over filtered noise",
    "mosaic": "a mixture of grains of recorded music",
    "clip": "a given clip, made more of it",
}


def piece(number: int, record: Mapping[str, Any], sound: Sound) -> View:
    """Everything that the page says of one sound."""
    label, maker = str(record["label"]), str(record["victim"])
    p, ceiling = _share(record.get("probability")), _share(record.get("ceiling"))
    heard_by = {name: one for name, one in (record.get("heard_by") or {}).items() if name != maker}
    return {
        "id": f"sound-{number}",
        "label": label,
        "name": full_name(label),
        "style": str(record["style"]),
        "maker": maker,
        "p": p,
        "percent": wording.percent(p),
        "bar": 100 * (p or 0.0),
        "ceiling": wording.percent(ceiling) if ceiling is not None else None,
        "ceiling_at": None if ceiling is None else 100 * ceiling,
        "of_ceiling": _of(p, ceiling),
        "survives": [
            {
                "name": _typeset(str(name)),
                "p": _share(q),
                "percent": wording.percent(_share(q)),
                "bar": _bar(q),
            }
            for name, q in (record.get("survives") or {}).items()
        ],
        "heard_by": heard_by,
        "others": [_other(label, name, one) for name, one in heard_by.items()],
        "facts": _facts(record, sound),
        "file": str(record["output"]),
        "link": quote(str(record["output"])),
        "note": sound.note,
        "picture": sound.picture,
        "data": sound.data,
        "duration": sound.duration,
        "rate": sound.rate,
        "frequencies": spectrogram.frequency_ticks(sound.rate)[::2] if sound.rate else [],
        "times": spectrogram.time_ticks(0.0, sound.duration) if sound.duration else [],
    }


def grid(maker: str, pieces: Sequence[View], *, alone: bool) -> View:
    """Labels by styles for one victim: in each cell the sound that it is surest of."""
    own = [one for one in pieces if one["maker"] == maker]
    styles = styles_of(own)
    rows = []
    for label in dict.fromkeys(one["label"] for one in own):
        of_label = [one for one in own if one["label"] == label]
        cells = []
        for style in styles:
            several = sorted(
                (one for one in of_label if one["style"] == style), key=lambda one: -_or(one["p"])
            )
            cells.append({"piece": several[0], "more": len(several) - 1} if several else None)
        ceilings = [one["ceiling_at"] for one in of_label if one["ceiling_at"] is not None]
        best = max((_or(one["p"]) for one in of_label), default=0.0)
        rows.append(
            {
                "name": full_name(label),
                "anchor": f"label-{_slug(label)}",
                "ceiling": wording.percent(max(ceilings) / 100) if ceilings else None,
                "best": best,
                "cells": cells,
            }
        )
    return {
        "id": f"grid-{_slug(maker)}",
        "maker": maker,
        "title": "Labels and styles" if alone else f"Made for {maker}",
        "styles": [(style, STYLES.get(style, "")) for style in styles],
        "ceilings": any(row["ceiling"] for row in rows),
        "rows": rows,
    }


def by_label(pieces: Sequence[View]) -> list[View]:
    """The sounds under their labels, as the cards are shown."""
    makers = len({one["maker"] for one in pieces}) > 1
    return [
        {
            "anchor": f"label-{_slug(label)}",
            "title": _title(label),
            "pieces": [one for one in pieces if one["label"] == label],
            "makers": makers,
        }
        for label in dict.fromkeys(one["label"] for one in pieces)
    ]


def styles_of(pieces: Sequence[View]) -> list[str]:
    """The styles that there are, known ones first."""
    there = dict.fromkeys(one["style"] for one in pieces)
    return [one for one in STYLES if one in there] + [one for one in there if one not in STYLES]


def _other(label: str, name: str, heard: Mapping[str, Any]) -> View:
    """What another victim says, in a few words: its label and how sure it is, and of the label meant."""
    probabilities = heard.get("probabilities") or {}
    said = str(heard["predicted"])
    meant = counterparts(label, probabilities)
    p = max((float(probabilities[one]) for one in meant), default=None) if meant else None
    agrees = convinced(label, heard)
    return {
        "victim": name,
        "says": full_name(said),
        "agrees": agrees,
        "percent": wording.percent(probabilities[said]) if said in probabilities else "",
        "meant": wording.percent(p) if p is not None and not agrees else None,
    }


def _facts(record: Mapping[str, Any], sound: Sound) -> list[tuple[str, str]]:
    facts = []
    if sound.duration:
        facts.append(("Length", f"{sound.duration:.1f}{_NBSP}s at {sound.rate / 1000:g}{_NBSP}kHz"))
        facts.append(("Peak", wording.decibels(sound.peak_db).replace("dB", "dBFS")))
    if isinstance(record.get("seconds"), (int, float)):
        facts.append(("Time taken", wording.seconds(float(record["seconds"]))))
    if record.get("seed") is not None:
        facts.append(("Seed", str(record["seed"])))
    return facts


def _title(label: str) -> str:
    name = full_name(label)
    if name == label:
        return f"“{label}”"
    return f"{'An' if name[0] in 'aeiou' else 'A'} {name}"


def _of(p: float | None, ceiling: float | None) -> str | None:
    if p is None or not ceiling:
        return None
    return f"{100 * p / ceiling:.0f}{_NBSP}%"


def _share(value: Any) -> float | None:
    """A probability, or None where there is none."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return min(1.0, max(0.0, float(value))) if usable else None


def _bar(value: Any) -> float:
    return 100 * _or(_share(value))


def _or(p: float | None) -> float:
    return 0.0 if p is None else p


def _typeset(name: str) -> str:
    """A transform's name with a true minus sign."""
    return name.replace(" -", " \N{MINUS SIGN}")


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"-{ord(c):x}-" for c in text)
