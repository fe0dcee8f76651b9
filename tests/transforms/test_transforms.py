"""Transforms: drawn from the generator alone, the same once frozen, true values and slopes, a real codec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.transforms.crop import Crop
from subterfuge.transforms.gain import Gain
from subterfuge.transforms.mp3 import RATES, Mp3, encode, mp3_rate
from subterfuge.transforms.named import STRENGTHS, TRANSFORMS, named
from subterfuge.transforms.noise import Noise
from subterfuge.transforms.resample import Resample
from subterfuge.transforms.shift import Shift
from subterfuge.transforms.transform import Frozen, freeze


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip(rows: int = 2, samples: int = 4410, *, dtype: torch.dtype = torch.float32) -> Tensor:
    return 0.1 * torch.randn(rows, samples, generator=generator(9), dtype=dtype)


def music(sr: int, seconds: float = 0.5) -> np.ndarray:
    """Partials that swell and fade: something that a codec keeps, and whose place in time can be told."""
    t = np.arange(round(seconds * sr)) / sr
    swell = np.exp(-(((t - 0.2) / 0.05) ** 2))
    y = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 9) if 220 * k < 0.4 * sr)
    return np.asarray(0.2 * swell * y, dtype=np.float32)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_draws_come_from_the_generator_alone_and_a_frozen_one_repeats_exactly(name: str) -> None:
    transform, y, state = TRANSFORMS[name], clip(), torch.get_rng_state()
    first, again, other = (freeze(transform, generator(seed)) for seed in (3, 3, 4))
    assert first == again and first != other
    assert torch.equal(first(y, sr=8000), first(y, sr=8000))
    assert torch.equal(first(y, sr=8000), again(y, sr=8000))
    assert torch.equal(state, torch.get_rng_state())
    # Each row by itself, and the input as it was.
    torch.testing.assert_close(first(y[1:], sr=8000)[0], first(y, sr=8000)[1], rtol=1e-6, atol=1e-7)
    assert torch.equal(y, clip())


RANGES: list[tuple[Callable[[float, float], object], str, float, float]] = [
    (Gain, "db", 2, 5),
    (Shift, "seconds", 0.01, 0.02),
    (Noise, "snr_db", 20, 30),
    (Crop, "off", 0.1, 0.3),
    (Resample, "sr", 9000, 12000),
    (Mp3, "kbps", 64, 128),
]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
@pytest.mark.parametrize(("kind", "key", "low", "high"), RANGES)
def test_what_is_drawn_lies_in_the_range(kind: type, key: str, low: float, high: float, seed: int) -> None:
    drawn = kind(low, high).draw(generator(seed))[key]
    assert low - 1e-12 <= abs(drawn) <= high + 1e-12


@pytest.mark.parametrize("kind", [Gain, Shift])
def test_both_signs_are_drawn_about_as_often(kind: type) -> None:
    g = generator()
    positive = sum(next(iter(kind(1, 2).draw(g).values())) > 0 for _ in range(400))
    assert 150 < positive < 250


@pytest.mark.parametrize("kind", [kind for kind, *_ in RANGES])
def test_a_range_that_makes_no_sense_is_refused(kind: type) -> None:
    for low, high in ((3e7, 4e7), (2, 1), (float("nan"), 1)):
        with pytest.raises(SubterfugeError, match="expected a range within"):
            kind(low, high)


def test_values_by_hand() -> None:
    y = torch.tensor([[0.1, -0.2, 0.4, 0.8]])
    torch.testing.assert_close(
        Gain().apply(y, sr=1, drawn={"db": 6.0}), (y * 10**0.3).clamp(-1, 1), rtol=1e-6, atol=0
    )
    assert Gain().apply(y, sr=1, drawn={"db": 6.0})[0, 3] == 1
    assert Shift().apply(y, sr=10, drawn={"seconds": -0.2}).tolist() == [[*y[0, 2:].tolist(), 0.0, 0.0]]
    assert Shift().apply(y, sr=10, drawn={"seconds": 9.0}).tolist() == [[0.0] * 4]
    assert torch.equal(Shift().apply(y, sr=10, drawn={"seconds": 0.04}), y)
    assert Crop().apply(y, sr=1, drawn={"off": 0.5, "first": 1.0}).tolist() == y[:, 2:].tolist()
    assert Crop().apply(y[:, :1], sr=1, drawn={"off": 0.99, "first": 0.5}).shape == (1, 1)


@pytest.mark.parametrize("snr_db", [0.0, 17.0, 60.0])
def test_noise_has_the_ratio_that_was_drawn_for_each_row_and_no_colour(snr_db: float) -> None:
    y = clip(2, 40000, dtype=torch.float64)
    y[1] *= 0.01
    added = Noise().apply(y, sr=8000, drawn={"snr_db": snr_db, "seed": 5}) - y
    ratio = 20 * torch.log10(y.norm(dim=1) / added.norm(dim=1))
    torch.testing.assert_close(ratio, torch.full_like(ratio, snr_db), rtol=0, atol=0.01)
    power = torch.fft.rfft(added[1]).abs().square()
    halves = power[1:10001].mean() / power[10001:].mean()
    assert 0.93 < halves < 1.07
    other = Noise().apply(y, sr=8000, drawn={"snr_db": snr_db, "seed": 6}) - y
    assert abs(float((added[0] * other[0]).sum() / added[0].norm() / other[0].norm())) < 0.05


def test_resampling_takes_the_treble_and_leaves_the_rest() -> None:
    t = torch.arange(44100, dtype=torch.float64) / 44100
    low, high = (0.3 * torch.sin(2 * torch.pi * hertz * t)[None] for hertz in (1000, 10000))
    middle = slice(4000, 40000)
    kept = Resample().apply(low + high, sr=44100, drawn={"sr": 16000.0})
    assert float((kept - low)[:, middle].abs().max()) < 1e-3


DIFFERENTIABLE: list[Frozen] = [
    Frozen(Gain(), {"db": -4.0}),
    Frozen(Gain(), {"db": 5.0}),
    Frozen(Shift(), {"seconds": 0.003}),
    Frozen(Shift(), {"seconds": -0.002}),
    Frozen(Noise(), {"snr_db": 6.0, "seed": 1}),
    Frozen(Crop(), {"off": 0.3, "first": 0.4}),
    Frozen(Resample(), {"sr": 5000.0}),
]


@pytest.mark.parametrize("frozen", DIFFERENTIABLE, ids=lambda one: f"{one.transform.name} {one.drawn}")
def test_slopes_are_those_of_finite_differences(frozen: Frozen) -> None:
    y = clip(1, 600, dtype=torch.float64).requires_grad_()
    way = torch.randn(1, 600, generator=generator(1), dtype=torch.float64)
    weight = torch.randn(frozen(y.detach(), sr=8000).shape, generator=generator(2), dtype=torch.float64)

    def value(x: Tensor) -> Tensor:
        return (frozen(x, sr=8000) * weight).sum()

    (slope,) = torch.autograd.grad(value(y), y)
    step = 1e-5
    with torch.no_grad():
        wanted = float(value(y + step * way) - value(y - step * way)) / (2 * step)
    # soxr works in single precision within, so that its slope is true to some five digits.
    rel = 2e-3 if frozen.transform.name == "resample" else 1e-6
    assert float((slope * way).sum()) == pytest.approx(wanted, rel=rel, abs=1e-6)


def test_silence_has_a_finite_slope_everywhere() -> None:
    for transform in TRANSFORMS.values():
        y = torch.zeros(1, 3000, requires_grad=True)
        (slope,) = torch.autograd.grad(freeze(transform, generator())(y, sr=8000).sum(), y)
        assert bool(torch.isfinite(slope).all()), transform.name


@pytest.mark.parametrize(("sr", "kbps"), [(44100, 192), (44100, 48), (22050, 64), (8000, 32), (18000, 64)])
def test_mp3_is_what_a_real_file_holds_and_nothing_is_moved(tmp_path: Path, sr: int, kbps: float) -> None:
    y = music(sr)
    rate = mp3_rate(sr)
    assert rate in RATES and (rate == sr or sr == 18000)
    ours = Mp3().apply(torch.from_numpy(y)[None], sr=sr, drawn={"kbps": kbps})[0].numpy()
    assert ours.shape == y.shape
    assert not np.array_equal(ours, y), "nothing was encoded"
    # In its place: the best match is where it was, and close (LAME lowers the level by a twentieth).
    match = np.correlate(ours, y, mode="full")
    assert int(match.argmax()) == len(y) - 1
    assert np.linalg.norm(ours - y) < 0.12 * np.linalg.norm(y)
    if rate != sr:
        return
    path = tmp_path / "a.mp3"
    path.write_bytes(encode(y[:, None], sr=sr, kbps=kbps))
    assert soundfile.info(path).format == "MP3"
    # As long as the clip at so many bits a second, and no more than four frames longer.
    frames = 8 * path.stat().st_size / (1000 * kbps) * sr
    assert len(y) <= frames <= len(y) + 4 * (1152 if sr >= 32000 else 576)
    read = soundfile.read(path, dtype="float32")[0]
    if len(read) == len(y):  # it says how long it is
        np.testing.assert_array_equal(ours, read)


def test_fewer_bits_keep_less() -> None:
    y = torch.from_numpy(music(44100) + 0.02 * clip(1, 22050)[0].numpy())[None]

    def lost(kbps: float) -> float:
        out = Mp3().apply(y, sr=44100, drawn={"kbps": kbps})
        # LAME turns low rates down a little: that is no loss.
        return float((out - (out * y).sum() / y.square().sum() * y).norm())

    assert 1.2 * lost(320) < lost(128) < 0.5 * lost(40)


def test_the_slope_through_mp3_counts_cells_by_what_was_given_back() -> None:
    """Where the decoder gives nothing back there is no slope; where it gives all, it is the identity's."""
    sr, samples = 44100, 22050
    y = torch.from_numpy(music(sr) + 0.003 * clip(1, samples)[0].numpy())[None].requires_grad_()
    out = Mp3().apply(y, sr=sr, drawn={"kbps": 64.0})
    t = torch.arange(samples) / sr
    low, high = (torch.sin(2 * torch.pi * hertz * t) * torch.hann_window(samples) for hertz in (220, 19000))

    def back(direction: Tensor) -> Tensor:
        return torch.autograd.grad(out, y, direction[None], retain_graph=True)[0][0]

    assert float((back(low) * low).sum() / low.square().sum()) > 0.8
    assert float((back(high) * high).sum() / high.square().sum()) < 0.05
    a, b = clip(2, samples)
    assert float((back(a) * b).sum()) == pytest.approx(float((back(b) * a).sum()), rel=1e-3, abs=1e-4)
    # A climb along it raises the value that the decoder gives, here of one partial.
    wanted = low / low.norm()
    before = float((out[0].detach() * wanted).sum())
    after = Mp3().apply(y.detach() + 0.5 * back(wanted)[None], sr=sr, drawn={"kbps": 64.0})
    assert float((after[0] * wanted).sum()) > before + 0.3


