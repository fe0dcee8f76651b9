"""The page and the figure of ``seed_faults.py``: what each variant reached, row by row, and along the way."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from common import db, table

Result = dict[str, Any]
# Variants that the figure draws: name, colour on light and on dark ground, dash.
DRAWN = (
    ("published", "#c2255c", "#ff8fb1", ""),
    ("phase", "#0b7285", "#4dd4e8", ""),
    ("distortion", "#e8590c", "#ffa45c", "2 3"),
    ("mutation", "#868e96", "#adb5bd", "6 3"),
    ("four", "#5f3dc4", "#b197fc", "6 3"),
    ("five", "#343a40", "#f1f3f5", "2 3"),
    ("banded", "#2b8a3e", "#69db7c", ""),
)
LEAST, MOST = 1e-4, 1.0  # of the figure's probabilities

HOW = """
The seven rows of the seed's table: its clips, its classifier, its genetic algorithm ([why it
failed](../why-the-seed-failed.md) tells what the switches are). Each run ends with the fittest individual
of the 50th generation, as the seed's did (about {queries} queries a row), written as mono PCM16, read back,
and judged by `librosa.load`, librosa's features and scikit-learn's own `predict`. SNR is against the true
clip, mono. {runs}

*Called as wanted* counts files. *SNR* is the median over all files of the variant, whatever they are heard
as, with the least and the most; *probability* the median of the wanted label's. *Nearest success*: if the
search had kept, of all it asked about, the nearest that was heard as wanted, instead of ending with its
fittest.
"""
TWINS = """
*The same search*: compared with the other generation by generation for {check} queries of each row, to the
last bit of the fittest's samples; the figures are the other's.
"""
PUBLISHED = """
Our run of the published algorithm beside the seed's own files. *Knows*: the RBF kernel's value at the
nearest support vector, 1 being a clip of the training set. *Nowhere*: the probability that the classifier
gives the wanted label far from everything that it was trained on.
"""
ROWS = """
Probability of the wanted label and SNR, row by row; bold where the file is heard as wanted. Of several
runs, the median one, and how many were heard as wanted.
"""
MUTATION = """
One mutation of the clip itself, phase kept, {draws} draws on each of the four clips; medians over the
clips. How far the 25 features move *alike* in all draws, and how far the draws are *apart* (root mean
square about their mean), in units of the classifier's scaler: what evolution can choose among is the
second.
"""
SOUNDS = """
An embedded clip (a phrase rendered for this project) for `orchestra-svc`, the same algorithm and settings.
Figures are of the whole clip, the files are excerpts.
"""


class Variant(Protocol):
    """What the page needs of one of the benchmark's variants."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def twin(self) -> str | None: ...


def page(
    head: str,
    variants: Sequence[Variant],
    results: Sequence[Result],
    *,
    published: Sequence[Result],
    nowhere: Mapping[str, float],
    mutations: Sequence[Result],
    sounds: Sequence[Result],
) -> str:
    """The whole page."""
    by_name = {one.name: of(results, one.name) for one in variants}
    seeds = {one.name: sorted({r["seed"] for r in by_name[one.name]}) for one in variants if not one.twin}
    most = max((len(found) for found in seeds.values()), default=0)
    runs = f"Runs of all seven rows: {most}."
    if len({len(found) for found in seeds.values()}) > 1:
        runs = (
            "Runs of all seven rows: "
            + ", ".join(f"{one.title} {len(seeds[one.name])}" for one in variants if one.name in seeds)
            + "."
        )
    queries = [r["curve"][-1]["queries"] for r in results if "fittest" in r]
    spent = f"{statistics.median(queries):,.0f}" if queries else "2,275"
    checked = {r["settings"]["steps"] for r in results if "fittest" not in r}
    parts = [head, HOW.strip().format(queries=spent, runs=runs), "", summary(variants, by_name)]
    if checked:
        parts += [TWINS.strip().format(check=max(checked)), ""]
    parts += ["![Probability of the wanted label against queries](seed-faults.svg)", ""]
    parts += ["## Row by row", "", ROWS.strip(), "", matrix(variants, by_name, published)]
    parts += ["## The table of the seed, again", "", PUBLISHED.strip(), ""]
    parts += [again(by_name.get("published", []), published, nowhere)]
    draws = 24
    parts += ["## What one mutation does", "", MUTATION.strip().format(draws=draws), "", moved(mutations)]
    if sounds:
        parts += ["## Sounds", "", SOUNDS.strip(), "", heard(sounds)]
    core = sum(r["core_seconds"] for r in results)
    parts += [f"All the searches above took {core / 60:.0f} minutes of one core."]
    return "\n".join(parts)


def of(results: Sequence[Result], name: str) -> list[Result]:
    """A variant's results, by row and seed."""
    return sorted((r for r in results if r["variant"] == name), key=lambda r: (r["row"], r["seed"]))


