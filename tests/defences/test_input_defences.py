"""Every defence at the input through one table: shape, repeatability, true slopes or honest stand-ins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from subterfuge.defences.input.bits import Bits
from subterfuge.defences.input.codec import Opus, Vorbis
from subterfuge.defences.input.defence import Defence, make, options_of
from subterfuge.defences.input.dropout import Dropout
from subterfuge.defences.input.gate import Gate
from subterfuge.defences.input.lowpass import LowPass
from subterfuge.defences.input.median import Median
from subterfuge.defences.registry import DEFENCES, find, get_defence
from subterfuge.errors import SubterfugeError
from subterfuge.transforms.transform import freeze

WRAPS = [name for name, entry in DEFENCES.items() if entry.kind == "wrap"]
CODECS = ("mp3", "ogg", "opus")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip(rows: int = 2, samples: int = 4000, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Two tones that swell, and some noise: something that codecs and gates keep a part of."""
    t = torch.arange(samples, dtype=torch.float64) / 8000
    tone = torch.sin(2 * torch.pi * 440 * t) * torch.exp(-(((t - 0.2) / 0.1) ** 2)) + 0.3 * torch.sin(
        3000 * t
    )
    noise = 0.02 * torch.randn(rows, samples, generator=generator(9), dtype=torch.float64)
    return (0.2 * tone + noise).to(dtype)


