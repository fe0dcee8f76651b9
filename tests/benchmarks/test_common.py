"""The shared pieces: pairs that never depend on results, medians with failures, JSON that is whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from common import Pair, median_with_failures, pairs, snr_db, table, write_json

INF = math.inf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    for name in ("[cel]a", "[flu]b", "[tru]c", "[voi]d"):
        (tmp_path / "clips" / f"{name}.wav").touch()
    return tmp_path


def test_forty_pairs_none_toward_what_is_heard_already(folder: Path) -> None:
    heard = [0, 2, 8, 4]
    everything = pairs(folder, heard=heard)
    assert len(everything) == 40 == len({(p.clip, p.target) for p in everything})
    by_clip = dict(zip(("[cel]a", "[flu]b", "[tru]c", "[voi]d"), heard, strict=True))
    assert all(p.target != by_clip[p.clip] for p in everything)


@pytest.mark.parametrize("count", [1, 4, 12, 13, 39, 40, 99])
def test_a_subset_is_fixed_and_nested_without_repeats(folder: Path, count: int) -> None:
    everything = pairs(folder, heard=[0, 2, 8, 4])
    some = pairs(folder, heard=[0, 2, 8, 4], count=count)
    assert len(some) == len({p.key for p in some}) == min(count, 40)
    assert set(some) <= set(everything)
    if count < 40:
        assert some == pairs(folder, heard=[0, 2, 8, 4], count=39)[:count]


def test_a_subset_of_twelve_goes_through_clips_and_labels(folder: Path) -> None:
    some = pairs(folder, heard=[0, 2, 8, 4], count=12)
    by_clip = [sum(p.clip == clip for p in some) for clip in ("[cel]a", "[flu]b", "[tru]c", "[voi]d")]
    assert min(by_clip) >= 2 and max(by_clip) <= 4
    assert len({p.target for p in some}) >= 9


def test_keys_are_plain_file_names() -> None:
    assert Pair("008__[flu][nod][cla]0393__1", "x.wav", 8).key == "008__-flu-nod-cla-0393__1-to-tru"


def test_medians_do_not_average_a_failure_away() -> None:
    assert median_with_failures([1.0, 3.0]) == 2
    assert median_with_failures([-INF, 3.0]) == -INF
    assert median_with_failures([-INF, 5.0, 3.0]) == 3
    assert median_with_failures([-INF, -INF, 5.0]) == -INF


def test_snr_of_a_tenth_is_twenty_decibels() -> None:
    clean = np.array([[1.0, -1.0], [0.5, 0.5]])
    assert snr_db(clean, 1.1 * clean) == pytest.approx(20)
    assert snr_db(clean, clean) == INF


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, 2]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |\n"


def test_json_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [p.name for p in path.parent.iterdir()] == ["one.json"]
