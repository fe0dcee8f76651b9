"""Support vector machines fitted by scikit-learn as differentiable victims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims import libsvm
from subterfuge.victims.calibration import Calibration, calibration
from subterfuge.victims.kernels import Machine, RbfMachine, machine
from subterfuge.victims.own_code import is_reference
from subterfuge.victims.preprocessing import SUPPORTED, steps
from subterfuge.victims.victim import Hearing, TorchVictim

if TYPE_CHECKING:
    from subterfuge.victims.card import VictimInfo


class SvmHead(torch.nn.Module):
    """A fitted pipeline of scalers and an SVC, on feature vectors; made by :func:`svm_head`.

    All inside is float64. ``forward(x)`` gives the scores, shape (batch, K), of vectors (batch, d):

    - of a vote among duels: the exact margins of the vote (:func:`subterfuge.victims.libsvm.vote_margins`);
    - of a calibrated classifier: the log-odds of each class.

    Attributes
    ----------
    classes : int
    has_probabilities : bool
    guide_gamma : float or None
        Width of the kernel that :meth:`guide` climbs; None where the kernel is not RBF.
    """

    platt_a: Tensor | None
    platt_b: Tensor | None

    def __init__(
        self,
        before: torch.nn.Sequential,
        duelling: Machine,
        *,
        features: int,
        one_against_rest: bool,
        break_ties: bool,
        platt: tuple[Tensor, Tensor] | None,
        calibrated: Calibration | None,
    ) -> None:
        super().__init__()
        self.before, self.machine, self.calibrated = before, duelling, calibrated
        self.classes, self.features = duelling.classes, features
        self.one_against_rest = one_against_rest and self.classes > 2
        self.break_ties = break_ties and self.one_against_rest
        self.register_buffer("platt_a", None if platt is None else platt[0])
        self.register_buffer("platt_b", None if platt is None else platt[1])
        self.guide_gamma: float | None = None
        if isinstance(duelling, RbfMachine):
            self.guide_gamma = min(duelling.gamma, 0.03 * 25 / len(duelling.centre))

    @property
    def has_probabilities(self) -> bool:
        """Whether the model reports probabilities."""
        return self.platt_a is not None or self.calibrated is not None

    def forward(self, x: Tensor) -> Tensor:
        """Scores, shape (batch, K)."""
        return self.hear(x).scores

    def hear(self, x: Tensor, *, probabilities: bool = False, guide: bool = False) -> Hearing:
        """Scores, the model's own prediction and its reported probabilities, from one pass.

        Parameters
        ----------
        x : Tensor, shape (batch, d)
            Feature vectors, any float type.
        probabilities : bool
            Whether to report them too, where the model has them. With ``SVC(probability=True)`` the values
            are those of libsvm's early-stopped iteration and the gradient that of the exact solve.
        guide : bool
            Whether to give :meth:`guide` too, and where duels are voted on the clearances.
        """
        duels = self.duel_list(x)
        density = self.guide(x) if guide else None
        clearances: Tensor | None = None
        if self.calibrated is not None:
            scores, p = self.calibrated(self._decision(duels, smooth=True))
            return Hearing(scores, p.argmax(1), p if probabilities else None, density)
        if self.break_ties:
            scores = libsvm.tie_break_margins(duels, self.classes)
            predicted = libsvm.ovr_decision(duels.detach(), self.classes).argmax(1)
        else:
            scores = libsvm.vote_margins(duels, self.classes)
            predicted = libsvm.vote(duels.detach(), self.classes)
            clearances = libsvm.vote_clearances(duels, self.classes) if guide else None
        reported = self._coupled(duels) if probabilities else None
        return Hearing(scores, predicted, reported, density, clearances)

    def predict(self, x: Tensor) -> Tensor:
        """Index of the class that the model's own ``predict`` gives, int64, shape (batch,)."""
        return self.hear(x).predicted

    def probabilities(self, x: Tensor) -> Tensor | None:
        """Reported probabilities alone, shape (batch, K), differentiable; None where there are none."""
        duels = self.duel_list(x)
        if self.calibrated is None:
            return self._coupled(duels)
        p: Tensor = self.calibrated(self._decision(duels, smooth=True))[1]
        return p

    def exact_probabilities(self, z: Tensor) -> Tensor:
        """Probabilities of what comes after the scalers, shape (batch, K), by an exact solve; differentiable.

        As :meth:`probabilities`, but in the machine's own coordinates, and without libsvm's early stop.
        """
        duels: Tensor = self.machine(z)
        if self.calibrated is not None:
            p: Tensor = self.calibrated(self._decision(duels, smooth=True))[1]
            return p
        assert self.platt_a is not None
        assert self.platt_b is not None
        r = libsvm.pairwise_probabilities(duels, self.platt_a, self.platt_b, self.classes)
        return libsvm.coupled(r)

    @torch.no_grad()
    def reported_probabilities(self, z: Tensor) -> Tensor:
        """As :meth:`exact_probabilities`, but as the model reports them: with libsvm's early stop."""
        if self.calibrated is not None:
            return self.exact_probabilities(z)
        duels: Tensor = self.machine(z)
        p = self._coupled(duels)
        assert p is not None
        return p

    def duel_list(self, x: Tensor) -> Tensor:
        """One value for every pair i < j of classes, positive where i beats j; (batch, K (K - 1) / 2)."""
        duels: Tensor = self.machine(self.before(x.double()))
        return duels

    def duels(self, x: Tensor) -> Tensor:
        """All duels as antisymmetric matrices, shape (batch, K, K)."""
        return libsvm.duel_matrix(self.duel_list(x), self.classes)

    def decision_function(self, x: Tensor) -> Tensor:
        """What the SVC's own ``decision_function`` gives: (batch,) if binary, else its columns."""
        decision = self._decision(self.duel_list(x))
        return decision[:, 0] if self.classes == 2 else decision

    def guide(self, x: Tensor) -> Tensor:
        """Log kernel density of each class's support vectors under a wide kernel; the scores if not RBF.

        Shape (batch, K). Its gradient does not vanish however far ``x`` is from every support vector.
        """
        if self.guide_gamma is None:
            return self.hear(x).scores
        assert isinstance(self.machine, RbfMachine)
        return self.machine.density(self.before(x.double()), self.guide_gamma)

    def _decision(self, duels: Tensor, *, smooth: bool = False) -> Tensor:
        if self.classes == 2:
            return -duels
        return libsvm.ovr_decision(duels, self.classes, smooth=smooth) if self.one_against_rest else duels

    def _coupled(self, duels: Tensor) -> Tensor | None:
        if self.platt_a is None or self.platt_b is None:
            return None
        return libsvm.reported_probabilities(duels, self.platt_a, self.platt_b, self.classes)


