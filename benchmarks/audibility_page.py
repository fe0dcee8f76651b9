"""The page of how audible the attacks' changes are: tables by victim, every pair's worst cell, the bars."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import common

INF = float("inf")
Result = dict[str, Any]
Pairs = dict[str, list[tuple[str, str]]]

# What every pair is attacked by, and what is shown beside them on some.
ATTACKS = ("minimal", "masked")
OTHERS = ("carlini-wagner",)
PUBLISHED = "published"

# The bars on `masked`: shares of pairs, Zimtohrli's distance, ViSQOL's score; core-seconds for the measures.
UNMASKED_SHARE, ZIMTOHRLI_MEDIAN, ZIMTOHRLI_MOST, ZIMTOHRLI_SHARE = 0.8, 0.002, 0.005, 0.9
VISQOL_LEAST, VISQOL_SHARE, METRIC_SECONDS = 4.6, 0.8, 1.0

VICTIMS = {
    "svc": ("The seed's classifier", "judged by `librosa.load`, six librosa features and scikit-learn"),
    "cnn": ("The embedded network", "judged by the network's plain path"),
}
ABOUT = {
    "minimal": "`minimal`",
    "masked": "`masked`",
    "minimal noise": "white noise, as loud as `minimal`",
    "masked noise": "white noise, as loud as `masked`",
    "carlini-wagner": "`carlini-wagner`",
    PUBLISHED: "the seed's published files",
}

HOW = """
Each clip toward each label, by each attack with its default settings. Every figure is of the file on disk,
read back: what it is heard as, and how far what was changed lies from what can be heard. The noise-to-mask
ratio (NMR) is the perturbation's power over what the clip masks, per critical band and moment, played at 92
dB SPL for a sine of full scale: *worst* of all cells, *mean* over them, and the share of cells above 0 dB;
of several channels, the worst. `masked` minimises it (against a threshold that is stricter yet); Zimtohrli
and ViSQOL it knows nothing of. Pairs that are not heard as wanted count as above every limit. Core-seconds
are of the attack, reading, writing and verifying; those of ViSQOL and of the other measures are told apart
below.

Beside them, on a fixed subset of the pairs: white noise, the same in all channels, that is as loud over the
clip as either attack's change, and `carlini-wagner` with its default settings, which is the method class of
the seed's published files. These are mono and shorter than their clips, and held against as much of the
mono clip.
"""

HEAD = (
    "change",
    "pairs",
    "heard as wanted",
    "SNR, dB",
    "worst NMR, dB",
    "≤ 0 dB",
    "mean NMR, dB",
    "cells above",
    "Zimtohrli",
    "≤ 0.002",
    "≤ 0.005",
    "ViSQOL",
    "≥ 4.6",
    "core-s (most)",
)


def page(head: str, results: Sequence[Result], pairs: Pairs) -> tuple[str, list[str]]:
    """The page, and the bars that are missed; ``pairs`` are those that are wanted of each victim."""
    missed = [line for setting in pairs for line in bars(of(results, setting), setting, pairs[setting])]
    missed += costs(results)
    parts = [
        head,
        HOW.strip(),
        "",
        "Bars missed: " + ("none." if not missed else "; ".join(missed) + "."),
        "",
    ]
    for setting, wanted in pairs.items():
        found = of(results, setting)
        title, judged = VICTIMS[setting]
        parts += [f"## {title}", "", f"{len(wanted)} pairs, {judged}. Medians, unless it says otherwise.", ""]
        parts += [summary(found), "", "Worst NMR in dB of every pair, `minimal` → `masked`:", ""]
        parts += [matrix(found, wanted)]
    parts += ["## What measuring takes", "", measuring(results)]
    return "\n".join(parts), missed


def of(results: Iterable[Result], setting: str, attack: str | None = None) -> list[Result]:
    """Those results of one victim and, if named, one attack; ``<attack> noise`` is white noise beside it."""
    name, _, noise = (attack or "").partition(" ")
    found = [r for r in results if r["setting"] == setting and (attack is None or r["attack"] == name)]
    if noise:
        return [{**r["at_same_snr"], "setting": setting} for r in found if r.get("at_same_snr")]
    return found


# ---------------------------------------------------------------- one victim


def summary(results: Sequence[Result]) -> str:
    """A row for each attack that there are results of."""
    setting = results[0]["setting"] if results else ""
    rows = []
    for name, about in ABOUT.items():
        found = of(results, setting, name)
        if found:
            rows.append([about, *figures(found, attempts="noise" not in name and name != PUBLISHED)])
    return common.table(HEAD, rows)


def figures(results: Sequence[Result], *, attempts: bool) -> list[str]:
    """The table's figures; of ``attempts``, those that are not heard as wanted are above every limit."""
    n = len(results)
    failed = [attempts and not r["verified"] for r in results]

    def values(what: str, sign: int = 1) -> list[float]:
        return [sign * INF if bad else number(r, what, sign) for r, bad in zip(results, failed, strict=True)]

    worst, distance, score = values("nmr_worst_db"), values("zimtohrli"), values("visqol", -1)
    seconds = [r["core_seconds"] for r in results if "core_seconds" in r]
    asked = any(r["audibility"]["visqol"] is not None for r in results)
    return [
        str(n),
        part(sum(r["verified"] for r in results), n),
        common.db(middle(values("snr_db", -1), -1)),
        decibels(middle(worst)),
        part(sum(x <= 0 for x in worst), n),
        decibels(middle(values("nmr_mean_db"))),
        percent(middle(values("nmr_share"))),
        plain(middle(distance), 4),
        part(sum(x <= ZIMTOHRLI_MEDIAN for x in distance), n),
        part(sum(x <= ZIMTOHRLI_MOST for x in distance), n),
        plain(middle(score, -1), 2) if asked else "",
        part(sum(x >= VISQOL_LEAST for x in score), n) if asked else "",
        f"{statistics.median(seconds):.1f} ({max(seconds):.1f})" if seconds else "",
    ]