def same(ours: Sequence[Result], others: Sequence[Result]) -> bool | None:
    """Whether all generations of the shorter runs are the longer ones' too; None where nothing compares."""
    known = {(r["row"], r["seed"]): r["curve"] for r in others}
    pairs = [(r["curve"], known.get((r["row"], r["seed"]))) for r in ours]
    compared = [
        [a["digest"] for a in short] == [b["digest"] for b in long[: len(short)]]
        for short, long in pairs
        if long is not None
    ]
    return all(compared) if compared else None


def summary(variants: Sequence[Variant], by_name: Mapping[str, Sequence[Result]]) -> str:
    """One line a variant."""
    lines = []
    titles = {one.name: one.title for one in variants}
    for one in variants:
        found, title = by_name[one.name], one.title
        if one.twin:
            agrees = same(found, by_name[one.twin])
            if agrees is None:
                continue
            found = by_name[one.twin] if agrees else []
            title += f" (*the same search as: {titles[one.twin]}*)" if agrees else " (*not the same search*)"
        if not found:
            lines.append([title, *[""] * 5])
            continue
        files = [r["fittest"] for r in found]
        snrs = [f["mono_snr_db"] for f in files]
        near = [r["nearest"]["mono_snr_db"] for r in found if r["nearest"] and r["nearest"]["verified"]]
        lines.append(
            [
                title,
                f"{sum(f['verified'] for f in files)} of {len(files)}",
                f"{db(statistics.median(snrs))} ({db(min(snrs))} to {db(max(snrs))})",
                f"{statistics.median(f['probability'] for f in files):.1%}",
                f"{len(near)} of {len(files)}" + (f", {db(statistics.median(near))} dB" if near else ""),
                f"{statistics.mean(r['core_seconds'] for r in found):.0f}",
            ]
        )
    head = ["repaired", "called as wanted", "SNR, dB", "probability", "nearest success", "core-s a row"]
    return table(head, lines)


