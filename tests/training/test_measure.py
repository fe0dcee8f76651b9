"""Measures: hand-computed cases, parity with scikit-learn, and intervals that cover what they claim."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from subterfuge.errors import SubterfugeError
from subterfuge.training.bootstrap import resampled_counts
from subterfuge.training.codec import to_json
from subterfuge.training.measure import measure

ABC = ("a", "b", "c")


def test_by_hand():
    # True a: heard a, a, b. True b: heard b, c. True c: never there.
    heard = measure(ABC, list("aaabb"), list("aabbc"), resamples=200)
    assert heard.confusion == ((2, 1, 0), (0, 1, 1), (0, 0, 0))
    assert (heard.clips, heard.recordings) == (5, 5)
    assert heard.accuracy.value == pytest.approx(3 / 5)
    a, b, c = heard.classes
    assert (a.precision.value, a.recall.value, a.f1.value, a.clips) == pytest.approx((1, 2 / 3, 4 / 5, 3))
    assert (b.precision.value, b.recall.value, b.f1.value, b.clips) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert (c.precision.value, c.f1.value, c.clips) == (0, 0, 0)
    assert math.isnan(c.recall.value) and math.isnan(c.recall.low)
    assert heard.macro_f1.value == pytest.approx((4 / 5 + 1 / 2) / 2)  # c does not occur
    assert heard.reliability == () and heard.calibration_error is None and heard.log_loss is None


def test_reliability_by_hand():
    # Largest: 0.9 right, 0.9 wrong, 0.55 right, 1.0 right.
    p = [[0.9, 0.1], [0.9, 0.1], [0.45, 0.55], [1.0, 0.0]]
    heard = measure(("a", "b"), list("abba"), list("abba"), probabilities=p)
    assert [(one.low, one.high, one.clips) for one in heard.reliability] == [(0.5, 0.6, 1), (0.9, 1.0, 3)]
    first, last = heard.reliability
    assert (first.confidence, first.accuracy) == pytest.approx((0.55, 1))
    # By the label that the probability belongs to, not by the vote: the second clip counts as wrong here.
    assert (last.confidence, last.accuracy) == pytest.approx((2.8 / 3, 2 / 3))
    assert heard.calibration_error == pytest.approx((1 * 0.45 + 3 * (2.8 / 3 - 2 / 3)) / 4)
    assert heard.log_loss == pytest.approx(-np.log([0.9, 0.1, 0.55, 1.0]).mean())


@pytest.mark.parametrize("edge", [0.3, 0.6, 0.7, 0.1 * 3])
def test_an_edge_belongs_to_the_bin_above_it(edge):
    rest = (1 - edge) / 9
    heard = measure([*"abcdefghij"], ["a"], ["a"], probabilities=[[edge, *[rest] * 9]])
    (one,) = heard.reliability
    assert one.low <= edge < one.high


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 60))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_parity_with_scikit_learn(seed: int, k: int, clips: int):
    rng = np.random.default_rng(seed)
    labels = [f"l{i}" for i in range(k)]
    truth, heard = rng.integers(k, size=(2, clips))
    p = rng.dirichlet(np.ones(k), size=clips)
    ours = measure(labels, truth, heard, probabilities=p, resamples=0)
    named = [labels[i] for i in truth], [labels[i] for i in heard]
    assert to_json(ours) == to_json(measure(labels, *named, probabilities=p, resamples=0))
    nan = {"labels": range(k), "zero_division": np.nan}
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, heard, **nan)
    np.testing.assert_allclose([one.precision.value for one in ours.classes], precision)
    np.testing.assert_allclose([one.recall.value for one in ours.classes], recall)
    np.testing.assert_allclose([one.f1.value for one in ours.classes], f1)
    assert [one.clips for one in ours.classes] == support.tolist()
    assert ours.accuracy.value == pytest.approx(metrics.accuracy_score(truth, heard))
    there = sorted(set(truth.tolist()))
    macro = metrics.f1_score(truth, heard, labels=there, average="macro", zero_division=0)
    assert ours.macro_f1.value == pytest.approx(macro)
    np.testing.assert_array_equal(ours.confusion, metrics.confusion_matrix(truth, heard, labels=range(k)))
    assert ours.log_loss == pytest.approx(metrics.log_loss(truth, p, labels=range(k)))


def test_reliability_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    p1 = rng.uniform(0.5, 1, 500)
    truth = (rng.uniform(size=500) > p1).astype(int)  # 0 with probability p1: well calibrated
    heard = measure(("x", "y"), truth, truth, probabilities=np.stack([p1, 1 - p1], 1), resamples=0)
    from sklearn.calibration import calibration_curve

    accuracy, confidence = calibration_curve(truth == 0, p1, n_bins=10)
    np.testing.assert_allclose([one.accuracy for one in heard.reliability], accuracy)
    np.testing.assert_allclose([one.confidence for one in heard.reliability], confidence)
    assert heard.calibration_error < 0.06
    assert (
        measure(("x", "y"), 1 - truth, truth, probabilities=np.stack([p1, 1 - p1], 1)).calibration_error > 0.3
    )


def test_resampled_counts_are_sums_of_whole_recordings():
    rng = np.random.default_rng(0)
    group = rng.integers(7, size=300)
    cells = 20 * group // 7  # each recording has cells of its own, so that it can be seen who was drawn
    own = np.zeros((7, 20))
    np.add.at(own, (group, cells), 1)
    drawn = resampled_counts(cells, group, shape=(7, 20), seed=4, resamples=300)
    times = drawn @ np.linalg.pinv(own)
    np.testing.assert_allclose(times, np.round(times), atol=1e-9)
    np.testing.assert_allclose(times.sum(1), 7)
    assert times.min() > -1e-9 and times.max() >= 3
    np.testing.assert_allclose(times.mean(0), 1, atol=0.25)
    np.testing.assert_array_equal(drawn, resampled_counts(cells, group, shape=(7, 20), seed=4, resamples=300))
    assert not np.array_equal(drawn, resampled_counts(cells, group, shape=(7, 20), seed=5, resamples=300))


def _clustered(
    rng: np.random.Generator, recordings: int, each: int
) -> tuple[list[int], list[int], list[str]]:
    """Clips of which a recording's are mostly right or mostly wrong together; 70 % are right on the whole."""
    truth, heard, names = [], [], []
    for r in range(recordings):
        chance = rng.beta(0.7, 0.3)
        for _ in range(each):
            truth.append(r % 2)
            heard.append(r % 2 if rng.uniform() < chance else 1 - r % 2)
            names.append(f"r{r}")
    return truth, heard, names


