"""The harmonic tone: partials where they belong and as loud as asked, its gradient by differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from subterfuge.synthesis.harmonic import (
    BANDS,
    PARTIALS,
    Hiss,
    audible,
    band_shapes,
    harmonic,
    phase_of,
    smooth,
)
from subterfuge.synthesis.phrase import analysed, drawn_phrase
from subterfuge.synthesis.tone import tone

SR = 16000
HOP = 100


def test_a_known_pitch_has_its_partials_at_its_multiples_with_the_levels_given() -> None:
    """A whole number of periods: every partial falls into one bin of the transform, and all else is empty."""
    f0 = torch.full((SR // HOP + 1,), 200.0, dtype=torch.float64)
    wanted = torch.tensor([0.5, 0.0, 0.25, 0.125], dtype=torch.float64)
    y = tone(phase_of(f0, HOP, SR), wanted.expand(len(f0), 4).contiguous())
    amplitude = torch.fft.rfft(y).abs() * 2 / SR  # bins of one hertz
    assert amplitude[[200, 400, 600, 800]].numpy() == pytest.approx(wanted.numpy(), abs=1e-9)
    others = torch.ones(len(amplitude), dtype=torch.bool)
    others[[200, 400, 600, 800]] = False
    assert float(amplitude[others].max()) < 1e-9


def test_it_is_the_sum_that_it_says_also_while_levels_and_pitch_move() -> None:
    g = torch.Generator().manual_seed(0)
    frames, hop, partials = 7, 30, 5
    phase = torch.rand(frames * hop, generator=g, dtype=torch.float64).cumsum(0)
    levels = torch.rand(frames + 1, partials, generator=g, dtype=torch.float64)
    course = np.stack(
        [
            np.interp(np.arange(frames * hop) / hop, np.arange(frames + 1), levels[:, h])
            for h in range(partials)
        ]
    )
    by_hand = sum(course[h] * np.sin((h + 1) * phase.numpy()) for h in range(partials))
    assert tone(phase, levels).numpy() == pytest.approx(by_hand, abs=1e-12)


def test_its_gradient_is_that_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(1)
    phase = torch.rand(12, generator=g, dtype=torch.float64).cumsum(0).requires_grad_()
    levels = torch.rand(4, 3, generator=g, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(tone, (phase, levels))


def test_the_pitch_s_gradient_goes_through_the_phase() -> None:
    f0 = torch.tensor([30.0, 41.0, 37.0], dtype=torch.float64, requires_grad=True)
    levels = torch.tensor([[1.0, 0.5]] * 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: tone(phase_of(f, 8, 1000), levels), (f0,))


def test_float32_is_good_enough_for_the_highest_partial() -> None:
    f0 = torch.full((SR // HOP + 1,), 91.7)
    levels = torch.zeros(len(f0), PARTIALS)
    levels[:, -1] = 1
    y = tone(phase_of(f0, HOP, SR), levels)
    t = torch.arange(1, SR + 1, dtype=torch.float64) / SR
    assert float((y - torch.sin(2 * math.pi * PARTIALS * 91.7 * t)).abs().max()) < 2e-3


def test_a_phase_never_jumps() -> None:
    f0 = torch.linspace(100, 900, 41, dtype=torch.float64)
    turned = phase_of(f0, HOP, SR).diff() % (2 * math.pi)
    assert float(turned.max()) < 2 * math.pi * 905 / SR
    assert float(turned.min()) > 2 * math.pi * 99 / SR


def test_partials_over_half_the_rate_are_silent_and_those_well_below_are_whole() -> None:
    share = audible(torch.tensor([1000.0, 100.0]), 10, SR)
    assert share[0].tolist()[:7] == [1] * 7
    assert share[0].tolist()[7:] == [0] * 3
    assert share[1].tolist() == [1] * 10


def test_smooth_courses_keep_constants_and_straight_lines() -> None:
    weights = smooth(61, 7)
    assert weights.sum(1).numpy() == pytest.approx(np.ones(61), abs=1e-6)
    inner = (weights @ torch.arange(7.0))[10:-10]
    assert inner.numpy() == pytest.approx(np.linspace(0, 6, 61)[10:-10], abs=1e-5)


def test_noise_is_in_the_bands_that_it_is_asked_for_and_as_loud() -> None:
    hop, frames, n = 128, 250, 2 * SR
    hiss = Hiss(n, SR, torch.Generator().manual_seed(0))
    levels = torch.zeros(frames + 1, BANDS)
    levels[:, 12] = 0.1
    y = hiss(levels, hop)
    centre = 700 * (math.exp(math.log1p(SR / 2 / 700) * 12 / (BANDS - 1)) - 1)
    power = torch.fft.rfft(y).abs().square()
    f = torch.fft.rfftfreq(n, 1 / SR)
    assert float((power * f).sum() / power.sum()) == pytest.approx(centre, rel=0.03)
    everywhere = hiss(torch.full_like(levels, 0.1), hop)
    assert float(everywhere.square().mean().sqrt()) == pytest.approx(0.1, rel=0.03)
    assert band_shapes(512, SR, BANDS).sum(1).numpy() == pytest.approx(np.ones(257), abs=1e-5)


def test_an_instrument_begins_with_the_notes_of_a_clip() -> None:
    t = torch.arange(SR) / SR
    clip = sum(a * torch.sin(2 * math.pi * 300 * h * t) for h, a in ((1, 0.2), (2, 0.1), (3, 0.05)))
    phrase = analysed(clip[None], sr=SR, hop=HOP, frames=SR // HOP, partials=8, bands=BANDS)
    middle = slice(40, 120)
    assert phrase.f0[middle].numpy() == pytest.approx(300, rel=0.01)
    assert phrase.partials is not None
    levels = (phrase.partials + phrase.loudness[:, None]).exp()[middle].mean(0)
    assert levels[:3].numpy() == pytest.approx([0.2, 0.1, 0.05], rel=0.2)
    assert float(levels[3:].max()) < 0.01
    y = harmonic(samples=SR, sr=SR, generator=torch.Generator().manual_seed(0), start=clip[None]).render()
    amplitude = torch.fft.rfft(y[0].detach() * torch.hann_window(SR)).abs() * 4 / SR
    peaks = [float(amplitude[h * 300 - 12 : h * 300 + 13].square().sum().sqrt()) for h in (1, 2, 3)]
    assert peaks[0] > peaks[1] > peaks[2] > 0.01


def test_drawn_phrases_differ_by_their_seed_alone() -> None:
    one, same, other = (
        drawn_phrase(300, 3.0, generator=torch.Generator().manual_seed(s)).f0 for s in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
