"""The network's page: what is complete, failures counted, bars kept; all clips toward all other labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from network import Group, Job, figures, groups_in, jobs_of, missed_bars, page

LABELS = ("cel", "cla", "flu")


def job(clip: str, target: str, victim: str = "orchestra-cnn", steps: int = 500) -> Job:
    return Job(victim, "w", clip, f"{clip}.flac", clip[:3], target, steps, 0, "out")


def result(one: Job, snr: float, verified: bool = True) -> dict[str, Any]:
    return {
        "key": list(one.key),
        "victim": one.victim,
        "clip": one.clip,
        "label": one.label,
        "target": one.target,
        "steps": one.steps,
        "heard": one.target if verified else one.label,
        "verified": verified,
        "snr_db": snr,
        "same_format": True,
        "core_seconds": snr / 10,
        "queries": {"forward": 503, "backward": 500},
        "notes": [],
    }


def every(victim: str = "orchestra-cnn", steps: int = 500) -> list[Job]:
    return [job(f"{a}-1", b, victim, steps) for a in LABELS for b in LABELS if a != b]


def made(snrs: list[float], failed: int = 0, **options: Any) -> Group:
    results = [
        result(one, snr, verified=n >= failed)
        for n, (one, snr) in enumerate(zip(every(**options), snrs, strict=True))
    ]
    return Group(options.get("victim", "orchestra-cnn"), options.get("steps", 500), results)


def test_every_embedded_clip_goes_toward_every_other_label(tmp_path: Path) -> None:
    jobs = jobs_of("orchestra-svc", steps=10, seed=0, work_=tmp_path)
    assert len(jobs) == 220 == len({one.key for one in jobs})
    assert all(one.label != one.target for one in jobs)
    assert set(Counter(one.clip for one in jobs).values()) == {10}
    few = jobs_of("orchestra-svc", steps=10, seed=0, work_=tmp_path, pairs=11)
    assert len({one.key for one in few}) == 11 and len({one.label for one in few}) >= 8
    assert set(few) <= set(jobs)


def test_a_change_of_weights_steps_or_seed_is_another_pair() -> None:
    one = job("cel-1", "cla")
    others = [job("cel-1", "cla", steps=400), Job(**{**vars(one), "weights": "x"})]
    assert len({one.key, *(other.key for other in others), Job(**{**vars(one), "seed": 1}).key}) == 4


def test_only_what_is_complete_makes_a_group() -> None:
    lines = [result(one, 50.0) for one in every()] + [result(one, 40.0) for one in every(steps=100)][:-1]
    (group,) = groups_in(lines, {"orchestra-cnn": every()})
    assert (group.steps, len(group.results)) == (500, 6)
    old = [line | {"key": ["old", *line["key"][1:]]} for line in lines]
    assert groups_in(old, {"orchestra-cnn": every()}) == []


def test_the_last_of_several_results_counts() -> None:
    lines = [result(one, 50.0) for one in every()] + [result(every()[0], 30.0)]
    assert groups_in(lines, {"orchestra-cnn": every()})[0].snrs[0] == 30.0


def test_failures_count_in_the_median_and_not_in_the_mean() -> None:
    group = made([90.0, 50.0, 40.0, 42.0, 44.0, 46.0], failed=1)
    text = figures([group])
    assert "| verified from disk | 5 (83.3%) |" in text
    assert "| median SNR, dB | 43.0 |" in text
    assert "| mean SNR of the verified, dB | 44.4 |" in text
    assert "| least SNR, dB | −∞ |" in text and "| greatest SNR, dB | 50.0 |" in text
    assert "| 5% of pairs at or under, dB | −∞ |" in text
    assert "| 75% of pairs at or under, dB | 46.0 |" in text
    assert "| forward queries, median (most) | 503 (503) |" in text
    assert "| core-seconds a pair, median (most) | 4.5 (9) |" in text


@pytest.mark.parametrize(
    ("snrs", "failed", "missed"),
    [([44.0] * 6, 0, 0), ([43.9] * 6, 0, 1), ([99.0] * 6, 1, 1), ([10.0] * 6, 6, 2)],
)
def test_bars(snrs: list[float], failed: int, missed: int) -> None:
    assert len(missed_bars(made(snrs, failed))) == missed


def test_the_page_judges_the_network_by_its_most_steps() -> None:
    few, many = made([40.0] * 6, steps=100), made([50.0] * 6)
    svm = made([10.0] * 6, failed=6, victim="orchestra-svc")
    text, missed = page([few, many, svm], command="command")
    assert missed == [] and "Both met." in text
    assert "| cel-1" not in text and "| `cel-1` | · | 40.0 | 40.0 |" in text
    assert "| `flu-1` | **failed** | **failed** | · |" in text
    assert "the 2 labels that they are not: 6 pairs" in text.replace("\n", " ")
    assert page([few], command="command")[1] and page([svm], command="command")[1] == []
