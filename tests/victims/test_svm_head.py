"""The converted head is scikit-learn's model: predictions, decision values, probabilities, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fitted import MODELS, clouds, indices, near_boundary_vectors, random_vectors
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

from subterfuge.errors import SubterfugeError
from subterfuge.victims import libsvm
from subterfuge.victims.kernels import RbfMachine
from subterfuge.victims.svm import SvmHead, svm_head

pytestmark = pytest.mark.filterwarnings("ignore")


def data(case: Case) -> np.ndarray:
    """The vectors that its model was fitted on."""
    scale = 1.2 if case.name == "rbf-bare" else 3.0
    return clouds(len(case.model.classes_), scale=scale)[0]


class Case:
    """One fitted model, its conversion, and 10,000 vectors of which half lie near a boundary."""

    def __init__(self, name: str) -> None:
        self.name, self.model = name, MODELS[name]()
        self.head: SvmHead = svm_head(self.model)
        x = data(self)
        n = 5000
        near = near_boundary_vectors(self.model, x, n, seed=3)
        self.x = np.concatenate([random_vectors(x, 2 * n - len(near), seed=5), near])
        self.near = len(near)
        with torch.no_grad():
            self.heard = self.head.hear(torch.from_numpy(self.x), probabilities=True)
            self.duels = self.head.duel_list(torch.from_numpy(self.x))


@pytest.fixture(scope="module", params=list(MODELS))
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    torch.set_num_threads(1)
    yield Case(request.param)


def inner_svc(model: Any) -> Any:
    while not hasattr(model, "support_vectors_"):
        if hasattr(model, "steps"):
            model = model.steps[-1][1]
        elif hasattr(model, "calibrated_classifiers_"):
            model = model.calibrated_classifiers_[0].estimator
        else:
            model = model.estimator
    return model


def clear(case: Case) -> np.ndarray:
    """Rows on which no deciding number is within 1e-9 of a tie, where rounding would decide."""
    if case.head.calibrated is not None:
        # Calibrated classes compete by probability, and the votes inside still jump at zero duels.
        p = case.heard.probabilities
        assert p is not None
        top = p.topk(2, dim=1).values
        return (((top[:, 0] - top[:, 1]) > 1e-9) & (case.duels.abs() > 1e-9).all(1)).numpy()
    rows = (case.duels.abs() > 1e-9).all(1)
    if case.head.break_ties:
        own = libsvm.ovr_decision(case.duels, case.head.classes).topk(2, dim=1).values
        rows &= (own[:, 0] - own[:, 1]) > 1e-9
    return rows.numpy()


def test_predicts_as_scikit_learn_on_10000_vectors(case: Case) -> None:
    rows = clear(case)
    assert len(rows) == 10_000
    assert case.near >= 2000, "too few near-boundary vectors to prove anything"
    # Isotonic calibration has plateaus, where ties are common and exact.
    least = 0.5 if case.name.startswith("isotonic") else 0.97
    assert rows.mean() > least
    expected = indices(case.model, case.x)
    assert len(np.unique(expected)) == case.head.classes
    np.testing.assert_array_equal(case.heard.predicted.numpy()[rows], expected[rows])


def test_near_boundary_vectors_are_near_a_boundary(case: Case) -> None:
    if case.head.calibrated is not None or case.head.break_ties:
        pytest.skip("their boundaries are not those of the duels")
    near = case.duels[-case.near :].abs().min(1).values
    usual = case.duels[: -case.near].abs().min(1).values
    assert near.median() < 1e-4 * usual.median()


def test_scores_rank_as_the_prediction_and_just_the_winner_is_positive(case: Case) -> None:
    rows = clear(case)
    scores, predicted = case.heard.scores[rows], case.heard.predicted[rows]
    assert (scores.argmax(1) == predicted).all()
    if case.head.calibrated is None:
        assert ((scores > 0).sum(1) == 1).all()
        assert (scores.gather(1, predicted[:, None]) > 0).all()


def test_decision_values_within_1e_9(case: Case) -> None:
    svc = inner_svc(case.model)
    steps = case.model[:-1] if hasattr(case.model, "steps") else None
    inside = case.x if steps is None else steps.transform(case.x)
    if not hasattr(case.model, "steps") and case.head.calibrated is not None:
        estimator = case.model.calibrated_classifiers_[0].estimator
        estimator = getattr(estimator, "estimator", estimator)
        inside = estimator[:-1].transform(case.x)
    shape = svc.decision_function_shape
    try:
        svc.decision_function_shape = "ovo"
        expected = svc.decision_function(inside)
    finally:
        svc.decision_function_shape = shape
    got = -case.duels[:, 0].numpy() if case.head.classes == 2 else case.duels.numpy()
    # Polynomial values far from the data run into the thousands: 1e-9 of the value where that is more.
    np.testing.assert_allclose(got, expected, atol=1e-9, rtol=1e-9 if "poly" in case.name else 0)
    rows = (case.duels.abs() > 1e-9).all(1).numpy()
    own = case.head.decision_function(torch.from_numpy(case.x)).numpy()
    np.testing.assert_allclose(own[rows], svc.decision_function(inside)[rows], atol=1e-9, rtol=1e-9)


def test_reported_probabilities_within_1e_9(case: Case) -> None:
    assert hasattr(case.model, "predict_proba") == case.head.has_probabilities
    if not case.head.has_probabilities:
        assert case.heard.probabilities is None
        return
    rows = (case.duels.abs() > 1e-9).all(1).numpy()
    assert case.heard.probabilities is not None
    got = case.heard.probabilities.numpy()[rows]
    np.testing.assert_allclose(got, case.model.predict_proba(case.x[rows]), atol=1e-9, rtol=0)
    np.testing.assert_allclose(got.sum(1), 1, atol=1e-12)


def test_one_row_says_what_it_says_among_many(case: Case) -> None:
    for row in range(0, 10_000, 1999):
        alone = case.head.hear(torch.from_numpy(case.x[row : row + 1]), probabilities=True)
        torch.testing.assert_close(alone.scores[0], case.heard.scores[row], atol=1e-9, rtol=1e-9)
        if alone.probabilities is not None and case.heard.probabilities is not None:
            torch.testing.assert_close(
                alone.probabilities[0], case.heard.probabilities[row], atol=1e-9, rtol=0
            )


def standardised(case: Case) -> tuple[torch.Tensor, Any]:
    """A few generic vectors in units of the data's spread, and the way back."""
    x = data(case)
    spread, centre = torch.from_numpy(x.std(0)), torch.from_numpy(x.mean(0))
    start = (torch.from_numpy(x[:6]) - centre) / spread + 0.01
    return start.requires_grad_(), lambda z: z * spread + centre


