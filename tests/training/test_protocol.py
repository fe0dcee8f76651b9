"""IRMAS's testing protocol: windows, aggregation and label-based scores, by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from subterfuge.errors import SubterfugeError
from subterfuge.training.codec import from_json, to_json
from subterfuge.training.protocol import (
    THRESHOLDS,
    ExcerptMeasures,
    activations,
    mean_activation,
    measure_excerpts,
    window_starts,
)

ABC = ("a", "b", "c")


@given(st.integers(1, 400), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_windows_hear_every_sample_they_can(samples: int, window: int, hop: int):
    starts = window_starts(samples, window, hop)
    assert starts[0] == 0 and starts == sorted(set(starts))
    if samples <= window:
        assert starts == [0]
        return
    assert starts[-1] + window == samples  # none sticks out, the end is heard
    steps = np.diff(starts)
    assert (steps[:-1] == hop).all() and 0 < (steps[-1] if len(steps) else 1) <= hop


def test_windows_without_a_sample_are_refused():
    for window, hop in ((0, 1), (1, 0)):
        with pytest.raises(SubterfugeError, match="got 0 samples"):
            window_starts(10, window, hop)


def test_aggregation_by_hand():
    windows = [[0.9, 0.1, 0.0], [0.3, 0.5, 0.0]]
    mean = mean_activation(windows, 3)
    np.testing.assert_allclose(mean, [0.6, 0.3, 0.0])
    np.testing.assert_allclose(activations(mean, "S1"), [0.6, 0.3, 0.0])
    np.testing.assert_allclose(activations(mean, "S2"), [1.0, 0.5, 0.0])
    np.testing.assert_allclose(activations(np.sum(windows, 0), "S2"), activations(mean, "S2"))  # sum or mean
    assert mean_activation([], 3).tolist() == [0, 0, 0]
    assert activations(np.zeros((2, 3)), "S2").tolist() == np.zeros((2, 3)).tolist()
    with pytest.raises(SubterfugeError, match="strategy: got 'S3', expected S1 or S2"):
        activations(mean, "S3")


TRUTH = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]]
MEANS = [[0.8, 0.5, 0.1], [0.9, 0.2, 0.0], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]


def test_scores_by_hand():
    # S2 at 0.5: heard a+b, a, b+c, nothing. Hits a a b; false alarms b c; misses b b.
    heard = measure_excerpts(ABC, TRUTH, MEANS)
    assert (heard.excerpts, heard.recordings, heard.unheard, heard.strategy) == (4, 4, 1, "S2")
    micro, macro = heard.micro, heard.macro
    assert (micro.precision.value, micro.recall.value) == pytest.approx((3 / 5, 3 / 5))
    assert micro.f1.value == pytest.approx(3 / 5)
    a, b, c = heard.classes
    assert (a.scores.precision.value, a.scores.recall.value, a.excerpts, a.heard) == (1, 1, 2, 2)
    assert (b.scores.precision.value, b.scores.recall.value) == pytest.approx((1 / 2, 1 / 3))
    assert b.scores.f1.value == pytest.approx(2 * 1 / (2 * 1 + 1 + 2))
    assert (c.scores.precision.value, c.excerpts, c.heard) == (0, 0, 1) and math.isnan(c.scores.recall.value)
    # The mean over a and b, which occur; their F1's mean, not the F1 of the means.
    assert macro.precision.value == pytest.approx((1 + 1 / 2) / 2)
    assert macro.recall.value == pytest.approx((1 + 1 / 3) / 2)
    assert macro.f1.value == pytest.approx((1 + 2 / 5) / 2)


def test_without_normalisation_by_hand():
    # S1 at 0.5: heard a+b, a, nothing, nothing.
    heard = measure_excerpts(ABC, TRUTH, MEANS, strategy="S1")
    assert heard.unheard == 2
    assert (heard.micro.precision.value, heard.micro.recall.value) == pytest.approx((2 / 3, 2 / 5))


def test_a_threshold_is_reached_not_passed():
    assert measure_excerpts(("a", "b"), [[1, 1]], [[1.0, 0.5]], threshold=0.5).micro.recall.value == 1
    assert measure_excerpts(("a", "b"), [[1, 1]], [[1.0, 0.5]], threshold=0.51).micro.recall.value == 0.5
    assert (
        measure_excerpts(("a", "b"), [[1, 0]], [[0.2, 0.1]], threshold=1.0).micro.f1.value == 1
    )  # the top one


def test_where_nothing_is_heard_nothing_is_claimed():
    heard = measure_excerpts(("a", "b"), [[1, 0], [0, 1]], np.zeros((2, 2)))
    assert heard.unheard == 2 and math.isnan(heard.micro.precision.value)
    assert heard.micro.recall.value == 0 and heard.micro.f1.value == 0 and heard.macro.f1.value == 0
    assert heard.macro.precision.value == 0


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(2, 6), st.sampled_from(["S1", "S2"]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_parity_with_scikit_learn(seed: int, excerpts: int, k: int, strategy: str):
    rng = np.random.default_rng(seed)
    truth, means = rng.uniform(size=(excerpts, k)) < 0.4, rng.dirichlet(np.ones(k), excerpts)
    truth[0, 0] = True
    threshold = float(rng.choice(THRESHOLDS))
    ours = measure_excerpts(
        [str(i) for i in range(k)], truth, means, strategy=strategy, threshold=threshold, resamples=0
    )
    heard = activations(means, strategy) >= threshold
    for average, mine, labels in (
        ("micro", ours.micro, None),
        ("macro", ours.macro, np.flatnonzero(truth.any(0))),
    ):
        theirs = metrics.precision_recall_fscore_support(
            truth, heard, average=average, labels=labels, zero_division=0
        )
        got = [np.nan_to_num(one.value) for one in (mine.precision, mine.recall, mine.f1)]
        np.testing.assert_allclose(got, theirs[:3])
    point = next(one for one in ours.curves[strategy] if one.threshold == threshold)
    assert point.micro_f1 == ours.micro.f1.value and point.macro_f1 == ours.macro.f1.value


def test_intervals_are_by_recording():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.uniform(size=(40, 3)) < 0.5, 10, axis=0)
    truth[:, 0] = True
    means = np.where(truth, 0.9, 0.1) * np.repeat(rng.choice([1, -1], (40, 3), p=[0.8, 0.2]), 10, axis=0) % 1
    names = [f"r{i // 10}" for i in range(400)]
    whole = measure_excerpts(ABC, truth, means, recordings=names, resamples=300)
    single = measure_excerpts(ABC, truth, means, resamples=300)
    width = [one.micro.f1.high - one.micro.f1.low for one in (whole, single)]
    assert whole.recordings == 40 and width[0] > 2 * width[1] > 0
    assert whole.micro.f1.low < whole.micro.f1.value < whole.micro.f1.high
    assert whole == measure_excerpts(ABC, truth, means, recordings=names, resamples=300)
    alone = measure_excerpts(ABC, truth, means, recordings=["r"] * 400)
    assert math.isnan(alone.micro.f1.low)


def test_they_survive_their_json():
    heard = measure_excerpts(ABC, TRUTH, MEANS)
    again = from_json(ExcerptMeasures, to_json(heard))
    assert to_json(again) == to_json(heard) and again.curves["S1"] == heard.curves["S1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"truth": [], "means": []}, "got no excerpts"),
        ({"means": [[0.1, 0.2, 0.3]]}, r"means: got shape \(1, 3\), expected \(4, 3\)"),
        ({"means": -np.ones((4, 3))}, "negative"),
        ({"means": np.full((4, 3), np.nan)}, "negative or undefined"),
        ({"threshold": 0}, "threshold: got 0, expected a number above 0"),
        ({"threshold": 1.5}, "threshold: got 1.5"),
        ({"threshold": float("nan")}, "threshold: got nan"),
        ({"recordings": ["r"]}, "recordings: got 1, expected 4"),
    ],
)
def test_what_is_wrong_is_said(changes, said):
    with pytest.raises(SubterfugeError, match=said):
        measure_excerpts(**({"labels": ABC, "truth": TRUTH, "means": MEANS} | changes))
