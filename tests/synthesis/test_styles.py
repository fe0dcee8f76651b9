"""The styles: each begins where it is told, stays within its prior, and every number of it can be moved."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.synthesis.clip import clip
from subterfuge.synthesis.free import free
from subterfuge.synthesis.grains import Sounds, cut
from subterfuge.synthesis.mosaic import mosaic
from subterfuge.synthesis.sound import Sound
from subterfuge.synthesis.spectral import spectral
from subterfuge.synthesis.styles import STYLES, find_style

SR = 16000
SAMPLES = 8000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def melody(*hertz: float, samples: int = SAMPLES) -> Tensor:
    t = torch.arange(samples) / SR
    return 0.2 * sum(torch.sin(2 * math.pi * f * t) for f in hertz)[None]


def sounds() -> Sounds:
    noise = 0.1 * torch.randn(SAMPLES, generator=generator())
    return Sounds((melody(300.0)[0], melody(2000.0)[0], noise), ("low", "high", "noise"))


def made(style: str, seed: int = 0, **options: object) -> Sound:
    if style == "clip":
        options.setdefault("start", melody(440.0, 1000.0))
    if style == "mosaic":
        options.setdefault("grains", sounds())
    return find_style(style).make()(samples=SAMPLES, sr=SR, generator=generator(seed), **options)


def snr(clean: Tensor, changed: Tensor) -> float:
    return float(10 * torch.log10(clean.square().sum() / (changed - clean).square().sum()))


@pytest.mark.parametrize("style", STYLES)
def test_every_knob_moves_the_sound(style: str) -> None:
    sound = made(style)
    y = sound.render()
    assert y.shape == (1, SAMPLES)
    assert y.dtype == torch.float32
    weights = torch.randn(1, SAMPLES, generator=generator(5))
    (y * weights).sum().backward()
    for one in sound.knobs:
        assert one.value.grad is not None
        assert bool(one.value.grad.isfinite().all())
        assert float(one.value.grad.abs().max()) > 0


@pytest.mark.parametrize("style", STYLES)
def test_the_seed_alone_decides_where_it_begins(style: str) -> None:
    one, same, other = (made(style, seed).render() for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("style", ["free", "spectral", "harmonic"])
def test_its_gradient_is_that_of_finite_differences(style: str) -> None:
    """Along a random direction through all the knobs (but those of pitch: see the tests of the tone)."""
    sound = made(style)
    g = generator(7)
    weights = torch.randn(1, SAMPLES, generator=g)
    knobs = sound.knobs[2:] if style == "harmonic" else sound.knobs

    def value() -> Tensor:
        return (sound.render() * weights).double().sum()

    ways = [torch.randn(one.value.shape, generator=g) for one in knobs]
    value().backward()
    slope = sum(float((one.value.grad * way).sum()) for one, way in zip(knobs, ways, strict=True))
    ends = []
    for step in (1e-3, -2e-3):
        with torch.no_grad():
            for one, way in zip(knobs, ways, strict=True):
                one.value.add_(way, alpha=step)
            ends.append(float(value()))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.03)


@pytest.mark.parametrize("make", [free, spectral])
def test_it_begins_with_the_clip_it_is_given(make: object) -> None:
    start = melody(440.0, 3000.0)
    begun = make(samples=SAMPLES, sr=SR, generator=generator(), start=start).render()  # type: ignore[operator]
    assert snr(start, begun.detach()) > 35


def test_silence_is_a_place_to_begin_too() -> None:
    for style in ("free", "spectral", "harmonic", "mosaic"):
        y = made(style, start=torch.zeros(1, SAMPLES)).render()
        assert bool(y.isfinite().all())
        assert float(y.detach().abs().max()) < 0.1


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("bound", [10.0, 20.0, 40.0])
def test_a_clip_never_changes_by_more_than_its_bound(size: float, bound: float) -> None:
    start = melody(440.0, 1000.0)
    sound = made("clip", start=start, snr_db=bound)
    assert sound.finish is not None
    with torch.no_grad():
        sound.knobs[0].value.copy_(size * torch.randn(1, SAMPLES, generator=generator(3)))
        y = sound.finish(sound.render())
    clean = start - start.mean()
    reached = sound.told()["snr_db"]
    assert reached >= bound
    assert reached == (pytest.approx(snr(clean, y), abs=0.05) if size else math.inf)
    if size >= 1:
        assert reached < bound + 0.5


def test_a_clip_that_is_too_loud_is_turned_down_first() -> None:
    start = melody(440.0) * 5
    sound = made("clip", start=start)
    assert sound.finish is not None
    y = sound.finish(sound.render()).detach()
    assert float(y.abs().max()) <= 10 ** (-1 / 20)
    assert snr(start * (0.891 / start.abs().max()), y) > 20


@pytest.mark.parametrize(("start", "bound"), [(torch.zeros(1, 100), 20.0), (torch.ones(1, 100), -50.0)])
def test_a_clip_of_silence_and_a_bound_that_is_none_are_refused(start: Tensor, bound: float) -> None:
    with pytest.raises(SubterfugeError, match=r"clip|snr"):
        clip(samples=100, sr=SR, generator=generator(), start=start, snr_db=bound)


def test_a_mosaic_is_laid_of_whole_grains_each_as_loud_as_it_says() -> None:
    """One grain on in each of two neighbouring slots: what is heard is those two, faded into each other."""
    grains = cut(sounds(), 3840, generator=generator())
    sound = made("mosaic")
    roots, loud = (one.value for one in sound.knobs)
    with torch.no_grad():
        roots.zero_()
        roots[1, 0], roots[2, 4] = 1.0, 2.0
    by_hand = torch.zeros(SAMPLES + 3840)
    by_hand[0:3840] += grains.audio[0]
    by_hand[1920:5760] += 4 * grains.audio[4]
    y = sound.render().detach()[0]
    assert torch.allclose(y, by_hand[:SAMPLES] * (0.08 * loud.exp()), atol=1e-5)
    assert sound.toll is not None
    assert float(sound.toll().detach()) == 0.0


def test_a_mosaic_tells_what_it_is_made_of_and_pays_for_mixing() -> None:
    sound = made("mosaic")
    roots = sound.knobs[0].value
    slots, count = roots.shape
    assert sound.toll is not None
    tolls = []
    for many in (1, 4):
        with torch.no_grad():
            roots.zero_()
            roots[:, :many] = 1.0
        tolls.append(float(sound.toll().detach()))
    assert tolls == pytest.approx([0, 0.15 * (2 - 1)], abs=1e-4)
    assert sound.told() == {"low": 0.75, "high": 0.25, "noise": 0.0}
    assert count > 4
    assert slots == -(-SAMPLES // 1920) + 1


def test_a_mosaic_begins_with_the_grains_most_like_the_clip() -> None:
    sound = made("mosaic", start=melody(2000.0))
    told = sound.told()
    assert max(told, key=lambda label: told[label]) == "high"
    assert told["high"] > 0.8


def test_grains_under_their_window_add_up_to_the_sound_again() -> None:
    y = melody(300.0)[0]
    grains = cut(Sounds((y,), ("low",)), 400, generator=generator())
    laid = torch.zeros(SAMPLES)
    level = [float(y[i : i + 400].square().mean().sqrt()) for i in range(0, SAMPLES - 399, 200)]
    assert len(grains.audio) == len(level)
    for number, (grain, loud) in enumerate(zip(grains.audio, level, strict=True)):
        laid[200 * number : 200 * number + 400] += grain * loud
    assert torch.allclose(laid[200:-200], y[200:-200], atol=1e-5)


def test_no_grain_is_cut_from_silence() -> None:
    made_ = cut(Sounds((torch.zeros(800), melody(500.0)[0]), ("none", "some")), 400, generator=generator())
    assert set(made_.labels) == {"some"}
    with pytest.raises(SubterfugeError, match="silent"):
        cut(Sounds((torch.zeros(800),), ("none",)), 400, generator=generator())


def test_an_unknown_style_is_answered_with_the_nearest() -> None:
    with pytest.raises(SubterfugeError, match="did you mean harmonic"):
        find_style("harmonik")
    with pytest.raises(SubterfugeError, match="free, spectral"):
        find_style("xyz")
    assert [one.steps > 0 for one in STYLES.values()] == [True] * 5


def test_the_embedded_clips_are_what_a_mosaic_is_of_by_default() -> None:
    sound = mosaic(samples=4000, sr=8000, generator=generator())
    shares = list(sound.told().values())
    assert sum(shares) == pytest.approx(1)
    assert all(a >= b for a, b in pairwise(shares))
    assert len(shares) > 5
