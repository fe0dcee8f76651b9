"""The page of the black-box benchmark: a table for each access, and what our default was to reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import common
from blackbox_contestants import Contestant
from seed import ROWS as SEED_ROWS

Found = tuple[Contestant, int, list[dict[str, Any]]]
INF = float("inf")
COLUMNS = (100, 300, 700, 1000, 3000, 3400, 10000)

HOW = """
Pairs of a real IRMAS clip (four of them) and a label that it is not heard as, on the seed's classifier:
waveform → 25 librosa features → scaler → RBF SVC. Every attack asks the same door: one waveform, one query,
to the unit, and it is shown either the scores (logarithms of the probabilities) or nothing but the label.
Each run is read off at the budgets below its own: the best candidate so far is written as a file of 16
bits, read back, and judged by librosa's features and scikit-learn's votes; where that fails by rounding,
the next best and the same change 0.1, 0.5 and 2 % larger are tried, for everybody alike. A failure counts
as −∞ dB. A peer that needs a start gets the first success that `decide` finds; finding it is paid for in
queries. Forty pairs where the table says so, else a fixed subset of them, the same for all.
"""


def page(found: Sequence[Found], command: str) -> tuple[str, list[str]]:
    """The text, and what is missed."""
    libraries = dict.fromkeys(one.distribution for one, _, _ in found if one.distribution)
    parts = [
        common.header("Black-box attacks, side by side", packages=libraries, command=command),
        HOW.strip(),
        "",
    ]
    titles = {"scores": "Scores are shown", "label": "Only the label is shown"}
    for access, title in titles.items():
        some = [one for one in found if one[0].access == access]
        if some:
            parts += [f"## {title}", "", _table(some)]
    missed, said = _promises(found)
    parts += ["## What was to be reached", "", *[f"- {line}" for line in said], ""]
    parts += ["## Settings", "", "Libraries' defaults, steps without end (the door ends them), but for:", ""]
    parts += [f"- {one.title}: {one.settings}." for one, _, _ in found if one.settings]
    return "\n".join(parts) + "\n", missed


def snrs(results: Sequence[dict[str, Any]], mark: int) -> list[float]:
    """SNR of each pair at a number of queries, minus infinity for a failure; empty if not read off there."""
    values = [one["snr_db"].get(str(mark), "none") for one in results]
    return [] if "none" in values else [-INF if one is None else float(one) for one in values]


def _table(some: Sequence[Found]) -> str:
    marks = [mark for mark in COLUMNS if any(snrs(results, mark) for _, _, results in some)]
    head = ["attack", "pairs", "run of", *[f"{mark:,}" for mark in marks], "core-s a run"]
    lines = []
    for one, budget, results in some:
        errors = {result["error"] for result in results}
        row = [one.title, len(results), f"{budget:,}"]
        if None not in errors:
            lines.append([*row, f"cannot run: {sorted(errors)[0]}", *[""] * len(marks)])
            continue
        cells = [_cell(snrs(results, mark)) for mark in marks]
        lines.append([*row, *cells, f"{statistics.fmean(r['seconds'] for r in results):.0f}"])
    words = "Median SNR in dB after so many queries, and how many pairs were fooled:"
    return f"{words}\n\n{common.table(head, lines)}"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    won = sum(value > -INF for value in values)
    return f"{common.db(common.median_with_failures(values))} ({won})"


def _row(results: Sequence[dict[str, Any]], clip: str, target: str) -> float:
    """SNR at 1,000 queries of the pair of a clip, by the end of its name, and a label."""
    (one,) = (one for one in results if one["clip"].endswith(clip) and one["target"] == target)
    return snrs([one], 1000)[0]


def _promises(found: Sequence[Found]) -> tuple[list[str], list[str]]:
    missed, said = [], []

    def promise(words: str, got: float, wanted: float) -> None:
        kept = got >= wanted
        line = f"{words}: {got:.1f}, wanted {wanted:.1f}: {'reached' if kept else 'missed'}"
        said.append(line)
        if not kept:
            missed.append(line)

    ours = {(one.access, budget): results for one, budget, results in found if one.name.startswith("hunt-")}
    for (access, _), results in sorted(ours.items()):
        if access == "scores" and len(results) == 40 and (at := snrs(results, 1000)):
            promise(
                "scores, share of 40 pairs within 1,000 queries, %", 100 * sum(v > -INF for v in at) / 40, 90
            )
            promise("scores, median SNR at 1,000 queries, dB", common.median_with_failures(at), 25)
            # More queries never make the best so far worse.
            words = "scores, median SNR at 10,000 queries, dB (that at 1,000, which it cannot be below)"
            promise(words, common.median_with_failures(at), 35)
            rows = [_row(results, *row[:2]) for row in SEED_ROWS]
            won = sum(value >= 25 for value in rows)
            least = f"least {min(rows):.1f} dB"
            promise(f"scores, of the seed's seven rows at 25 dB within 1,000 queries ({least})", won, 6)
    peers = [
        (common.median_with_failures(at), one, results)
        for one, _, results in found
        if one.distribution and one.access == "label" and (at := snrs(results, 3400))
    ]
    for (access, _), results in sorted(ours.items()):
        if access != "label" or not peers or not snrs(results, 700):
            continue
        best, one, theirs = max(peers, key=lambda peer: peer[0])
        keys = {(r["clip"], r["target"]) for r in theirs}
        same = [r for r in results if (r["clip"], r["target"]) in keys]
        if len(same) == len(keys):
            words = (
                f"label alone, median SNR at 700 queries, dB, against {one.title} at 3,400 on the same pairs"
            )
            promise(words, common.median_with_failures(snrs(same, 700)), best)
    return missed, said
