"""One self-contained page for a run: verdicts, synchronised players, spectrograms, probabilities."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from subterfuge.attacks.record import Record
from subterfuge.errors import SubterfugeError
from subterfuge.labels import full_name
from subterfuge.report import (
    excerpt,
    masking_cells,
    masking_picture,
    masking_view,
    measures,
    png,
    spectrogram,
    wording,
)
from subterfuge.report.colour import diverging, palette

BUDGET_BYTES = 40_000_000
_SECONDS = (30.0, 20.0, 15.0, 10.0, 8.0, 5.0, 3.0)
_SHOWN_LABELS = 14


@dataclass
class _Stock:
    """Sounds and pictures of the page, each distinct one held once."""

    colours: NDArray[np.uint8]
    sounds: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    sound_bytes: int = 0
    _powers: dict[bytes, NDArray[np.float64]] = field(default_factory=dict)
    _known: dict[bytes, str] = field(default_factory=dict)

    def sound(self, y: NDArray[np.float64], rate: int) -> str | None:
        """The id of a sound, or None where the page would grow beyond its budget."""
        key = _digest(y, rate)
        if key not in self._known:
            data = excerpt.as_base64(y, rate)
            if self.sounds and self.sound_bytes + len(data) > 1.4 * BUDGET_BYTES:
                return None
            name = f"sound-{len(self.sounds) + 1}"
            self.sounds[name] = data
            self.sound_bytes += len(data)
            self._known[key] = name
        return self._known[key]

    def original(self, y: NDArray[np.float64], rate: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """The spectrogram of an original, which many adversarial files may share."""
        key = _digest(y, rate)
        if key not in self._powers:
            self._powers.clear()  # those that share one follow each other
            self._powers[key] = spectrogram.bands(y, rate, width=size[0], height=size[1])
        return self._powers[key]

    def picture(self, power: NDArray[np.float64], reference: float) -> str:
        """The id of a spectrogram's image."""
        return self.image(spectrogram.levels(power, reference))

    def image(self, index: NDArray[np.uint8], colours: NDArray[np.uint8] | None = None) -> str:
        """The id of an image of palette indices, if not in a spectrogram's colours then in these."""
        palette_ = self.colours if colours is None else colours
        data = base64.b64encode(png.encode(index, palette_)).decode("ascii")
        key = hashlib.blake2b(data.encode()).digest()
        if key not in self._known:
            self._known[key] = name = f"picture-{len(self.pictures) + 1}"
            self.pictures[name] = data
        return self._known[key]

    def image_pair(self, index: NDArray[np.uint8]) -> tuple[str, str]:
        """The ids of an image about zero, on light ground and on dark."""
        light, dark = _about_zero(False), _about_zero(True)
        return self.image(index, light), self.image(index, dark)

    def packed(self, data: str) -> str:
        """The id of what a masking picture is drawn from."""
        name = f"cells-{len(self.cells) + 1}"
        self.cells[name] = data
        return name


def write_page(
    records: Sequence[Record], path: Path, *, command: str, title: str = "Sonic Subterfuge"
) -> Path:
    """Write the page to listen to: one HTML file that needs nothing but a browser.

    The sounds are embedded as FLAC, bit for bit where the files hold 8, 16 or 24-bit samples, at most 30 s a
    file around the strongest change; the perturbation is the difference of the two, taken in the browser.
    A policy in the page itself forbids it to load anything from anywhere.

    Parameters
    ----------
    records : sequence of Record
        One an attacked file, in the order in which they are to appear.
    path : Path
        The page. Its folder is made where it is missing; an existing page is replaced in one step.
    command : str
        The command line that made these records, to be shown under "how to reproduce".
    title : str
        The page's heading.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    SubterfugeError
        If there are no records, or the page cannot be written.

    Notes
    -----
    Files that cannot be read, probabilities that are missing and ratios that are not finite are said to
    be so on the page; they never prevent it.
    """
    if not records:
        raise SubterfugeError("page: got no records, expected at least one attacked file")
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, render(records, path.parent, command=command, title=title))
    except OSError as error:
        raise SubterfugeError(f"page {path}: could not be written: {error.strerror or error}") from error
    return path


