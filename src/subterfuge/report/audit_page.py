"""The page of an audit: what a victim withstands, from whom, and whether the examination can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from subterfuge.labels import full_name
from subterfuge.report import charts
from subterfuge.report.scales import Axis, shares
from subterfuge.report.site import write_site
from subterfuge.report.wording import seconds

Told = Mapping[str, Any]
_NAMES = {
    "minimal": "smallest change, gradients",
    "masked": "least audible change, gradients",
    "scores": "scores alone",
    "label": "the label alone",
}
_STYLES = {"minimal": "a", "masked": "b", "scores": "a dashed", "label": "b dashed"}
_DASH = "–"


def write_audit(told: Told, out: Path, *, command: str = "") -> Path:
    """Write ``out/index.html`` from what ``audit.json`` holds: one page that needs nothing but a browser.

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in.
    """
    contents = [("attacks", "Attacks"), ("curves", "Curves"), ("sanity", "Sanity")]
    contents += [("corruptions", "Without an attacker"), ("each", "Clip by clip"), ("reproduce", "Reproduce")]
    return write_site(
        "audit.html",
        Path(out),
        title=f"Audit of {Path(str(told['victim'])).name}",
        command=command,
        made=f"Sonic Subterfuge {told['version']} · seed {told['plan']['seed']}. Every success was asked "
        "again as 16 bits hold it, by the victim's own predict.",
        headline=headline(told),
        notes=_notes(told),
        facts=_facts(told),
        contents=contents,
        attacks=[_attack(task, one) for task, one in told["attacks"].items()],
        drawings=[_curve(told, "snr"), _curve(told, "nmr")],
        checks=[_check(one) for one in told["sanity"]],
        corruptions=[
            (name, _percent(value), f"{100 * value:.0f}") for name, value in told["corruptions"].items()
        ],
        clips=[_clip(one, list(told["attacks"])) for one in told["each"]],
        tasks=[_NAMES[task] for task in told["attacks"]],
    )


def headline(told: Told) -> str:
    """The finding in one sentence.

    Examples
    --------
    >>> headline({"clips": 2, "clean_accuracy": 1.0, "attacks": {}, "victim": "v", "plan": {"to": None}})
    'It hears 100 % of 2 clips rightly; no attack was run.'
    """
    said = f"It hears {_percent(told['clean_accuracy'])} of {told['clips']} clips rightly"
    known = {task: one for task, one in told["attacks"].items() if one["attacked"]}
    if not known:
        return said + "; no attack was run."
    task, best = max(known.items(), key=lambda pair: (pair[1]["fooled"], pair[1]["median_snr_db"] or -999.0))
    goal = "anything else" if told["plan"]["to"] is None else full_name(told["plan"]["to"])
    said += f"; made to hear {goal}, it is fooled on {best['fooled']} of {best['attacked']}"
    if best["median_snr_db"] is not None:
        said += f", by changes {best['median_snr_db']:.1f} dB below the clip in the median"
    return f"{said} ({_NAMES[task]})."


def _notes(told: Told) -> list[str]:
    failed = [one["name"] for one in told["sanity"] if one["passed"] is False]
    notes = []
    if failed:
        what = "; ".join(name[0].lower() + name[1:] for name in failed)
        notes.append(f"Not to be relied on yet, for it fails its own checks: {what}.")
    if not told["differentiable"]:
        notes.append("The victim has no gradients: it was attacked by its answers alone.")
    if told.get("interrupted"):
        notes.append(f"Ended early: {told['clips']} of {told['clips_chosen']} clips.")
    return notes


def _facts(told: Told) -> list[tuple[str, str]]:
    certified = told["certified_snr_db"]
    rows = [("Victim", str(told["victim"])), ("Clips", str(told["clips"]))]
    rows += [("Heard rightly", _percent(told["clean_accuracy"]))]
    if certified:
        attacked = told["attacks"].get("minimal", {}).get("median_snr_db")
        rows.append(("No change can fool it above, median", _db(certified["median"])))
        rows.append(("A change was found at, median", _db(attacked)))
    return [*rows, ("Time", seconds(told.get("seconds", 0.0)))]


def _attack(task: str, one: Told) -> dict[str, str]:
    return {
        "name": _NAMES[task],
        "attack": one["attack"],
        "budget": f"{one['budget']} {one['counted_in']}",
        "fooled": f"{one['fooled']} of {one['attacked']}",
        "snr": _db(one["median_snr_db"]),
        "nmr": _db(one["median_nmr_db"]),
        "inaudible": f"{one['inaudible']} of {one['fooled']}",
    }


def _curve(told: Told, what: str) -> dict[str, Any]:
    grid = told["grids"][f"{what}_db"]
    lines = [
        (_NAMES[task], _STYLES[task], list(zip(grid, one[f"robust_{what}"], strict=True)))
        for task, one in told["attacks"].items()
    ]
    if what == "snr":
        # From faint changes on the left to loud ones: the axis runs downwards in SNR.
        lines = [(name, style, [(-x, y) for x, y in points]) for name, style, points in lines]
        ticks = tuple((-float(x), f"{x}") for x in (80, 60, 40, 20, 0))
        x, title = Axis("Changes of at least this SNR, dB", -80.0, 10.0, ticks), "By size"
        certified = told["certified_snr_db"]
        at = -min(80.0, certified["median"]) if certified else None
        says = "Further right, louder changes are allowed."
        if at is not None:
            says += " Left of the upright line no change can fool it, on half of the clips: that is proved."
    else:
        ticks = tuple((float(x), f"{x}".replace("-", "−")) for x in (-20, 0, 20, 40, 60))
        x, title, at = (
            Axis("Worst noise-to-mask ratio of at most, dB", -30.0, 60.0, ticks),
            "By audibility",
            0.0,
        )
        says = "Left of the upright line (0 dB) a change is masked everywhere: nobody is to hear it."
    drawing = charts.curves(lines, x=x, y=shares("Heard rightly even so, %", (0.0, 1.0)), at=at, says=says)
    return {"title": title, "drawing": drawing, "says": says, "keys": [(n, s) for n, s, _ in lines]}


def _check(one: Told) -> dict[str, str]:
    sign, word = {True: ("✓", "passed"), False: ("✗", "failed"), None: (_DASH, "not asked")}[one["passed"]]
    return {"name": one["name"], "words": one["words"], "sign": sign, "word": word}


def _clip(one: Told, tasks: Sequence[str]) -> dict[str, Any]:
    clean = one["clean"]
    cells = []
    for task in tasks:
        found = one.get(task)
        if found is None:
            cells.append(_DASH)
        elif not found["success"]:
            cells.append("withstood")
        else:
            cells.append(f"{_db(found['snr_db'])}, heard as {full_name(found['predicted'])}")
    return {
        "file": clean["file"],
        "heard": full_name(clean["heard"])
        + ("" if clean["right"] else f" (it is {full_name(clean['label'])})"),
        "cells": cells,
        "certified": _db(one.get("certified")),
    }


def _db(value: float | None) -> str:
    return _DASH if value is None else f"{value:.1f} dB".replace("-", "−")


def _percent(value: float | None) -> str:
    return _DASH if value is None else f"{100 * value:.0f} %"
