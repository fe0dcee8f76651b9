"""Certificates in feature space: closed forms, monotony, votes, and that no attack ever lands inside one."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC

from subterfuge.defences.certificates.duelling import Duels, duel, duels_of, gathered
from subterfuge.defences.certificates.expansion import expanded
from subterfuge.defences.certificates.feature_attack import nearest_flip
from subterfuge.defences.certificates.point import BOUNDS, certify_point
from subterfuge.defences.certificates.simple import interval_radius, rkhs_radius
from subterfuge.defences.certificates.votes import electable, label_radii, largest_standing
from subterfuge.errors import SubterfugeError


def fitted(
    seed: int, *, classes: int = 4, dimensions: int = 3, gamma: float = 0.5
) -> tuple[SVC, np.ndarray, np.ndarray]:
    """A machine on overlapping clouds, and the points that it was fitted on."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 120)
    x = rng.normal(size=(len(y), dimensions)) + 1.3 * rng.normal(size=(classes, dimensions))[y]
    return SVC(C=5.0, gamma=gamma).fit(x, y), x, y


def two_vectors(weight: float, apart: float, gamma: float) -> Duels:
    """Two support vectors on a line of the plane, of equal and opposite weight: the boundary is midway."""
    vectors = np.array([[-apart / 2, 0.0], [apart / 2, 0.0]])
    one = duel(0, 1, vectors, np.array([weight, -weight]), 0.0, gamma)
    return gathered(2, (one,), np.eye(2), np.zeros(2))


@pytest.mark.parametrize("apart", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("gamma", [0.2, 1.0])
def test_two_support_vectors_by_hand(apart: float, gamma: float) -> None:
    """Value, norm and RKHS radius are known in closed form; the boundary is at half the distance."""
    duels = two_vectors(3.0, apart, gamma)
    x = np.array([-apart / 2, 0.0])
    one = duels.each[0]
    k = math.exp(-gamma * apart**2)
    assert float(one(x[None])[0]) == pytest.approx(3 * (1 - k), rel=1e-12)
    assert one.norm == pytest.approx(3 * math.sqrt(2 - 2 * k), rel=1e-6)
    # m^2 / (2 |w|^2) = 9 (1 - k)^2 / (36 (1 - k)) = (1 - k) / 4.
    assert rkhs_radius(one, x) == pytest.approx(math.sqrt(-math.log(1 - (1 - k) / 4) / gamma), rel=1e-6)

    # By intervals: exp(-g r^2) = exp(-g (apart - r)^2), that is r = apart / 2, the truth.
    assert interval_radius(one, x) == pytest.approx(apart / 2, rel=1e-4)
    assert expanded(one, x).radius() == pytest.approx(apart / 2, rel=0.12)
    assert nearest_flip(duels, x).distance == pytest.approx(apart / 2, rel=1e-4)


def test_one_vector_is_certified_up_to_the_boundary_itself() -> None:
    """w e^{-g r^2} = -b: order nought alone holds all of it."""
    one = duel(0, 1, np.zeros((1, 3)), np.array([2.0]), -0.5, 0.3)
    exact = math.sqrt(math.log(4) / 0.3)
    assert expanded(one, np.zeros(3)).radius() == pytest.approx(exact, rel=0.35)
    assert interval_radius(one, np.zeros(3)) == pytest.approx(exact, rel=1e-5)
    assert certify_point(gathered(2, (one,), np.eye(3), np.zeros(3)), np.zeros(3)).radius <= exact


def test_expansion_adds_up_to_the_duel() -> None:
    """All orders together are the function: the bound over a tiny ball is as near as its slope allows."""
    model, x, _ = fitted(0)
    for one in duels_of(model).each:
        for point in x[:5]:
            about = expanded(one, point)
            value = abs(float(one(point[None])[0]))
            side = math.copysign(1.0, float(one(point[None])[0]))
            step = 1e-4
            slope = np.array(
                [(one((point + step * e)[None])[0] - one((point - step * e)[None])[0]) for e in np.eye(3)]
            ) / (2 * step)
            np.testing.assert_allclose(about.gradient, side * slope, atol=1e-5)
            assert about.least(1e-5) == pytest.approx(value - 1e-5 * float(np.linalg.norm(slope)), abs=1e-6)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.05, 3.0), st.floats(0.01, 2.0))