def test_intervals_cover_where_clips_of_a_recording_hang_together():
    rng = np.random.default_rng(12)
    by_recording = by_clip = 0
    runs = 150
    for run in range(runs):
        truth, heard, names = _clustered(rng, 60, 8)
        one = measure(("x", "y"), truth, heard, recordings=names, seed=run, resamples=300).accuracy
        naive = measure(("x", "y"), truth, heard, seed=run, resamples=300).accuracy
        by_recording += one.low <= 0.7 <= one.high
        by_clip += naive.low <= 0.7 <= naive.high
    # 95 % in the limit of many recordings. By clip it is far too sure of itself.
    assert by_recording / runs >= 0.89
    assert by_clip / runs < 0.75


def test_one_recording_says_nothing_of_the_next():
    heard = measure(ABC, list("abc"), list("abb"), recordings=["same"] * 3)
    assert heard.recordings == 1 and heard.accuracy.value == pytest.approx(2 / 3)
    assert math.isnan(heard.accuracy.low) and math.isnan(heard.classes[0].f1.high)


def test_a_thousand_resamples_of_irmas_take_well_under_a_second():
    rng = np.random.default_rng(0)
    truth = rng.integers(11, size=6705)
    heard = np.where(rng.uniform(size=6705) < 0.7, truth, rng.integers(11, size=6705))
    names = [f"r{i // 3}" for i in range(6705)]
    labels = [f"l{i}" for i in range(11)]
    measure(labels, truth, heard, recordings=names, resamples=2)  # what must be imported is
    began = time.perf_counter()
    measured = measure(labels, truth, heard, recordings=names)
    assert time.perf_counter() - began < 2.5  # 0.08 s on one core
    assert measured.accuracy.low < measured.accuracy.value < measured.accuracy.high
    assert measured == measure(labels, truth, heard, recordings=names)  # from its seed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"truth": []}, "got no clips|predicted: got"),
        ({"truth": ["a"]}, "predicted: got 3, expected 1"),
        ({"truth": ["a", "b", "d"]}, "truth: got label 'd', expected one of a, b, c"),
        ({"predicted": [0, 1, 3]}, "predicted: got index 3, expected 0 to 2"),
        ({"predicted": [[0, 1, 2]]}, "predicted: got shape"),
        ({"recordings": ["r"]}, "recordings: got 1, expected 3"),
        ({"probabilities": np.ones((3, 2))}, r"probabilities: got shape \(3, 2\), expected \(3, 3\)"),
        ({"probabilities": np.full((3, 3), np.nan)}, "between 0 and 1"),
        ({"probabilities": np.full((3, 3), 2.0)}, "between 0 and 1"),
        ({"labels": ("a", "a")}, "labels: got a, a, expected distinct"),
        ({"labels": ()}, "labels: got none"),
        ({"resamples": -1}, "resamples: got -1"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Sequence[object]], said: str):
    given = {"labels": ABC, "truth": list("abc"), "predicted": list("abc")} | changes
    with pytest.raises(SubterfugeError, match=said):
        measure(**given)  # type: ignore[arg-type]
