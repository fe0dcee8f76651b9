"""Optimality against its definition, the curve's points, and a figure that is well-formed."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curves import figure, optimality, success_at

INF = math.inf
NORMS = st.lists(
    st.tuples(st.floats(0.01, 10), st.one_of(st.floats(1, 50), st.just(INF))), min_size=2, max_size=12
)


def integrated(distances: np.ndarray, end: float) -> float:
    """Area under the share of pairs that need more than each norm, by a fine midpoint sum."""
    grid = (np.arange(200_000) + 0.5) * end / 200_000
    left = len(distances) - np.searchsorted(np.sort(distances), grid, side="right")
    return float(left.mean() / len(distances) * end)


def test_the_best_known_is_one_and_no_success_at_all_is_nought() -> None:
    best = [0.5, 1.0, 4.0]
    assert optimality(best, best) == 1
    assert optimality([INF] * 3, best) == pytest.approx(0)


def test_a_worked_example() -> None:
    # D = 4; envelope area (1 + 4) / 2 = 2.5; the attack's (3 + 4) / 2 = 3.5; the worst is 4.
    assert optimality([3.0, INF], [1.0, 4.0]) == pytest.approx(1 - (3.5 - 2.5) / (4 - 2.5))


def test_pairs_that_need_no_change_lower_the_worst_and_unsolved_ones_count_for_nobody() -> None:
    assert optimality([0.0, 2.0, 4.0], [0.0, 1.0, 4.0]) == pytest.approx(1 - (1 / 3) / (8 / 3 - 5 / 3))
    assert optimality([1.0, INF, 3.0], [1.0, INF, 3.0]) == 1


@settings(deadline=None, derandomize=True, max_examples=30)
@given(NORMS)
def test_it_is_the_area_between_the_worst_and_the_envelope(pairs: list[tuple[float, float]]) -> None:
    best = np.array([norm for norm, _ in pairs])
    own = np.array([norm * factor for norm, factor in pairs])
    end = best.max()
    worst, least = end, integrated(best, end)
    if worst - least < 1e-3 * end:
        return
    expected = 1 - (integrated(own, end) - least) / (worst - least)
    assert optimality(own, best) == pytest.approx(expected, abs=0.02)


def test_success_counts_failures_and_the_point_itself() -> None:
    assert success_at([-INF, 20.0, 30.0, 19.9], 20) == 0.5


def test_the_figure_is_well_formed_and_drops_where_pairs_drop_out() -> None:
    svg = figure({"100 queries": {"a <b>": [10.0, 30.0, -INF, 80.0], "c & d": [-INF] * 4}}, low=0, high=70)
    tree = ElementTree.fromstring(svg)
    lines = [e.attrib["points"] for e in tree.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 2
    ours = [tuple(map(float, point.split(","))) for point in lines[-1].split()]
    heights = sorted({y for _, y in ours})
    assert len(heights) == 3  # 3/4, 2/4 and 1/4 of the pairs; the one beyond the axis never drops
    assert ours[0][1] < ours[-1][1] or ours[0][1] == heights[0]
    texts = [e.text for e in tree.iter() if e.tag.endswith("text")]
    assert "a <b>" in texts and "c & d" in texts
