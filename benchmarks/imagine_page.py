"""The page of the benchmark of imagined sounds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import common
from subterfuge.report.gallery_words import finding
from subterfuge.synthesis.cross_examination import convinced

Results = Sequence[dict[str, Any]]
# (what was asked, what came of it, whether that will do)
Bar = tuple[str, str, bool]

HOW = """
A sound of 3 s for each label in each style, as `subterfuge imagine` makes it with nothing but a label given:
from noise (`free`, `spectral`), a drawn phrase (`harmonic`) or drawn grains of the embedded clips
(`mosaic`). Every probability is the victim's own of the 16-bit file, read back by librosa; for the SVM that
is librosa's features and scikit-learn's `predict_proba`. A sound is searched for once, with seed 0.
"""
CEILING = """
The ceiling is the highest probability that any 25 numbers at all are given: L-BFGS on the log-odds from
{starts} support vectors of the label, Newton's method on the best end, gradient and Hessian there for a
certificate. It is found without any sound, in {seconds:.1f} s of one core a label (median); the share is that
of the starts that end as high, to a thousandth. What libsvm reports stops early and may be up to a thousandth
above the exact optimum, so a sound may have a little more than its ceiling.
"""
SURVIVES = """
The label's probability in each file after what may become of it: median and least over the labels, and in how
many of them the label is still more likely than not.
"""
ROW_7 = """
The original experiment's row 7 made a voice more voice: 28 % → 88.5 %. From the same clip, within a change at
least 20 dB below it: {before} → **{after}**, SNR {snr} dB, read back from disk.
"""
CROSS = """
Rows are what the sounds were made for; a cell is in how many of the {styles} styles the victim named above
hears the label in the sound made for the other victim. It was not asked during the search.
"""
COST = """
Core-seconds a sound, ceilings not counted, and the largest memory of a worker's process (the libraries among
it). Of all files the highest peak is {peak} dBFS, and the mean of samples at most {dc:.1e} in size.
Ctrl-C keeps the best so far: `tests/cli/test_imagine_command.py` sends it to a real process.
"""


def page(results: Results, *, svm: str, network: str) -> str:
    """All that was measured, in the order of the questions."""
    command = ".venv/bin/python benchmarks/imagine.py SEED"
    parts = [
        common.header("Imagined sounds", packages=("scipy", "soundfile"), command=command),
        HOW,
        common.table(
            ("bar", "measured", "met"),
            [
                (bar, told, "yes" if met else "**no**")
                for bar, told, met in bars(results, svm=svm, network=network)
            ],
        ),
    ]
    for victim in (svm, network):
        mine = of(results, victim)
        if mine:
            parts += [f"## {victim}: the probability reached\n", reached(mine), SURVIVES, survival(mine)]
    parts += [ceilings(of(results, svm)), row_7(results), matrices(results, (svm, network)), cost(results)]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def of(results: Results, victim: str, style: str | None = None) -> list[dict[str, Any]]:
    """Results of one victim (all but the clip's), perhaps of one style."""
    return [
        one
        for one in results
        if one["record"]["victim"] == victim and one["record"]["style"] != "clip"
        if style is None or one["record"]["style"] == style
    ]


def p_of(one: dict[str, Any]) -> float:
    """The label's probability in the file."""
    return float(one["record"]["probability"])


def bars(results: Results, *, svm: str, network: str) -> list[Bar]:
    """What was to be reached."""
    out: list[Bar] = []
    free = of(results, svm, "free")
    if free:
        shares = [p_of(one) / one["ceiling"]["probability"] for one in free]
        out.append(
            ("`free` at least 98 % of the SVM's ceiling", f"{min(shares):.2%} at least", min(shares) >= 0.98)
        )
    for victim in (svm, network):
        free, tone = of(results, victim, "free"), of(results, victim, "harmonic")
        if free:
            high = [one for one in free if one["ceiling"] is None or one["ceiling"]["probability"] >= 0.95]
            met = sum(p_of(one) >= 0.95 for one in high)
            told = f"{met} of {len(high)}"
            out.append((f"`free` ≥ 0.95, {victim}, wherever the ceiling is", told, met == len(high)))
        if tone:
            met = sum(p_of(one) >= 0.9 for one in tone)
            out.append(
                (
                    f"`harmonic` ≥ 0.9 on 8 of 11 labels, {victim}",
                    f"{met} of {len(tone)}",
                    11 * met >= 8 * len(tone),
                )
            )
    clip = [one for one in results if one["record"]["style"] == "clip"]
    for one in clip:
        p, snr = p_of(one), one["record"]["snr_db"]
        out.append(
            ("voice → voice ≥ 0.95 at ≥ 20 dB SNR", f"{p:.4f} at {snr:.1f} dB", p >= 0.95 and snr >= 20)
        )
    if results:
        peak = max(one["peak_db"] for one in results)
        out.append(("no peak over −1 dBFS", f"{common.db(peak)} dBFS", peak <= -1))
        seconds = statistics.median(one["core_seconds"] for one in results)
        out.append(("a sound in 30 s of one core (median)", f"{seconds:.1f} s", seconds <= 30))
    return out


def reached(mine: Results) -> str:
    """One row a label: the ceiling, then what each style reached."""
    styles = list(dict.fromkeys(one["record"]["style"] for one in mine))
    labels = list(dict.fromkeys(one["record"]["label"] for one in mine))
    p = {(one["record"]["label"], one["record"]["style"]): p_of(one) for one in mine}
    roof = {one["record"]["label"]: one["ceiling"] for one in mine}
    known = any(roof.values())
    rows = [
        (
            label,
            *([f"{roof[label]['probability']:.4f}"] if known else []),
            *(f"{p[label, style]:.4f}" if (label, style) in p else "" for style in styles),
        )
        for label in labels
    ]
    return common.table(("label", *(["ceiling"] if known else []), *(f"`{style}`" for style in styles)), rows)


def survival(mine: Results) -> str:
    """One row a variant: median, least, and how many labels it leaves, for each style."""
    styles = list(dict.fromkeys(one["record"]["style"] for one in mine))
    names = list(dict.fromkeys(name for one in mine for name in one["record"]["survives"]))
    rows = []
    for name in names:
        cells = []
        for style in styles:
            found = [one["record"]["survives"][name] for one in mine if one["record"]["style"] == style]
            kept = sum(value > 0.5 for value in found)
            cells.append(f"{statistics.median(found):.3f}, {min(found):.3f}, {kept} of {len(found)}")
        rows.append((name, *cells))
    return common.table(("after", *(f"`{style}`" for style in styles)), rows)


def ceilings(mine: Results) -> str:
    """The SVM's optima and their certificates."""
    found = {one["record"]["label"]: one for one in mine if one["ceiling"] is not None}
    if not found:
        return ""
    rows = [
        (
            label,
            f"{one['ceiling']['probability']:.5f}",
            f"{one['ceiling']['exact']:.5f}",
            f"{one['ceiling']['slope']:.0e}",
            f"{one['ceiling']['curvature']:.3f}".replace("-", "−"),
            "yes" if one["ceiling"]["certified"] else "**no**",
            f"{one['ceiling']['agree']:.0%}",
        )
        for label, one in found.items()
    ]
    seconds = statistics.median(
        one["ceiling_seconds"] for one in found.values() if one["ceiling_seconds"] > 0
    )
    starts = max(one["ceiling"]["starts"] for one in found.values())
    head = ("label", "as reported", "exact", "gradient", "largest eigenvalue", "certified", "starts agree")
    return "\n".join(
        ["## The ceiling\n", CEILING.format(starts=starts, seconds=seconds), common.table(head, rows)]
    )


def row_7(results: Results) -> str:
    """The voice made more voice."""
    one = next((one for one in results if one["record"]["style"] == "clip"), None)
    if one is None:
        return ""
    return "## Row 7\n" + ROW_7.format(
        before=f"{one['before']:.1%}", after=f"{p_of(one):.1%}", snr=f"{one['record']['snr_db']:.1f}"
    )


def matrices(results: Results, victims: Sequence[str]) -> str:
    """Who else hears what was meant, and the finding in a paragraph."""
    parts = ["## Cross-examination\n"]
    styles = len({one["record"]["style"] for one in results if one["record"]["style"] != "clip"})
    parts.append(CROSS.format(styles=styles))
    for victim in victims:
        mine = [one["record"] for one in of(results, victim)]
        asked = list(dict.fromkeys(name for record in mine for name in record["heard_by"]))
        if not asked:
            continue
        rows = []
        for label in dict.fromkeys(record["label"] for record in mine):
            sounds = [record for record in mine if record["label"] == label]
            rows.append((label, *(_cell(sounds, name) for name in asked)))
        parts += [
            f"\n### Sounds made for {victim}\n",
            common.table(("label", *asked), rows),
            finding(mine) or "",
        ]
    return "\n".join(parts)


def _cell(sounds: Sequence[dict[str, Any]], name: str) -> str:
    """In how many of the sounds the label is heard, and what is heard most often where it is not."""
    answers = [record["heard_by"][name] for record in sounds if name in record["heard_by"]]
    said = [
        convinced(record["label"], record["heard_by"][name])
        for record in sounds
        if name in record["heard_by"]
    ]
    if not answers or said[0] is None:
        return "–"
    wrong = Counter(one["predicted"] for one, yes in zip(answers, said, strict=True) if not yes)
    most = f" ({wrong.most_common(1)[0][0]})" if wrong else ""
    return f"{sum(map(bool, said))} of {len(said)}{most}"


def cost(results: Results) -> str:
    """Time and memory, and what all files have in common."""
    rows = []
    for victim, style in dict.fromkeys((one["record"]["victim"], one["record"]["style"]) for one in results):
        some = [
            one for one in results if (one["record"]["victim"], one["record"]["style"]) == (victim, style)
        ]
        seconds = [one["core_seconds"] for one in some]
        rows.append(
            (
                f"{victim}, `{style}`",
                f"{statistics.median(seconds):.1f}",
                f"{max(seconds):.1f}",
                f"{statistics.median(one['record']['steps'] for one in some):.0f}",
                f"{max(one['peak_mb'] for one in some):,.0f}",
            )
        )
    told = COST.format(
        peak=common.db(max(one["peak_db"] for one in results)), dc=max(abs(one["dc"]) for one in results)
    )
    head = ("", "median s", "most s", "median steps", "MB")
    return "\n".join(["## Time and memory\n", told, common.table(head, rows)])
