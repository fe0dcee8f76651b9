"""The gallery's two tables of cells: what others call each sound, and what each sound survives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from subterfuge.labels import full_name
from subterfuge.report import wording
from subterfuge.report.gallery_view import styles_of
from subterfuge.report.site import level
from subterfuge.synthesis.cross_examination import convinced, counterparts

View = dict[str, Any]
_SHORT = 7  # characters of a label in a cell; it is told in full beside the table


def matrix(maker: str, pieces: Sequence[View], *, alone: bool) -> View | None:
    """Labels down, other victims and styles across: what is heard, shaded by how probable the label meant is.

    Of several sounds of one label and style, the one that the victim it was made for is surest of. None where
    nobody else was asked.
    """
    own = [one for one in pieces if one["maker"] == maker]
    victims = list(dict.fromkeys(name for one in own for name in one["heard_by"]))
    if not victims:
        return None
    styles = styles_of(own)
    rows = []
    for label in dict.fromkeys(one["label"] for one in own):
        cells = []
        for victim in victims:
            for style in styles:
                found = [one for one in own if one["label"] == label and one["style"] == style]
                best = max(found, key=lambda one: one["p"] or 0.0, default=None)
                cells.append(_cell(best, victim) | {"first": style == styles[0]})
        rows.append({"name": full_name(label), "short": label[:12], "cells": cells})
    return {
        "id": "others" if alone else f"others-{maker}",
        "maker": maker,
        "title": "Cross-examination" if alone else f"Cross-examination of what was made for {maker}",
        "groups": [(name, len(styles)) for name in victims],
        "styles": styles * len(victims),
        "single": len(styles) == 1,
        "rows": rows,
        "wide": len(victims) * len(styles) > 12,
    }


def survival(pieces: Sequence[View]) -> View | None:
    """Sounds down, transforms across: how probable the label still is; None where nothing was measured."""
    transforms = list(dict.fromkeys(row["name"] for one in pieces for row in one["survives"]))
    if not transforms:
        return None
    rows = []
    for one in pieces:
        found = {row["name"]: row["p"] for row in one["survives"]}
        name = f"{one['name']}, {one['style']}"
        cells = [_shaded(one["p"], f"{name}, as written: {wording.percent(one['p'])}")]
        cells += [
            _shaded(found.get(t), f"{name}, after {t}: {wording.percent(found.get(t))}") for t in transforms
        ]
        rows.append({"name": one["name"], "style": one["style"], "id": one["id"], "cells": cells})
    return {"transforms": transforms, "rows": rows, "styles": len({one["style"] for one in pieces}) > 1}


def _cell(one: View | None, victim: str) -> View:
    empty = {"level": 0, "text": "", "right": False, "unknown": False, "says": "No such sound."}
    if one is None or victim not in one["heard_by"]:
        return empty
    heard = one["heard_by"][victim]
    said, probabilities = str(heard["predicted"]), heard.get("probabilities") or {}
    meant = counterparts(one["label"], probabilities)
    p = max((float(probabilities[name]) for name in meant), default=0.0)
    agrees = convinced(one["label"], heard)
    sure = f" ({wording.percent(probabilities[said])})" if said in probabilities else ""
    says = f"{victim} calls the {one['style']} {one['name']} {full_name(said)}{sure}"
    if agrees is None:
        says += "; it has no word for what was meant"
    elif meant and not agrees:
        says += f"; {one['name']}: {wording.percent(p)}"
    elif agrees:
        says += ", as was meant"
    return {
        "level": level(p) if agrees is not None else 0,
        "text": said if len(said) <= _SHORT else said[: _SHORT - 1] + "…",
        "right": bool(agrees),
        "unknown": agrees is None,
        "says": says + ".",
    }


def _shaded(p: float | None, says: str) -> View:
    text = "" if p is None else f"{100 * p:.0f}"
    return {"level": 0 if p is None else level(p), "text": text, "says": says}
