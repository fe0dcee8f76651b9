"""What counts as success, margin by margin."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from subterfuge.criteria import Goal, Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim

SCORES = torch.tensor([[1.0, 3.0, 2.5], [0.0, -1.0, 4.0]], dtype=torch.float64)


class Fixed(TorchVictim):
    """Says the same whatever it hears; its verdict is not the argmax of its scores."""

    labels = ("cel", "flu", "tru")
    sample_rate = 8000

    def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
        predicted = torch.tensor([2, 2])
        return Hearing(SCORES, predicted, SCORES.softmax(1) if probabilities else None)


Y = torch.zeros(2, 4)


def test_margin_is_the_lead_over_the_best_other() -> None:
    goal = Targeted("trumpet").bind(Fixed(), Y)
    assert goal.label.tolist() == [2, 2]
    assert not goal.away
    assert goal.margin(Fixed().hear(Y)).tolist() == [-0.5, 4.0]
    away = Untargeted().bind(Fixed(), Y)
    assert away.label.tolist() == [2, 2]
    assert away.margin(Fixed().hear(Y)).tolist() == [0.5, -4.0]


def test_the_label_to_leave_is_the_one_predicted_or_the_one_given() -> None:
    assert Untargeted().bind(Fixed(), Y).label.tolist() == [2, 2]
    assert Untargeted("flu").bind(Fixed(), Y).label.tolist() == [1, 1]
    assert Untargeted([0, 1]).bind(Fixed(), Y).label.tolist() == [0, 1]


def test_reached_is_the_verdict_and_not_the_margin() -> None:
    hearing = Fixed().hear(Y)
    # Row 0 scores highest for flute, yet trumpet is what the victim says.
    assert Targeted("tru").bind(Fixed(), Y).reached(hearing).tolist() == [True, True]
    assert Targeted("flu").bind(Fixed(), Y).reached(hearing).tolist() == [False, False]
    assert Untargeted("flu").bind(Fixed(), Y).reached(hearing).tolist() == [True, True]


def test_duels_in_the_order_of_the_rivals() -> None:
    hearing = Fixed().hear(Y)
    goal = Goal(torch.tensor([1, 0]))
    assert goal.duels(hearing).tolist() == [[2.0, 0.5], [1.0, -4.0]]
    torch.testing.assert_close(goal.duels(hearing).amin(1), goal.margin(hearing))
    away = Goal(torch.tensor([1, 0]), away=True)
    assert away.duels(hearing).tolist() == [[-2.0, -0.5], [-1.0, 4.0]]
    torch.testing.assert_close(away.duels(hearing).amax(1), away.margin(hearing))


def test_confidence_is_the_smaller_of_two_margins() -> None:
    goal = Targeted("tru", confidence=0.9).bind(Fixed(), Y)
    hearing = Fixed().hear(Y, probabilities=True)
    p = SCORES.softmax(1)[:, 2]
    surplus = torch.log(p / (1 - p)) - math.log(9)
    torch.testing.assert_close(
        goal.margin(hearing), torch.minimum(torch.tensor([-0.5, 4.0]).double(), surplus)
    )
    assert goal.reached(hearing).tolist() == [False, True]
    assert goal.duels(hearing).shape == (2, 3)
    torch.testing.assert_close(goal.duels(hearing).amin(1), goal.margin(hearing))


@pytest.mark.parametrize("p", [0.0, 1e-30, 0.5, 1.0])
def test_confidence_has_a_finite_gradient_at_any_probability(p: float) -> None:
    probabilities = torch.tensor([[p, 1 - p]], dtype=torch.float32, requires_grad=True)
    scores = torch.tensor([[5.0, 0.0]], requires_grad=True)
    goal = Goal(torch.tensor([0]), confidence=0.9)
    margin = goal.margin(Hearing(scores, torch.tensor([0]), probabilities))
    assert torch.isfinite(margin).all()
    by_scores, by_p = torch.autograd.grad(margin.sum(), (scores, probabilities))
    assert torch.isfinite(by_scores).all()
    assert torch.isfinite(by_p).all()


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 1.5, math.nan])
def test_confidence_lies_between_0_and_1(confidence: float) -> None:
    with pytest.raises(SubterfugeError, match="confidence: got"):
        Targeted("tru", confidence)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("trombone", "unknown label 'trombone'"),
        (3, "expected 0 to 2"),
        (-1, "expected 0 to 2"),
        ([0, 1, 2], "got 3 labels for 2 clips"),
        ([[0, 1]], "got 2 labels for 2 clips"),
        (torch.tensor([0.5, 1.0]), "expected a name, an index"),
        (True, "expected a name, an index"),
    ],
)
def test_bad_labels_are_refused(label: Any, message: str) -> None:
    for criterion in (Targeted(label), Untargeted(label)):
        with pytest.raises(SubterfugeError, match=message.replace("(", r"\(")):
            criterion.bind(Fixed(), Y)


def test_labels_by_index_by_row_and_by_name() -> None:
    for label in (1, [1, 1], torch.tensor(1), torch.tensor([1, 1]), "FLU", "flute", "fl"):
        assert Targeted(label).bind(Fixed(), Y).label.tolist() == [1, 1]


def test_confidence_of_a_victim_without_probabilities_is_refused() -> None:
    class Votes(Fixed):
        def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
            return Hearing(SCORES, torch.tensor([2, 2]), None)

    goal = Targeted("tru", confidence=0.9).bind(Votes(), Y)
    hearing = Votes().hear(Y, probabilities=goal.needs_probabilities)
    for ask in (goal.margin, goal.reached, goal.duels):
        with pytest.raises(SubterfugeError, match="no probabilities"):
            ask(hearing)


def test_the_soft_margin_is_a_lower_bound_that_tightens() -> None:
    scores = torch.randn(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    goal, hearing = Goal(torch.arange(20) % 6), Hearing(scores, scores.argmax(1))
    hard, last = goal.margin(hearing), torch.full((20,), -torch.inf, dtype=torch.float64)
    for softness in (1.0, 0.3, 0.1, 0.01, 1e-4):
        soft = goal.soft_margin(hearing, softness)
        assert (soft <= hard).all() and (soft >= last).all()
        last = soft
    torch.testing.assert_close(last, hard, atol=1e-3, rtol=0)


def test_the_soft_margin_heeds_all_boundaries_that_meet() -> None:
    """At a corner of two equal leads the gradient is their mean; the margin's is one of them alone."""
    scores = torch.tensor([[1.0, 1.2, 1.2, -5.0]], dtype=torch.float64, requires_grad=True)
    hearing = Hearing(scores, scores.argmax(1))
    (slope,) = torch.autograd.grad(Goal(torch.tensor([0])).soft_margin(hearing, 0.1).sum(), scores)
    torch.testing.assert_close(slope, torch.tensor([[1.0, -0.5, -0.5, 0.0]], dtype=torch.float64))