def render(records: Sequence[Record], folder: Path, *, command: str, title: str) -> str:
    """The page as text; links to the files are relative to ``folder``."""
    stock = _Stock(palette(spectrogram.LEVELS))
    limit = _seconds_that_fit(records)
    size = (840, 168) if len(records) <= 12 else (640, 144)
    files = [_file(i, record, folder, stock, limit, size) for i, record in enumerate(records, 1)]
    scale = stock.image(np.arange(spectrogram.LEVELS, dtype=np.uint8)[None])
    templates = resources.files("subterfuge.report") / "templates"
    scripts = ("common.js", "sounds.js", "page.js", "masking.js")
    script = "".join((templates / name).read_text("utf-8") for name in scripts)
    style = "".join((templates / name).read_text("utf-8") for name in ("page.css", "masking.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("subterfuge.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        title=title,
        files=files,
        summary=wording.summary(records) if len(records) > 1 else None,
        scale=scale,
        scale_ticks=[(f"{db}".replace("-", "\N{MINUS SIGN}"), 1 + db / 90) for db in (-90, -60, -30, 0)],
        map_scale=stock.image_pair(masking_view.scale_index()) if stock.cells else None,
        map_scale_ticks=masking_view.scale_ticks(),
        sounds=stock.sounds,
        cells=stock.cells,
        pictures=stock.pictures,
        style=Markup(style),
        script=Markup(script),
        script_hash=digest,
        command=command,
        victims=sorted({record.victim for record in records}),
        attacks=sorted({record.attack for record in records}),
        versions=sorted({record.version for record in records}),
    )


def _file(
    number: int, record: Record, folder: Path, stock: _Stock, limit: float, size: tuple[int, int]
) -> dict[str, Any]:
    """Everything that the template says of one file."""
    shown = _player(record, stock, limit, size)
    return {
        "id": f"file-{number}",
        "number": number,
        "name": wording.file_name(record.input),
        "output_name": wording.file_name(record.output),
        "input_link": _link(record.input, folder),
        "output_link": _link(record.output, folder),
        "success": record.success,
        "verdict": wording.verdict(record),
        "before": full_name(record.predicted_before),
        "after": full_name(record.predicted_after),
        "before_percent": _own_percent(record.probabilities_before, record.predicted_before),
        "after_percent": _own_percent(record.probabilities_after, record.predicted_after),
        "wanted": wording.wanted(record),
        "snr": wording.decibels(record.snr_db),
        "snr_value": record.snr_db if math.isfinite(record.snr_db) else _sortable(record.snr_db),
        "snr_bar": min(1.0, max(0.0, record.snr_db / 80)) if math.isfinite(record.snr_db) else 0.0,
        "nmr": measures.worst(record.audibility),
        "facts": _facts(record),
        "queries": wording.count(sum(record.queries.values())),
        "queries_value": sum(record.queries.values()),
        "seconds": wording.seconds(record.seconds),
        "seconds_value": record.seconds,
        "audible": measures.sentence(record.audibility),
        "measures": measures.table(record.audibility),
        "masking": _masking(record, stock, shown),
        "notes": list(record.notes),
        "chances": _chances(record),
        "player": shown,
    }


def _player(record: Record, stock: _Stock, limit: float, size: tuple[int, int]) -> dict[str, Any]:
    """Sounds, pictures and axes of one file; ``rows`` is empty where nothing can be read."""
    empty: dict[str, Any] = {"rows": [], "notes": []}
    original, adversarial = Path(record.input), Path(record.output)
    level = measures.level_of(record.audibility)

    def moment() -> float | None:
        return masking_cells.worst_moment(original, adversarial, level=level)

    try:
        cut = excerpt.cut(original, adversarial, seconds=limit, moment=moment)
    except excerpt.Unplayable as reason:
        return {**empty, "notes": [str(reason)]}
    width, height = size
    notes = list(cut.notes)
    power = stock.original(cut.original, cut.rate, size)
    loudest = float(power.max())
    rows = [_row("original", "Original", stock.picture(power, loudest))]
    sounds = {"original": stock.sound(cut.original, cut.rate)}
    gain: int | None = None
    if cut.adversarial is not None:
        power = spectrogram.bands(cut.adversarial, cut.rate, width=width, height=height)
        rows.append(_row("adversarial", "Adversarial", stock.picture(power, loudest)))
        sounds["adversarial"] = stock.sound(cut.adversarial, cut.rate)
        change = cut.adversarial - cut.original
        gain = excerpt.listening_gain(cut.original, change)
        if gain is None:
            notes.append("Sample for sample the two are the same here, so there is no perturbation to hear.")
        else:
            power = spectrogram.bands(change, cut.rate, width=width, height=height)
            peak = 10 * math.log10(max(float(power.max()), 1e-30) / max(loudest, 1e-30))
            rows.append(
                _row("perturbation", "Perturbation", stock.picture(power, loudest))
                | {
                    "own_picture": stock.picture(power, float(power.max())),
                    "peak": wording.decibels(peak),
                }
            )
    silent = None in sounds.values()
    if silent:
        notes.append("This page already holds all the sound it should; play the files themselves.")
    return {
        "rows": rows,
        "notes": notes,
        "sounds": {} if silent else sounds,
        "gain": None if gain is None else 10 ** (gain / 20),
        "gain_words": _gain_words(gain),
        "rate": cut.rate,
        "duration": cut.duration,
        "start": cut.start,
        "whole": cut.duration >= cut.total,
        "paired": cut.adversarial is not None,
        "frequencies": spectrogram.frequency_ticks(cut.rate),
        "times": spectrogram.time_ticks(cut.start, cut.duration),
    }


def _masking(record: Record, stock: _Stock, shown: dict[str, Any]) -> dict[str, Any] | None:
    """The masking picture of what the player shows; None where there is no pair, or no perturbation in it."""
    if not shown["rows"] or not shown["paired"]:
        return None
    level = measures.level_of(record.audibility)
    found = masking_cells.cells(
        Path(record.input),
        Path(record.output),
        first=round(shown["start"] * shown["rate"]),
        length=round(shown["duration"] * shown["rate"]),
        level=level,
    )
    picture = masking_picture.thinned(found, level=level)
    if not picture.changed:
        return None
    view = masking_view.view(picture, start=shown["start"], whole=shown["whole"])
    view["map"] = stock.image_pair(masking_view.map_index(picture.ratio_db))
    view["cells"] = stock.packed(picture.packed())
    return view


def _row(key: str, name: str, picture: str) -> dict[str, Any]:
    return {"key": key, "name": name, "picture": picture, "own_picture": None, "peak": None}


def _gain_words(gain: int | None) -> str:
    if gain is None:
        return ""
    if gain == 0:
        return "as loud as it is"
    verb = "amplified by" if gain > 0 else "turned down by"
    return f"{verb} {abs(gain)}\N{NO-BREAK SPACE}dB"


def _facts(record: Record) -> list[tuple[str, str]]:
    queries = record.queries
    facts = [
        ("Signal-to-noise", wording.decibels(record.snr_db)),
        ("Queries forward", wording.count(queries["forward"]) if "forward" in queries else "–"),
        ("Queries backward", wording.count(queries["backward"]) if "backward" in queries else "–"),
        ("Time taken", wording.seconds(record.seconds)),
        ("Attack", record.attack),
        ("Victim", record.victim),
        ("Seed", str(record.seed)),
        ("Version", record.version),
    ]
    return facts


def _chances(record: Record) -> dict[str, Any] | None:
    """The rows of the table of probabilities: by name, at most 14 of them, the important ones always."""
    before, after = record.probabilities_before or {}, record.probabilities_after or {}
    labels = list(dict.fromkeys([*before, *after]))
    if not labels:
        return None
    left = wording.left(record)
    target = None if left is not None else record.target
    musts = [record.predicted_before, record.predicted_after, target, left]
    weight = {label: max(_finite(before.get(label)), _finite(after.get(label))) for label in labels}
    order = sorted(labels, key=lambda label: (label not in musts, -weight[label]))
    shown, rest = order[:_SHOWN_LABELS], order[_SHOWN_LABELS:]
    if len(rest) == 1:
        shown, rest = order, []
    rows = [
        {
            "name": full_name(label),
            "before": wording.percent(before.get(label)),
            "after": wording.percent(after.get(label)),
            "before_width": 100 * min(1.0, max(0.0, _finite(before.get(label)))),
            "after_width": 100 * min(1.0, max(0.0, _finite(after.get(label)))),
            "roles": [
                role
                for role, is_it in (
                    ("heard before", label == record.predicted_before),
                    ("heard now", label == record.predicted_after),
                    ("wanted", label == target),
                    ("to be left", label == left),
                )
                if is_it
            ],
            "is_before": label == record.predicted_before,
            "is_wanted": label == target or (target is None and label == record.predicted_after),
        }
        for label in sorted(shown, key=lambda label: full_name(label).casefold())
    ]
    others = {
        "number": wording.count(len(rest)),
        "before": wording.percent(sum(_finite(before.get(label)) for label in rest)) if before else "–",
        "after": wording.percent(sum(_finite(after.get(label)) for label in rest)) if after else "–",
    }
    missing = None
    if not before or not after:
        missing = "before" if not before else "after"
    odd = [
        when
        for when, table, heard in (
            ("before", before, record.predicted_before),
            ("after", after, record.predicted_after),
        )
        if table and max(table, key=lambda label: _finite(table[label])) != heard
    ]
    return {
        "rows": rows,
        "others": others if rest else None,
        "missing": missing,
        "at_odds": " and ".join(odd),
    }


def _about_zero(dark: bool) -> NDArray[np.uint8]:
    """The colours of a map: that of nothing, then from far below zero to far above."""
    colours = diverging(masking_view.BELOW, masking_view.ABOVE, dark=dark)
    return np.concatenate([np.array([[28, 26, 24] if dark else [242, 239, 232]], np.uint8), colours])


def _digest(y: NDArray[np.float64], rate: int) -> bytes:
    return hashlib.blake2b(y.tobytes() + f"{y.shape}{rate}".encode()).digest()


def _own_percent(table: dict[str, float] | None, label: str) -> str | None:
    return None if table is None or label not in table else wording.percent(table[label])


def _finite(p: float | None) -> float:
    return p if p is not None and math.isfinite(p) else 0.0


def _sortable(snr_db: float) -> float:
    """Where a ratio that is not finite belongs in a sorted column."""
    return -1e9 if math.isnan(snr_db) else math.copysign(1e8, snr_db)


def _seconds_that_fit(records: Sequence[Record]) -> float:
    """The longest excerpt with which all sounds together stay within the page's budget."""

    def total(seconds: float) -> int:
        inputs = sum(excerpt.raw_bytes(Path(name), seconds) for name in {record.input for record in records})
        return inputs + sum(excerpt.raw_bytes(Path(record.output), seconds) for record in records)

    return next((seconds for seconds in _SECONDS if total(seconds) <= BUDGET_BYTES), _SECONDS[-1])


def _link(name: str, folder: Path) -> str | None:
    """A link from the page to a file, or None where there is no such file."""
    if not Path(name).is_file():
        return None
    try:
        relative = os.path.relpath(Path(name).resolve(), folder.resolve())
    except ValueError:  # another drive
        return Path(name).resolve().as_uri()
    return quote(relative.replace(os.sep, "/"))


def _replace(path: Path, text: str) -> None:
    """Write text so that the page is either the old one or the whole new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
