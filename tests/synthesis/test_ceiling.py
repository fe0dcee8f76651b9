"""The ceiling of an SVM against brute force, its certificate, and what has none."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge.errors import SubterfugeError
from subterfuge.synthesis.ceiling import ceiling, hessian, log_odds
from subterfuge.victims.svm import SvmVictim, support_vectors

LABELS = ("a", "b", "c")


@cache
def flat(kind: str = "svc") -> SvmVictim:
    """Classes that lie about three places, and differ in two of the 25 features alone."""
    rng = np.random.default_rng(0)
    places = np.array([[0.0, 0.0], [2.0, 0.5], [0.5, 2.0]])
    x = np.zeros((90, 25))
    y = np.repeat(np.arange(3), 30)
    x[:, :2] = places[y] + 0.5 * rng.normal(size=(90, 2))
    svc = SVC(gamma=0.7, probability=kind == "svc", random_state=0)
    model = make_pipeline(StandardScaler(), svc)
    if kind == "calibrated":
        model = CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC(gamma=0.7)), ensemble=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SvmVictim(model.fit(x, y), labels=LABELS, sample_rate=22050)


@pytest.mark.parametrize(("kind", "label"), [("svc", 0), ("svc", 1), ("svc", 2), ("calibrated", 1)])
def test_it_is_what_brute_force_finds(kind: str, label: int) -> None:
    victim = flat(kind)
    found = ceiling(victim, label, starts=12)
    # All that matters lies in the plane of the first two features, well within these bounds.
    side = torch.linspace(-3.5, 3.5, 141, dtype=torch.float64)
    grid = torch.zeros(141 * 141, 25, dtype=torch.float64)
    grid[:, :2] = torch.cartesian_prod(side, side)
    with torch.no_grad():
        p = torch.cat([victim.head.exact_probabilities(part)[:, label] for part in grid.split(8000)])
    assert found.exact >= float(p.max()) - 1e-5
    assert found.exact == pytest.approx(float(p.max()), abs=1e-3)
    assert found.features[:2].numpy() == pytest.approx(grid[p.argmax(), :2].numpy(), abs=0.15)
    assert found.certified


def test_the_certificate_is_what_it_says() -> None:
    victim = flat()
    found = ceiling(victim, 1, starts=6)
    z = found.features.clone().requires_grad_()
    (slope,) = torch.autograd.grad(log_odds(victim.head, 1, z[None]).sum(), z)
    assert float(slope.norm()) == pytest.approx(found.slope, abs=1e-9)
    assert found.slope < 1e-6
    # Outside the plane too, where every feature but two is constant.
    eigenvalues = torch.linalg.eigvalsh(hessian(victim.head, 1, found.features))
    assert float(eigenvalues.max()) < 0
    assert float(eigenvalues.max() / eigenvalues.abs().max()) == pytest.approx(found.curvature)


def test_the_hessian_is_that_of_second_differences() -> None:
    victim = flat()
    z = torch.linspace(-0.3, 0.4, 25, dtype=torch.float64)
    found = hessian(victim.head, 0, z)
    for i, j in ((0, 0), (0, 1), (1, 5)):
        ends = []
        for si, sj in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            moved = z.clone()
            moved[i] += si * 1e-3
            moved[j] += sj * 1e-3
            ends.append(float(log_odds(victim.head, 0, moved[None])))
        assert float(found[i, j]) == pytest.approx((ends[0] - ends[1] - ends[2] + ends[3]) / 4e-6, abs=1e-3)


def test_no_vector_that_the_victim_was_fitted_on_is_higher() -> None:
    victim = flat()
    rows, counts = support_vectors(victim.model)
    assert sum(counts) == len(rows)
    with torch.no_grad():
        p = victim.head.exact_probabilities(rows)
    for label in range(3):
        assert float(p[:, label].max()) < ceiling(victim, label, starts=4).probability


def test_a_victim_without_probabilities_has_no_ceiling() -> None:
    with pytest.raises(SubterfugeError, match="no probabilities"):
        ceiling(flat("mute"), 0)
    with pytest.raises(SubterfugeError, match="starts: got 0"):
        ceiling(flat(), 0, starts=0)