def middle(found: Sequence[Result]) -> Result:
    """The run whose probability is the median one (of an even number, the lower)."""
    ordered = sorted(found, key=lambda r: r["fittest"]["probability"])
    return ordered[(len(ordered) - 1) // 2]


def matrix(
    variants: Sequence[Variant], by_name: Mapping[str, Sequence[Result]], published: Sequence[Result]
) -> str:
    """Variant by row."""
    rows = [r["row"] for r in published]
    lines = [["the seed's files", *[cell([{"fittest": r}]) for r in published]]]
    for one in variants:
        found = by_name[one.name]
        if not one.twin and found:
            lines.append([one.title, *[cell([r for r in found if r["row"] == row]) for row in rows]])
    return table(["repaired", *[f"{r['row']}: {r['wanted']}" for r in published]], lines)


def cell(found: Sequence[Result]) -> str:
    """Probability and SNR of the middle run."""
    if not found:
        return "not run"
    file = middle(found)["fittest"]
    won = sum(r["fittest"]["verified"] for r in found)
    share = f"{file['probability']:.1%}"
    told = f"{f'**{share}**' if file['verified'] else share}, {db(min(file['mono_snr_db'], 99.0))} dB"
    return told + (f" ({won} of {len(found)})" if len(found) > 1 else "")


def again(ours: Sequence[Result], published: Sequence[Result], nowhere: Mapping[str, float]) -> str:
    """The seed's table as reported, as its files are, and as our run of its algorithm gives it."""
    lines = []
    for old in published:
        mine = [r for r in ours if r["row"] == old["row"]]
        new = middle(mine)["fittest"] if mine else None
        lines.append(
            [
                f"{old['row']}: {old['wanted']}",
                old["reported"],
                f"{old['probability']:.1%}",
                old["heard"],
                db(old["mono_snr_db"]),
                f"{old['kernel']:.2f}",
                *(
                    ["", "", "", ""]
                    if new is None
                    else [
                        f"{new['probability']:.1%}",
                        new["heard"],
                        db(new["mono_snr_db"]),
                        f"{new['kernel']:.2f}",
                    ]
                ),
                f"{nowhere[old['wanted']]:.1%}",
            ]
        )
    head = ["row", "reported", "its file", "heard as", "SNR, dB", "knows"]
    return table([*head, "our run", "heard as", "SNR, dB", "knows", "nowhere"], lines)


def moved(mutations: Sequence[Result]) -> str:
    """What one mutation does to the features."""
    names = {"flat": "flat (as published)", "shaped": "shaped by the clip", "banded": "a level a band"}
    lines = []
    for one in mutations:
        louder = f", {one['louder']:g} times as large" if one["louder"] != 1 else ""
        name = names[one["mutation"]] + louder
        lines.append([name, db(one["snr_db"]), f"{one['alike']:.3f}", f"{one['apart']:.3f}"])
    return table(["mutation", "SNR, dB", "alike", "apart"], lines)


def heard(sounds: Sequence[Result]) -> str:
    """The sounds that ship."""
    lines = [
        [
            f"[{one['file']}](../sounds/why-the-seed-failed/{one['file']})",
            one["heard"],
            f"{one['probability']:.1%}",
            "" if one["snr_db"] is None else db(one["snr_db"]),
        ]
        for one in sounds
    ]
    return table(["file", "heard as", "probability of the wanted label", "SNR, dB"], lines)


# ---------------------------------------------------------------- the figure


def drawing(
    variants: Sequence[Variant],
    results: Sequence[Result],
    *,
    published: Sequence[Result],
    nowhere: Mapping[str, float],
) -> str:
    """An SVG: a panel a row, the wanted label's probability (of the fittest) against queries.

    The dotted level is what the classifier says far from all it knows. A dot at the end is filled where the
    file is heard as wanted.
    """
    width, height, left, top, gap, across = 230, 150, 50, 30, 26, 4
    panels = [(old["row"], old["wanted"]) for old in published]
    down = math.ceil((len(panels) + 1) / across)
    total_width = left + across * (width + gap)
    total_height = down * (height + 62)
    end = max((r["curve"][-1]["queries"] for r in results if "fittest" in r), default=2300)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}" '
        f'width="{total_width}" height="{total_height}" font-family="system-ui, sans-serif" font-size="12">',
        style(),
        f'<rect class="ground" width="{total_width}" height="{total_height}"/>',
    ]
    for number, (row, wanted) in enumerate(panels):
        x0 = left + number % across * (width + gap)
        y0 = top + number // across * (height + 62)
        parts += _axes(x0, y0, width, height, f"{row}: to {wanted}", end, first=number % across == 0)
        level = _py(nowhere[wanted], y0, height)
        parts.append(f'<path class="level" d="M{x0} {level:.1f}h{width}"/>')
        for name, *_ in reversed(DRAWN):
            found = [r for r in of(results, name) if r["row"] == row and "fittest" in r]
            if found:
                parts += _curve(x0, y0, width, height, name, middle(found), end)
    titles = {one.name: one.title for one in variants}
    number = len(panels)
    x, y = left + number % across * (width + gap), top + number // across * (height + 62)
    for name, *_ in DRAWN:
        if of(results, name):
            parts.append(f'<path class="line {name}" d="M{x} {y - 4}h24"/>')
            parts.append(f'<text x="{x + 30}" y="{y}">{html.escape(titles.get(name, name))}</text>')
            y += 19
    parts.append(
        f'<path class="level" d="M{x} {y - 4}h24"/><text x="{x + 30}" y="{y}">far from all it knows</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def style() -> str:
    """Colours on light and on dark ground."""
    light = "".join(f".{name}{{stroke:{one}}}.dot.{name}{{fill:{one}}}" for name, one, _, _ in DRAWN)
    dark = "".join(f".{name}{{stroke:{one}}}.dot.{name}{{fill:{one}}}" for name, _, one, _ in DRAWN)
    dashes = "".join(f".line.{name}{{stroke-dasharray:{dash}}}" for name, _, _, dash in DRAWN if dash)
    shared = ".ground{fill:#fff}text{fill:#333}.grid{stroke:#e4e4e4;fill:none}.level{stroke:#777;fill:none;"
    shared += (
        "stroke-dasharray:1 3;stroke-width:1.4}.line{fill:none;stroke-width:1.7}.published{stroke-width:2.6}"
    )
    night = ".ground{fill:#16181d}text{fill:#ddd}.grid{stroke:#31353d}.level{stroke:#999}"
    open_ = ".dot.open{fill:#fff}"
    return (
        f"<style>{shared}{light}{dashes}{open_}"
        f"@media (prefers-color-scheme: dark){{{night}{dark}.dot.open{{fill:#16181d}}}}</style>"
    )


def _py(probability: float, y0: float, height: float) -> float:
    share = math.log(min(max(probability, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return y0 + (1 - share) * height


def _axes(
    x0: float, y0: float, width: float, height: float, title: str, end: int, *, first: bool
) -> list[str]:
    parts = [f'<text x="{x0}" y="{y0 - 10}" font-weight="600">{html.escape(title)}</text>']
    for probability, label in ((1e-4, "0.01%"), (1e-3, "0.1%"), (1e-2, "1%"), (0.1, "10%"), (1.0, "100%")):
        y = _py(probability, y0, height)
        parts.append(f'<path class="grid" d="M{x0} {y:.1f}h{width}"/>')
        if first:
            parts.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for queries in range(0, end + 1, 1000):
        x = x0 + queries / end * width
        parts.append(f'<path class="grid" d="M{x:.1f} {y0}v{height}"/>')
        parts.append(f'<text x="{x:.1f}" y="{y0 + height + 16}" text-anchor="middle">{queries:,}</text>')
    return parts


def _curve(
    x0: float, y0: float, width: float, height: float, name: str, result: Result, end: int
) -> list[str]:
    points = [
        (x0 + min(one["queries"] / end, 1) * width, _py(one["probability"], y0, height))
        for one in result["curve"]
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    shape = "dot" if result["fittest"]["verified"] else "dot open"
    return [
        f'<polyline class="line {name}" points="{line}"/>',
        f'<circle class="{shape} {name}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>',
    ]
