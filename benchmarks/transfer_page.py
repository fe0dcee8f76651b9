"""The page of what carries over: substitutes by queries, universal perturbations by level."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import common

Found = dict[str, Any]
INF = float("inf")

SURROGATE = """
## Substitutes

A victim is held back and answers so many queries about one clip: the clip, other clips, variations, and
what the slope of the substitute suggests (`substitutes` in `subterfuge.attacks.blackbox.surrogate`: what
the attack `surrogate` learns, without the attack). The substitute alone is then attacked with gradients at
a fixed signal-to-noise ratio, and the victim hears the result once, from a file: transfer in the proper
sense, no answer is used after the lesson. {pairs} embedded clips, each toward one label that it is not. In
each cell: how many are heard as the label wanted / as anything but their own. *Substitute fooled*: how
often the substitute itself was, at each level.

Below the substitutes, at the same loudness: what is made on the *other* embedded victim, which costs no
query (an SVC on 25 features at 44.1 kHz, a network on a log-mel spectrogram at 22.05 kHz; one orchestra
taught both), white noise, and what the same attack, {steps} plain steps along the gradient, makes on the
victim itself. Of {pairs} clips a share is known to ± {points:.0f} points or so (95 %).
"""
WHOLE = """
## With answers to what it finds

The attack `surrogate` goes on learning from the answers to what it finds, and shrinks what succeeds. Its
median SNR in dB after so many queries of one run of {steps} steps, and in how many of {pairs} pairs there
was a success (scores are shown; at the victim's rate, before a file is written; a failure counts as −∞ dB).
About 0 dB and below, another clip has been put in the place of the first: clips of the label wanted are
among those that it begins with.
"""
UNIVERSAL = """
## Universal perturbations

One second of sound, learnt by gradients from {learnt} clips of the orchestra (recordings that the victims
were trained on; none of the label wanted), repeated and added to clips that it was not learnt from, at
several levels, judged from files: {rendered} rendered clips of recordings in no victim's training, and
{real} real recordings. Given is the share that is heard as the label wanted, of the clips that are not of
that label and were not heard as it before; such a share is known to ± {points:.0f} points or so (95 %).
*Learnt at*: the ratio at which it was to succeed. *White noise* of the same loudness is the control.
"""


def page(found: Sequence[Found], command: str) -> str:
    """All of it, of whatever results there are."""
    parts = [common.header("What carries over", packages=["soundfile"], command=command)]
    lessons = [one for one in found if one["part"] == "lesson"]
    # The controls on the same clips.
    taught = {one["clip"] for one in lessons}
    lent = [one for one in found if one["part"] == "lent" and (one["clip"] in taught or not taught)]
    if lent:
        pairs = len({one["clip"] for one in lent})
        parts += [SURROGATE.format(pairs=pairs, steps=lent[0]["steps"], points=98 / pairs**0.5)]
        parts += [_transfer(name, lessons, lent) for name in _victims(lent)]
    if whole := [one for one in found if one["part"] == "whole"]:
        parts += [_whole(whole)]
    if noise := [one for one in found if one["part"] == "noise"]:
        parts += [_universal(noise, [one for one in found if one["part"] == "universal"])]
    spent = sum(one["core_seconds"] for one in found) / 60
    parts += [f"\nAll of it took {spent:.0f} core-minutes.\n"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def _victims(found: Iterable[Found]) -> list[str]:
    return sorted({one["victim"] for one in found})


def _cell(results: Sequence[Found], said: Callable[[Found], str]) -> str:
    """How many are heard as wanted, and how many as anything but what the clip is."""
    wanted = sum(said(one) == one["target"] for one in results)
    other = sum(said(one) != one["clip"].partition("-")[0] for one in results)
    return f"{wanted} / {other}"


def _transfer(name: str, lessons: Sequence[Found], lent: Sequence[Found]) -> str:
    levels = [key for one in lent[:1] for key in one["made"]]
    rows: list[list[object]] = []
    for access in ("scores", "label"):
        every = [one for one in lessons if (one["victim"], one["access"]) == (name, access)]
        for queries in sorted({key for one in every for key in one["after"]}, key=int):
            mine = [one for one in every if queries in one["after"]]
            cells = [_cell(mine, lambda one, q=queries, s=s: one["after"][q]["heard"][s]) for s in levels]
            fooled = [sum(one["after"][queries]["fooled"][s] for one in mine) for s in levels]
            shown = {"scores": "scores", "label": "label alone"}[access]
            rows.append([f"{queries} queries, {shown}", len(mine), *cells, " ".join(map(str, fooled))])
    own = [one for one in lent if one["victim"] == name]
    for other in [one for one in _victims(lent) if one != name]:
        made = [one for one in lent if one["victim"] == other]
        cells = [_cell(made, lambda one, s=s: one["made"][s][name]) for s in levels]
        rows.append([f"no query: made on `{other}`", len(made), *cells, ""])
    cells = [_cell(own, lambda one, s=s: one["noise"][s]) for s in levels]
    rows.append(["no query: white noise", len(own), *cells, ""])
    cells = [_cell(own, lambda one, s=s: one["made"][s][name]) for s in levels]
    rows.append(["made on the victim itself", len(own), *cells, ""])
    head = ["", "clips", *(f"{level} dB" for level in levels), "substitute fooled"]
    return f"`{name}` is held back:\n\n{common.table(head, rows)}"


def _whole(whole: Sequence[Found]) -> str:
    marks = list(whole[0]["snr_db"])
    rows = []
    for name in _victims(whole):
        mine = [one for one in whole if one["victim"] == name]
        row: list[object] = [f"`{name}`", len(mine)]
        for mark in marks:
            snrs = [-INF if one["snr_db"][mark] is None else one["snr_db"][mark] for one in mine]
            won = sum(value > -INF for value in snrs)
            row.append(f"{common.db(common.median_with_failures(snrs))} ({won})")
        rows.append([*row, f"{statistics.fmean(one['core_seconds'] for one in mine):.0f}"])
    pairs = max(int(str(row[1])) for row in rows)
    table = common.table(["", "pairs", *marks, "core-s a run"], rows)
    return WHOLE.format(steps=marks[-1], pairs=pairs) + "\n" + table


def shares(one: Found, target: str, kind: str) -> dict[str, tuple[int, int]]:
    """By level: how many unseen clips are heard as wanted, of how many that were not before."""
    rows = [row for row in one["heard"][kind] if target not in (row["label"], row["before"])]
    levels = [key for row in rows[:1] for key in row if key not in ("label", "before")]
    return {level: (sum(row[level] == target for row in rows), len(rows)) for level in levels}


def _universal(noise: Sequence[Found], universal: Sequence[Found]) -> str:
    hiss = {one["victim"]: one for one in noise}
    first = noise[0]["heard"]
    most = max(len(rows) for rows in first.values())
    text = UNIVERSAL.format(
        learnt=noise[0]["learnt_from"] * 10 // 11,
        rendered=len(first["rendered"]),
        real=len(first["recordings"]),
        points=100 * 0.98 / most**0.5,
    )
    titles = {"rendered": "rendered clips", "recordings": "real recordings"}
    order = sorted(universal, key=lambda one: (one["victim"], one["target"], -one["snr_db"]))
    for kind, title in titles.items():
        if not first[kind]:
            continue
        rows: list[list[object]] = []
        levels: list[str] = []
        for number, one in enumerate(order):
            name, target = one["victim"], one["target"]
            got = shares(one, target, kind)
            levels = list(got)
            rows.append([f"`{name}`", target, f"{one['snr_db']:g} dB", *_percent(got)])
            after = order[number + 1] if number + 1 < len(order) else None
            if name in hiss and (after is None or (after["victim"], after["target"]) != (name, target)):
                rows.append([f"`{name}`", target, "white noise", *_percent(shares(hiss[name], target, kind))])
        head = ["victim", "wanted", "learnt at", *(f"{level} dB" for level in levels)]
        text += f"\nOn {title}:\n\n{common.table(head, rows)}"
    return text


def _percent(got: dict[str, tuple[int, int]]) -> list[str]:
    return [f"{100 * won / of:.0f}%" for won, of in got.values()]