def test_the_soft_margin_reads_a_victims_own_clearances() -> None:
    clear = torch.full((2, 3, 4), torch.inf, dtype=torch.float64)
    clear[:, 1, :3] = torch.tensor([[0.5, -0.2, 3.0], [-1.0, -1.0, 2.0]])
    hearing = Hearing(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), clearances=clear)
    soft = Goal(torch.tensor([1, 1])).soft_margin(hearing, 1e-3)
    torch.testing.assert_close(soft, torch.tensor([-0.2, -1.0], dtype=torch.float64), atol=2e-3, rtol=0)


def test_the_soft_margins_gradient_is_finite_where_all_conditions_are_one() -> None:
    scores = torch.tensor([[0.3, 0.1]], dtype=torch.float32, requires_grad=True)
    hearing = Hearing(scores, scores.argmax(1))
    (slope,) = torch.autograd.grad(Goal(torch.tensor([1])).soft_margin(hearing, 0.1).sum(), scores)
    torch.testing.assert_close(slope, torch.tensor([[-1.0, 1.0]]))


def test_away_the_soft_margin_is_the_margin() -> None:
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    goal, hearing = Goal(torch.zeros(5, dtype=torch.int64), away=True), Hearing(scores, scores.argmax(1))
    torch.testing.assert_close(goal.soft_margin(hearing, 0.3), goal.margin(hearing))
