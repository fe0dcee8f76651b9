"""Votes, vote margins and coupled probabilities against their definitions, spelt out slowly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.victims import libsvm


def slow_vote(matrix: np.ndarray) -> int:
    """libsvm's vote: most duels won, the first of those with most."""
    k = len(matrix)
    wins = [sum(matrix[i, j] > 0 for j in range(k) if j != i) for i in range(k)]
    return wins.index(max(wins))


def slow_margin(matrix: np.ndarray, t: int) -> float:
    """The margin by its definition: over every way to win, the worst condition; the best of them."""
    k = len(matrix)
    duels = [sorted((matrix[j, i] for i in range(k) if i != j), reverse=True) for j in range(k)]

    def at_most(j: int, votes: int) -> float:
        return np.inf if votes >= k - 1 else -duels[j][votes]

    ways = []
    for m in range(1, k):
        rivals = [at_most(j, m if j > t else m - 1) for j in range(k) if j != t]
        ways.append(min([duels[t][m - 1], *rivals]))
    return max(ways)


def duels_of(classes: int, seed: int, rows: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(rows, classes * (classes - 1) // 2)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(classes=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_margins_are_their_definition_and_elect_the_winner(classes: int, seed: int) -> None:
    duels = duels_of(classes, seed, rows=3)
    margins = libsvm.vote_margins(duels, classes)
    for row, matrix in zip(margins, libsvm.duel_matrix(duels, classes).numpy(), strict=True):
        assert row.tolist() == [slow_margin(matrix, t) for t in range(classes)]
        winner = slow_vote(matrix)
        assert [t for t in range(classes) if row[t] > 0] == [winner]
    assert libsvm.vote(duels, classes).tolist() == margins.argmax(1).tolist()


def test_margin_sign_is_right_for_every_outcome_of_four() -> None:
    for signs in itertools.product([-1.0, 1.0], repeat=6):
        duels = torch.tensor([signs], dtype=torch.float64) * torch.arange(1, 7)
        matrix = libsvm.duel_matrix(duels, 4)[0].numpy()
        assert (libsvm.vote_margins(duels, 4)[0] > 0).nonzero().flatten().tolist() == [slow_vote(matrix)]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(classes=st.integers(2, 9), seed=st.integers(0, 2**31))
def test_margin_gradient_is_that_of_one_signed_duel(classes: int, seed: int) -> None:
    duels = duels_of(classes, seed, rows=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: libsvm.vote_margins(d, classes), duels)
    for t in range(classes):
        (g,) = torch.autograd.grad(libsvm.vote_margins(duels, classes)[:, t].sum(), duels)
        assert (g.abs().sum(1) == 1).all() and (g.abs().amax(1) == 1).all()


def test_no_smaller_change_of_every_duel_changes_whether_a_class_wins() -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(60):
        duels = duels_of(5, seed)
        for t, margin in enumerate(libsvm.vote_margins(duels, 5)[0].tolist()):
            change = torch.rand(200, 10, generator=generator, dtype=torch.float64) * 2 - 1
            # Signs alone are the worst that a change of that size can do.
            moved = duels + change.sign() * abs(margin) * (1 - 1e-9)
            assert ((libsvm.vote(moved, 5) == t) == (margin > 0)).all()


@given(classes=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_clearances_are_the_conditions_behind_the_margins(classes: int, seed: int) -> None:
    """Their least is the margin, each is a signed duel, and the winner's own are duels that it wins."""
    duels = duels_of(classes, seed, rows=8)
    clear = libsvm.vote_clearances(duels, classes)
    torch.testing.assert_close(clear.amin(2), libsvm.vote_margins(duels, classes))
    matrix = libsvm.duel_matrix(duels, classes)
    for row, conditions in zip(matrix, clear, strict=True):
        finite = conditions[conditions.isfinite()]
        assert torch.isin(finite, row.flatten()).all()
    # They are as many as can matter: the winner's own duels in the vote that elects it, and no fewer.
    won = (matrix > 0).sum(2)
    for row, t in zip(range(len(duels)), libsvm.vote(duels, classes), strict=True):
        own = clear[row, t, : classes - 1]
        assert 1 <= int(own.isfinite().sum()) <= int(won[row, t])


def test_zero_duels_go_to_the_second_class_as_in_libsvm() -> None:
    assert libsvm.votes(torch.zeros(1, 3), 3).tolist() == [[0, 1, 2]]
    assert libsvm.vote(torch.zeros(1, 3), 3).tolist() == [2]


def test_tie_break_margins_elect_the_argmax_of_votes_and_confidence() -> None:
    cycles = 0
    for classes in (3, 4, 5, 7):
        duels = duels_of(classes, classes, rows=400)
        margins = libsvm.tie_break_margins(duels, classes)
        winner = libsvm.ovr_decision(duels, classes).argmax(1)
        assert (margins.argmax(1) == winner).all()
        assert ((margins > 0).sum(1) == 1).all()
        cycles += int((winner != libsvm.vote(duels, classes)).sum())
        z = duels[:3].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda d, k=classes: libsvm.tie_break_margins(d, k), z)
    assert cycles > 20, "ties must occur, or this proves nothing"


def test_smooth_votes_change_no_value_and_pull_toward_close_duels() -> None:
    duels = torch.tensor([[-0.1, -5.0, 3.0]], dtype=torch.float64, requires_grad=True)
    smooth = libsvm.ovr_decision(duels, 3, smooth=True)
    torch.testing.assert_close(smooth, libsvm.ovr_decision(duels, 3))
    (pull,) = torch.autograd.grad(smooth[0, 0], duels)
    assert pull[0, 0] > 5 * pull[0, 1] > 0


def slow_couple(r: np.ndarray) -> np.ndarray:
    """Wu, Lin and Weng's iteration with libsvm's stopping rule, straight from the paper's algorithm 2."""
    k = len(r)
    q = -r * r.T
    np.fill_diagonal(q, [sum(r[j, t] ** 2 for j in range(k) if j != t) for t in range(k)])
    p = np.full(k, 1 / k)
    for _ in range(max(100, k)):
        qp = q @ p
        energy = p @ qp
        if np.abs(qp - energy).max() < 0.005 / k:
            break
        for t in range(k):
            step = (energy - qp[t]) / q[t, t]
            p[t] += step
            p = p / (1 + step)
            qp = q @ p
            energy = p @ qp
    return p


@pytest.mark.parametrize("rows", [1, 3, 4, 50])
@pytest.mark.parametrize("classes", [2, 3, 6, 11])
def test_iteration_is_libsvms_for_few_rows_and_many(rows: int, classes: int) -> None:
    duels = duels_of(classes, rows, rows=rows) * 3
    one = torch.ones(duels.shape[1], dtype=torch.float64)
    r = libsvm.pairwise_probabilities(duels, -one, 0.2 * one, classes)
    got = libsvm.coupled_as_libsvm(r).numpy()
    np.testing.assert_allclose(got, [slow_couple(x) for x in r.numpy()], atol=1e-10)
    for row in range(rows):
        np.testing.assert_allclose(libsvm.coupled_as_libsvm(r[row : row + 1])[0], got[row], atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(classes=st.integers(2, 11), seed=st.integers(0, 2**31), width=st.floats(0.1, 20))
def test_exact_coupling_is_the_optimum(classes: int, seed: int, width: float) -> None:
    """Q p is the same in every component (the Karush-Kuhn-Tucker condition), p sums to one, p > 0."""
    duels = duels_of(classes, seed, rows=2) * width
    one = torch.ones(duels.shape[1], dtype=torch.float64)
    r = libsvm.pairwise_probabilities(duels, -one, 0 * one, classes)
    p = libsvm.coupled(r)
    qp = (libsvm.coupling_matrix(r) @ p[:, :, None])[:, :, 0]
    assert (qp.amax(1) - qp.amin(1)).max() < 1e-9
    assert (p > -1e-12).all()
    torch.testing.assert_close(p.sum(1), torch.ones(2, dtype=torch.float64))


def test_known_coupling() -> None:
    """Pairwise probabilities made from true ones give those back."""
    true = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64)
    r = true[:, :, None] / (true[:, :, None] + true[:, None, :])
    torch.testing.assert_close(libsvm.coupled(r - torch.diag_embed(r.diagonal(dim1=1, dim2=2))), true)


def test_reported_probabilities_have_the_exact_solves_gradient() -> None:
    for classes in (2, 3, 7):
        duels = duels_of(classes, 1, rows=3).requires_grad_()
        a, b = -torch.rand(2, duels.shape[1], dtype=torch.float64) - 0.5
        weight = torch.randn(3, classes, dtype=torch.float64)
        exact = libsvm.coupled(libsvm.pairwise_probabilities(duels, a, b, classes))
        assert torch.autograd.gradcheck(
            lambda d, a=a, b=b, k=classes: libsvm.coupled(libsvm.pairwise_probabilities(d, a, b, k)), duels
        )
        reported = libsvm.reported_probabilities(duels, a, b, classes)
        expected, got = (
            torch.autograd.grad((p * weight).sum(), duels, retain_graph=True)[0] for p in (exact, reported)
        )
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-9)
        assert (reported - exact).abs().max() < 5e-3
