"""Attacks that see scores: near the known optimum in a known number of queries, and made of what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from closed_form import Ball, Counting, Deaf, Linear, Opaque, clips, linear, optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from subterfuge.attacks.blackbox import nes as nes_file
from subterfuge.attacks.blackbox import shrinking
from subterfuge.attacks.blackbox import spsa as spsa_file
from subterfuge.attacks.blackbox.asking import Answer
from subterfuge.attacks.blackbox.charts import gains_of
from subterfuge.attacks.blackbox.local_cosines import LocalCosines
from subterfuge.attacks.blackbox.patches import Patches
from subterfuge.attacks.blackbox.simba import turns
from subterfuge.attacks.blackbox.slopes import slope_of
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.registry import ATTACKS, get_attack
from subterfuge.attacks.search import Watch
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError

NAMES = ("nes", "nes-subspace", "spsa", "spsa-subspace", "square", "simba")
SAMPLES = 48


def named(name: str) -> Callable[..., Outcome]:
    return get_attack(name)


# ------------------------------------------------------------ near the optimum


def two_labels() -> tuple[Any, Tensor, Tensor, list[float]]:
    victim, y = linear(2, SAMPLES), clips(3, SAMPLES)
    label = 1 - victim.predict(y)
    best = [optimum(victim, row, int(one), away=False) for row, one in zip(y, label, strict=True)]
    return victim, y, label, best


def five_labels() -> tuple[Any, Tensor, Tensor, list[float]]:
    victim, y = linear(5, SAMPLES), clips(3, SAMPLES)
    label = (victim.predict(y) + 1) % 5
    best = [optimum(victim, row, int(one), away=False) for row, one in zip(y, label, strict=True)]
    return victim, y, label, best


def out_of_a_ball() -> tuple[Any, Tensor, Tensor, list[float]]:
    y = clips(3, SAMPLES)
    centre = 0.5 * clips(1, SAMPLES, seed=9)[0]
    far = (y - centre).norm(dim=1)
    radius = 1.2 * float(far.max())
    return Ball(centre, radius, 1.0), y, torch.zeros(3, dtype=torch.int64), (radius - far).tolist()


def into_a_ball() -> tuple[Any, Tensor, Tensor, list[float]]:
    y = clips(3, SAMPLES)
    centre = 0.5 * clips(1, SAMPLES, seed=9)[0]
    far = (y - centre).norm(dim=1)
    radius = 0.8 * float(far.min())
    return Ball(centre, radius, 1.0), y, torch.ones(3, dtype=torch.int64), (far - radius).tolist()


PROBLEMS = {
    "two labels": two_labels,
    "five labels": five_labels,
    "out of a ball": out_of_a_ball,
    "into a ball": into_a_ball,
}
# Lengths over the least there is, after 1,000 queries. Gains of bands reach few changes: not every plane.
FACTORS = {"nes": 1.25, "spsa": 1.25, "simba": 1.25, "square": 3.0}
# Those that cost little a query are tried on all clips.
QUICK = ("nes", "spsa", "simba")
IN_BANDS = {"nes-subspace": 1.5, "spsa-subspace": 1.5}
CLOSED = [(name, case, factor) for name, factor in FACTORS.items() for case in PROBLEMS]
CLOSED += [(name, "into a ball", factor) for name, factor in IN_BANDS.items()]


@pytest.mark.parametrize(("name", "case", "factor"), CLOSED)
def test_length_is_near_the_closed_form_optimum(name: str, case: str, factor: float) -> None:
    victim, y, label, best = PROBLEMS[case]()
    some = slice(None if name in QUICK else 1)
    outcome = named(name)(victim, y[some], Targeted(label[some]), steps=1000)
    assert outcome.success.all()
    ratio = outcome.distance.double() / torch.tensor(best, dtype=torch.float64)[some]
    assert (ratio >= 1 - 1e-6).all(), "less than the optimum"
    assert (ratio <= factor).all(), ratio


@pytest.mark.parametrize("name", IN_BANDS)
def test_in_bands_the_optimum_is_found_where_bands_reach_it(name: str) -> None:
    """A plane across a change by gains, at right angles to it: that change is the shortest onto the plane."""
    y = clips(1, 1024, seed=3)
    chart = gains_of(y[0], sr=8000)
    wanted = torch.randn(1, chart.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    change = chart.render(0.05 * wanted / wanted.norm() * y.norm())[0]
    normal = change / change.norm()
    bias = -(normal @ y[0] + change.norm())
    zero = torch.zeros_like(normal)
    victim = Linear(torch.stack([zero, normal]), torch.stack([torch.zeros_like(bias), bias]))
    best = optimum(victim, y[0], 1, away=False)
    assert best == pytest.approx(float(change.norm()))
    outcome = named(name)(victim, y, Targeted(1), steps=1000)
    assert outcome.success.all()
    assert 1 - 1e-6 <= float(outcome.distance[0]) / best <= 1.25
    # Among samples the same queries come less near: there are as many directions as samples.
    anywhere = named(name.removesuffix("-subspace"))(victim, y, Targeted(1), steps=1000)
    assert float(anywhere.distance[0]) > float(outcome.distance[0])


@pytest.mark.parametrize("name", ["square", "simba"])
def test_what_is_left_of_the_queries_makes_it_smaller(name: str) -> None:
    victim, y, label, _ = out_of_a_ball()
    outcome = named(name)(victim, y[:1], Targeted(label[:1]), steps=400, snr_db=0.0)
    (trace,) = outcome.trace
    found = int(torch.isfinite(trace).nonzero()[0])
    assert found < 200
    assert float(trace[-1]) < 0.8 * float(trace[found])


# ------------------------------------------------------------ slopes


DRAWS = {"gaussian": nes_file.gaussian, "signs": spsa_file.signs}


@pytest.mark.parametrize("name", DRAWS)
def test_directions_have_the_unit_variance_that_slopes_count_on(name: str) -> None:
    drawn = DRAWS[name](torch.Generator().manual_seed(0), 40_000, 4).double()
    torch.testing.assert_close(drawn.mean(0), torch.zeros(4).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T @ drawn / len(drawn), torch.eye(4).double(), atol=0.03, rtol=0)
    if name == "signs":
        assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    else:
        assert float((drawn**4).mean()) == pytest.approx(3.0, abs=0.1)


def test_slope_of_one_pair_by_hand() -> None:
    # m(x) = 3 x0 - x1 + x0^2 at (1, 1): slope (5, -1).
    def margin(x0: float, x1: float) -> float:
        return 3 * x0 - x1 + x0**2

    above, below = margin(1.5, 0.5), margin(0.5, 1.5)
    assert (above, below) == (6.25, 0.25)
    slope = slope_of(torch.tensor([above]), torch.tensor([below]), torch.tensor([[1.0, -1.0]]), 0.5)
    # (6.25 - 0.25) / (2 * 0.5) = 6 is the slope along (1, -1): 5 + 1.
    assert slope.tolist() == [6.0, -6.0]


def test_all_signs_together_give_a_linear_slope_exactly() -> None:
    """The mean over every sign pattern is what SPSA expects: each other number cancels."""
    true = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    patterns = torch.tensor([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]).double()
    found = slope_of(0.1 * patterns @ true, -0.1 * patterns @ true, patterns, 0.1)
    torch.testing.assert_close(found, true)


@pytest.mark.parametrize("name", DRAWS)
def test_slope_agrees_with_the_gradient_in_expectation(name: str) -> None:
    """Of ``p`` pairs in ``n`` dimensions: cosine near ``sqrt(p / (p + n))``, true in the mean."""
    size, true = 30, clips(1, 30, seed=4)[0]
    cosines, means = [], torch.zeros(size, dtype=torch.float64)
    chance = torch.Generator().manual_seed(1)
    for _ in range(200):
        u = DRAWS[name](chance, 10, size).double()
        # A curved margin: what is even in the direction cancels in each pair.
        above, below = (0.2 * way * (u @ true) + 0.7 * (0.2 * u).square().sum(1) for way in (1.0, -1.0))
        slope = slope_of(above, below, u, 0.2)
        cosines.append(float(torch.cosine_similarity(slope, true, dim=0)))
        means += slope / 200
    assert np.mean(cosines) == pytest.approx(math.sqrt(10 / (10 + size)), abs=0.04)
    assert float(torch.cosine_similarity(means, true, dim=0)) > 0.95
    assert float(means @ true / true.square().sum()) == pytest.approx(1.0, abs=0.1)


# ------------------------------------------------------------ atoms and patches


@given(samples=st.integers(1, 90), part=st.integers(8, 100))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_cosines_are_orthonormal_and_complete(samples: int, part: int) -> None:
    basis = LocalCosines(samples, part=part)
    atoms = torch.stack([basis.atom(number) for number in range(samples)])
    torch.testing.assert_close(atoms @ atoms.T, torch.eye(samples).double(), atol=1e-12, rtol=0)
    y = clips(1, samples)[0]
    torch.testing.assert_close(basis.numbers(y), atoms @ y, atol=1e-12, rtol=0)
    torch.testing.assert_close(basis.sound(basis.numbers(y)), y, atol=1e-12, rtol=0)


def test_an_atom_is_a_windowed_cosine_at_its_time() -> None:
    basis = LocalCosines(400, part=100)
    assert basis.edges.tolist() == [0, 100, 200, 300, 400]
    tone, start, half = 5, 100, 50
    n = np.arange(400)
    angle = math.pi / 100 * (tone + 0.5) * (n + 0.5 - start)
    rise = np.sin(math.pi / 4 * (1 + np.clip((n + 0.5 - start) / half, -1, 1)))
    fall = np.sin(math.pi / 4 * (1 - np.clip((n + 0.5 - start - 100) / half, -1, 1)))
    by_hand = math.sqrt(2 / 100) * rise * fall * np.cos(angle)
    np.testing.assert_allclose(basis.atom(start + tone).numpy(), by_hand, atol=1e-12)


def test_a_single_part_is_the_cosine_transform_of_the_clip() -> None:
    basis, n = LocalCosines(64, part=64), np.arange(64)
    by_hand = math.sqrt(2 / 64) * np.cos(math.pi / 64 * (7 + 0.5) * (n + 0.5))
    np.testing.assert_allclose(basis.atom(7).numpy(), by_hand, atol=1e-12)
    assert basis.tones()[7] == 7.5 / 64


@pytest.mark.parametrize("order", ["any", "low", "loud", "quiet"])
def test_every_cosine_has_its_turn_once_a_round(order: str) -> None:
    basis, y = LocalCosines(300, part=100), clips(1, 300)[0]
    numbers = turns(basis, y, sr=8000, order=order, seed=0)
    for _ in range(2):
        assert sorted(next(numbers) for _ in range(300)) == list(range(300))


def test_turns_go_through_the_bands_in_the_order_named() -> None:
    sr, samples = 8000, 4000
    y = torch.sin(2 * math.pi * 1500 / sr * torch.arange(samples)) + 0.1 * torch.sin(
        2 * math.pi * 300 / sr * torch.arange(samples)
    )
    basis = LocalCosines(samples, part=samples)
    hz = basis.tones() * sr / 2

    def first(order: str, count: int) -> np.ndarray:
        numbers = turns(basis, y, sr=sr, order=order, seed=1)
        return hz[[next(numbers) for _ in range(count)]]

    low = first("low", 17)
    assert (np.diff(low) > 0).all() and low[0] < 110 and low[16] > 3000
    assert 1270 <= first("loud", 1)[0] <= 1720  # the critical band of 1,500 Hz
    assert 300 <= first("loud", 2)[1] <= 400 or 200 <= first("loud", 2)[1] <= 300
    assert 1270 <= first("quiet", 18)[-1] <= 1720 or 1270 <= first("quiet", 17)[-1] <= 1720
    assert np.median(first("any", 400)) == pytest.approx(2000, abs=300)


@given(
    samples=st.integers(1, 3000),
    wide=st.floats(0.01, 1),
    high=st.floats(0.01, 1),
    own=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_patches_have_unit_energy_in_their_rectangle(
    samples: int, wide: float, high: float, own: float, seed: int
) -> None:
    patches = Patches(clips(1, samples, seed=seed)[0], sr=8000)
    cells, where = patches.draw(np.random.default_rng(seed), wide=wide, high=high, own=own)
    assert float(patches.render(cells[None])[0].norm()) == pytest.approx(1.0)
    assert not bool(cells[~where].abs().any())
    rows, columns = where.any(1), where.any(0)
    assert torch.equal(where, rows[:, None] & columns)
    for line in (rows, columns):
        inside = line.nonzero()[:, 0]
        assert len(inside) == int(inside[-1] - inside[0]) + 1
    assert int(rows.sum()) <= math.ceil(wide * len(rows)) + 1


def test_patches_of_silence_are_noise_and_a_clip_renders_as_itself() -> None:
    silent = Patches(torch.zeros(2000), sr=8000)
    cells, _ = silent.draw(np.random.default_rng(0), wide=0.5, high=0.2, own=1.0)
    assert float(silent.render(cells[None])[0].norm()) == pytest.approx(1.0, rel=1e-5)
    y = clips(1, 2001)[0]
    patches = Patches(y, sr=8000)
    torch.testing.assert_close(patches.render(patches.own[None])[0], y, atol=1e-12, rtol=0)


def test_numbers_of_bands_are_lengths_to_a_few_decibels() -> None:
    y = clips(1, 4000)[0]
    chart = gains_of(y, sr=8000, bands=10)
    for size in (0.02, 0.2, 2.0):
        for sign in (1, -1):
            if sign * size <= -2:
                continue  # nothing can be taken away that is not there
            got = chart.render(sign * size * torch.eye(10, dtype=torch.float64)).norm(dim=1) / size
            assert (got > 0.3).all() and (got < 2.0).all(), got


# ------------------------------------------------------------ what all of them share


def test_the_ball_after_a_success_is_smaller_and_after_a_failure_wider() -> None:
    """A climb that always asks at the rim, answered by hand: reached from a length of 3 up."""
    y = torch.zeros(4, dtype=torch.float64)
    ball = shrinking.Ball(lambda numbers: numbers, y.clone(), radius=1.0, level=10.0, largest=100.0)

    def climb(ball: shrinking.Ball) -> Any:
        while True:
            yield torch.tensor([[ball.radius, 0.0, 0.0, 0.0]], dtype=torch.float64)

    talk = shrinking.shrink(ball, climb, patience=2)
    asked, delta = [], next(talk)
    for _ in range(40):
        length = float(delta.norm())
        asked.append(length)
        delta = talk.send(_answer(length, reached=length >= 3))
    # Twice at each radius in vain, each wider than the last; then back to the boundary, and never beyond.
    assert asked[:5] == pytest.approx([1.0, 1.0, 1.6, 1.6, 1.6 * 1.6**1.5])
    first = next(i for i, length in enumerate(asked) if length >= 3)
    reached = [length for length in asked[first:] if length >= 3]
    assert min(reached) < 3 * 1.05
    assert max(asked[first + 1 :]) <= asked[first]
    assert asked[-1] < min(reached)


def test_a_climb_in_vain_begins_anew_from_the_clip() -> None:
    ball = shrinking.Ball(lambda z: z, torch.zeros(2), radius=1.0, level=1.0, largest=100.0)
    seen = []

    def climb(ball: shrinking.Ball) -> Any:
        seen.append((ball.radius, float(ball.here.norm())))
        ball.here = torch.tensor([ball.radius, 0.0])
        while True:
            yield ball.here[None]

    talk = shrinking.shrink(ball, climb, patience=1)
    next(talk)
    for _ in range(8):
        talk.send(_answer(1.0, reached=False))
    again = [i for i, (radius, here) in enumerate(seen) if i and here == 0.0]
    assert again and all(seen[i][0] == 1.0 for i in again)


def _answer(length: float, *, reached: bool) -> Answer:
    margin = torch.tensor([1.0 if reached else -1.0], dtype=torch.float64)
    return Answer(margin[:, None], margin, margin > 0, torch.tensor([length], dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_queries_are_exact_and_rows_apart(name: str) -> None:
    inner, y = linear(3, SAMPLES), clips(3, SAMPLES)
    label = (inner.predict(y) + 1) % 3
    victim = Counting(inner)
    outcome = named(name)(victim, y, Targeted(label), steps=150, generator=torch.Generator().manual_seed(5))
    assert outcome.queries.forward.tolist() == [150, 150, 150]
    assert victim.forward_count == 450
    assert victim.backward_count == 0
    for i in range(3):
        chance = torch.Generator().manual_seed(5)
        alone = named(name)(inner, y[[i]], Targeted(label[[i]]), steps=150, generator=chance)
        torch.testing.assert_close(alone.audio[0], outcome.audio[i], rtol=1e-6, atol=1e-9)
    less = named(name)(inner, y, Targeted(label), steps=150, watch=Watch(budget=33))
    assert less.queries.forward.tolist() == [33, 33, 33]


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_the_generators_and_failure_a_status(name: str) -> None:
    y, state = clips(2, SAMPLES, dtype=torch.float32), torch.get_rng_state()

    def run(seed: int) -> Outcome:
        generator = torch.Generator().manual_seed(seed)
        return named(name)(Deaf(linear(3, SAMPLES)), y, Targeted(1), steps=60, generator=generator)

    first, again, other = run(3), run(3), run(4)
    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.audio, other.audio)
    assert torch.equal(state, torch.get_rng_state())
    assert not first.success.any()
    assert ((first.audio - y).abs().amax(1) > 0).all()
    assert first.audio.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [1, 7, 300])
def test_silence_and_short_clips_are_attacked_too(name: str, samples: int) -> None:
    victim = linear(2, samples)
    y = torch.zeros(1, samples)
    outcome = named(name)(victim, y, Untargeted(), steps=80)
    assert torch.isfinite(outcome.audio).all()
    assert outcome.audio.abs().max() <= 1


def test_no_gradients_are_needed() -> None:
    inner, y = linear(2, SAMPLES), clips(1, SAMPLES)
    victim = Opaque(inner.weight, inner.bias)
    for name in NAMES:
        assert ATTACKS[name].access == "scores"
        named(name)(victim, y, Targeted(1 - inner.predict(y)), steps=20)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nes", {"pairs": 0}, "pairs: got 0"),
        ("spsa", {"reach": 0.0}, "reach: got 0.0"),
        ("nes", {"stride": math.nan}, "stride: got nan"),
        ("spsa", {"patience": 0}, "patience: got 0"),
        ("nes", {"snr_db": math.inf}, "snr_db: got inf"),
        ("square", {"share": 1.5}, "share: got 1.5"),
        ("square", {"long": -0.1}, "long: got -0.1"),
        ("square", {"own": 2.0}, "own: got 2.0"),
        ("simba", {"order": "high"}, "order: got 'high'"),
        ("simba", {"part": 1e-4}, "part: got 1 samples"),
        ("simba", {"stride": 0.0}, "stride: got 0.0"),
        ("square", {"steps": 1}, "steps: got 1"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(name: str, options: dict[str, Any], said: str) -> None:
    victim, y = linear(2, SAMPLES), clips(1, SAMPLES)
    with pytest.raises(SubterfugeError, match=said):
        named(name)(victim, y, Targeted(1 - victim.predict(y)), **options)
