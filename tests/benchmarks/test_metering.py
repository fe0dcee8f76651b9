"""The meter: exact counts, a budget that holds, and candidates that are what the victim and the judge say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metering import Meter, Metered
from subterfuge.attacks.search import BudgetSpent, Watch
from subterfuge.attacks.whitebox.ddn import ddn
from subterfuge.criteria import Targeted
from subterfuge.victims.victim import Hearing, TorchVictim

WEIGHTS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


class Loudest(TorchVictim):
    """Hears the number of the largest of three samples; counts how often it is really asked."""

    def __init__(self) -> None:
        super().__init__()
        self.labels, self.sample_rate, self.asked = ("a", "b", "c"), 3, 0
        self.guided = True

    def hear(self, y: Tensor, *, probabilities: bool = False, guide: bool = False) -> Hearing:
        self.asked += len(y)
        scores = y @ WEIGHTS.to(y.dtype).T
        p = scores.softmax(1) if probabilities else None
        return Hearing(scores, scores.argmax(1), p, 2 * scores if guide else None)


@pytest.fixture
def clip() -> Tensor:
    return torch.tensor([0.5, 0.0, 0.0])


def metered(clip: Tensor, budget: int | None = None, *, unit: bool = False) -> tuple[Metered, Meter, Loudest]:
    victim, meter = Loudest(), Meter(clip, 1, budget)
    return Metered(victim, meter, unit=unit), meter, victim


def test_forward_and_backward_are_counted_a_row(clip: Tensor) -> None:
    model, meter, victim = metered(clip)
    model.predict(clip[None])
    assert (meter.forward, meter.backward) == (1, 0)
    x = clip.expand(3, -1).clone().requires_grad_()
    scores = model(x)
    assert (meter.forward, meter.backward) == (4, 0)
    torch.autograd.grad(scores[:, 0].sum(), x, retain_graph=True)
    assert (meter.forward, meter.backward) == (4, 3)
    scores[:, 1].sum().backward()
    assert (meter.forward, meter.backward) == (4, 6)
    assert victim.asked == 4


def test_scores_and_probabilities_of_one_pass_share_one_backward(clip: Tensor) -> None:
    model, meter, _ = metered(clip)
    x = clip[None].clone().requires_grad_()
    hearing = model.hear(x, probabilities=True)
    assert hearing.probabilities is not None
    (hearing.scores.sum() + hearing.probabilities[:, 0].sum()).backward()
    assert (meter.forward, meter.backward) == (1, 1)
    torch.autograd.grad(model.hear(x, probabilities=True).probabilities[:, 0].sum(), x)  # type: ignore[index]
    assert (meter.forward, meter.backward) == (2, 2)


def test_a_gradient_that_stops_short_of_the_victim_costs_nothing(clip: Tensor) -> None:
    model, meter, _ = metered(clip)
    x = clip[None].clone().requires_grad_()
    margin = model(x)[:, 1] - model(x)[:, 0]
    torch.autograd.grad((margin**2).sum(), margin)
    assert (meter.forward, meter.backward) == (2, 0)


def test_a_gradient_of_the_guide_is_a_pass_like_any_other(clip: Tensor) -> None:
    model, meter, victim = metered(clip)
    x = clip.expand(2, -1).clone().requires_grad_()
    hearing = model.hear(x, guide=True)
    assert model.guided and hearing.guide is not None
    torch.autograd.grad(hearing.guide.sum(), x, retain_graph=True)
    assert (meter.forward, meter.backward, victim.asked) == (2, 2, 2)
    torch.autograd.grad(hearing.scores.sum(), x)
    assert (meter.forward, meter.backward, victim.asked) == (2, 4, 2)


def test_a_budget_is_two_passes_a_query_and_the_next_one_never_reaches_the_victim(clip: Tensor) -> None:
    model, meter, victim = metered(clip, budget=2)
    x = clip[None].clone().requires_grad_()
    for _ in range(2):
        torch.autograd.grad(model(x).sum(), x)
    with pytest.raises(BudgetSpent):
        model(x)
    assert (meter.forward, meter.backward, victim.asked) == (2, 2, 2)


def test_looks_alone_may_spend_the_whole_budget(clip: Tensor) -> None:
    model, meter, victim = metered(clip, budget=3)
    for _ in range(6):
        model.predict(clip[None])
    with pytest.raises(BudgetSpent):
        model.predict(clip[None])
    assert (meter.forward, victim.asked) == (6, 6)


def test_a_backward_pass_beyond_the_budget_is_refused_too(clip: Tensor) -> None:
    model, meter, _ = metered(clip, budget=1)
    x = clip[None].clone().requires_grad_()
    scores = model(x)
    torch.autograd.grad(scores[:, 0].sum(), x, retain_graph=True)
    with pytest.raises(BudgetSpent):
        torch.autograd.grad(scores[:, 1].sum(), x)
    assert (meter.forward, meter.backward) == (1, 1)


def test_only_legal_candidates_heard_as_the_target_are_kept_smallest_first(clip: Tensor) -> None:
    model, meter, _ = metered(clip)
    rows = torch.tensor(
        [
            [0.5, 0.9, 0.0],  # heard as wanted, norm 0.9
            [0.5, 0.4, 0.0],  # still the old label
            [0.2, 0.3, 0.0],  # norm sqrt(0.18), the smallest
            [0.5, 1.5, 0.0],  # beyond full scale
            [0.5, float("nan"), 0.0],
            [0.4, 0.45, 0.0],  # norm sqrt(0.2125)
        ]
    )
    for row in rows:
        model.predict(row[None])
    assert meter.best_norm == pytest.approx(0.18**0.5, rel=1e-6)
    assert meter.improvements == [
        (1, pytest.approx(0.9, rel=1e-6)),
        (3, pytest.approx(0.18**0.5, rel=1e-6)),
    ]
    refused: list[list[float]] = []

    def nothing(y: np.ndarray) -> int:
        refused.append(y.tolist())
        return 0

    assert meter.judged(nothing) is None
    assert len(refused) == 3 * 4
    assert refused[0] == pytest.approx([0.2, 0.3, 0.0])


def test_the_judge_goes_outward_in_order_of_norm(clip: Tensor) -> None:
    model, meter, _ = metered(clip)
    model.predict(torch.tensor([[0.2, 0.3, 0.0], [0.2, 0.3003, 0.0]]))
    asked = []

    def strict(y: np.ndarray) -> int:
        asked.append(float(np.linalg.norm(y - clip.numpy())))
        return 1 if y[1] - y[0] > 0.1025 else 0

    found = meter.judged(strict)
    assert found is not None
    assert asked == sorted(asked)
    assert found[0] == pytest.approx(asked[-1], rel=1e-5)
    assert found[1][1] - found[1][0] > 0.1025
    # 0.5 % beyond the smallest passes; the 2 % step must not have been taken.
    assert found[0] < 1.01 * 0.18**0.5


def test_unit_inputs_are_the_same_waveforms_at_half_the_scale(clip: Tensor) -> None:
    model, meter, _ = metered(clip, unit=True)
    y = torch.tensor([[0.2, 0.3, 0.0]])
    x = ((y + 1) / 2).requires_grad_()
    scores = model(x)
    assert torch.allclose(scores, y @ WEIGHTS.T, atol=1e-6)
    (gradient,) = torch.autograd.grad(scores[:, 1].sum(), x)
    assert gradient.tolist() == [[0.0, 2.0, 0.0]]
    assert meter.best_norm == pytest.approx(0.18**0.5, rel=1e-5)


def test_our_own_count_agrees_with_the_meter(clip: Tensor) -> None:
    model, meter, victim = metered(clip, budget=40)
    outcome = ddn(model, clip[None], Targeted(1), steps=25, watch=Watch(budget=40))
    assert bool(outcome.success[0])
    assert int(outcome.queries.forward[0]) == meter.forward == victim.asked
    assert int(outcome.queries.backward[0]) == meter.backward
    assert meter.best_norm == pytest.approx(float(outcome.distance[0]), rel=1e-5)


def test_a_meter_that_runs_dry_ends_our_attack_quietly_with_its_best(clip: Tensor) -> None:
    model, meter, _ = metered(clip, budget=25)
    outcome = ddn(model, clip[None], Targeted(1), steps=1000)
    assert meter.passes == 50
    assert bool(outcome.success[0]) and float(outcome.distance[0]) == pytest.approx(meter.best_norm, rel=1e-5)
