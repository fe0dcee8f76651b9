"""The page of the white-box benchmark: tables, curves and sentences from the results of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import common
from contestants import PEERS, Contestant
from curves import figure, optimality, success_at

INF = float("inf")
GRID = (20, 30, 40, 50)
# What our default promises against the best peer: first at every budget, by this much at the largest.
LEAD_DB = 1.0

HOW = """
{pairs} pairs of a real IRMAS clip ({clips} of them) and a label that it is not heard as, on the seed's
classifier: waveform → 25 librosa features → scaler → RBF SVC. Every attack is given the same differentiable
victim (scores: the margins of its vote) on mono float audio at 44.1 kHz, and a budget of gradient queries. A
budget of N is 2N passes through the victim, forward and backward ones together; a meter in front of the
victim counts them, ends the attack where they are spent, and keeps every candidate that it sees, so an attack
is credited with the best that it ever evaluated or returned. Success is judged by librosa's own features and
scikit-learn's own votes on the waveform; where the best candidate fails there by rounding, the next ones and
the same perturbation 0.1 %, 0.5 % and 2 % larger are tried, for everybody alike. A failure counts as −∞ dB.
Each budget is a run of its own, since schedules depend on it.

*Optimality* is AttackBench's (Cinà et al., 2024): the area under the security curve in L2 norm, 100 % being
the best norm known for every pair over all attacks and budgets here, 0 % no success at all.
"""


@dataclass(frozen=True)
class Row:
    """What one attack did with one budget on all pairs."""

    one: Contestant
    results: list[dict[str, Any]]

    @property
    def snrs(self) -> list[float]:
        """SNR of each pair, minus infinity where it failed."""
        return [r["snr_db"] if r["success"] else -INF for r in self.results]

    @property
    def norms(self) -> list[float]:
        """Norm of each pair, infinite where it failed."""
        return [r["norm"] if r["success"] else INF for r in self.results]

    @property
    def error(self) -> str | None:
        """Why it could not run at all, if it could not."""
        errors = [r["error"] for r in self.results]
        return errors[0] if all(errors) else None

    @property
    def median(self) -> float:
        """Median SNR with failures counted."""
        return common.median_with_failures(self.snrs)

    def mean(self, what: str) -> float:
        """Mean of one of the numbers over the pairs."""
        return statistics.fmean(r[what] for r in self.results)


def page(
    rows: Mapping[int, Sequence[Row]], partial: Mapping[str, str], pairs: Sequence[common.Pair], command: str
) -> tuple[str, str, list[str]]:
    """The page, its figure, and what our default missed of what it promises."""
    peers = dict.fromkeys(one.distribution for one in PEERS if one.distribution)
    head = common.header("White-box attacks, side by side", packages=peers, command=command)
    complete = [row for at in rows.values() for row in at]
    envelope = [min((row.norms[i] for row in complete), default=INF) for i in range(len(pairs))]
    clips = len({pair.clip for pair in pairs})
    how = HOW.strip().format(pairs=len(pairs), clips=clips)
    parts = [head, how, ""]
    missed: list[str] = []
    for budget, at in rows.items():
        parts += [
            f"## {budget:,} gradient queries",
            "",
            _table(at, envelope),
            _lead(budget, at, missed, max(rows)),
        ]
    parts += ["## Security curves", "", "![success against SNR](whitebox.svg)", ""]
    parts += [
        "The share of pairs fooled at no less than the SNR on the axis, of each peer its better row; further "
        "up and right is better.",
        "",
    ]
    parts += _settings(complete)
    if partial:
        parts += ["## Left out, not run on all pairs", "", *[f"- {k}: {v}" for k, v in partial.items()], ""]
    drawn = _drawn(rows[max(rows)], envelope)
    drawing = figure(
        {
            f"{budget:,} gradient queries": {
                row.one.title.replace("*", ""): row.snrs for row in at if row.one.name in drawn
            }
            for budget, at in rows.items()
        }
    )
    return "\n".join(parts), drawing, missed


def _drawn(at: Sequence[Row], envelope: Sequence[float]) -> set[str]:
    """Our default, and of each peer the better of its rows at the largest budget, so that it can be read."""
    best: dict[str, Row] = {}
    for row in at:
        if row.error or not (row.one.distribution or row.one.name == "minimal"):
            continue
        family = row.one.name.removesuffix("-suited")
        if family not in best or _rank(row, envelope) < _rank(best[family], envelope):
            best[family] = row
    return {row.one.name for row in best.values()}


def _rank(row: Row, envelope: Sequence[float]) -> tuple[float, float]:
    value = optimality(row.norms, envelope)
    return (-value if value == value else 0.0, -row.median)


def _table(at: Sequence[Row], envelope: Sequence[float]) -> str:
    head = ["attack", "success", "median SNR, dB", *[f"≥ {snr} dB" for snr in GRID], "optimality"]
    head += ["core-s a pair", "forward", "backward"]
    lines = []
    for row in sorted(at, key=lambda row: _rank(row, envelope)):
        if row.error:
            lines.append([row.one.title, f"cannot run: {row.error}", *[""] * (len(head) - 2)])
            continue
        won = sum(r["success"] for r in row.results)
        lines.append(
            [
                row.one.title,
                f"{won} of {len(row.results)}",
                common.db(row.median),
                *[f"{success_at(row.snrs, snr):.0%}" for snr in GRID],
                _percent(optimality(row.norms, envelope)),
                f"{row.mean('seconds'):.1f}",
                f"{row.mean('forward'):.0f}",
                f"{row.mean('backward'):.0f}",
            ]
        )
    return common.table(head, lines)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("-", "−") if share == share else "–"


def _lead(budget: int, at: Sequence[Row], missed: list[str], largest: int) -> str:
    """One sentence on how our default compares with the best of the others, noting what it misses."""
    ours = [row for row in at if row.one.name == "minimal" and not row.error]
    others = [row for row in at if row.one.distribution and not row.error]
    if not ours or not others:
        return ""
    best = max(others, key=lambda row: row.median)
    gap = ours[0].median - best.median if best.median > -INF else INF
    needed = LEAD_DB if budget == largest else 0.0
    if not (gap >= needed and ours[0].median > best.median):
        missed.append(
            f"at {budget} queries minimal is {common.db(gap)} dB ahead of {best.one.title}, not {needed} dB"
        )
    if best.median == -INF:
        return "No peer fools half of the pairs.\n"
    than = "ahead of" if gap >= 0 else "behind"
    return f"`minimal` is {abs(gap):.1f} dB of median SNR {than} the best peer, {best.one.title}.\n"


def _settings(complete: Sequence[Row]) -> list[str]:
    parts = [
        "## Settings",
        "",
        "Libraries' defaults, the number of steps laid out for the budget, but for:",
        "",
    ]
    seen = {row.one.name: row for row in complete}
    for row in seen.values():
        if row.one.settings:
            library = row.results[0]["library"]
            parts.append(f"- {row.one.title} ({library or 'ours'}): {row.one.settings}.")
    return [*parts, ""]
