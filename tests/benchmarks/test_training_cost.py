"""What training costs: subsets of whole recordings, what is measured again, what the page makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import common
from subterfuge.corpora.corpus import Clip
from training_cost import Task, money, needed, page, subset, tasks

CLIPS = [
    Clip(Path(f"{label}/{label}{i:04d}__{n}.flac"), label, f"{label}/{label}{i:04d}")
    for label in ("cel", "flu", "tru")
    for i in range(10)
    for n in (1, 2)
]


@pytest.mark.parametrize("size", [2, 6, 24, 59, 60, 999])
def test_a_subset_is_part_of_a_larger_one_and_of_all_labels_alike(size: int) -> None:
    some = subset(CLIPS, size)
    assert len(some) == min(size, 60) == len(set(some))
    assert set(some) <= set(subset(CLIPS, size + 5))
    counts = Counter(clip.label for clip in some)
    assert max(counts.values()) - min(counts.get(label, 0) for label in ("cel", "flu", "tru")) <= 2


def test_recordings_stay_whole() -> None:
    assert set(Counter(clip.recording for clip in subset(CLIPS, 24)).values()) == {2}


def test_what_others_hang_on_is_measured_first_and_nothing_is_stated_that_is_not() -> None:
    found = tasks((500, 1000, 2000), apart=6705, tune_most=1000, epochs=2)
    names = [task.name for task in found]
    assert len(names) == len(set(names))
    assert names[:5] == ["idle-0", "features-500", "features-1000", "features-2000", "apart-6705"]
    tuned = [(task.clips, task.tune) for task in found if task.kind == "svc"]
    assert tuned == [(500, 10), (500, 100), (1000, 10), (1000, 100), (2000, 10)]


def test_a_measurement_of_another_orchestra_is_made_again(tmp_path: Path) -> None:
    corpus, work = tmp_path / "corpus", tmp_path / "work"
    corpus.mkdir()
    task = Task("svc", 500, tune=10)
    kept = {"task": asdict(task), "content": common.fingerprint(str(corpus))}
    assert not needed(task, kept, corpus, work)
    assert needed(task, None, corpus, work)
    assert needed(Task("svc", 500, tune=100), kept, corpus, work)
    assert needed(task, kept | {"content": "other"}, corpus, work)
    features = Task("features", 500)
    kept["task"] = asdict(features)
    assert needed(features, kept, corpus, work)  # the cache that the others need is gone
    (work / "caches" / "500").mkdir(parents=True)
    assert not needed(features, kept, corpus, work)


def test_money() -> None:
    assert money(3600, 0.04) == "4 ¢"
    assert money(36000, 0.04) == "$0.40"
    assert money(90, 0.04) == "0.1 ¢"


def result(task: Task, seconds: float, **more: Any) -> dict[str, Any]:
    told = {"task": asdict(task), "clips": task.clips, "seconds": seconds, "core_seconds": seconds - 1}
    return told | {"peak_mb": 512.0, "start_seconds": 2.0, "labels": 3, "stages": {"features": 5.0}} | more


def made(features: float = 30.0, distinct: int = 4000) -> tuple[str, list[str]]:
    found = [
        result(Task("idle"), 1.0),
        result(Task("features", 500), 6.0),
        result(Task("apart", 6705), 90.0, decoding=45.0, features=features, distinct=distinct),
        result(Task("svc", 500, tune=10), 3.0, bytes=120_000),
        result(Task("svc", 500, tune=100), 9.0, bytes=130_000),
        result(Task("svc", 4000, tune=10), 60.0, bytes=700_000),
        result(Task("cnn", 500, epochs=2), 20.0, epochs=[5.0, 7.0], weights=1),
    ]
    return page(found, price=0.04, whole=40, command="command")


def test_the_page_states_what_was_measured() -> None:
    text, missed = made()
    assert missed == [] and "beside decoding: met." in text
    assert "| 500 | 6.0 | 5.0 | 512 | 0.0056 ¢ | 10.0 |" in text
    assert "| features | 30.0 | 0.50 | 4.47 |" in text and "4,000 of them, over and over" in text
    assert "100 settings were measured up to 500 clips." in text
    assert text.index("| 500 | 10 |") < text.index("| 4,000 | 10 |") < text.index("| 500 | 100 |")


def test_a_whole_run_of_the_network_is_computed_and_said_to_be() -> None:
    text, _ = made()
    # 20 s but for the 12 s of the epochs, and 40 epochs of 6 s.
    assert "**computed**" in text and "| 500 | 20.0 | 19.0 | 512 | 0.021 ¢ | 5.0 | 6.0 | 4.1 |" in text


def test_features_that_take_too_long_are_missed() -> None:
    text, missed = made(features=91.0)
    assert len(missed) == 1 and "1.52 core-minutes" in missed[0] and "beside decoding: missed." in text
    assert "all different" in made(distinct=6705)[0]
