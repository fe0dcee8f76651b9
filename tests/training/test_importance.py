"""Importance and components: against a model whose weights are known, and scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from subterfuge.training.importance import components, permutation_importance


class Sign:
    """Hears the sign of the first feature, and nothing else."""

    def predict(self, x):
        return np.where(x[:, 0] > 0, "up", "down")


def test_only_what_is_listened_to_matters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    labels = Sign().predict(x)
    found = permutation_importance(Sign(), x, labels, names=("heard", "deaf", "dumb"), repeats=30)
    assert next(iter(found)) == "heard"
    # A shuffled sign agrees with the truth for half of the clips.
    assert found["heard"].value == pytest.approx(0.5, abs=0.03)
    assert found["heard"].low < 0.5 < found["heard"].high
    assert (found["deaf"].value, found["deaf"].low, found["deaf"].high) == (0, 0, 0)


def test_it_is_scikit_learns_measure_of_it():
    from sklearn.inspection import permutation_importance as theirs

    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4))
    labels = np.where(x @ [2.0, 1.0, 0.5, 0.0] + rng.normal(size=300) > 0, "a", "b")
    model = LogisticRegression().fit(x, labels)
    ours = permutation_importance(model, x, labels, names=("0", "1", "2", "3"), repeats=100, clips=10**9)
    reference = theirs(model, x, labels, n_repeats=100, random_state=0).importances_mean
    for name, one in ours.items():
        assert one.value == pytest.approx(reference[int(name)], abs=0.01)


def test_components_are_of_standardised_features():
    rng = np.random.default_rng(2)
    common = rng.normal(size=500)
    x = np.stack([1000 * common, common + 0.01 * rng.normal(size=500), rng.normal(size=500)], axis=1)
    found = components(x, ("loud", "soft", "alone"))
    assert sum(found.explained) == pytest.approx(1) and found.explained[0] == pytest.approx(2 / 3, abs=0.02)
    np.testing.assert_allclose(np.array(found.loadings) @ np.array(found.loadings).T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.loadings[0][:2], [0.7071, 0.7071], atol=0.01)
    assert all(max(row, key=abs) > 0 for row in found.loadings)
    assert len(components(x[:2], ("loud", "soft", "alone")).explained) == 2
