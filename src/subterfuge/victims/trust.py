"""Fitted models read from files that nobody need trust: skops with known types, pickles only if told to."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from subterfuge.errors import SubterfugeError
from subterfuge.victims.neighbours import TREE_TYPES, regrow, within

# Types that skops does not trust of itself, and that we do: scikit-learn's own holders of numbers, which
# run nothing when they are loaded. Trees walk memory by the numbers in them: those are checked.
OUR_TRUST = frozenset(
    [
        f"sklearn.calibration.{name}"
        for name in ("_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling")
    ]
    + [f"sklearn.neural_network._stochastic_optimizers.{name}Optimizer" for name in ("Adam", "SGD")]
    + ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    + sorted(TREE_TYPES)
)


def read_skops(path: Path) -> Any:
    """The model in a skops file, loaded only if it holds nothing but trusted types.

    Raises
    ------
    SubterfugeError
        If the file is not skops, is cut short, or holds other types; they are named.
    """
    import warnings

    import skops.io

    if not zipfile.is_zipfile(path):
        head = path.read_bytes()[:4]
        if not head:
            what = "the file is empty"
        elif head[:1] == b"\x80":
            what = "this is a pickle under another name"
        elif head[:2] == b"PK":
            what = "the file is cut short"
        else:
            what = "this is not skops"
        raise SubterfugeError(f"{path}: {what}, expected a model saved by skops")
    try:
        untrusted = set(skops.io.get_untrusted_types(file=path))
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be read as skops ({_first_line(error)})") from error
    if untrusted - OUR_TRUST:
        named = ", ".join(sorted(untrusted - OUR_TRUST))
        raise SubterfugeError(
            f"{path}: holds types that are not trusted ({named}), expected scikit-learn's own"
        )
    try:
        with warnings.catch_warnings():
            # An older scikit-learn's model warns here; what matters is checked against the model itself.
            warnings.simplefilter("ignore")
            model = skops.io.load(path, trusted=sorted(untrusted))
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be loaded by skops ({_first_line(error)})") from error
    if not all(_sound(tree) for tree in _trees(model)):
        raise SubterfugeError(
            f"{path}: holds a tree that points outside itself, expected one that was fitted"
        )
    try:
        grown = regrow(model)
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be loaded ({_first_line(error)})") from error
    if not grown:
        raise SubterfugeError(
            f"{path}: holds neighbours that no fitting leaves behind, expected a fitted model"
        )
    return model


def read_pickle(path: Path) -> Any:
    """The model in a pickle or joblib file, whose code is run by this: for files that are trusted only.

    Raises
    ------
    SubterfugeError
        If the file cannot be unpickled.
    """
    import warnings

    import joblib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return joblib.load(path)
    except Exception as error:
        raise SubterfugeError(f"{path}: cannot be unpickled ({_first_line(error)})") from error


def _trees(model: Any) -> list[Any]:
    """Every decision tree within a model, however deep."""
    return [one for one in within(model, set()) if type(one).__name__ in ("Tree", "TreePredictor")]


def _sound(tree: Any) -> bool:
    """Whether every branch leads on, to a later node that is there, by a feature that is there."""
    if type(tree).__name__ == "Tree":
        left, right, feature = tree.children_left, tree.children_right, tree.feature
        leaf, features = left == -1, tree.n_features
    else:
        nodes = tree.nodes
        left, right, feature = (nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx"))
        leaf, features = nodes["is_leaf"] != 0, None
        if np.any(nodes["is_categorical"] != 0):
            return False  # our features are numbers; the bit sets of categories are not looked into
    here = np.arange(len(left))[~leaf]
    low = np.minimum(left, right)[~leaf]
    high = np.maximum(left, right)[~leaf]
    asked = feature[~leaf]
    within = features is None or bool(np.all(asked < features))
    return within and bool(np.all(low > here) and np.all(high < len(left)) and np.all(asked >= 0))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
