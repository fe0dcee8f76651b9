"""The shared pieces: pairs that never depend on results, medians with failures, JSON that is whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from common import (
    Pair,
    append_line,
    carry_out,
    estimate,
    median_with_failures,
    pairs,
    quantile_with_failures,
    read_json,
    read_lines,
    share,
    snr_db,
    table,
    write_json,
)
from subterfuge.training.measures import Estimate

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


def test_quantiles_are_pairs_own_and_failures_are_least() -> None:
    values = [4.0, -INF, 2.0, 3.0]
    assert [quantile_with_failures(values, q) for q in (0.0, 0.25, 0.26, 0.5, 0.75, 1.0)] == [
        *(-INF, -INF),
        *(2.0, 2.0, 3.0, 4.0),
    ]


def test_lines_survive_a_cut_through_the_last(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lines.jsonl"
    assert read_lines(path) == [] and read_json(path) is None
    for number in range(3):
        append_line(path, {"n": number})
    path.write_text(path.read_text()[:-4])
    assert read_lines(path) == [{"n": 0}, {"n": 1}]


def test_estimates_in_percent_with_their_interval_if_there_is_one() -> None:
    assert estimate(Estimate(0.5, 0.4211, 0.6)) == "50.0% [42.1, 60.0]"
    assert estimate(Estimate(0.5, math.nan, math.nan)) == "50.0%"
    assert estimate(None) == share(None) == share(math.nan) == ""


def test_jobs_are_done_each_once_and_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    carry_out([9, 16, 25], math.sqrt, workers_=2, done=lambda *one: told.append(one))
    assert [number for number, _, _ in told] == [1, 2, 3]
    assert {job: result for _, job, result in told} == {9: 3.0, 16: 4.0, 25: 5.0}
