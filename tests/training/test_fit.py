"""Fitting: recordings are never split, the held-out figure is the model's own, the second run is the same."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from subterfuge.training.fit import fit_svc


def blobs(rng, labels="abc", recordings=10, clips=4, leak=0.0):
    """Clusters a label; with ``leak``, each recording has an offset of its own."""
    x, y, groups = [], [], []
    for i, label in enumerate(labels):
        for k in range(recordings):
            own = rng.normal(0, leak, 6)
            for _ in range(clips):
                x.append(np.eye(6)[i] * 3 + own + rng.normal(0, 0.3, 6))
                y.append(label)
                groups.append(f"{label}{k}")
    return np.array(x), y, groups


def test_held_out_recordings_are_whole_and_a_fifth_of_each_label():
    x, y, groups = blobs(np.random.default_rng(0))
    fit = fit_svc(x, y, groups)
    out = {groups[i] for i in fit.test}
    assert len(fit.test) == 4 * len(out)
    assert sorted(group[0] for group in out) == list("aabbcc")


def test_the_figure_is_the_models_own_on_what_it_never_saw():
    x, y, groups = blobs(np.random.default_rng(1), leak=2.0)
    fit = fit_svc(x, y, groups)
    heard = fit.model.predict(x[fit.test])
    assert fit.held_out == pytest.approx(np.mean(heard == np.array(y)[fit.test]))
    train = np.setdiff1d(np.arange(len(y)), fit.test)
    assert np.allclose(fit.model[0].mean_, x[train].mean(axis=0))


def test_labels_that_only_recordings_tell_are_not_learnt():
    """Labels drawn by lot a recording: a split that leaks would hear them, an honest one cannot."""
    rng = np.random.default_rng(2)
    x, _, groups = blobs(rng, labels="a", recordings=60, leak=3.0)
    by_lot = {group: "xy"[k % 2] for k, group in enumerate(dict.fromkeys(groups))}
    fit = fit_svc(x, [by_lot[group] for group in groups], groups)
    assert fit.held_out < 0.75 and fit.cross_validated < 0.75


def test_the_head_votes_and_has_probabilities_and_comes_out_the_same_again():
    x, y, groups = blobs(np.random.default_rng(3), leak=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = fit_svc(x, y, groups, seed=5), fit_svc(x, y, groups, seed=5)
    assert list(one.model.classes_) == ["a", "b", "c"]
    assert one.parameters == two.parameters
    assert np.array_equal(one.model.predict_proba(x), two.model.predict_proba(x))
    assert np.array_equal(one.test, two.test)