def test_lower_bounds_hold_in_balls_and_ellipsoids(seed: int, gamma: float, radius: float) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 12)), int(rng.integers(1, 5))
    one = duel(0, 1, rng.normal(size=(n, d)), rng.normal(size=n), float(rng.normal()), gamma)
    x = rng.normal(size=d)
    side = math.copysign(1.0, float(one(x[None])[0]))
    stretch = rng.normal(size=(d, d))
    u = rng.normal(size=(400, d))
    u *= (rng.random((400, 1)) ** (1 / d)) / np.linalg.norm(u, axis=1, keepdims=True)
    for a, scale in ((np.eye(d), radius), (stretch, 1.0)):
        h = scale * u @ a.T
        weighed = np.exp(gamma * (h**2).sum(1)) * side * one(x + h)
        about = expanded(one, x, a)
        assert weighed.min() >= about.least(scale) - 1e-9
        if scale == 1.0:
            first = float(np.linalg.norm(about.gradient))
            assert weighed.min() >= about.least_against(first) - 1e-9


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(0, 10**6))
def test_bounds_fall_as_the_ball_grows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = duel(0, 1, rng.normal(size=(9, 3)), rng.normal(size=9), 0.1, 0.4)
    about = expanded(one, rng.normal(size=3))
    bounds = [about.least(r) for r in np.linspace(0, 3, 40)]
    assert all(b <= a + 1e-9 for a, b in pairwise(bounds))


@pytest.mark.parametrize("bound", BOUNDS)
def test_nothing_random_lands_inside(bound: str) -> None:
    """20,000 points within the certified balls of forty points of four machines, at the rim above all."""
    rng = np.random.default_rng(1)
    certified = 0
    for seed in range(4):
        model, x, _ = fitted(seed, classes=2 + seed, gamma=(0.1, 0.5, 1.0, 2.0)[seed])
        duels = duels_of(model)
        for point in x[:10]:
            found = certify_point(duels, point, bound=bound)
            assert found.label == int(model.predict(point[None])[0])
            radius = min(found.radius, 10.0)
            certified += radius > 0
            h = rng.normal(size=(500, 3))
            h *= radius * rng.random((500, 1)) ** 0.1 / np.linalg.norm(h, axis=1, keepdims=True)
            assert (model.predict(point + h) == found.label).all()
    assert certified > 35


def test_no_attack_lands_inside_and_the_gap_is_small() -> None:
    """The nearest flip found is never nearer than certified, for any label, and not far beyond it."""
    ratios = []
    for seed in range(6):
        model, x, _ = fitted(seed + 10, classes=3 + seed % 3, gamma=0.3)
        duels = duels_of(model)
        for point in x[:4]:
            found = certify_point(duels, point)
            flip = nearest_flip(duels, point, seed=seed)
            assert int(model.predict(flip.point[None])[0]) == flip.label != found.label
            assert flip.distance >= found.radius
            assert flip.distance >= found.by_label[flip.label]
            for bound in BOUNDS:
                assert certify_point(duels, point, bound=bound).radius <= found.radius * (1 + 1e-9)
            ratios.append(flip.distance / found.radius)
    assert np.median(ratios) < 1.5
    target = nearest_flip(duels, x[0], target=(found.label + 1) % 3)
    assert target.label in (-1, (found.label + 1) % 3)


