"""The plan of a listening test and its statistics: against fractions, scipy and what guessers really get."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from subterfuge.audibility.listening import (
    Draws,
    controls,
    holm,
    material_id,
    mixed,
    needed,
    page_id,
    plan,
    power,
    score,
)
from subterfuge.errors import SubterfugeError

WORD = 2**32 - 1
plans = settings(deadline=None, derandomize=True, max_examples=120)


def tail(k: int, n: int, p: Fraction = Fraction(1, 2)) -> Fraction:
    """Exactly: the probability of k or more of n."""
    return sum((math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)), Fraction(0))


@st.composite
def orders(draw):
    trials = draw(st.integers(8, 32))
    return {
        "trials": trials,
        "pairs": draw(st.integers(1, trials)),
        "seed": draw(st.integers(0, WORD)),
        "listener": draw(st.integers(0, WORD)),
    }


@plans
@given(orders())
def test_a_plan_has_what_was_asked_for(order):
    drawn = plan(**order)
    audible, identical = controls(order["trials"])
    assert Counter(one.kind for one in drawn) == {
        "pair": order["trials"],
        "audible": audible,
        "identical": identical,
    }
    counts = Counter(one.pair for one in drawn if one.kind == "pair")
    assert set(counts) == set(range(order["pairs"]))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {one.x for one in drawn} <= {"A", "B"}
    total = len(drawn)
    for kind, n in (("audible", audible), ("identical", identical)):
        at = [i for i, one in enumerate(drawn) if one.kind == kind]
        for block, i in enumerate(at):  # one a part of the session
            assert total * block // n <= i < total * (block + 1) // n
    assert plan(**order) == drawn


def test_every_listener_and_every_seed_has_a_plan_of_its_own():
    drawn = {
        (seed, listener): tuple(plan(trials=16, pairs=4, seed=seed, listener=listener))
        for seed in range(12)
        for listener in range(12)
    }
    assert len(set(drawn.values())) == len(drawn)


def test_the_mixer_is_murmur_s():
    assert [mixed(x) for x in (0, 1, 2, 0xFFFFFFFF)] == [0, 0x514E28B7, 0x30F4C306, 0x81F16F39]


def test_numbers_below_are_even_and_shuffles_too():
    draws = Draws(3, 4)
    assert chisquare(np.bincount([draws.below(7) for _ in range(14_000)], minlength=7)).pvalue > 0.001
    orders_of_3 = Counter(tuple(draws.shuffled(3)) for _ in range(6_000))
    assert len(orders_of_3) == 6 and chisquare(list(orders_of_3.values())).pvalue > 0.001
    assert sorted(draws.shuffled(40)) == list(range(40))


@pytest.fixture(scope="module")
def keys() -> list[list[str]]:
    """What X is in the trials that count, for each of many listeners."""
    drawn = (plan(trials=8, pairs=2, seed=5, listener=listener) for listener in range(3_000))
    return [[one.x for one in trials if one.kind == "pair"] for trials in drawn]


@pytest.mark.parametrize("habit", ["always A", "turn by turn", "mostly B", "X of the last trial"])
def test_whoever_guesses_gets_binomial_results_whatever_the_habit(keys, habit):
    right = []
    rng = np.random.default_rng(0)
    for key in keys:
        said = {
            "always A": ["A"] * 8,
            "turn by turn": ["A", "B"] * 4,
            "mostly B": rng.choice(["A", "B"], 8, p=[0.2, 0.8]),
            "X of the last trial": ["A", *key[:-1]],
        }[habit]
        right.append(sum(x == answer for x, answer in zip(key, said, strict=True)))
    expected = len(keys) * binom.pmf(np.arange(9), 8, 0.5)
    assert chisquare(np.bincount(right, minlength=9), expected).pvalue > 0.001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trials": 7}, "trials: got 7, expected 8 to 32"),
        ({"trials": 33}, "trials: got 33, expected 8 to 32"),
        ({"pairs": 0}, "pairs: got 0, expected 1 to 16"),
        ({"pairs": 17}, "pairs: got 17, expected 1 to 16"),
        ({"seed": -1}, "seed: got -1, expected a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed: got 4294967296"),
        ({"listener": 2**32}, "listener: got 4294967296"),
    ],
)
def test_numbers_out_of_range(change, words):
    with pytest.raises(SubterfugeError, match=words):
        plan(**({"trials": 16, "pairs": 2, "seed": 0, "listener": 0} | change))


def test_by_hand():
    twelve = score(12, 16)
    assert twelve.p_value == pytest.approx((1820 + 560 + 120 + 16 + 1) / 65536, rel=1e-12)
    assert score(16, 16).p_value == pytest.approx(2**-16)
    assert score(0, 8) == score(0, 8) and score(0, 8).p_value == 1 and score(0, 8).low == 0
    assert score(0, 8).high == pytest.approx(1 - 0.025 ** (1 / 8))
    assert score(8, 8).low == pytest.approx(0.025 ** (1 / 8)) and score(8, 8).high == 1
    nothing = score(0, 0)
    assert (nothing.p_value, nothing.low, nothing.high) == (1, 0, 1) and math.isnan(nothing.share)
    with pytest.raises(SubterfugeError, match="got 9 right answers of 8"):
        score(9, 8)


@pytest.mark.parametrize("n", [1, 8, 13, 16, 32])
def test_against_fractions(n):
    for k in range(n + 1):
        one = score(k, n)
        assert one.p_value == pytest.approx(float(tail(k, n)), rel=1e-10)
        # Clopper and Pearson: at either end, what was seen or more (or less) has a probability of 2.5 %.
        if k > 0:
            assert float(tail(k, n, Fraction(one.low))) == pytest.approx(0.025, abs=1e-6)
        if k < n:
            assert 1 - float(tail(k + 1, n, Fraction(one.high))) == pytest.approx(0.025, abs=1e-6)
        assert one.low <= k / n <= one.high
    least = [k for k in range(n + 1) if tail(k, n) <= Fraction(1, 20)]
    assert needed(n) == (least[0] if least else None)
    for share in (0.6, 0.8, 1.0):
        expected = float(tail(least[0], n, Fraction(share))) if least else 0.0
        assert power(n, share) == pytest.approx(expected, abs=1e-12)


def test_holm():
    assert holm([]) == []
    assert holm([0.5]) == [0.5]
    assert holm([0.04, 0.01, 0.9, 0.04]) == pytest.approx([0.12, 0.04, 0.9, 0.12])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_pages_are_told_apart_by_all_that_makes_them():
    ids = ["a" * 16, "b" * 16]
    pages = {
        page_id(ids, trials=16, seed=0),
        page_id(ids[::-1], trials=16, seed=0),
        page_id(ids, trials=17, seed=0),
        page_id(ids, trials=16, seed=1),
        page_id(ids[:1], trials=16, seed=0),
    }
    assert len(pages) == 5
    assert material_id(ids) == material_id(ids[::-1]) != material_id(ids[:1])
