"""What the page shows of masking: paths of the picture, the map's image, axes, and all of it in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.audibility.bands import bark
from subterfuge.report.masking_picture import FLOOR_DB, Picture

View = dict[str, Any]
MAP_LOWEST, MAP_HIGHEST, MAP_STEP = -40, 20, 2  # dB of the map's colours
BELOW, ABOVE = -MAP_LOWEST // MAP_STEP, MAP_HIGHEST // MAP_STEP  # how many colours on either side of 0 dB
_LOWEST_SHOWN = -10  # dB SPL at the picture's bottom
_COURSE_LOW = -30  # dB at the bottom of the strip over the map
# What is written at a frequency axis, and what besides where there is room.
_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000)
_MORE_HZ = (200, 300, 700, 1500, 3000, 6000, 12000)
_NBSP, _MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


def view(picture: Picture, *, start: float, whole: bool) -> View:
    """Everything that the template says of masking, the picture being that of its worst moment.

    Parameters
    ----------
    picture : Picture
    start : float
        Where in the file it begins, in seconds.
    whole : bool
        Whether it is the whole file.
    """
    at = picture.moment
    top = _top(picture)
    high = max(10, min(40, 10 * math.ceil(float(picture.worst_db[at]) / 10))) if picture.changed else 10
    clip, threshold, noise = (x[at] for x in (picture.clip, picture.threshold, picture.noise))
    return {
        "steps": picture.steps,
        "bands": picture.bands,
        "step_db": picture.step_db,
        "floor": FLOOR_DB,
        "moment": at,
        "start": start,
        "centres": " ".join(f"{hz:.0f}" for hz in picture.centre),
        "says": instant(picture, at, start),
        "readout": readout(picture, at, start),
        "summary": summary(picture, start, whole),
        "level": f"{picture.level:g}{_NBSP}dB SPL",
        "top": top,
        "bottom": _LOWEST_SHOWN,
        "box": f"0 {-top} {picture.bands} {top - _LOWEST_SHOWN}",
        "lines": [-db for db in range(0, top, 20)],
        "db_ticks": [(f"{db}", (db - _LOWEST_SHOWN) / (top - _LOWEST_SHOWN)) for db in range(0, top, 20)],
        "paths": {
            "clip": stairs(clip, picture.step_db),
            "clip_area": area(clip, picture.step_db),
            "hidden": area(threshold, picture.step_db),
            "threshold": stairs(threshold, picture.step_db),
            "noise": stairs(noise, picture.step_db),
            "excess": excess(threshold, noise, picture.step_db),
        },
        "hz_ticks": hertz_ticks(picture, apart=0.055),
        "map_ticks": [(text, at) for text, at, minor in hertz_ticks(picture, apart=0.1) if not minor],
        "course": course(picture.worst_db, high),
        "course_box": f"0 {-high} {picture.steps} {high - _COURSE_LOW}",
        "course_ticks": [
            (_signed(db, 0), (db - _COURSE_LOW) / (high - _COURSE_LOW))
            for db in (-20, 0, 20, 40)
            if db < high
        ],
    }


def stairs(index: NDArray[np.uint8], step_db: float) -> str:
    """A line over the bands, level in each: SVG path data, x in bands and y in dB SPL downward.

    Nothing is drawn where there is nothing.

    Examples
    --------
    >>> stairs(np.array([0, 40, 41, 0, 60], np.uint8), 0.5)
    'M1,0H2V-0.5H3M4,-10H5'
    """
    out, on = [], False
    for k, level in enumerate(index.tolist()):
        if level:
            y = _y(level, step_db)
            out.append(f"V{y}H{k + 1}" if on else f"M{k},{y}H{k + 1}")
        on = bool(level)
    return "".join(out)


def area(index: NDArray[np.uint8], step_db: float) -> str:
    """What lies under such a line.

    Examples
    --------
    >>> area(np.array([0, 40], np.uint8), 0.5)
    'M0,20V20H1V0H2V20Z'
    """
    steps = "".join(f"V{_y(level, step_db)}H{k + 1}" for k, level in enumerate(index.tolist()))
    bottom = _y(0, step_db)
    return f"M0,{bottom}{steps}V{bottom}Z"


def excess(threshold: NDArray[np.uint8], noise: NDArray[np.uint8], step_db: float) -> str:
    """What of the perturbation lies above the threshold, band by band."""
    return "".join(
        f"M{k},{_y(hidden, step_db)}V{_y(level, step_db)}H{k + 1}V{_y(hidden, step_db)}Z"
        for k, (hidden, level) in enumerate(zip(threshold.tolist(), noise.tolist(), strict=True))
        if level > hidden
    )


def course(worst_db: NDArray[np.float64], high: int) -> dict[str, str]:
    """The worst ratio over time, as a line and what of it lies above 0 dB: x in instants, y in dB downward.

    Held between the strip's ends.
    """
    line: list[str] = []
    above: list[str] = []
    last = ""
    for j, db in enumerate(worst_db.tolist()):
        y = f"{round(-min(high, max(_COURSE_LOW, db)), 1) + 0.0:g}"
        line.append(f"M0,{y}H1" if not last else f"H{j + 1}" if y == last else f"V{y}H{j + 1}")
        if db > 0:
            above.append(f"M{j},0V{y}H{j + 1}V0Z")
        last = y
    return {"line": "".join(line), "above": "".join(above)}


def map_index(ratio_db: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The map of time and critical band as indices of colours, the highest band first.

    0 is for no perturbation, 1 to ``BELOW`` for -40 to 0 dB, those beyond for what lies above.

    Examples
    --------
    >>> map_index(np.array([[-np.inf, -99.0, -39.0, -0.1, 0.0, 0.1, 5.0, 99.0]])).ravel().tolist()
    [30, 23, 21, 20, 20, 1, 1, 0]
    """
    out = np.zeros(ratio_db.shape, np.uint8)
    known = np.isfinite(ratio_db)
    held = np.clip(np.where(known, ratio_db, 0.0), MAP_LOWEST, MAP_HIGHEST)
    below = BELOW - np.minimum(np.floor(-held / MAP_STEP), BELOW - 1)
    above = BELOW + 1 + np.minimum(np.floor(held / MAP_STEP), ABOVE - 1)
    out[known] = np.where(held > 0, above, below)[known]
    return np.ascontiguousarray(out.T[::-1])