def test_gradients_of_scores_and_duels_against_finite_differences(case: Case) -> None:
    z, back = standardised(case)
    assert torch.autograd.gradcheck(lambda v: case.head.duel_list(back(v)), z, atol=1e-6, rtol=1e-5)
    if case.head.calibrated is None:
        assert torch.autograd.gradcheck(lambda v: case.head(back(v)), z, atol=1e-6, rtol=1e-5)
        (gradient,) = torch.autograd.grad(case.head(back(z)).square().sum(), z)
        assert (gradient.norm(dim=1) > 1e-6).all()


def test_gradients_of_the_guide_against_finite_differences(case: Case) -> None:
    if case.head.guide_gamma is None or case.head.calibrated is not None:
        pytest.skip("the guide is the scores")
    z, back = standardised(case)
    assert torch.autograd.gradcheck(lambda v: case.head.guide(back(v)), z, atol=1e-6, rtol=1e-5)


def test_probability_gradients_against_finite_differences_of_the_exact_solve(case: Case) -> None:
    if not case.head.has_probabilities or case.head.calibrated is not None:
        pytest.skip("no coupled probabilities")
    z, back = standardised(case)
    head = case.head
    assert head.platt_a is not None and head.platt_b is not None

    def exact(v: torch.Tensor) -> torch.Tensor:
        r = libsvm.pairwise_probabilities(head.duel_list(back(v)), head.platt_a, head.platt_b, head.classes)
        return libsvm.coupled(r)

    assert torch.autograd.gradcheck(exact, z, atol=1e-7, rtol=1e-5)
    for weight in torch.eye(head.classes, dtype=torch.float64):
        (expected,) = torch.autograd.grad((exact(z) * weight).sum(), z)
        reported = head.hear(back(z), probabilities=True).probabilities
        assert reported is not None
        (got,) = torch.autograd.grad((reported * weight).sum(), z)
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-8)


