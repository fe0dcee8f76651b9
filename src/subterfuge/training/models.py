"""The models on the 25 features: how each is made, and what its search draws from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subterfuge.errors import SubterfugeError

SEARCHES = ("wide", "seed")


@dataclass(frozen=True)
class Model:
    """One kind of model.

    Attributes
    ----------
    name, title : str
        ``svc``; ``RBF support vector machine``.
    make : callable
        Given a seed, the unfitted last step.
    space : callable
        What the search draws from: parameters of the last step, each a list or a distribution of scipy.
    scaled : bool
        Whether features are standardised before it (trees do not care).
    finish : callable, optional
        Given the parameters and a seed, the last step as it is kept, where that is not the one searched.
    """

    name: str
    title: str
    make: Callable[[int], Any]
    space: Callable[[], Mapping[str, Any]]
    scaled: bool = True
    finish: Callable[[Mapping[str, Any], int], Any] | None = None

    def pipeline(self, parameters: Mapping[str, Any], *, seed: int, final: bool = False) -> Any:
        """An unfitted pipeline with these parameters of its last step, whose name is :attr:`name`.

        With ``final`` as it is to be kept: an SVC with probabilities, which the search has no use for.
        """
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler

        if final and self.finish is not None:
            last = self.finish(parameters, seed)
        else:
            last = self.make(seed).set_params(**parameters)
        return Pipeline([*([("scaler", StandardScaler())] if self.scaled else []), (self.name, last)])

    def fitted(
        self,
        parameters: Mapping[str, Any],
        vectors: NDArray[np.float64],
        labels: NDArray[Any],
        *,
        seed: int,
        final: bool = False,
    ) -> Any:
        """A pipeline with these parameters, fitted.

        Raises
        ------
        SubterfugeError
            If scikit-learn cannot: there are too few clips for this model, say.
        """
        model = self.pipeline(parameters, seed=seed, final=final)
        try:
            with _quietly():
                return model.fit(vectors, labels)
        except ValueError as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            many = f"{len(vectors)} clips of {len(set(labels))} labels"
            raise SubterfugeError(f"model {self.name} cannot be fitted on {many} ({reason})") from error

    def defaults(self, seed: int) -> dict[str, Any]:
        """What scikit-learn itself sets those parameters to that a search would draw."""
        given = self.make(seed).get_params()
        return {name: given[name] for name in self.space()}

    def searched(self, search: str) -> Mapping[str, Any]:
        """What a search draws from: ``wide``, or ``seed`` for the seed experiment's own space (SVC only).

        Raises
        ------
        SubterfugeError
            If there is no such search for this model.
        """
        if search == "wide":
            return self.space()
        if search == "seed" and self.name == "svc":
            return _seeds_space()
        if search == "seed":
            raise SubterfugeError(
                f"search: got seed with model {self.name}, expected it only with svc, whose space it is"
            )
        raise SubterfugeError(f"search: got {search!r}, expected {' or '.join(SEARCHES)}")


def find_model(name: str) -> Model:
    """The model of that name.

    Raises
    ------
    SubterfugeError
        If there is none.

    Examples
    --------
    >>> find_model("svc").pipeline({"C": 3.0}, seed=0)[-1].C
    3.0
    """
    if name not in MODELS:
        raise SubterfugeError(f"model: got {name!r}, expected {', '.join(MODELS)} or cnn")
    return MODELS[name]


@contextmanager
def _quietly() -> Iterator[None]:
    """No word of what is known.

    That probabilities of SVCs are on their way out, that a fit was stopped, that a batch holds all clips.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*probability.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*(reached|failed to converge|batch_size).*")
        yield


def _seeds_space() -> Mapping[str, Any]:
    """The seed experiment's. Its least gamma, 0.1, is the only one of use: at 1 and above every standardised
    clip is alone in its kernel, so three draws in four are lost."""
    from scipy.stats import randint, uniform

    return {
        "C": uniform(0.1, 20),
        "kernel": ["rbf"],
        "degree": randint(2, 5),  # means nothing to an RBF kernel; drawn all the same, for the same draws
        "gamma": [0.1, 1, 10, 100],
    }


def _svc(seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(cache_size=500)


def _svc_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform

    return {"C": loguniform(0.5, 100), "gamma": loguniform(0.003, 0.4)}


def _svc_with_probabilities(parameters: Mapping[str, Any], seed: int) -> Any:
    """The published classifier's own kind: votes for the label, libsvm's coupling for the probabilities."""
    svc = _svc(seed).set_params(**parameters)
    if "probability" in svc.get_params():
        return svc.set_params(probability=True, random_state=seed)
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(svc, ensemble=False)  # scikit-learn 1.11 on: a function of its own


def _tree(seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed)


def _tree_space() -> Mapping[str, Any]:
    from scipy.stats import randint

    return {
        "criterion": ["gini", "entropy"],
        "max_depth": randint(4, 25),
        "min_samples_leaf": [1, 2, 4, 8, 16, 32],
        "ccp_alpha": [0.0, 3e-4, 1e-3, 3e-3],
    }


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000)


def _logistic_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform

    return {"C": loguniform(1e-3, 1e3), "class_weight": [None, "balanced"]}


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, random_state=seed)


def _forest_space() -> Mapping[str, Any]:
    from scipy.stats import randint

    return {"max_features": randint(2, 13), "min_samples_leaf": [1, 2, 3, 5, 8], "max_depth": [None, 12, 20]}


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=150, random_state=seed, early_stopping=False)


def _boosting_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform, randint

    return {
        "learning_rate": loguniform(0.03, 0.3),
        "max_leaf_nodes": randint(6, 40),
        "min_samples_leaf": randint(5, 60),
        "l2_regularization": loguniform(1e-3, 10),
        "max_features": [0.3, 0.6, 1.0],
    }


def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64,), max_iter=300, early_stopping=True, n_iter_no_change=15, random_state=seed)


def _mlp_space() -> Mapping[str, Any]:
    from scipy.stats import loguniform

    return {
        "hidden_layer_sizes": [(32,), (64,), (128,), (64, 32), (128, 64)],
        "alpha": loguniform(1e-5, 1.0),
        "learning_rate_init": loguniform(3e-4, 2e-2),
        "batch_size": [32, 64, 128],
    }


MODELS = {
    model.name: model
    for model in (
        Model("svc", "RBF support vector machine", _svc, _svc_space, finish=_svc_with_probabilities),
        Model("tree", "decision tree", _tree, _tree_space, scaled=False),
        Model("logistic", "logistic regression", _logistic, _logistic_space),
        Model("forest", "random forest", _forest, _forest_space, scaled=False),
        Model("boosting", "gradient boosting on histograms", _boosting, _boosting_space, scaled=False),
        Model("mlp", "small neural network", _mlp, _mlp_space),
    )
}