def number(result: Result, what: str, sign: int = 1) -> float:
    """A measure of a result; ``sign`` infinities where it could not be taken.

    What is None for being infinite is so because nothing was changed.
    """
    value = result["audibility"][what]
    if value is None and "infinite" in result["audibility"]["notes"].get(what, ""):
        return -sign * INF
    return sign * INF if value is None else float(value)


def middle(values: Sequence[float], sign: int = 1) -> float:
    """Median where a failure is ``sign`` infinities: no interpolation between it and a number."""
    return -sign * common.median_with_failures([-sign * x for x in values]) if values else sign * INF


def part(n: int, total: int) -> str:
    """So many of all, and the share."""
    return f"{n} ({n / total:.0%})" if total else "0"


def decibels(value: float) -> str:
    """A ratio in dB where the worse is the larger."""
    return "∞" if value == INF else common.db(value)


def percent(value: float) -> str:
    """A share of cells."""
    return "failed" if value == INF else f"{value:.2%}"


def plain(value: float, digits: int) -> str:
    """A number without a unit."""
    return "failed" if abs(value) == INF else f"{value:.{digits}f}"


def matrix(results: Sequence[Result], pairs: Sequence[tuple[str, str]]) -> str:
    """Worst noise-to-mask ratio of every pair, by ``minimal`` and by ``masked``."""
    found = {(r["clip"], r["target"], r["attack"]): r for r in results}

    def shown(clip: str, target: str, attack: str) -> str:
        result = found.get((clip, target, attack))
        if result is None:
            return "not run"
        return decibels(number(result, "nmr_worst_db")) if result["verified"] else "**failed**"

    by_clip: dict[str, list[str]] = {}
    for clip, target in pairs:
        cell = f"{shown(clip, target, 'minimal')} → {shown(clip, target, 'masked')}"
        by_clip.setdefault(clip, []).append(f"{target} {cell}")
    widest = max(map(len, by_clip.values()), default=0)
    rows = [[f"`{clip}`", *cells, *[""] * (widest - len(cells))] for clip, cells in by_clip.items()]
    return common.table(["clip", *["wanted"] * widest], rows)


# ---------------------------------------------------------------- bars


def bars(results: Sequence[Result], setting: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What `masked` misses on one victim, one sentence each; a pair that was not run misses everything."""
    title, total = VICTIMS[setting][0], len(pairs)
    attempts = [r for r in results if r["attack"] in ATTACKS]
    missed = []
    for attack in ATTACKS:
        n = sum(r["verified"] for r in attempts if r["attack"] == attack)
        if n < total:
            missed.append(f"{n} of {total} files of `{attack}` are heard as wanted")
    found = [r for r in attempts if r["attack"] == "masked" and r["verified"]]
    lost = [INF] * (total - len(found))
    worst = [number(r, "nmr_worst_db") for r in found] + lost
    distance = [number(r, "zimtohrli") for r in found] + lost
    score = [number(r, "visqol", -1) for r in found]
    counts: tuple[tuple[str, int, float], ...] = (
        ("a worst NMR of at most 0 dB", sum(x <= 0 for x in worst), UNMASKED_SHARE),
        (
            f"a Zimtohrli distance of at most {ZIMTOHRLI_MOST:g}",
            sum(x <= ZIMTOHRLI_MOST for x in distance),
            ZIMTOHRLI_SHARE,
        ),
        (f"a ViSQOL score of {VISQOL_LEAST:g}", sum(x >= VISQOL_LEAST for x in score), VISQOL_SHARE),
    )
    if found and all(r["audibility"]["visqol"] is None for r in found):
        counts = counts[:-1]
        missed.append("ViSQOL was not asked")
    for what, n, share in counts:
        if n < share * total:
            missed.append(f"`masked` has {what} on {n} of {total} pairs, not on {share:.0%}")
    if total and middle(distance) > ZIMTOHRLI_MEDIAN:
        missed.append(
            f"the median Zimtohrli distance of `masked` is {plain(middle(distance), 4)}, "
            f"not {ZIMTOHRLI_MEDIAN:g}"
        )
    if any(r["claimed"] != r["verified"] for r in attempts if "claimed" in r):
        missed.append("what a record claims and what the judge finds differ for some pair")
    if not all(r.get("record_agrees", True) for r in attempts):
        missed.append("a record's audibility is not that of the files on disk for some pair")
    if not all(r["same_format"] for r in attempts):
        missed.append("some file does not have the original's rate, channels, subtype and length")
    return [f"{title.lower()}: {line}" for line in missed]


def costs(results: Sequence[Result]) -> list[str]:
    """The bar on the measures' own cost."""
    seconds = [r["metric_seconds"] for r in results]
    if seconds and statistics.median(seconds) > METRIC_SECONDS:
        return [f"the measures take {statistics.median(seconds):.2f} s a pair, not {METRIC_SECONDS:g} s"]
    return []


def measuring(results: Sequence[Result]) -> str:
    """Core-seconds a pair of files."""
    rows = []
    for what, about in (("metric_seconds", "all but ViSQOL"), ("visqol_seconds", "ViSQOL")):
        seconds = [r[what] for r in results if r[what] is not None]
        if seconds:
            rows.append([about, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}"])
    return common.table(["core-seconds a pair of files", "median", "most"], rows)