def svm_head(model: Any) -> SvmHead:
    """A fitted scikit-learn model as a torch module on feature vectors.

    Parameters
    ----------
    model : Pipeline, SVC, NuSVC or CalibratedClassifierCV
        Scalers and PCA, then an SVC (any built-in kernel, any number of classes, with or without
        ``probability=True``), or ``CalibratedClassifierCV(..., ensemble=False)`` around either.

    Raises
    ------
    SubterfugeError
        If a step is of another kind or the model is not fitted; the step is named.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> head = svm_head(SVC(kernel="linear").fit([[-1.0], [1.0]], ["low", "high"]))
    >>> head(torch.tensor([[0.5]])).argmax(1)
    tensor([0])
    """
    before, svc, calibrated = _unwrap(model)
    if not hasattr(svc, "support_vectors_"):
        raise SubterfugeError(f"{type(svc).__name__}: the model is not fitted, expected a fitted one")
    first = before[0][1] if before else svc
    platt = None
    a, b = np.asarray(getattr(svc, "_probA", ())), np.asarray(getattr(svc, "_probB", ()))
    if calibrated is None and hasattr(svc, "predict_proba") and a.size:
        platt = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    return SvmHead(
        steps(before),
        machine(svc),
        features=int(getattr(first, "n_features_in_", svc.n_features_in_)),
        one_against_rest=svc.decision_function_shape == "ovr",
        break_ties=bool(svc.break_ties),
        platt=platt,
        calibrated=None if calibrated is None else calibration(calibrated),
    )


