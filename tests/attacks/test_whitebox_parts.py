"""The pieces that the white-box attacks are made of, each against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_form import clips, least_squares, linear
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge import load_victim
from subterfuge.attacks.registry import get_attack
from subterfuge.attacks.whitebox.alma import penalty_slope
from subterfuge.attacks.whitebox.apgd import apgd
from subterfuge.attacks.whitebox.ascent import checkpoints
from subterfuge.attacks.whitebox.carlini_wagner import carlini_wagner
from subterfuge.attacks.whitebox.deepfool import nearest_success
from subterfuge.attacks.whitebox.fmn import fmn
from subterfuge.attacks.whitebox.minimal import minimal
from subterfuge.attacks.whitebox.multiscale_cw import (
    SCALES,
    multiscale_cw,
    spectral_distance,
    spectral_slope,
)
from subterfuge.attacks.whitebox.pgd import pgd
from subterfuge.attacks.whitebox.radius import Bracket, radius_of
from subterfuge.attacks.whitebox.steps import (
    Adam,
    cosine,
    heading,
    lengths,
    linear_distance,
    loudness,
    noise,
    place,
    project,
    seed_from,
)
from subterfuge.audio import load_plain
from subterfuge.corpora.embedded import clips as embedded_clips
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("size", [1e-35, 1e-12, 1.0, 1e30])
def test_lengths_neither_vanish_nor_overflow(norm: float, size: float) -> None:
    x = torch.tensor([[3.0, -4.0, 0.0]]) * size
    expected = float(np.linalg.norm(x.double().numpy()[0], norm))
    assert float(lengths(x, norm)) == pytest.approx(expected, rel=1e-5)
    assert float(lengths(torch.zeros(1, 3), norm)) == 0


@pytest.mark.parametrize("size", [1e-38, 1.0, 1e38])
def test_heading_is_a_unit_vector_along_the_gradient(size: float) -> None:
    gradient = torch.tensor([[0.75, -1.0]]) * size
    torch.testing.assert_close(heading(gradient, 0, 0), torch.tensor([[0.6, -0.8]]))
    assert heading(gradient, 0, 0, math.inf).tolist() == [[1.0, -1.0]]


def test_heading_where_flat_is_noise_that_other_rows_do_not_change() -> None:
    gradient = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    both = heading(gradient, 3, 1)
    assert torch.equal(both[:1], heading(gradient[:1], 3, 1))
    torch.testing.assert_close(lengths(both), torch.ones(2))
    assert not torch.equal(both[0], heading(gradient, 3, 2)[0])
    assert not torch.equal(both[0], heading(gradient, 4, 1)[0])
    torch.testing.assert_close(both[0], heading(noise(gradient, 3, 1)[None], 0, 0)[0])


def test_seed_comes_from_the_generator() -> None:
    assert seed_from(None) == 0
    assert seed_from(torch.Generator().manual_seed(1)) == seed_from(torch.Generator().manual_seed(1))
    assert seed_from(torch.Generator().manual_seed(1)) != seed_from(torch.Generator().manual_seed(2))


def test_linear_distance_is_exact_within_its_limits() -> None:
    y = torch.full((3, 100), 0.1, dtype=torch.float64)
    gradient = torch.zeros_like(y)
    gradient[0, :4] = 2.0
    gradient[1] = 1e-12
    gradient[2] = 1e12
    margin = torch.tensor([-0.4, -1.0, -1.0], dtype=torch.float64)
    assert linear_distance(margin, gradient, y).tolist() == pytest.approx([0.1, 10**-0.5, 1e-6])
    assert float(linear_distance(margin / 4, gradient, y, math.inf)[0]) == pytest.approx(0.1 / 8)
    assert torch.isfinite(linear_distance(margin, gradient * 0, y)).all()


def test_loudness_has_a_floor() -> None:
    y = torch.stack([torch.full((400,), 0.1), torch.zeros(400)])
    assert loudness(y).tolist() == pytest.approx([2.0, 0.02])
    assert loudness(y, math.inf).tolist() == pytest.approx([0.1, 1e-3])


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_project_gives_the_nearest_point_of_the_ball(norm: float) -> None:
    delta, radius = clips(4, 20), torch.tensor([0.0, 0.05, 0.2, 10.0], dtype=torch.float64)
    inside = project(delta, radius, norm)
    assert (torch.linalg.vector_norm(inside, norm, dim=1) <= radius * (1 + 1e-12)).all()
    torch.testing.assert_close(inside[3], delta[3])
    # Nearest: no random point of the ball is closer.
    for seed in range(50):
        other = clips(4, 20, seed=100 + seed)
        other = other / torch.linalg.vector_norm(other, norm, dim=1, keepdim=True) * radius[:, None]
        assert ((other - delta).norm(dim=1) >= (inside - delta).norm(dim=1) - 1e-12).all()


def test_place_and_cosine() -> None:
    assert place(torch.tensor([[0.9, -0.9]]), torch.tensor([[0.2, 0.1]])).tolist() == [
        [1.0, pytest.approx(-0.8)]
    ]
    assert [cosine(k, 10, 1.0, 0.1) for k in (0, 5, 10, 12)] == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_adam_is_torchs() -> None:
    x = torch.zeros(3, 5, dtype=torch.float64)
    theirs = x.clone().requires_grad_(True)
    optimiser, ours = torch.optim.Adam([theirs], lr=0.1, eps=1e-12), Adam(x)
    for k in range(20):
        gradient = clips(3, 5, seed=k)
        theirs.grad = gradient.clone()
        optimiser.step()
        x = x - 0.1 * ours.direction(gradient)
    torch.testing.assert_close(x, theirs.detach())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 10), st.sampled_from([1e-20, 1e-6, 1.0, 1e8]))
def test_nearest_success_towards_a_label_is_the_quadratic_programme(
    seed: int, duels: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(2, duels, generator=generator, dtype=torch.float64)
    value[:, 0] = -value[:, 0].abs()
    normals = torch.randn(2, duels, 30, generator=generator, dtype=torch.float64)
    step = nearest_success(value * scale, normals * scale, away=False)
    for i in range(2):
        assert float(step[i].norm()) == pytest.approx(
            least_squares(value[i].numpy(), normals[i].numpy()), rel=1e-3
        )
        assert (value[i] + normals[i] @ step[i] >= -1e-3).all()


def test_nearest_success_away_is_the_nearest_plane() -> None:
    victim, y = linear(6, 40), clips(3, 40)
    label = victim.predict(y)
    for row, one in zip(y, label.tolist(), strict=True):
        lead, normals = victim.planes(row, one)
        step = nearest_success(-lead[None], -normals[None], away=True)[0]
        assert float(step.norm()) == pytest.approx(float((lead / normals.norm(dim=1)).min()))
        now, _ = victim.planes(row + step, one)
        assert float(now.min()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("away", [False, True])
def test_nearest_success_ignores_duels_without_a_slope(away: bool) -> None:
    slopes = torch.zeros(1, 2, 3)
    assert (nearest_success(torch.tensor([[-1.0, -2.0]]), slopes, away=away) == 0).all()
    slopes[0, 1, 0] = 2.0
    step = nearest_success(torch.tensor([[-1.0, -2.0]]), slopes, away=away)
    torch.testing.assert_close(step, torch.tensor([[1.0, 0.0, 0.0]]))


def test_penalty_slope_is_the_derivative_of_the_penalty() -> None:
    weight, multiplier = torch.tensor(1.7).double(), torch.tensor(0.6).double()
    lack = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    over, under = lack.clamp(min=0), lack.clamp(max=0)
    above = multiplier * over + multiplier * weight * over**2 + weight**2 * over**3 / 6
    penalty = torch.where(lack >= 0, above, multiplier * under / (1 - weight * under))
    (expected,) = torch.autograd.grad(penalty.sum(), lack)
    keep = lack.detach() != 0  # there the clamps above have half a slope each
    torch.testing.assert_close(penalty_slope(lack.detach(), weight, multiplier)[keep], expected[keep])
    assert float(penalty_slope(torch.tensor(0.0).double(), weight, multiplier)) == pytest.approx(0.6)


def test_checkpoints_follow_the_recursion() -> None:
    assert checkpoints(100).nonzero()[:, 0].tolist() == [22, 41, 57, 70, 80, 87, 93, 99]
    assert not checkpoints(5)[0]


def test_bracket_closes_in_on_a_threshold_in_every_row() -> None:
    wanted = torch.tensor([0.01, 1.0, 300.0])
    bracket = Bracket(torch.ones(3), 1e4)
    for _ in range(18):
        tried = bracket.radius.clone()
        bracket.learn(torch.ones(3, dtype=torch.bool), tried >= wanted, tried)
    assert (bracket.high >= wanted).all()
    assert (bracket.high <= 1.03 * wanted).all()


def test_bracket_moves_only_rows_that_are_over_and_opens_again() -> None:
    bracket = Bracket(torch.ones(2), 100.0)
    bracket.learn(torch.tensor([True, False]), torch.tensor([False, True]), torch.ones(2))
    assert bracket.radius.tolist() == [2.0, 1.0]
    assert bracket.high.tolist() == [math.inf, math.inf]
    bracket.low, bracket.high = torch.tensor([0.999, 0.5]), torch.tensor([1.0, 1.0])
    bracket.learn(torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool), torch.ones(2))
    assert bracket.radius[0] < 0.999


def test_bracket_grows_no_farther_than_the_box() -> None:
    bracket = Bracket(torch.ones(1), 50.0)
    for _ in range(30):
        bracket.learn(torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.bool), torch.zeros(1))
    assert float(bracket.radius) == 50.0


def test_radius_of_refuses_nonsense() -> None:
    y = torch.ones(2, 10)
    assert radius_of(y, None, None, 2.0) is None
    assert radius_of(y, 0.5, None, 2.0).tolist() == [0.5, 0.5]  # type: ignore[union-attr]
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SubterfugeError, match="eps: got"):
            radius_of(y, bad, None, 2.0)
    with pytest.raises(SubterfugeError, match="snr_db: got"):
        radius_of(y, None, math.nan, 2.0)
    with pytest.raises(SubterfugeError, match="norm: got 1"):
        radius_of(y, 1.0, None, 1.0)


@pytest.mark.parametrize("attack", [fmn, pgd, apgd])
def test_other_norms_are_refused(attack: object) -> None:
    with pytest.raises(SubterfugeError, match="norm: got 1"):
        attack(linear(2, 16), clips(1, 16), Targeted(1), norm=1)  # type: ignore[operator]


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_random_start_takes_the_generator(norm: float) -> None:
    victim, y = linear(3, 32), clips(2, 32)
    label = (victim.predict(y) + 1) % 3

    def run(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        how = {"steps": 4, "eps": 0.1, "norm": norm, "random_start": True}
        return pgd(victim, y, Targeted(label), generator=generator, **how).audio  # type: ignore[arg-type]

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_spectral_distance_is_the_definition_on_librosas_spectra() -> None:
    import librosa

    y, x = clips(1, 4096)[0].numpy(), clips(1, 4096, seed=4)[0].numpy()
    expected = 0.0
    for size in SCALES:
        pair = [np.abs(librosa.stft(s, n_fft=size, hop_length=size // 4, pad_mode="reflect")) for s in (y, x)]
        expected += np.abs(pair[0] - pair[1]).mean() + np.abs(np.log(pair[0]) - np.log(pair[1])).mean()
    ours = spectral_distance(torch.from_numpy(y)[None], torch.from_numpy(x)[None])
    assert float(ours) == pytest.approx(expected, rel=1e-6)


def test_spectral_slope_is_the_finite_difference() -> None:
    y, delta = clips(3, 300), 0.1 * clips(3, 300, seed=2)
    slope = spectral_slope(y, delta, SCALES)
    for seed in range(4):
        way = clips(3, 300, seed=20 + seed)
        tiny = 1e-7 * way
        by = spectral_distance(y, y + delta + tiny) - spectral_distance(y, y + delta - tiny)
        torch.testing.assert_close((slope * way).sum(1), by / 2e-7, rtol=1e-4, atol=1e-6)
    assert torch.isfinite(spectral_slope(torch.zeros(1, 300), torch.zeros(1, 300), SCALES)).all()


def test_multiscale_trades_norm_for_spectral_distance() -> None:
    # A clip that is loud in one half only: the change belongs there, and C&W does not know.
    victim, y = linear(2, 1024), clips(3, 1024)
    y[:, 512:] *= 0.003
    label = 1 - victim.predict(y)
    ours = multiscale_cw(victim, y, Targeted(label), steps=300)
    plain = carlini_wagner(victim, y, Targeted(label), steps=300)
    assert ours.success.all()
    assert plain.success.all()
    assert (spectral_distance(y, ours.audio) < spectral_distance(y, plain.audio)).all()
    assert (ours.distance > plain.distance).all()


def test_minimal_is_never_behind_one_straight_step_even_beside_a_pocket() -> None:
    """In this clip's silence a share of zero crossings jumps: no smooth way leads to the nearest change."""
    clip = next(one.path for one in embedded_clips() if one.path.name == "pia-1.flac")
    victim = load_victim("orchestra-svc")
    y = load_plain(clip, victim.sample_rate)
    straight = get_attack("fgsm-l2")(victim, y, Untargeted())
    found = minimal(victim, y, Untargeted(), steps=60)
    assert bool(straight.success) and bool(found.success)
    assert float(found.distance) <= 1.13 * float(straight.distance)  # a decibel
    assert int(found.queries.forward) <= 61
