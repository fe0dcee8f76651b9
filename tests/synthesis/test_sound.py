"""What every sound is made to be: no peak over -1 dBFS, no drift, ends that do not click."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.audio import to_lattice
from subterfuge.synthesis.sound import fades, knob, safe, sloped

LIMIT = 10 ** (-1 / 20)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    samples=st.integers(40, 3000),
    level=st.floats(-90, 60),
    drift=st.floats(-5, 5),
    seed=st.integers(0, 99),
)
def test_any_sound_is_made_safe(samples: int, level: float, drift: float, seed: int) -> None:
    y = torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))
    y = to_lattice(safe(10 ** (level / 20) * y + drift, sr=8000), "PCM_16")
    assert float(y.abs().max()) <= LIMIT
    assert abs(float(y.double().mean())) < 2**-15


def test_what_is_soft_enough_keeps_its_level_and_what_is_below_hearing_goes() -> None:
    t = torch.arange(8000) / 8000
    tone, rumble = 0.5 * torch.sin(2 * torch.pi * 440 * t), 0.3 * torch.sin(2 * torch.pi * 10 * t)
    y = safe((tone + rumble)[None], sr=8000)[0]
    amplitude = torch.fft.rfft(y).abs() * 2 / 8000
    assert float(amplitude[440]) == pytest.approx(0.5, rel=0.01)
    assert float(amplitude[:20].max()) < 1e-6


def test_too_loud_a_sound_is_turned_down_as_a_whole() -> None:
    y = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)) * 0.1
    soft, loud = safe(y, sr=8000), safe(100 * y, sr=8000)
    assert float(loud.abs().max()) == pytest.approx(LIMIT, abs=1e-4)
    assert torch.allclose(loud / loud.abs().max(), soft / soft.abs().max(), atol=1e-4)


def test_its_gradient_is_that_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    for level in (0.1, 3.0):
        y = (level * torch.randn(1, 50, generator=g, dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: safe(x, sr=200), (y,))


def test_the_ends_fade() -> None:
    window = fades(8000, 8000)
    assert window[[0, -1]].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert bool((window[40:-40] == 1).all())
    assert torch.equal(window, window.flip(0))
    assert len(fades(3, 8000)) == 3


def test_weights_fall_by_six_decibels_an_octave() -> None:
    weights = sloped(8000, 8000)
    assert float(weights[1000] / weights[2000]) == pytest.approx(2)
    assert float(weights.square().mean()) == pytest.approx(1)


def test_a_knob_is_a_copy() -> None:
    value = torch.ones(3)
    moved = knob(value, 0.1).value
    with torch.no_grad():
        moved += 1
    assert value.tolist() == [1, 1, 1]
