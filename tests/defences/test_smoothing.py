"""Randomised smoothing against a linear victim, whose true radius is the distance to its plane."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binom, norm
from torch import Tensor

from subterfuge.defences.smoothing import Smoothed, clopper_pearson_below, radius_db
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim


class Half(TorchVictim):
    """Label 1 on the side of a plane that its unit normal points to."""

    labels = ("below", "above")
    sample_rate = 8000

    def __init__(self, samples: int = 64) -> None:
        super().__init__()
        normal = torch.randn(samples, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
        self.normal = normal / normal.norm()

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        height = y @ self.normal.to(y)
        scores = torch.stack([-height, height], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


@pytest.fixture
def victim() -> Half:
    return Half()


def at(victim: Half, height: float) -> Tensor:
    """A clip so far above the plane, and elsewhere along it."""
    y = 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return y + (height - y @ victim.normal) * victim.normal


@pytest.mark.parametrize(("height", "label"), [(0.05, 1), (-0.08, 0), (0.15, 1)])
def test_the_radius_is_just_below_the_distance_to_the_plane(victim: Half, height: float, label: int) -> None:
    sigma, votes = 0.1, 5000
    told = Smoothed(victim, sigma=sigma).certify(at(victim, height), votes=votes, alpha=0.001)
    assert told.label == label and told.votes == votes + 100
    assert told.radius <= abs(height)
    # With the true chance, and so many hits as are expected less four standard deviations.
    p = norm.cdf(abs(height) / sigma)
    hits = int(votes * p - 4 * math.sqrt(votes * p * (1 - p)))
    assert told.radius >= sigma * norm.ppf(clopper_pearson_below(hits, votes, 0.001))
    size = float(at(victim, height).norm())
    assert told.snr_db == pytest.approx(20 * math.log10(size / told.radius), abs=1e-5)


def test_no_change_within_the_radius_alters_what_is_heard(victim: Half) -> None:
    smooth, y = Smoothed(victim, sigma=0.1), at(victim, 0.12)
    told = smooth.certify(y, votes=3000)
    worst = y - told.radius * victim.normal
    assert smooth.decide(worst, votes=20000, alpha=0.01) == told.label
    beyond = y - 0.15 * victim.normal
    assert smooth.decide(beyond, votes=20000, alpha=0.01) == 0


def test_too_close_a_vote_is_no_vote(victim: Half) -> None:
    smooth = Smoothed(victim, sigma=0.1)
    on_the_plane = at(victim, 0.0)
    assert smooth.decide(on_the_plane, votes=500) is None
    told = smooth.certify(on_the_plane, votes=500)
    assert told.label is None and told.radius == 0 and told.snr_db == math.inf
    assert smooth.decide(at(victim, 0.2), votes=500) == 1


def test_clopper_and_pearson_by_their_definition() -> None:
    """At the lower end, so many hits or more have exactly the chance alpha."""
    for hits, votes, alpha in ((1, 10, 0.05), (73, 100, 0.001), (999, 1000, 0.01)):
        p = clopper_pearson_below(hits, votes, alpha)
        assert binom.sf(hits - 1, votes, p) == pytest.approx(alpha, rel=1e-6)
    assert clopper_pearson_below(100, 100, 0.001) == pytest.approx(0.001 ** (1 / 100))


def test_the_bound_covers_as_often_as_it_says(victim: Half) -> None:
    smooth, y = Smoothed(victim, sigma=0.1), at(victim, 0.05)
    generator = torch.Generator().manual_seed(11)
    certified = [
        smooth.certify(y, votes=100, choosing=30, alpha=0.2, generator=generator).radius for _ in range(100)
    ]
    beyond = sum(radius > 0.05 for radius in certified)
    assert 2 <= beyond <= 33  # 20 are expected, fewer as hits are whole numbers


def test_as_a_victim_it_is_deterministic_and_its_slope_true(victim: Half) -> None:
    smooth = Smoothed(victim, sigma=0.1, draws=8, seed=3)
    y = torch.stack([at(victim, 0.1), at(victim, -0.1)])
    assert torch.equal(smooth.scores(y), smooth.scores(y))
    assert smooth.predict(y).tolist() == [1, 0]
    torch.testing.assert_close(smooth.scores(y[1:]), smooth.scores(y)[1:])
    x = y.clone().requires_grad_()
    (slope,) = torch.autograd.grad(smooth.scores(x)[:, 1].sum(), x)
    torch.testing.assert_close(slope, victim.normal.expand(2, -1))
    source = torch.Generator().manual_seed(3)
    noise = torch.stack([torch.randn(64, generator=source, dtype=torch.float64) for _ in range(8)]).mean(0)
    torch.testing.assert_close(smooth.scores(y), victim.scores(y + 0.1 * noise))


def test_what_makes_no_sense_is_refused(victim: Half) -> None:
    for options, message in (
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": math.nan}, "sigma"),
        ({"draws": 0}, "draws"),
    ):
        with pytest.raises(SubterfugeError, match=message):
            Smoothed(victim, **options)
    smooth, y = Smoothed(victim), at(victim, 0.1)
    with pytest.raises(SubterfugeError, match=r"expected \(samples,\)"):
        smooth.certify(y[None])
    with pytest.raises(SubterfugeError, match="alpha"):
        smooth.certify(y, alpha=1.0)
    with pytest.raises(SubterfugeError, match="votes"):
        smooth.decide(y, votes=0)


def test_decibels() -> None:
    assert radius_db(torch.zeros(5), 0.1) == -math.inf
    assert radius_db(torch.ones(5), 0.0) == math.inf
