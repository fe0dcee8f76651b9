"""What the page shows of one explained clip: players and pictures, bars of bands, moments and features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from subterfuge.explanation.occlusion import Dropped
from subterfuge.explanation.run import Explained, Part
from subterfuge.labels import full_name
from subterfuge.report import explanation_words, spectrogram, wording
from subterfuge.report.excerpt import Unplayable, as_base64
from subterfuge.report.explanation_picture import SIZE, plain, tinted_spectrogram

View = dict[str, Any]
_NBSP, _MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
_SECONDS = 30.0


def clip(number: int, one: Explained, folder: Path, *, embed: bool) -> View:
    """Everything that the template says of one clip."""
    told = one.explanation
    label = full_name(told.label)
    rows, shown = _rows(one, folder, embed=embed)
    return {
        "id": f"clip-{number}",
        "number": number,
        "name": wording.file_name(one.input),
        "label": label,
        "verdict": explanation_words.verdict(one),
        "meaning": explanation_words.meaning(one),
        "notes": told.notes + shown["notes"],
        "rows": rows,
        "playable": bool(rows) and all(row["data"] for row in rows),
        "rate": shown["rate"],
        "duration": shown["duration"],
        "frequencies": spectrogram.frequency_ticks(shown["rate"]),
        "times": spectrogram.time_ticks(shown["start"], shown["duration"]),
        "moments": _moments(told.moments, shown["start"], shown["duration"], label),
        "bands": _bars(told.bands, label),
        "features": _features(one),
        "unit": explanation_words.unit(one),
        "gradients": told.completeness is not None,
        "sums": _sums(one),
        "facts": [
            ("Victim", one.victim),
            ("Explained", label),
            ("Evidence", f"{signed(told.evidence)} {told.unit}"),
            ("Decisive parts by", told.chosen_by),
            ("Queries", wording.count(sum(told.queries.values()))),
            ("Time taken", wording.seconds(one.seconds)),
        ],
        "json": _link(str(Path(one.only.output).with_name(f"{Path(one.input).stem}-explained.json")), folder),
    }


def _rows(one: Explained, folder: Path, *, embed: bool) -> tuple[list[View], View]:
    """The clip, its decisive parts and the rest, each with its picture and its sound."""
    from subterfuge.audio import read_audio
    from subterfuge.errors import SubterfugeError

    parts = [
        ("original", "The clip", Part(one.input, one.predicted, one.probability)),
        ("only", "Decisive parts", one.only),
        ("without", "The rest", one.without),
    ]
    empty: View = {"notes": [], "rate": 44100, "duration": 1.0, "start": 0.0}
    try:
        files = [read_audio(part.output) for _, _, part in parts]
    except SubterfugeError as error:
        return [], {**empty, "notes": [f"{error}."]}
    rate, frames = files[0].sr, files[0].frames
    first, length = _stretch(one, rate, frames)
    start, seconds = first / rate, length / rate
    notes = []
    if length < frames:
        notes.append(
            f"Played and drawn here: {start:.1f} to {start + seconds:.1f} s of {frames / rate:.1f} s, "
            "where most speaks for the label."
        )
    rows: list[View] = []
    loudest = 0.0
    for (key, name, part), file in zip(parts, files, strict=True):
        y = file.data[:, first : first + length].double().numpy()
        y = y if len(y) <= 2 else y.mean(0, keepdims=True)
        power = spectrogram.bands(y, rate, width=SIZE[0], height=SIZE[1])
        loudest = loudest or float(power.max())
        tinted = None
        if key == "original":
            tinted = tinted_spectrogram(
                power, loudest, one.explanation.attribution.numpy(), one.explanation.grid,
                rate=rate, start=start, seconds=seconds,
            )  # fmt: skip
        rows.append(
            {
                "key": key,
                "name": name,
                "says": _says(part, one.explanation.label),
                "picture": plain(power, loudest),
                "tinted": tinted,
                "data": _sound(y, rate) if embed else None,
                "link": _link(part.output, folder),
                "file": wording.file_name(part.output),
            }
        )
    return rows, {"notes": notes, "rate": rate, "duration": seconds, "start": start}


def _stretch(one: Explained, rate: int, frames: int) -> tuple[int, int]:
    """First sample and number of samples of what is shown: where most of the attribution is."""
    length = min(frames, round(_SECONDS * rate))
    if length == frames:
        return 0, frames
    said = np.maximum(one.explanation.attribution.sum(0).numpy(), 0.0)
    span = max(1, round(len(said) * length / frames))
    total = np.concatenate([[0.0], np.cumsum(said)])
    best = int(np.argmax(total[span:] - total[:-span]))
    return min(round(best / len(said) * frames), frames - length), length


def _sound(y: NDArray[np.float64], rate: int) -> str | None:
    try:
        return as_base64(y, rate)
    except Unplayable:
        return None


def _says(part: Part, label: str) -> str:
    """What is heard in a part, and how probable the label is there."""
    told = full_name(part.predicted)
    if part.probability is None:
        return told
    p = wording.percent(part.probability)
    return f"{told}, {p}" if part.predicted == label else f"{told}; {full_name(label)} {p}"


def _moments(moments: Sequence[Dropped], start: float, duration: float, label: str) -> View:
    """Bars over time, in the columns of the spectrograms."""
    most = max((abs(one.drop) for one in moments), default=0.0) or 1.0
    bars = []
    for one in moments:
        left, right = ((at - start) / duration for at in (one.low, one.high))
        if right <= 0 or left >= 1:
            continue
        left, right = max(0.0, left), min(1.0, right)
        bars.append(
            {
                "left": 100 * left,
                "width": 100 * (right - left),
                "height": 50 * abs(one.drop) / most,
                "side": "against" if one.drop < 0 else "for",
                "says": f"{one.low:.2f} to {one.high:.2f} s: {_left_out(one, label)}",
            }
        )
    return {"bars": bars, "most": signed(most), "least": signed(-most)}


def _bars(bands: Sequence[Dropped], label: str) -> list[View]:
    """Bars of the critical bands, the highest first, as in the spectrogram."""
    most = max((abs(one.drop) for one in bands), default=0.0) or 1.0
    return [
        {
            "name": f"{_hz(one.low)}–{_hz(one.high)}",
            "drop": signed(one.drop),
            "side": "against" if one.drop < 0 else "for",
            "width": 50 * abs(one.drop) / most,
            "then": full_name(one.predicted),
            "lost": full_name(one.predicted) != label,
            "percent": "" if one.probability is None else wording.percent(one.probability),
            "says": f"{_hz(one.low)} to {_hz(one.high)} Hz: {_left_out(one, label)}",
        }
        for one in reversed(bands)
    ]


def _left_out(one: Dropped, label: str) -> str:
    p = "" if one.probability is None else f", {label} {wording.percent(one.probability)}"
    return f"worth {signed(one.drop)}; without it {full_name(one.predicted)}{p}"


def _features(one: Explained) -> View | None:
    told = one.explanation.features
    if told is None:
        return None
    values = [f.drop if f.integrated is None else f.integrated for f in told.features]
    most = max((abs(v) for v in values), default=0.0) or 1.0
    gradients = told.residual is not None
    rows = [
        {
            "name": f.name,
            "away": signed(f.deviations, 1),
            "side": "against" if v < 0 else "for",
            "width": 50 * abs(v) / most,
            "integrated": signed(v) if gradients else None,
            "gradient": None if f.gradient is None else signed(f.gradient),
            "drop": signed(f.drop),
        }
        for f, v in zip(told.features, values, strict=True)
    ]
    about = (
        f"The average clip of the training has {signed(told.average_value)}, this one {signed(told.value)}"
    )
    if told.residual is not None:
        total = told.value - told.average_value - told.residual
        about += f"; the shares add up to {signed(total)}, the residual is {signed(told.residual, 3)}"
    return {"rows": rows, "gradients": gradients, "about": about + "."}


def _sums(one: Explained) -> list[tuple[str, str]]:
    found = one.explanation.completeness
    if found is None:
        return []
    difference = found["value"] - found["baseline"]
    rest = abs(found["residual"] / difference) if difference else 0.0
    return [
        ("Evidence in the clip", signed(found["value"])),
        ("In silence (100 dB down)", signed(found["baseline"])),
        ("Difference", signed(difference)),
        ("Sum of all shares", signed(found["sum"])),
        ("Residual", f"{signed(found['residual'], 3)} ({100 * rest:.1f}{_NBSP}%)"),
        ("Gradients taken", wording.count(int(found["steps"]))),
    ]


def signed(value: float, digits: int = 2) -> str:
    """A number that always has a sign.

    Examples
    --------
    >>> signed(1.234), signed(-0.001)
    ('+1.23', '0.00')
    """
    text = f"{abs(value):.{digits}f}"
    return text if not float(text) else ("+" if value > 0 else _MINUS) + text


def _hz(hz: float) -> str:
    return f"{hz:.0f}" if hz < 999.5 else f"{hz / 1000:.1f}k"


def _link(name: str, folder: Path) -> str | None:
    path = Path(name)
    if not path.is_file():
        return None
    try:
        return quote(os.path.relpath(path.resolve(), folder.resolve()).replace(os.sep, "/"))
    except ValueError:  # another drive
        return path.resolve().as_uri()