def support_vectors(model: Any) -> tuple[Tensor, list[int]]:
    """The support vectors of a fitted model after its scalers, float64 (vectors, d), and how many a class.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> support_vectors(SVC(kernel="linear").fit([[-1.0], [1.0]], ["low", "high"]))[1]
    [1, 1]
    """
    _, svc, _ = _unwrap(model)
    vectors = svc.support_vectors_
    vectors = vectors.toarray() if hasattr(vectors, "toarray") else vectors
    return torch.tensor(np.asarray(vectors, dtype=np.float64)), [int(n) for n in svc.n_support_]


def _unwrap(model: Any) -> tuple[list[tuple[str, Any]], Any, Any]:
    """Steps before the SVC, the SVC, and the calibration around it, however they are nested."""
    before: list[tuple[str, Any]] = []
    calibrated = None
    name = "the model"
    while True:
        kind = type(model).__name__
        if kind == "Pipeline":
            *earlier, (name, model) = model.steps
            before += earlier
        elif kind == "CalibratedClassifierCV" and calibrated is None:
            if not hasattr(model, "calibrated_classifiers_"):
                raise SubterfugeError(f"{kind}: the model is not fitted, expected a fitted one")
            calibration(model)
            calibrated, model = model, model.calibrated_classifiers_[0].estimator
        elif kind == "FrozenEstimator":
            model = model.estimator
        elif kind in ("SVC", "NuSVC"):
            return before, model, calibrated
        else:
            what = f"pipeline step {name!r} is" if before else "got"
            raise SubterfugeError(
                f"{what} a {kind}: expected SVC, NuSVC or CalibratedClassifierCV(SVC(), ensemble=False), "
                f"alone or after {SUPPORTED}"
            )


@dataclass(frozen=True)
class FeatureSet:
    """A named way from a waveform to a feature vector: in torch, and as the plain path takes it."""

    torch: Callable[..., Tensor]
    plain: Callable[[NDArray[Any], float], NDArray[np.float64]]


# How many numbers each named feature set gives.
FEATURE_SIZES = {"librosa25": 25, "hardened25": 25}


def feature_set(name: str) -> FeatureSet:
    """The features of that name, or the user's own by ``module:callable`` (which have no gradients).

    Raises
    ------
    SubterfugeError
        If there are none of that name.
    """
    if is_reference(name):
        from subterfuge.victims.own_features import OwnFeatures

        own = OwnFeatures(name)
        return FeatureSet(own.torch, own.plain)
    check_features(name)
    if name == "hardened25":
        from subterfuge.features.hardened import hardened25, hardened25_plain

        return FeatureSet(hardened25, hardened25_plain)
    from subterfuge.features.summary import librosa25
    from subterfuge.victims.plain import librosa25_plain

    return FeatureSet(librosa25, librosa25_plain)


def check_features(name: str, *, sample_rate: int = 44100) -> int:
    """How many numbers the features of that name give; the user's own are asked about a second of noise.

    Raises
    ------
    SubterfugeError
        If there are none of that name.
    """
    if is_reference(name):
        from subterfuge.victims.own_features import OwnFeatures

        return OwnFeatures(name).size(sample_rate)
    if name not in FEATURE_SIZES:
        raise SubterfugeError(
            f"features: got {name!r}, expected {' or '.join(FEATURE_SIZES)}, or your own as module:callable"
        )
    return FEATURE_SIZES[name]


