"""Nearest-neighbour models from files that nobody need trust: numbers checked, search trees grown anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

# What their search trees are kept as. Loading one walks nothing; asking one walks memory by the numbers in
# it, so that none from a file is ever asked.
TREE_TYPES = frozenset(
    ["sklearn.neighbors._kd_tree.KDTree", "sklearn.neighbors._ball_tree.BallTree"]
    + [
        f"sklearn.metrics._dist_metrics.{name}Distance{bits}"
        for name in ("Euclidean", "SEuclidean", "Manhattan", "Chebyshev", "Minkowski")
        for bits in (32, 64)
    ]
)


def regrow(model: Any) -> bool:
    """Grow the search tree of each nearest-neighbour classifier within a model anew, from its own vectors.

    The tree is what fitting made of those vectors, and so is the new one.

    Returns
    -------
    bool
        False where a model holds what fitting cannot have made, or a tree that belongs to no such classifier.
    """
    owned: set[int] = set()
    trees: list[Any] = []
    for thing in list(within(model, set())):  # all of it first: trees are exchanged below
        if type(thing).__name__ in ("KDTree", "BallTree"):
            trees.append(thing)
        elif hasattr(thing, "_fit_X"):
            before = getattr(thing, "_tree", None)
            if not _sound(thing):
                return False
            if before is not None:
                owned.add(id(before))
                thing._tree = _tree_of(thing)
    return all(id(tree) in owned for tree in trees)


def within(thing: Any, seen: set[int]) -> Iterator[Any]:
    """A model and everything of scikit-learn's within it, however deep, each once."""
    if id(thing) in seen or isinstance(thing, (str, bytes, int, float)):
        return
    seen.add(id(thing))
    inner: list[Any] = []
    if isinstance(thing, dict):
        inner = list(thing.values())
    elif isinstance(thing, (list, tuple)):
        inner = list(thing)
    elif isinstance(thing, np.ndarray):
        inner = list(thing.flat) if thing.dtype == object else []
    elif type(thing).__module__.startswith("sklearn."):
        yield thing
        inner = list(getattr(thing, "__dict__", {}).values())
    for one in inner:
        yield from within(one, seen)


def _sound(thing: Any) -> bool:
    """Whether a classifier's vectors, labels and metric are of the kind that fitting makes."""
    vectors, labels, classes = thing._fit_X, getattr(thing, "_y", None), getattr(thing, "classes_", None)
    if (
        not isinstance(vectors, np.ndarray)
        or vectors.dtype.kind != "f"
        or vectors.ndim != 2
        or not vectors.size
    ):
        return False
    if not isinstance(labels, np.ndarray) or not isinstance(classes, np.ndarray):
        return False
    indices = labels.dtype.kind == "i" and labels.shape == (len(vectors),)
    within_classes = indices and bool(np.all((labels >= 0) & (labels < len(classes))))
    fits = vectors.shape[1] == thing.n_features_in_ and getattr(thing, "n_samples_fit_", None) == len(vectors)
    neighbours = isinstance(thing.n_neighbors, int) and 1 <= thing.n_neighbors <= len(vectors)
    named = isinstance(thing.metric, str) and isinstance(getattr(thing, "effective_metric_", None), str)
    known = getattr(thing, "_fit_method", None) in ("kd_tree", "ball_tree", "brute")
    return within_classes and fits and neighbours and named and known


def _tree_of(thing: Any) -> Any:
    """The tree that fitting grows of a classifier's vectors; nothing where it grows none."""
    from sklearn.neighbors import BallTree, KDTree

    kinds = {"kd_tree": KDTree, "ball_tree": BallTree}
    if thing._fit_method not in kinds:
        return None
    options = dict(thing.effective_metric_params_ or {})
    return kinds[thing._fit_method](thing._fit_X, thing.leaf_size, metric=thing.effective_metric_, **options)