@pytest.mark.parametrize("name", WRAPS)
def test_shape_draws_and_rows(name: str) -> None:
    defence, y, state = make(name), clip(), torch.get_rng_state()
    first, again, other = (freeze(defence, generator(seed)) for seed in (3, 3, 4))
    out = first(y, sr=24000)
    assert out.shape == y.shape and bool(out.isfinite().all())
    assert not torch.equal(out, y), "nothing was done"
    assert torch.equal(out, again(y, sr=24000)), "the same draw, but another sound"
    assert torch.equal(out, other(y, sr=24000)) is not defence.random
    torch.testing.assert_close(first(y[1:], sr=24000)[0], out[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(state, torch.get_rng_state()) and torch.equal(y, clip())
    assert defence.name == name and defence.adaptive == find(name).adaptive


@pytest.mark.parametrize("name", WRAPS)
def test_no_clips_are_no_trouble(name: str) -> None:
    assert freeze(make(name), generator())(torch.zeros(0, 3000), sr=44100).shape == (0, 3000)


@pytest.mark.parametrize("sr", [8000, 44100, 192000])
@pytest.mark.parametrize("name", WRAPS)
def test_a_sample_or_silence_at_any_rate(name: str, sr: int) -> None:
    for y in (torch.full((2, 1), 0.3), torch.full((1, 2), -0.3), torch.zeros(1, 3000)):
        y.requires_grad_()
        out = freeze(make(name), generator())(y, sr=sr)
        assert out.shape == y.shape and bool(out.isfinite().all())
        (slope,) = torch.autograd.grad(out.sum(), y)
        assert bool(slope.isfinite().all())


@pytest.mark.parametrize("name", [one for one in WRAPS if find(one).adaptive != "straight-through"])
def test_slopes_are_those_of_finite_differences(name: str) -> None:
    frozen = freeze(make(name), generator(1))
    y = clip(1, 2500, dtype=torch.float64).requires_grad_()
    way, weight = (torch.randn(1, 2500, generator=generator(seed), dtype=torch.float64) for seed in (1, 2))

    def value(x: Tensor) -> Tensor:
        return (frozen(x, sr=24000) * weight).sum()

    (slope,) = torch.autograd.grad(value(y), y)
    step = 1e-5 if name == "resample" else 1e-7
    with torch.no_grad():
        wanted = float(value(y + step * way) - value(y - step * way)) / (2 * step)
    # soxr works in single precision within.
    rel = 2e-3 if name == "resample" else 1e-5
    assert float((slope * way).sum()) == pytest.approx(wanted, rel=rel, abs=1e-4)


@pytest.mark.parametrize("name", [one for one in WRAPS if find(one).adaptive == "straight-through"])
def test_a_stand_in_leads_uphill(name: str) -> None:
    """A step along it changes what comes out the way that it says, which a slope of zero would not."""
    frozen = freeze(make(name), generator())
    y = clip(1).requires_grad_()
    t = torch.arange(4000) / 8000
    wanted = torch.sin(2 * torch.pi * 440 * t)[None] / 40
    out = frozen(y, sr=8000)
    (slope,) = torch.autograd.grad((out * wanted).sum(), y)
    assert bool(slope.isfinite().all()) and float(slope.norm()) > 0.1 * float(wanted.norm())
    with torch.no_grad():
        gained = (frozen(y + 2 * slope / slope.norm(), sr=8000) - out) * wanted
    assert float(gained.sum()) > 0.5 * float((wanted * slope / slope.norm()).sum())


def test_values_by_hand() -> None:
    y = torch.tensor([[0.1, -0.4, 0.9, 0.2, 0.2]])
    assert Median(3).apply(y, sr=1, drawn={}).tolist() == [
        [pytest.approx(one) for one in (0.1, 0.1, 0.2, 0.2, 0.2)]
    ]
    assert Bits(3).apply(y, sr=1, drawn={}).tolist() == [[0.0, -0.5, 0.75, 0.25, 0.25]]
    # A tone within the band is let through, one above is not.
    t = torch.arange(8000, dtype=torch.float64) / 8000
    low, high = (torch.sin(2 * torch.pi * hertz * t)[None] for hertz in (500, 3000))
    left = LowPass(1500.0).apply(low + high, sr=8000, drawn={})
    assert float((left - low)[:, 500:-500].abs().max()) < 2e-3


def test_dropout_leaves_out_the_share_that_it_says() -> None:
    y = torch.randn(1, 80000, generator=generator(), dtype=torch.float64)
    for share in (0.0, 0.25, 0.6):
        out = Dropout(share).apply(y, sr=8000, drawn={"seed": 5})
        # Projected onto what went in, as much is left as there are cells.
        left = float((out * y).sum() / y.square().sum())
        assert left == pytest.approx(1 - share, abs=0.02)


def test_the_gate_takes_what_is_faint_and_leaves_what_stands_out() -> None:
    """A loud moment in steady noise, of the same colour: a gate that heeds no levels could not tell them."""
    noise = 0.01 * torch.randn(48000, generator=generator())
    noise[24000:27000] *= 20
    out = Gate(stationary=True).apply(noise[None], sr=16000, drawn={})[0]
    quiet, loud = slice(1000, 16000), slice(24500, 26500)
    assert float(out[quiet].norm()) < 0.05 * float(noise[quiet].norm())
    assert float((out - noise)[loud].norm()) < 0.1 * float(noise[loud].norm())


@pytest.mark.parametrize("stationary", [True, False])
@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_the_gate_is_noisereduce_s(stationary: bool, sr: int) -> None:
    torchgate = pytest.importorskip("noisereduce.torchgate", reason="noisereduce is not installed")
    t = torch.arange(256 * 90) / sr
    noise = 0.01 * torch.randn(2, len(t), generator=generator(1))
    y = noise + 0.3 * torch.sin(2 * torch.pi * 440 * t) * (t > 0.3)
    theirs = torchgate.TorchGate(sr=sr, nonstationary=not stationary)(y)
    torch.testing.assert_close(Gate(stationary).apply(y, sr=sr, drawn={}), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("codec", [Vorbis(0.5), Opus(64)], ids=lambda one: one.name)
@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_codecs_move_nothing_and_keep_most(codec: Defence, sr: int) -> None:
    t = np.arange(sr // 2) / sr
    swell = np.exp(-(((t - 0.2) / 0.05) ** 2))
    y = 0.2 * swell * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 9) if 220 * k < 0.4 * sr)
    ours = codec.apply(torch.from_numpy(y).float()[None], sr=sr, drawn={})[0].double().numpy()
    assert int(np.correlate(ours, y, mode="full").argmax()) == len(y) - 1
    assert 1e-4 < np.linalg.norm(ours - y) / np.linalg.norm(y) < 0.2


def test_better_codecs_lose_less() -> None:
    y = clip(1, 16000)

    def lost(one: Defence) -> float:
        return float((one.apply(y, sr=8000, drawn={}) - y).norm())

    assert lost(make("opus", kbps=128)) < lost(make("opus", kbps=8))
    assert lost(make("ogg", quality=1.0)) < lost(make("ogg", quality=0.0))
    assert lost(make("bits", bits=12)) < lost(make("bits", bits=6))


def test_names_and_options() -> None:
    assert make("Gate-Nonstationary") == Gate(stationary=False)
    assert make("gate", strength="0.5", stationary="no") == Gate(False, 0.5)
    for name in DEFENCES:
        assert callable(get_defence(name))
    for name in WRAPS:
        assert make(name, **options_of(name)) == make(name)
    wrong = [
        ("medain", {}, "did you mean median"),
        ("median", {"width": 3}, "expected size"),
        ("median", {"size": "many"}, "a whole number"),
        ("median", {"size": 4}, "odd"),
        ("bits", {"bits": 1}, "2 to 24"),
        ("gate", {"strength": 2}, "0 to 1"),
        ("gate", {"stationary": "perhaps"}, "true or false"),
        ("opus", {"kbps": "nan"}, "6 to 256"),
        ("smoothing", {}, "expected one at the input"),
    ]
    for name, options, message in wrong:
        with pytest.raises(SubterfugeError, match=message):
            make(name, **options)