class SvmVictim(TorchVictim):
    """An SVM on summary features of the waveform: the features in the input's type, the head in float64.

    Parameters
    ----------
    model : Pipeline, SVC, NuSVC or CalibratedClassifierCV
        Fitted; see :func:`svm_head`. Kept, since :meth:`verdict` asks it.
    labels : sequence of str
        Names of the model's classes, in the order of its ``classes_``.
    sample_rate : int
        In Hz.
    features : str
        Name of the features, ``librosa25`` or ``hardened25``.
    name : str

    Raises
    ------
    SubterfugeError
        If the labels or the features do not fit the model.
    """

    # What its folder says of it, where it was loaded from one.
    info: VictimInfo | None = None

    def __init__(
        self,
        model: Any,
        *,
        labels: Sequence[str],
        sample_rate: int,
        features: str = "librosa25",
        name: str = "svm",
    ) -> None:
        super().__init__()
        self.model, self.name, self.feature_name = model, name, features
        self.labels, self.sample_rate = tuple(labels), int(sample_rate)
        self.head = svm_head(model)
        check_fit(self.head, labels=self.labels, features=features)
        self.features = feature_set(features)
        self.guided = True
        self._classes = np.asarray(model.classes_)

    def vector(self, y: Tensor) -> Tensor:
        """Feature vectors of waveforms ``y``, shape (batch, d), in the type of ``y``."""
        return self.features.torch(y, sr=self.sample_rate)

    def hear(self, y: Tensor, *, probabilities: bool = False, guide: bool = False) -> Hearing:
        """Scores, prediction and, if asked for, probabilities and guide of ``y``, from one forward pass."""
        return self.head.hear(self.vector(y), probabilities=probabilities, guide=guide)

    def duels(self, y: Tensor) -> Tensor:
        """Every pairwise duel, shape (batch, labels, labels): entry (i, j) positive where i beats j."""
        return self.head.duels(self.vector(y))

    def guide(self, y: Tensor) -> Tensor:
        """Log kernel density of each label's support vectors (RBF), else the scores; (batch, labels)."""
        return self.head.guide(self.vector(y))

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The plain path: librosa's own features of each row, scikit-learn's own prediction."""
        rows = y.detach().cpu().numpy()
        vectors = np.stack([self.features.plain(row, self.sample_rate) for row in rows])
        predicted = np.searchsorted(self._classes, self.model.predict(vectors))
        reported = self.model.predict_proba(vectors) if self.head.has_probabilities else None
        scores = self.head(torch.from_numpy(vectors).to(y.device))
        return Hearing(
            scores,
            torch.from_numpy(predicted.astype(np.int64)).to(y.device),
            None if reported is None else torch.from_numpy(reported).to(y.device),
        )


def check_labels(labels: Sequence[str], classes: int) -> None:
    """Check that there is one label for each of a model's classes, and none twice.

    Raises
    ------
    SubterfugeError
        If there is not.
    """
    if len(labels) != classes:
        raise SubterfugeError(f"labels: got {len(labels)}, expected {classes}, the model's classes")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if list(labels).count(label) > 1)
        raise SubterfugeError(f"labels: got {twice!r} twice, expected each label once")


def check_fit(head: SvmHead, *, labels: Sequence[str], features: str) -> None:
    """Check that labels and features are what a head was fitted on.

    Raises
    ------
    SubterfugeError
        If they are not: as many distinct labels as classes, as many features as inputs.
    """
    if is_reference(features):
        raise SubterfugeError(f"features: {features} has no gradients, expected a victim of kind sklearn")
    size = check_features(features)
    check_labels(labels, head.classes)
    if head.features != size:
        raise SubterfugeError(
            f"features: {features} gives {size} numbers, but the model was fitted on {head.features}"
        )
