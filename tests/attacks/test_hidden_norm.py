"""The norm that `masked` goes by: true lengths, directions that lead uphill, the worst cell in the limit."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from subterfuge.attacks.whitebox.hidden_norm import DULL, HiddenNorm, room
from subterfuge.audibility.masking import band_power, critical_bands, masking_threshold

SIZES = [(8000, 8000), (44100, 11025), (22050, 700), (8000, 17), (8000, 1), (192000, 4000)]
# Plain L2, on the way, as `masked` ends, the worst cell's.
NORMS = [(0.0, 2.0, 0.0), (1.0, 2.0, 0.0), (0.5, 5.0, 0.3), (0.75, 8.0, 0.7), (1.0, 100.0, 1.0)]


def noise(rows: int, samples: int, *, seed: int = 0) -> Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


def clip(sr: int, samples: int) -> Tensor:
    """Two rows: a decaying tone over faint noise, and noise whose second half is silent."""
    t = torch.arange(samples) / sr
    tone = 0.3 * torch.sin(2 * math.pi * min(440.0, sr / 8) * t) * torch.exp(-5 * t)
    half = 0.1 * noise(1, samples, seed=1)[0] * (t < samples / sr / 2)
    return torch.stack([tone + 1e-3 * noise(1, samples, seed=2)[0], half])


def made(sr: int, samples: int) -> HiddenNorm:
    return HiddenNorm(room(clip(sr, samples), sr=sr), sr, samples)


def choose(norm: HiddenNorm, depth: float, power: float, levelling: float) -> HiddenNorm:
    norm.set(depth=depth, power=power, levelling=levelling)
    return norm


def gradients(sr: int, samples: int) -> dict[str, Tensor]:
    """What slopes may look like, two rows each."""
    t = torch.arange(samples) / sr
    low, high = (torch.sin(2 * math.pi * hz * t)[None] for hz in (60.0, 0.4 * sr))
    click = torch.zeros(1, samples)
    click[0, samples // 2] = 1.0
    return {
        "white": noise(2, samples, seed=3),
        "tones": torch.cat([low, high]) + 1e-6,
        "click": click.repeat(2, 1),
        "constant": torch.ones(2, samples),
        "faint": 1e-12 * noise(2, samples, seed=4),
    }


@pytest.mark.parametrize("how", NORMS, ids=str)
@pytest.mark.parametrize(("sr", "samples"), SIZES)
def test_headings_lead_uphill_and_are_of_unit_length(
    sr: int, samples: int, how: tuple[float, float, float]
) -> None:
    norm = choose(made(sr, samples), *how)
    for name, gradient in gradients(sr, samples).items():
        up = norm.heading(gradient)
        assert torch.isfinite(up).all(), name
        assert ((up.double() * gradient.double()).sum(1) > 0).all(), name
        torch.testing.assert_close(norm.lengths(up), torch.ones(2), rtol=1e-4, atol=0)
        # How steep it is says nothing of where to.
        again = norm.heading(1e3 * gradient)
        assert (torch.nn.functional.cosine_similarity(up, again) > 0.999).all(), name


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(NORMS), rate=st.floats(0.0, 2.0))
def test_headings_lead_uphill_whatever_the_clip_the_gradient_and_the_weights(
    seed: int, how: tuple[float, float, float], rate: float
) -> None:
    samples, sr = 1500, 8000
    spread = 10 ** (noise(2, samples, seed=seed) * 1.5 - 2)
    norm = HiddenNorm(room(noise(2, samples, seed=seed + 1) * spread, sr=sr), sr, samples)
    norm.reweigh(noise(2, samples, seed=seed + 2) * spread, rate)
    norm = choose(norm, *how)
    gradient = noise(2, samples, seed=seed + 3) * spread.flip(1)
    assert ((norm.heading(gradient) * gradient).sum(1) > 0).all()


@pytest.mark.parametrize("hz", [150.0, 1000.0, 9000.0])
def test_the_plain_norm_is_l2_and_a_gradient_within_a_band_its_heading(hz: float) -> None:
    sr, samples = 44100, 22050
    norm = choose(made(sr, samples), 0.0, 2.0, 0.0)
    t = torch.arange(samples) / sr
    bell = torch.exp(-(((t - 0.25) / 0.05) ** 2))
    tone = (bell * torch.sin(2 * math.pi * hz * t))[None].repeat(2, 1)
    cosine = torch.nn.functional.cosine_similarity(norm.heading(tone), tone)
    assert (cosine > 0.99).all()
    # Each frequency but the ends lies in two bands: the mean over cells is a constant times the square of L2.
    white = norm.lengths(bell * noise(2, samples)) / (bell * noise(2, samples)).norm(dim=1)
    torch.testing.assert_close(norm.lengths(tone) / tone.norm(dim=1), white, rtol=0.15, atol=0)


@pytest.mark.parametrize("how", NORMS, ids=str)
def test_lengths_scale_linearly_and_are_those_of_each_row_alone(how: tuple[float, float, float]) -> None:
    sr, samples = 22050, 4000
    norm = choose(made(sr, samples), *how)
    delta = 1e-3 * noise(2, samples, seed=5)
    once = norm.lengths(delta)
    for factor in (1e-4, 0.5, -3.0, 1e3):
        torch.testing.assert_close(norm.lengths(factor * delta), abs(factor) * once, rtol=1e-4, atol=0)
    assert (norm.lengths(torch.zeros_like(delta)) < 1e-15).all()
    for i in range(2):
        alone = choose(HiddenNorm(norm.threshold[[i]], sr, samples), *how)
        torch.testing.assert_close(alone.lengths(delta[[i]])[0], once[i])
        torch.testing.assert_close(alone.heading(delta[[i]])[0], norm.heading(delta)[i], rtol=1e-4, atol=1e-6)


def test_a_growing_power_approaches_the_worst_cell_from_below() -> None:
    sr, samples = 22050, 4000
    norm, delta = made(sr, samples), 1e-3 * noise(2, samples, seed=6)
    # In units of the threshold's geometric mean, so that any depth gives lengths of one size.
    unit = norm.threshold.log().mean((1, 2)).exp()
    worst = (norm.ratio(delta).amax((1, 2)) * unit).sqrt()
    found = [choose(norm, 1.0, power, 0.0).lengths(delta) for power in (2.0, 8.0, 50.0, 1000.0)]
    assert all((a < b).all() for a, b in itertools.pairwise(found))
    assert (found[-1] < worst).all()
    torch.testing.assert_close(found[-1], worst, rtol=0.02, atol=0)
    power = norm.ratio(delta).mean((1, 2)) * unit
    torch.testing.assert_close(found[0], power.sqrt(), msg="at power 2 it is the mean's root")


def test_deeper_norms_put_less_where_less_is_hidden() -> None:
    """The clip's second half is silent: the deeper, the less of a direction lies there."""
    sr, samples = 22050, 8820
    norm = HiddenNorm(room(clip(sr, samples)[1:], sr=sr), sr, samples)
    gradient = noise(1, samples, seed=7)
    late = []
    for depth in (0.0, 0.5, 1.0):
        up = choose(norm, depth, 2.0, 0.0).heading(gradient)
        late.append(float(up[0, 3 * samples // 4 :].norm() / up.norm()))
    assert late[0] > 0.4 > 0.1 > late[1] > 10 * late[2]


def test_levelling_evens_out_what_is_heard() -> None:
    sr, samples = 22050, 8820
    norm, gradient = made(sr, samples), noise(2, samples, seed=8)

    def spread(levelling: float) -> Tensor:
        return norm.ratio(choose(norm, 1.0, 2.0, levelling).heading(gradient)).log().flatten(1).std(1)

    assert (spread(1.0) < 0.75 * spread(0.7)).all() and (spread(0.7) < 0.6 * spread(0.0)).all()


def test_weights_grow_where_most_is_heard() -> None:
    sr, samples = 22050, 4000
    norm, delta = made(sr, samples), 1e-3 * noise(2, samples, seed=9)
    before = choose(norm, 1.0, 2.0, 0.0).lengths(delta)
    loudest = norm.ratio(delta).flatten(1).argmax(1)
    for _ in range(3):
        norm.reweigh(delta, 0.5)
    weight = norm.weight.flatten(1)
    assert torch.equal(weight.argmax(1), loudest)
    torch.testing.assert_close(weight.amax(1), torch.ones(2))
    assert (weight >= 1e-3).all() and (weight.median(1).values < 0.9).all()
    assert (norm.lengths(delta) < before).all(), "what is heard less has come to count for less"
    assert (norm.depth, norm.power, norm.levelling) == (1.0, 2.0, 0.0)


def test_room_is_the_threshold_but_where_the_ear_may_not_be_dull() -> None:
    sr, y = 44100, clip(44100, 22050)
    hidden, filled = masking_threshold(y, sr=sr), room(y, sr=sr)
    assert (filled <= hidden * (1 + 1e-5)).all()
    bands = critical_bands(sr)
    # Away from the ends of the ear's range the two are the same.
    middle = (bands.centre > 500) & (bands.centre < 8000)
    torch.testing.assert_close(filled[:, middle], hidden[:, middle])
    # In silence no more than is heard of DULL dB SPL.
    most = 10 ** ((DULL - 92) / 10) / 2
    assert float(room(torch.zeros(1, 22050), sr=sr).max()) <= most * (1 + 1e-5)
    # Played more softly, as much more may be filled of what is as loud.
    softer = room(y / 10, sr=sr, level=112.0)
    torch.testing.assert_close(softer * 100, filled, rtol=1e-3, atol=0)


def test_ratios_are_the_power_over_the_threshold() -> None:
    sr, samples = 22050, 4000
    norm, delta = made(sr, samples), 1e-3 * noise(2, samples, seed=10)
    torch.testing.assert_close(norm.ratio(delta) * norm.threshold, band_power(delta, sr=sr))