def test_votes_by_brute_force() -> None:
    """What may be elected when some duels are open, against trying all their outcomes."""
    rng = np.random.default_rng(0)
    for _ in range(120):
        classes = int(rng.integers(2, 5))
        first, second = np.triu_indices(classes, 1)
        now, open_ = rng.random(len(first)) < 0.5, rng.random(len(first)) < 0.4
        outcomes = set()
        for code in range(2 ** int(open_.sum())):
            wins = now.copy()
            wins[open_] = [bool(code >> b & 1) for b in range(int(open_.sum()))]
            count = np.bincount(np.where(wins, first, second), minlength=classes)
            outcomes.add(int(count.argmax()))
        possible = set(np.flatnonzero(electable(now, open_, classes)).tolist())
        assert outcomes <= possible


def test_grid_search_asks_little_and_finds_what_radii_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        classes = int(rng.integers(2, 6))
        duels = classes * (classes - 1) // 2
        now, radii = rng.random(duels) < 0.5, rng.integers(0, 200, duels)
        asked = []

        def holds(n: int, size: int, radii: np.ndarray = radii, asked: list = asked) -> bool:
            asked.append((n, size))
            return bool(size < radii[n])

        by_label = label_radii(now, radii.astype(float), classes)
        limits = np.full(duels, 300)
        for target in (None, int(by_label.argmin())):
            asked.clear()
            truth = by_label.min() - 1 if target is None else by_label[target] - 1
            assert largest_standing(now, classes, holds, limits, target=target) == min(truth, 299)
            assert len(asked) <= 10 * duels


def test_the_linear_steps_before_the_machine_are_followed() -> None:
    _, x, y = fitted(3, dimensions=4)
    wide = x * [1.0, 20.0, 0.1, 3.0] + 5
    model = make_pipeline(StandardScaler(), PCA(3, whiten=True), SVC(gamma=0.5)).fit(wide, y)
    duels = duels_of(model)
    np.testing.assert_allclose(duels.place(wide), model[:-1].transform(wide), atol=1e-9)
    np.testing.assert_array_equal(duels.votes(duels.place(wide)), model.predict(wide))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (SVC(kernel="linear"), "RBF SVC"),
        (make_pipeline(Normalizer(), SVC()), "Unit"),
        (make_pipeline(MinMaxScaler(clip=True), SVC()), "Affine"),
        (SVC(break_ties=True), "break_ties"),
    ],
)
def test_what_cannot_be_certified_is_refused(model: object, said: str) -> None:
    _, x, y = fitted(0)
    with pytest.raises(SubterfugeError, match=said):
        duels_of(model.fit(x, y))  # type: ignore[attr-defined]


def test_bad_points_are_refused() -> None:
    model, x, _ = fitted(0)
    duels = duels_of(model)
    for bad in (np.zeros(5), np.array([0, np.nan, 0])):
        with pytest.raises(SubterfugeError, match="finite"):
            certify_point(duels, bad)
    with pytest.raises(SubterfugeError, match="tightened"):
        certify_point(duels, x[0], bound="best")


def test_the_seeds_own_machine(seed) -> None:  # type: ignore[no-untyped-def]
    """On the real thing: nothing found inside, thousands of points at the rim, the ratio under 5."""
    import skops.io

    model = skops.io.load(seed / "svc_irmas.skops", trusted=[])
    duels = duels_of(model)
    rng = np.random.default_rng(0)
    support, ratios = duels.support, []
    for _ in range(3):
        a, b = support[rng.integers(0, len(support), 2)]
        x = 0.5 * (a + b)
        found = certify_point(duels, x, every=False)
        flip = nearest_flip(duels, x)
        assert flip.distance >= found.radius > 0
        ratios.append(flip.distance / found.radius)
        h = rng.normal(size=(700, 25))
        h *= found.radius / np.linalg.norm(h, axis=1, keepdims=True)
        raw = (x + h - duels.shift) @ np.linalg.inv(duels.matrix).T
        assert (model.predict(raw) == model.classes_[found.label]).all()
    assert np.median(ratios) < 5