def scale_index() -> NDArray[np.uint8]:
    """The legend of :func:`map_index`: one row of all colours but that of nothing."""
    return np.arange(1, BELOW + ABOVE + 1, dtype=np.uint8)[None]


def scale_ticks() -> list[tuple[str, float]]:
    """Texts and places under the legend."""
    return [(_signed(db, 0), (db - MAP_LOWEST) / (MAP_HIGHEST - MAP_LOWEST)) for db in (-40, -20, 0, 20)]


def summary(picture: Picture, start: float, whole: bool) -> str:
    """What the map shows, in a sentence or two."""
    if not picture.changed:
        return "Nothing was changed here, so there is nothing to hide."
    worst = float(picture.worst_db[picture.moment])
    place = _place(picture, picture.moment, start)
    of = "cells" if picture.channels == 1 else "worst channel’s cells"
    here = "" if whole else " here"
    if worst > 0:
        share = 100 * picture.share
        shown = f"<{_NBSP}0.01" if share < 0.005 else f"{share:.2f}" if share < 10 else f"{share:.0f}"
        return (
            f"{shown}{_NBSP}% of the {of} lie above the threshold{here}, "
            f"the worst by {decibels(worst)[1:]} at {place}."
        )
    nearest = decibels(worst)[1:]
    return f"No cell lies above the threshold{here}: the nearest stays {nearest} below it, at {place}."


def instant(picture: Picture, at: int, start: float) -> str:
    """One instant in words, as the slider tells it: ``1.24 seconds: worst −3.2 dB, at 2.3 kHz``."""
    when = f"{_time(picture, at, start)} seconds"
    if not math.isfinite(picture.worst_db[at]):
        return f"{when}: no perturbation"
    return f"{when}: worst {decibels(picture.worst_db[at])}, at {hertz(picture.centre[picture.band[at]])}"


def readout(picture: Picture, at: int, start: float) -> View:
    """One instant as the picture's caption tells it."""
    over = int((picture.noise[at] > picture.threshold[at]).sum())
    known = math.isfinite(picture.worst_db[at])
    return {
        "time": f"{_time(picture, at, start)}{_NBSP}s",
        "worst": decibels(picture.worst_db[at]) if known else "–",
        "where": hertz(picture.centre[picture.band[at]]) if known else "–",
        "over": over,
    }


def decibels(value: float) -> str:
    """A ratio in dB that always has a sign: ``+1.2 dB``, ``−0.3 dB``.

    Examples
    --------
    >>> decibels(0.04).replace("\\xa0", " "), decibels(-0.04).replace("\\xa0", " ")
    ('+0.0 dB', '−0.0 dB')
    """
    return f"{'+' if value > 0 else _MINUS}{abs(value):.1f}{_NBSP}dB"


def hertz(hz: float) -> str:
    """A band's centre: ``450 Hz``, ``2.3 kHz``."""
    return f"{hz:.0f}{_NBSP}Hz" if hz < 999.5 else f"{hz / 1000:.1f}{_NBSP}kHz"


def hertz_ticks(picture: Picture, *, apart: float) -> list[tuple[str, float, bool]]:
    """What is written at a Bark axis: text, place between its ends, and whether it can be left out.

    No two lie closer than ``apart``.
    """
    low, high = picture.rate_of[0] - 0.25, picture.rate_of[-1] + 0.25
    ticks: list[tuple[str, float, bool]] = []
    for hz in (*_HZ, *_MORE_HZ):
        at = (float(bark(float(hz))) - low) / (high - low)
        if 0.01 < at < 0.985 and all(abs(at - other) >= apart for _, other, _ in ticks):
            ticks.append((f"{hz / 1000:g}k" if hz >= 1000 else str(hz), at, hz in _MORE_HZ))
    return sorted(ticks, key=lambda tick: tick[1])


def _time(picture: Picture, at: int, start: float) -> str:
    # To the millisecond, as the script has it.
    return f"{start + round(1000 * float(picture.when[at])) / 1000:.2f}"


def _place(picture: Picture, at: int, start: float) -> str:
    return f"{_time(picture, at, start)}{_NBSP}s, {hertz(picture.centre[picture.band[at]])}"


def _top(picture: Picture) -> int:
    """A round level in dB SPL above everything that is drawn at any time."""
    highest: Iterable[float] = (picture.db(x).max() for x in (picture.clip, picture.threshold, picture.noise))
    return max(60, 10 * math.ceil((max(highest) + 4) / 10))


def _y(level: int, step_db: float) -> str:
    return f"{-(FLOOR_DB + step_db * level) + 0.0:g}"


def _signed(value: float, digits: int) -> str:
    shown = f"{abs(value):.{digits}f}"
    return f"+{shown}" if value > 0 else f"{_MINUS}{shown}" if value < 0 else shown