def test_unscaled_features_under_a_narrow_kernel() -> None:
    """Where the matrix-product form would lose the digits that matter, differences are taken."""
    x, y = clouds(3, scale=12.0)
    x += 1e5
    svc = SVC(C=100, gamma=2.0, decision_function_shape="ovo").fit(x, y)
    head = svm_head(svc)
    near = svc.support_vectors_ + np.random.default_rng(0).normal(0, 0.1, svc.support_vectors_.shape)
    expected, z = svc.decision_function(near), torch.from_numpy(near)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(head.duel_list(z).numpy(), expected, atol=1e-9, rtol=0)
    assert isinstance(head.machine, RbfMachine) and head.machine.by_differences
    z = (z[:5] - x.mean()).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: head.duel_list(v + x.mean()), z, atol=1e-4, rtol=1e-4)
    head.machine.by_differences = False
    assert np.abs(head.duel_list(torch.from_numpy(near)).numpy() - expected).max() > 1e-9


@pytest.mark.parametrize("counts", [(200, 9, 3), (1, 1, 1), (40, 300)])
def test_blocks_of_very_unequal_classes(counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(len(counts)), counts)
    x = rng.normal(size=(len(y), 4)) + y[:, None] * 0.3
    svc = SVC(C=50, gamma=0.8, decision_function_shape="ovo").fit(x, y)
    head, z = svm_head(svc), rng.normal(size=(70, 4)) * 2
    got = head.decision_function(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(got, svc.decision_function(z), atol=1e-9, rtol=0)
    guide = head.guide(torch.from_numpy(z * 100).requires_grad_())
    assert torch.isfinite(guide).all() and guide.shape == (70, len(counts))


def test_guide_still_pulls_where_the_scores_are_flat() -> None:
    model = MODELS["rbf"]()
    head = svm_head(model)
    x, _ = clouds(5)
    far = torch.from_numpy(x.mean(0) + 1000 * x.std(0))[None].requires_grad_()
    (flat,) = torch.autograd.grad(head(far).sum(), far)
    assert (flat == 0).all()
    for label in range(5):
        (pull,) = torch.autograd.grad(head.guide(far)[0, label], far)
        assert torch.isfinite(pull).all()
        toward = torch.from_numpy(x.mean(0) - far.detach()[0].numpy())
        assert (pull[0] * toward).sum() > 1


def test_guide_is_the_log_of_the_weighted_kernel_density() -> None:
    model = MODELS["rbf"]()
    head, svc, x = svm_head(model), model[-1], clouds(5)[0][:7]
    z = model[0].transform(x)
    kernel = np.exp(-head.guide_gamma * ((z[:, None] - svc.support_vectors_) ** 2).sum(2))
    ends = np.cumsum(svc.n_support_)
    weight = np.abs(svc.dual_coef_).sum(0)
    for c, end in enumerate(ends):
        own = slice(end - svc.n_support_[c], end)
        expected = np.log(kernel[:, own] @ weight[own] / weight[own].sum())
        np.testing.assert_allclose(head.guide(torch.from_numpy(x))[:, c].numpy(), expected, atol=1e-10)


def test_calibrated_scores_move_as_their_probabilities_do() -> None:
    """Off the votes' jumps the log-odds' true gradient is kept when the smooth votes are left out."""
    head = svm_head(MODELS["sigmoid-calibrated"]())
    x, _ = clouds(5)
    spread, centre = torch.from_numpy(x.std(0)), torch.from_numpy(x.mean(0))
    z = ((torch.from_numpy(x[:6]) - centre) / spread + 0.01).requires_grad_()

    def probabilities(v: torch.Tensor) -> torch.Tensor:
        duels = head.duel_list(v * spread + centre)
        assert head.calibrated is not None
        return head.calibrated(libsvm.ovr_decision(duels, 5))[1]

    assert torch.autograd.gradcheck(probabilities, z, atol=1e-7, rtol=1e-5)
    plain = head.hear(z.detach() * spread + centre, probabilities=True)
    smooth = head.hear(z * spread + centre, probabilities=True)
    torch.testing.assert_close(smooth.scores.detach(), plain.scores, atol=0, rtol=1e-12)


def test_takes_float32_and_computes_in_float64() -> None:
    model = MODELS["rbf-probability"]()
    x = torch.from_numpy(clouds(5)[0][:20]).float().requires_grad_()
    heard = svm_head(model).hear(x, probabilities=True)
    assert heard.scores.dtype == torch.float64
    np.testing.assert_allclose(
        heard.probabilities.detach().numpy(), model.predict_proba(x.detach().double().numpy()), atol=1e-9
    )
    (gradient,) = torch.autograd.grad(heard.scores.sum(), x)
    assert gradient.dtype == torch.float32


def test_seeds_own_classifier(seed: Any) -> None:
    """The real thing, 5,027 support vectors, by scikit-learn and by its bare arrays."""
    import skops.io

    model = skops.io.load(seed / "svc_irmas.skops")
    head = svm_head(model)
    arrays = np.load(seed / "svc_irmas.npz")
    real = arrays["sv"] * arrays["scale"] + arrays["mean"]
    x = np.concatenate([random_vectors(real, 700, seed=1), near_boundary_vectors(model, real, 300, seed=2)])
    with torch.no_grad():
        heard = head.hear(torch.from_numpy(x), probabilities=True)
        duels = head.duel_list(torch.from_numpy(x)).numpy()
    rows = (np.abs(duels) > 1e-9).all(1)
    assert rows.mean() > 0.97
    np.testing.assert_array_equal(heard.predicted.numpy()[rows], model.predict(x)[rows])
    np.testing.assert_array_equal(heard.scores.argmax(1).numpy()[rows], model.predict(x)[rows])
    np.testing.assert_allclose(heard.probabilities.numpy(), model.predict_proba(x), atol=1e-9)
    z = (x - arrays["mean"]) / arrays["scale"]
    kernel = np.exp(-arrays["gamma"] * ((z[:100, None] - arrays["sv"]) ** 2).sum(2))
    start = np.concatenate([[0], np.cumsum(arrays["ns"])])
    for duel, (i, j) in enumerate(zip(*(p.tolist() for p in libsvm.pairs(11)), strict=True)):
        a, b = slice(start[i], start[i + 1]), slice(start[j], start[j + 1])
        value = kernel[:, a] @ arrays["dc"][j - 1, a] + kernel[:, b] @ arrays["dc"][i, b] + arrays["ic"][duel]
        np.testing.assert_allclose(duels[:100, duel], value, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: make_pipeline(PolynomialFeatures(), SVC()), "'polynomialfeatures' is a PolynomialFeatures"),
        (lambda: make_pipeline(StandardScaler(), LinearSVC()), "'linearsvc' is a LinearSVC"),
        (lambda: SVC(kernel=lambda a, b: a @ b.T), "got kernel a function, expected rbf"),
        (lambda: CalibratedClassifierCV(SVC(), ensemble=True), "an ensemble of 5 classifiers"),
        (lambda: CalibratedClassifierCV(LinearSVC(), ensemble=False), "got a LinearSVC"),
    ],
)
def test_unsupported_models_are_named(model: Any, said: str) -> None:
    with pytest.raises(SubterfugeError) as error:
        svm_head(model().fit(*clouds(3, scale=1.0)))
    assert said in str(error.value) and "expected" in str(error.value)


def test_an_unfitted_model_is_said_to_be_so() -> None:
    for model in (SVC(), make_pipeline(StandardScaler(), SVC()), CalibratedClassifierCV(SVC())):
        with pytest.raises(SubterfugeError, match="not fitted"):
            svm_head(model)
    with pytest.raises(SubterfugeError, match="got a dict"):
        svm_head({})
