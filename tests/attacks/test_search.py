"""The book-keeping: counts, budgets, the best and the nearest, what a gradient is worth."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import Counting, Deaf, Linear, Opaque, clips, linear
from torch import Tensor

from subterfuge.attacks.search import Search, Watch
from subterfuge.criteria import Goal, Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, TorchVictim


def axis(scale: float = 1.0) -> Linear:
    """Label 1 where the first sample is positive."""
    weight = torch.zeros(2, 4, dtype=torch.float64)
    weight[1, 0] = 1.0
    return Linear(weight, torch.zeros(2, dtype=torch.float64), scale=scale)


def start(rows: int = 2) -> Tensor:
    y = torch.zeros(rows, 4, dtype=torch.float64)
    y[:, 0] = -0.2
    return y


def moved(y: Tensor, by: list[float]) -> Tensor:
    x = y.clone()
    x[:, 0] += torch.tensor(by, dtype=y.dtype)
    return x


def test_look_and_climb_give_margin_verdict_and_gradient() -> None:
    search = Search(axis(3.0), start(), Targeted(1))
    margin, reached = search.look(moved(search.y, [0.1, 0.3]))
    torch.testing.assert_close(margin, torch.tensor([-0.3, 0.3], dtype=torch.float64))
    assert reached.tolist() == [False, True]
    margin, _, gradient = search.climb(search.y)
    assert gradient[:, 0].tolist() == [3.0, 3.0]
    assert (gradient[:, 1:] == 0).all()
    assert not gradient.requires_grad
    assert not margin.requires_grad


def test_the_smallest_success_is_kept_and_the_nearest_miss_otherwise() -> None:
    search = Search(axis(), start(), Targeted(1))
    for by in ([0.5, 0.1], [0.3, 0.15], [0.4, -0.3], [0.1, 0.12]):
        search.look(moved(search.y, by))
    outcome = search.outcome()
    assert outcome.success.tolist() == [True, False]
    torch.testing.assert_close(outcome.audio, moved(search.y, [0.3, 0.15]))
    torch.testing.assert_close(outcome.distance, torch.tensor([0.3, 0.15], dtype=torch.float64))
    expected = torch.tensor([[0.5, 0.3, 0.3, 0.3], [math.inf] * 4], dtype=torch.float64)
    torch.testing.assert_close(outcome.trace, expected)


def test_the_clean_clip_is_never_the_nearest_miss_once_another_was_tried() -> None:
    search = Search(axis(), start(), Targeted(1))
    search.look(search.y)
    assert torch.equal(search.outcome().audio, search.y)
    search.look(moved(search.y, [-0.1, -0.3]))
    torch.testing.assert_close(search.outcome().audio, moved(search.y, [-0.1, -0.3]))
    search.look(search.y)
    torch.testing.assert_close(search.outcome().audio, moved(search.y, [-0.1, -0.3]))


def test_the_verdict_counts_and_not_the_margin() -> None:
    search = Search(Deaf(axis()), start(), Targeted(1))
    margin, reached = search.look(moved(search.y, [0.9, 0.9]))
    assert (margin > 0).all()
    assert not reached.any()
    assert not search.outcome().success.any()


def test_rows_are_addressed_and_counted_apart() -> None:
    victim = Counting(axis())
    search = Search(victim, start(3), Targeted(1), chunk=2)
    search.climb(search.y)
    search.look(moved(search.y[[2, 0]], [0.3, 0.4]), torch.tensor([2, 0]))
    outcome = search.outcome()
    assert outcome.queries.forward.tolist() == [2, 1, 2]
    assert outcome.queries.backward.tolist() == [1, 1, 1]
    assert victim.forward_count == 5
    assert victim.backward_count == 3
    assert outcome.success.tolist() == [True, False, True]
    assert outcome.trace.shape == (3, 2)
    torch.testing.assert_close(outcome.trace[:, 1], torch.tensor([0.4, math.inf, 0.3], dtype=torch.float64))


@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_chunks_change_nothing(chunk: int) -> None:
    y = clips(5, 16)
    search = Search(linear(4, 16), y, Targeted(2), chunk=chunk)
    whole = Search(linear(4, 16), y, Targeted(2), chunk=100)
    for ours, theirs in zip(search.climb(y), whole.climb(y), strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(search.climb_duels(y), whole.climb_duels(y), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("away", [False, True])
def test_duels_and_their_gradients(away: bool) -> None:
    victim, y = linear(4, 16), clips(3, 16)
    counted = Counting(victim)
    label = victim.predict(y) if away else (victim.predict(y) + 1) % 4
    criterion = Untargeted(label) if away else Targeted(label)
    search = Search(counted, y, criterion)
    duels, reached, gradients = search.climb_duels(y)
    for i, row in enumerate(y):
        expected, normals = victim.planes(row, int(label[i]))
        sign = -1 if away else 1
        torch.testing.assert_close(duels[i], sign * expected)
        torch.testing.assert_close(gradients[i], sign * normals)
    assert not reached.any()
    assert search.outcome().queries.forward.tolist() == [1, 1, 1]
    assert search.outcome().queries.backward.tolist() == [3, 3, 3]
    assert counted.backward_count == 9


def test_asking_what_is_heard_is_a_query_too() -> None:
    victim = Counting(axis())
    search = Search(victim, start(), Untargeted())
    search.look(moved(search.y, [0.3, 0.1]))
    assert search.outcome().queries.forward.tolist() == [2, 2]
    assert victim.forward_count == 4
    assert search.outcome().trace.shape == (2, 2)
    assert Search(victim, start(), Untargeted(0)).outcome().queries.forward.tolist() == [0, 0]


def test_a_spent_row_does_not_end_its_neighbours_search() -> None:
    victim = Counting(axis())
    with Search(victim, start(), Targeted(1), watch=Watch(budget=3)) as search:
        search.look(search.y[[0]], torch.tensor([0]))
        search.look(search.y[[0]], torch.tensor([0]))
        for _ in range(2):
            search.climb(search.y)
        margin, reached, gradient = search.climb(moved(search.y, [0.3, 0.3]))
        assert margin.tolist()[0] == -math.inf
        assert reached.tolist() == [False, True]
        assert (gradient[0] == 0).all()
        assert gradient[1, 0] == 1
        search.look(search.y)
        raise AssertionError("the spent budget did not end the search")
    outcome = search.outcome()
    assert outcome.queries.forward.tolist() == [3, 3]
    assert victim.forward_count == 6
    assert outcome.success.tolist() == [False, True]
    assert not outcome.interrupted


def test_only_interrupts_and_spent_budgets_are_caught() -> None:
    with Search(axis(), start(), Targeted(1)) as search:
        search.look(moved(search.y, [0.3, 0.1]))
        raise KeyboardInterrupt
    assert search.outcome().interrupted
    assert search.outcome().success.tolist() == [True, False]
    with pytest.raises(ZeroDivisionError), Search(axis(), start(), Targeted(1)):
        raise ZeroDivisionError


def test_an_interrupt_within_the_victim_counts_no_answer_that_was_not_given() -> None:
    with Search(Counting(axis(), stop_after=3), start(), Targeted(1)) as search:
        search.look(moved(search.y, [0.3, 0.1]))
        search.look(moved(search.y, [0.3, 0.25]), None)
    assert search.outcome().interrupted
    assert search.outcome().queries.forward.tolist() == [1, 1]


@pytest.mark.parametrize("ask", ["look", "climb", "climb_duels"])
def test_an_interrupt_in_a_later_chunk_keeps_what_the_earlier_ones_heard(ask: str) -> None:
    victim = Counting(axis(), stop_after=4)
    with Search(victim, start(5), Targeted(1), chunk=2) as search:
        getattr(search, ask)(moved(search.y, [0.3, 0.1, 0.5, 0.4, 0.3]))
    outcome = search.outcome()
    assert outcome.interrupted
    assert outcome.success.tolist() == [True, False, True, True, False]
    assert outcome.queries.forward.tolist() == [1, 1, 1, 1, 0]
    assert int(outcome.queries.backward.sum()) == victim.backward_count == (0 if ask == "look" else 4)
    expected = torch.tensor([0.3, math.inf, 0.5, 0.4, math.inf], dtype=torch.float64)
    torch.testing.assert_close(outcome.trace[:, 0], expected)


def test_an_interrupt_amid_what_is_lent_keeps_what_was_heard() -> None:
    with Search(Counting(axis(), stop_after=4), start(2), Targeted(1), chunk=2) as search:
        search.lend(moved(start(5), [0.1, 0.5, 0.4, 0.6, 0.3]), 1)
    outcome = search.outcome()
    assert outcome.queries.forward.tolist() == [0, 4]
    assert float(outcome.distance[1]) == pytest.approx(0.4)


def test_gradients_that_are_not_numbers_become_zero() -> None:
    class Broken(TorchVictim):
        labels = ("a", "b")
        sample_rate = 8000

        def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
            root = (y - y.detach()).sum(1).sqrt()  # an infinite slope at 0, times 0 below
            scores = torch.stack([y.sum(1), root * 0 + y.sum(1)], 1)
            return Hearing(scores, scores.argmax(1))

    _, _, gradient = Search(Broken(), start(), Targeted(1)).climb(start())
    assert torch.isfinite(gradient).all()


def test_scores_without_a_graph_have_slope_zero() -> None:
    _, _, gradient = Search(Deaf(None), start(), Targeted(1)).climb(start())
    assert (gradient == 0).all()
    assert gradient.shape == (2, 4)


def test_linf_distances() -> None:
    search = Search(axis(), start(1), Targeted(1), norm=math.inf)
    x = moved(search.y, [0.3])
    x[0, 1:] = 0.2
    search.look(x)
    torch.testing.assert_close(search.outcome().distance, torch.tensor([0.3], dtype=torch.float64))


def test_bad_input() -> None:
    y = start()
    with pytest.raises(SubterfugeError, match=r"shape \(4,\)"):
        Search(axis(), y[0], Targeted(1))
    with pytest.raises(SubterfugeError, match="NaN"):
        Search(axis(), y / 0, Targeted(1))
    opaque = Opaque(axis().weight, axis().bias)
    with pytest.raises(SubterfugeError, match="gradients"):
        Search(opaque, y, Targeted(1))
    Search(opaque, y, Targeted(1), gradients=False).look(y)
    with pytest.raises(SubterfugeError, match="budget: got 0"):
        Watch(budget=0)


def test_goal_rows_follow_the_rows() -> None:
    goal = Goal(torch.tensor([0, 1, 2])).rows(torch.tensor([2, 0]))
    assert goal.label.tolist() == [2, 0]
