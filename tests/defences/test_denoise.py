"""``denoise`` beside the package whose default it is, and beside a slow one of loops; the mask's tents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.defences.input import reduced
from subterfuge.defences.input.defence import make
from subterfuge.defences.input.reduced import Reduced
from subterfuge.defences.input.tents import smoothed
from subterfuge.errors import SubterfugeError


def sound(samples: int, sr: int, seed: int = 0) -> np.ndarray:
    """A tone that comes and goes, in noise."""
    t = np.arange(samples) / sr
    noise = 0.01 * np.random.default_rng(seed).standard_normal(samples)
    return 0.3 * np.sin(2 * np.pi * 440 * t) * (t % 0.7 > 0.3) + noise


def slow(y: np.ndarray, sr: int, *, strength: float, piece: int, around: int) -> np.ndarray:
    """The filter as one would write it down: piece by piece, frame by frame, band by band."""
    size = min(len(y), piece)
    silence = np.zeros(around)
    lined = np.concatenate([silence, y, np.zeros(size), silence])
    parts = [
        slow_piece(lined[start : start + size + 2 * around], sr, strength)[around : around + size]
        for start in range(0, len(y), piece)
    ]
    return np.concatenate(parts)[: len(y)]


def slow_piece(y: np.ndarray, sr: int, strength: float) -> np.ndarray:
    """One piece and what is around it."""
    signal = pytest.importorskip("scipy.signal")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    wide = np.concatenate([np.zeros(512), y, np.zeros(512)])
    places = [256 * i for i in range(len(y) // 256 + 1)]
    cells = np.array([np.fft.rfft(window * wide[at : at + 1024]) for at in places]).T
    over = 2.0 * sr / 256
    b = (np.sqrt(1 + 4 * over**2) - 1) / (2 * over**2)
    mean = signal.filtfilt([b], [1, b - 1], np.abs(cells), axis=-1, padtype=None)
    mask = 1 / (1 + np.exp(-10 * (np.abs(cells) / mean - 3)))
    bands, frames = int(500 * 512 / sr), int(0.05 * sr / 256)
    mask = np.apply_along_axis(np.convolve, 0, mask, tent(bands), mode="full")[bands:-bands]
    mask = np.apply_along_axis(np.convolve, 1, mask, tent(frames), mode="full")[:, frames:-frames]
    left, weight = np.zeros(len(wide)), np.zeros(len(wide))
    for at, column in zip(places, (cells * (1 - strength * (1 - mask))).T, strict=True):
        left[at : at + 1024] += window * np.fft.irfft(column)
        weight[at : at + 1024] += window**2
    return (left / np.maximum(weight, 1e-10))[512:-512]


def tent(reach: int) -> np.ndarray:
    """So many neighbours either way."""
    box = np.ones(reach + 1) / (reach + 1)
    return np.convolve(box, box)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Pieces small enough for loops."""
    monkeypatch.setattr(reduced, "_PIECE", 6100)
    monkeypatch.setattr(reduced, "_AROUND", 2900)
    return {"piece": 6100, "around": 2900}


@pytest.mark.parametrize("samples", [40, 5000, 6100, 6101, 9000, 17000])
@pytest.mark.parametrize(("sr", "strength"), [(8000, 1.0), (44100, 0.6)])
def test_it_is_the_filter_as_one_would_write_it_down(
    pieces: dict[str, int], samples: int, sr: int, strength: float
) -> None:
    """A piece with silence around it, with a neighbour shorter than what is looked at, and between."""
    rows = np.stack([sound(samples, sr, seed) for seed in (1, 2)])
    ours = Reduced(strength).apply(torch.from_numpy(rows), sr=sr, drawn={})
    theirs = np.stack([slow(row, sr, strength=strength, **pieces) for row in rows])
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-10)
    single = Reduced(strength).apply(torch.from_numpy(rows).float(), sr=sr, drawn={})
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "sr"),
    [(1, 22050), (700, 16000), (66_150, 22050), (48_000, 16000), (132_300, 44100), (600_001, 16_000)],
)
def test_it_is_what_noisereduce_does(samples: int, sr: int) -> None:
    noisereduce = pytest.importorskip("noisereduce", reason="noisereduce is not installed")
    y = sound(samples, sr)
    for strength, dtype, off in ((1.0, np.float64, 1e-9), (0.7, np.float32, 1e-6)):
        theirs = noisereduce.reduce_noise(y=y.astype(dtype), sr=sr, prop_decrease=strength)
        ours = Reduced(strength).apply(torch.from_numpy(y.astype(dtype))[None], sr=sr, drawn={})[0]
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=off)


def test_it_is_what_noisereduce_does_with_a_piece_between_two_others() -> None:
    noisereduce = pytest.importorskip("noisereduce", reason="noisereduce is not installed")
    y = sound(1_210_000, 44100)
    ours = Reduced().apply(torch.from_numpy(y)[None], sr=44100, drawn={})[0]
    np.testing.assert_allclose(ours.numpy(), noisereduce.reduce_noise(y=y, sr=44100), rtol=0, atol=1e-9)


@pytest.mark.parametrize("samples", [3000, 9000])
def test_slopes_are_those_of_finite_differences_in_pieces_too(pieces: dict[str, int], samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    way, weight = torch.randn(2, 2, samples, generator=generator, dtype=torch.float64)
    y = torch.from_numpy(np.stack([sound(samples, 16000, seed) for seed in (1, 2)])).requires_grad_()

    def value(x: Tensor) -> Tensor:
        return (Reduced(0.9).apply(x, sr=16000, drawn={}) * weight).sum()

    (slope,) = torch.autograd.grad(value(y), y)
    with torch.no_grad():
        wanted = float(value(y + 1e-7 * way) - value(y - 1e-7 * way)) / 2e-7
    assert float((slope * way).sum()) == pytest.approx(wanted, rel=1e-5)


def test_silence_stays_silence_and_nothing_nothing() -> None:
    y = torch.zeros(2, 700_000)
    y[0, :5000] = 0.1 * torch.randn(5000, generator=torch.Generator().manual_seed(0))
    out = Reduced().apply(y, sr=44100, drawn={})
    assert out[0, :5000].any() and not out[0, 650_000:].any() and not out[1].any()
    assert Reduced().apply(torch.zeros(2, 0), sr=44100, drawn={}).shape == (2, 0)
    assert torch.equal(make("denoise", strength=0.25).apply(y[1:], sr=8000, drawn={}), y[1:])
    with pytest.raises(SubterfugeError, match="0 to 1"):
        make("denoise", strength=1.1)


@pytest.mark.parametrize(("bands", "frames"), [(0, 3), (5, 8), (30, 1), (2, 40)])
def test_tents_are_a_convolution_in_two_dimensions(bands: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(1)
    mask, weight = torch.rand(2, 2, 21, 33, generator=generator, dtype=torch.float64)
    mask.requires_grad_()
    kernel = torch.outer(*(torch.from_numpy(tent(reach)) for reach in (bands, frames)))
    theirs = functional.conv2d(mask[:, None], kernel[None, None], padding="same")[:, 0]
    ours = smoothed(mask, bands, frames)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    slopes = [torch.autograd.grad((one * weight).sum(), mask)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)
