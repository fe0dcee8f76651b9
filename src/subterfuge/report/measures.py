"""The table of audibility on a page: each measure beside its published threshold, and one sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from subterfuge.report import wording

View = dict[str, Any]
_NBSP, _MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
_WORDS = {False: {True: "below", False: "above"}, True: {True: "better", False: "worse"}}
_TOLD_ELSEWHERE = {"level_db", "notes", "verdict"}


def table(audibility: Mapping[str, Any]) -> View | None:
    """Rows of the measures in a record's ``audibility``; None where it holds none.

    Measures with a published threshold come first. What has another name than the known measures is shown as
    it is.

    Parameters
    ----------
    audibility : mapping
        As :meth:`subterfuge.audibility.metrics.Audibility.as_json` gives it; of older records, anything.
    """
    from subterfuge.audibility.thresholds import MEASURES

    notes = audibility.get("notes")
    notes = notes if isinstance(notes, Mapping) else {}
    judged: list[View] = []
    plain: list[View] = []
    for one in MEASURES:
        if one.name not in audibility:
            continue
        value, why = audibility[one.name], str(notes.get(one.name, ""))
        if value is None and not why and one.name == "visqol":
            continue  # not asked for
        value = _restored(one.name, value, why)
        unheard = one.unheard(value)
        row = {
            "name": _first_up(one.title),
            "value": _value(one.shown(value)),
            "limit": _value(one.limit) if one.threshold is not None else None,
            "unheard": unheard,
            "word": None if unheard is None else _WORDS[one.high_is_better][unheard],
            "source": _value(one.source),
            "about": _value(one.about if one.source else _first_up(one.about)),
            "why": _first_up(why) if value is not None or not why else f"Not measured: {why}",
        }
        (plain if one.threshold is None else judged).append(row)
    known = {one.name for one in MEASURES} | _TOLD_ELSEWHERE
    for key, value in audibility.items():
        if key not in known:
            words, shown = wording.measure(key, math.nan if value is None else value)
            plain.append(_plain(words, shown))
    if not judged and not plain:
        return None
    return {"judged": judged, "plain": plain, "level": _level(audibility.get("level_db"))}


def sentence(audibility: Mapping[str, Any]) -> str | None:
    """The verdict over all measures as a sentence; None where the record holds none.

    Examples
    --------
    >>> sentence({"verdict": "below threshold by 2 of 2 measures"})
    'Below threshold by 2 of 2 measures.'
    """
    text = audibility.get("verdict")
    return _value(_first_up(text.rstrip("."))) + "." if isinstance(text, str) and text.strip() else None


def level_of(audibility: Mapping[str, Any]) -> float:
    """The playback level that a record's measures assume, in dB SPL; where it says nothing, the usual one."""
    from subterfuge.audibility.masking import LEVEL

    level = audibility.get("level_db")
    usable = isinstance(level, (int, float)) and not isinstance(level, bool) and 0 <= level <= 140
    return float(level) if usable else LEVEL  # type: ignore[arg-type]


def worst(audibility: Mapping[str, Any]) -> tuple[str, float] | None:
    """The worst noise-to-mask ratio, for a table of many files: its text, and where it is sorted."""
    if "nmr_worst_db" not in audibility:
        return None
    value = audibility["nmr_worst_db"]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
        return "–", -1e9
    return ("+" if value > 0 else "") + wording.decibels(value), value


def _plain(name: str, value: str) -> View:
    empty = {"limit": None, "unheard": None, "word": None, "source": "", "about": "", "why": ""}
    return {"name": _first_up(name), "value": value, **empty}


def _restored(name: str, value: Any, why: str) -> float | None:
    """A record's value; what is infinite has become None there, with a note that says why."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if value is not None or not why.startswith("infinite"):
        return None
    silent = "silent" in why
    return math.inf if (name == "db_x" if silent else name == "snr_db") else -math.inf


def _value(text: str) -> str:
    """A measure's own words, typeset: true minus signs, no break before a unit."""
    for unit in ("dB", "LU", "%"):
        text = text.replace(f" {unit}", f"{_NBSP}{unit}")
    text = text.replace("-inf", f"{_MINUS}∞").replace("inf" + _NBSP, f"∞{_NBSP}")
    return re.sub(r"(?<![\w.])-(?=\d)", _MINUS, text)


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:] if not text.startswith("dB") else text


def _level(value: Any) -> str | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return f"{value:g}{_NBSP}dB SPL" if known else None
