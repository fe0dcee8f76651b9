"""Splits: no recording on both sides, every label on both, the seed's own draw, plain words else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, train_test_split

from subterfuge.errors import SubterfugeError
from subterfuge.training.splits import fold, hold_out

deterministic = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def corpora(draw: st.DrawFn, least: int = 2) -> tuple[list[str], list[str]]:
    """Labels and recordings in any order: some recordings long, some of several labels."""
    clips = []
    for label in "abcd"[: draw(st.integers(2, 4))]:
        for number in range(draw(st.integers(least, 12))):
            clips += [(label, f"{label}{number}")] * draw(st.integers(1, 7))
    for number in range(draw(st.integers(0, 3))):
        clips += [("a", f"mixed{number}"), ("b", f"mixed{number}")]
    order = draw(st.permutations(range(len(clips))))
    return [clips[i][0] for i in order], [clips[i][1] for i in order]


@deterministic
@given(corpora(), st.integers(0, 5))
def test_a_grouped_split_parts_no_recording_and_leaves_every_label_on_both_sides(corpus, seed):
    labels, recordings = corpus
    side = hold_out(labels, recordings, seed=seed)
    assert sorted([*side.train, *side.test]) == list(range(len(labels)))
    assert not {recordings[i] for i in side.train} & {recordings[i] for i in side.test}
    for one in (side.train, side.test):
        assert {labels[i] for i in one} == set(labels)
    again = hold_out(labels, recordings, seed=seed)
    assert np.array_equal(side.test, again.test)


@deterministic
@given(corpora(), st.randoms(use_true_random=False))
def test_a_grouped_split_does_not_depend_on_the_order_of_the_clips(corpus, random):
    labels, recordings = corpus
    order = list(range(len(labels)))
    random.shuffle(order)
    held = {recordings[i] for i in hold_out(labels, recordings).test}
    shuffled = hold_out([labels[i] for i in order], [recordings[i] for i in order])
    assert {recordings[order[i]] for i in shuffled.test} == held


@deterministic
@given(corpora(least=5), st.integers(0, 3))
def test_folds_part_no_recording_and_hold_each_clip_out_once(corpus, seed):
    labels, recordings = corpus
    sides = fold(labels, recordings, folds=3, seed=seed)
    assert sorted(i for side in sides for i in side.test) == list(range(len(labels)))
    for side in sides:
        assert sorted([*side.train, *side.test]) == list(range(len(labels)))
        assert not {recordings[i] for i in side.train} & {recordings[i] for i in side.test}
        assert {labels[i] for i in side.train} == set(labels)


def test_a_fifth_of_each_label_is_held_out():
    labels = [label for label in "abc" for _ in range(100)]
    recordings = [f"{label}{i // 4}" for i, label in enumerate(labels)]
    held = Counter(labels[i] for i in hold_out(labels, recordings).test)
    assert held == {"a": 20, "b": 20, "c": 20}
    others = {tuple(hold_out(labels, recordings, seed=seed).test) for seed in range(5)}
    assert len(others) == 5


def test_of_few_recordings_the_shortest_is_held_out():
    labels = ["a"] * 12 + ["b"] * 12
    recordings = ["a0"] * 9 + ["a1"] * 3 + ["b0"] * 6 + ["b1"] * 6
    side = hold_out(labels, recordings)
    assert {recordings[i] for i in side.test if labels[i] == "a"} == {"a1"} and len(side.test) == 9


def test_the_random_split_is_the_seeds():
    labels = list("abcd" * 30)
    side = hold_out(labels, labels, split="random")
    train, test = train_test_split(np.arange(120), test_size=0.2, random_state=42)
    assert np.array_equal(side.train, train) and np.array_equal(side.test, test)
    sides = fold(labels, labels, split="random")
    for ours, theirs in zip(sides, StratifiedKFold(5).split(labels, labels), strict=True):
        assert np.array_equal(ours.train, theirs[0]) and np.array_equal(ours.test, theirs[1])


@pytest.mark.parametrize(
    ("labels", "recordings", "options", "said"),
    [
        ("", "", {}, "got no clips"),
        ("aaa", "123", {}, r"got one label only \(a\)"),
        ("aabb", "1233", {}, "label 'b' has 1 recording, expected at least 2"),
        ("aab", "123", {"split": "random"}, "label 'b' has 1 clip, expected at least 2"),
        ("aabb", "1234", {"split": "odd"}, "split: got 'odd', expected grouped or random"),
        ("aabb", "123", {}, "recordings: got 3, expected 4"),
        ("abab", "1122", {}, None),
        ("abac", "1123", {}, "label 'b' has 1 recording"),
    ],
)
def test_what_cannot_be_held_out_is_said(labels, recordings, options, said):
    if said is None:  # two recordings of both labels: one on each side
        side = hold_out(list(labels), list(recordings), **options)
        assert len(side.train) == len(side.test) == 2
        return
    with pytest.raises(SubterfugeError, match=said):
        hold_out(list(labels), list(recordings), **options)


def test_a_label_that_is_held_out_whole_by_chance_is_said():
    labels = ["a"] * 40 + ["b"] * 2
    seeds = []
    for seed in range(100):
        try:
            hold_out(labels, labels, split="random", seed=seed)
        except SubterfugeError as error:
            assert "label 'b' was held out whole" in str(error)
            seeds.append(seed)
    assert seeds


@pytest.mark.parametrize(
    ("labels", "recordings", "options", "said"),
    [
        (
            "aaaabbbb",
            "11223345",
            {"folds": 3},
            "label 'a' has 2 recordings to train on, fewer than there are folds",
        ),
        ("aaaabb", "123456", {"folds": 3, "split": "random"}, "label 'b' has 2 clips to train on"),
        ("aabb", "1234", {"folds": 1}, "folds: got 1, expected at least 2"),
        ("aaa", "123", {"folds": 2}, "got one label only"),
    ],
)
def test_what_cannot_be_folded_is_said(labels, recordings, options, said):
    with pytest.raises(SubterfugeError, match=said):
        fold(list(labels), list(recordings), **options)