def test_names_and_strengths() -> None:
    assert [one.name for one in named(" MP3, gain ,mp3")] == ["mp3", "gain"]
    assert len(named("all")) == len(TRANSFORMS) == len(STRENGTHS)
    for name, strengths in STRENGTHS.items():
        assert len(strengths) > 3 and all(one.name == name for one in strengths.values())
    for wrong, message in (("mp4", "did you mean mp3"), ("", "got nothing"), ("qqq", "expected some of mp3")):
        with pytest.raises(SubterfugeError, match=message):
            named(wrong)


@pytest.mark.parametrize("sr", [8000, 44100, 192000])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_clips_of_a_sample_or_two_at_any_rate(name: str, sr: int) -> None:
    for samples in (1, 2):
        out = freeze(TRANSFORMS[name], generator())(torch.full((2, samples), 0.3), sr=sr)
        assert len(out) == 2 and 1 <= out.shape[1] <= samples
        assert bool(torch.isfinite(out).all()) and out.abs().max() <= 1


@pytest.mark.parametrize("sr", [8000, 44100])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_clips_are_no_trouble(name: str, sr: int) -> None:
    frozen = freeze(TRANSFORMS[name], generator())
    y = torch.zeros(0, 3001, requires_grad=True)
    out = frozen(y, sr=sr)
    assert out.shape == (0, frozen(torch.zeros(1, 3001), sr=sr).shape[1])
    out.sum().backward()
    assert y.grad is not None and y.grad.shape == y.shape
