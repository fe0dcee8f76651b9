"""The search: scikit-learn's own draws and scores, on folds of our choice, resumed where it was ended."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.model_selection import RandomizedSearchCV

from subterfuge.errors import SubterfugeError
from subterfuge.training import search as room
from subterfuge.training.cache import Cache
from subterfuge.training.models import MODELS, find_model
from subterfuge.training.search import search
from subterfuge.training.splits import fold

pytestmark = pytest.mark.filterwarnings("ignore")


def clouds(size: int = 90, leak: float = 0.6, seed: int = 0):
    """Overlapping clouds a label, 25 features, clips of a recording near to each other."""
    rng = np.random.default_rng(seed)
    labels = np.array(["a", "b", "c"])[np.arange(size) % 3]
    recordings = [f"{label}{i // 9}" for i, label in enumerate(labels)]
    own = {name: rng.normal(0, leak, 25) for name in sorted(set(recordings))}
    centre = {label: rng.normal(0, 0.5, 25) for label in "abc"}
    middle = np.array([centre[a] + own[b] for a, b in zip(labels, recordings, strict=True)])
    return middle + rng.normal(0, 0.5, middle.shape), labels, recordings


@pytest.mark.parametrize(("name", "space"), [("svc", "seed"), ("svc", "wide"), ("tree", "wide")])
def test_draws_and_scores_are_those_of_randomized_search(name, space):
    x, labels, recordings = clouds()
    sides = fold(list(labels), recordings, split="grouped", folds=3, seed=1)
    model = find_model(name)
    ours = search(model, x, list(labels), sides, trials=12, space=space, seed=42)
    theirs = RandomizedSearchCV(
        model.pipeline({}, seed=42),
        {f"{name}__{key}": value for key, value in model.searched(space).items()},
        n_iter=12,
        cv=[(side.train, side.test) for side in sides],
        random_state=42,
        refit=False,
    ).fit(x, labels)
    said = {repr(sorted(one.parameters.items())): (one.accuracy, one.spread) for one in ours}
    for parameters, mean, spread in zip(
        *(theirs.cv_results_[key] for key in ("params", "mean_test_score", "std_test_score")), strict=True
    ):
        plain = {k.partition("__")[2]: room._plain(v) for k, v in parameters.items()}
        assert said[repr(sorted(plain.items()))] == pytest.approx((mean, spread))
    best = {k.partition("__")[2]: room._plain(v) for k, v in theirs.best_params_.items()}
    assert ours[0].parameters == best and ours[0].accuracy == pytest.approx(theirs.best_score_)


def test_the_seeds_search_on_the_seeds_own_terms():
    """C uniform on 0.1 to 20.1, gamma of four, five folds in order, random state 42."""
    x, labels, recordings = clouds(60)
    sides = fold(list(labels), recordings, split="random")
    ours = search(find_model("svc"), x, list(labels), sides, trials=5, space="seed")
    from scipy.stats import randint, uniform
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    space = {"C": uniform(0.1, 20), "kernel": ["rbf"], "degree": randint(2, 5), "gamma": [0.1, 1, 10, 100]}
    theirs = RandomizedSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {f"svc__{key}": value for key, value in space.items()},
        n_iter=5,
        cv=5,
        random_state=42,
    ).fit(x, labels)
    assert ours[0].accuracy == pytest.approx(theirs.best_score_)
    assert ours[0].parameters == {
        k.partition("__")[2]: room._plain(v) for k, v in theirs.best_params_.items()
    }


def test_what_was_tried_is_not_tried_again_and_all_that_matters_is_in_the_key(tmp_path, monkeypatch):
    x, labels, recordings = clouds()
    sides = fold(list(labels), recordings, folds=3)
    cache = Cache(tmp_path)
    tried: list[dict] = []
    real = room._try

    def counted(job):
        tried.append(job[1])
        if len(tried) == 4:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(room, "_try", counted)
    model = find_model("svc")
    with pytest.raises(KeyboardInterrupt):
        search(model, x, list(labels), sides, trials=6, cache=cache)
    tried.clear()
    monkeypatch.setattr(room, "_try", lambda job: (tried.append(job[1]), real(job))[1])
    resumed = search(model, x, list(labels), sides, trials=6, cache=cache)
    assert len(tried) == 3
    tried.clear()
    longer = search(model, x, list(labels), sides, trials=8, cache=cache)
    assert len(tried) == 2 and {repr(t.parameters) for t in resumed} < {repr(t.parameters) for t in longer}
    fresh = search(model, x, list(labels), sides, trials=6)
    assert [(t.parameters, t.accuracy, t.spread) for t in fresh] == [
        (t.parameters, t.accuracy, t.spread) for t in resumed
    ]
    for other in (
        {"vectors": x + 1e-9},
        {"labels": [*labels[1:], labels[0]]},
        {"sides": sides[:2]},
        {"model": find_model("tree")},
    ):
        tried.clear()
        given = {"model": model, "vectors": x, "labels": list(labels), "sides": sides} | other
        search(*given.values(), trials=2, cache=cache)
        assert len(tried) == 2, other


def test_workers_change_nothing():
    x, labels, recordings = clouds()
    sides = fold(list(labels), recordings, folds=3)
    one, two = (
        search(find_model("tree"), x, list(labels), sides, trials=6, workers=workers) for workers in (1, 2)
    )
    assert [(t.parameters, t.accuracy) for t in one] == [(t.parameters, t.accuracy) for t in two]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_draws_and_comes_out_the_same_again(name):
    x, labels, recordings = clouds(120, leak=0.1)
    sides = fold(list(labels), recordings, folds=2)
    model = find_model(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = search(model, x, list(labels), sides, trials=2, seed=3)
        kept = model.fitted(found[0].parameters, x[::2], labels[::2], seed=3, final=True)
        again = model.fitted(found[0].parameters, x[::2], labels[::2], seed=3, final=True)
    assert found[0].accuracy > 0.6
    assert np.mean(kept.predict(x[1::2]) == labels[1::2]) > 0.6
    np.testing.assert_array_equal(kept.predict_proba(x), again.predict_proba(x))
    assert set(model.defaults(0)) == set(model.searched("wide"))


def test_wrong_wishes_are_told():
    with pytest.raises(SubterfugeError, match=r"model: got 'svm', expected svc, tree, .* or cnn"):
        find_model("svm")
    with pytest.raises(SubterfugeError, match="search: got seed with model tree"):
        find_model("tree").searched("seed")
    with pytest.raises(SubterfugeError, match="search: got 'bayes', expected wide or seed"):
        find_model("svc").searched("bayes")
    x, labels, recordings = clouds()
    with pytest.raises(SubterfugeError, match="tune: got 0"):
        search(find_model("svc"), x, list(labels), fold(list(labels), recordings, folds=2), trials=0)


def test_too_few_clips_for_a_model_are_told():
    x, labels, _ = clouds(9)
    with pytest.raises(SubterfugeError, match="model mlp cannot be fitted on 4 clips of 3 labels"):
        find_model("mlp").fitted({}, x[:4], labels[:4], seed=0)


def test_workers_do_not_wait_for_threads_that_a_fork_left_behind():
    """The parent has used OpenMP on several threads before: a forked worker that asks for them would hang."""
    import subprocess
    import sys

    code = (
        "import numpy as np\n"
        "from subterfuge.training.models import find_model\n"
        "from subterfuge.training.search import search\n"
        "from subterfuge.training.splits import fold\n"
        "x, y = np.random.default_rng(0).normal(size=(60, 25)), ['a', 'b'] * 30\n"
        "model = find_model('boosting')\n"
        "model.fitted({'max_leaf_nodes': 4}, x, np.array(y), seed=0)\n"
        "sides = fold(y, [str(i) for i in range(60)], folds=2)\n"
        "print(len(search(model, x, y, sides, trials=2, workers=2)))\n"
    )
    import os

    environment = {**os.environ, "OMP_NUM_THREADS": "4"}
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert child.stdout == "2\n", child.stderr
