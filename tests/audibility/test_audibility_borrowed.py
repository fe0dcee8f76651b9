"""Zimtohrli and ViSQOL as adapted: the libraries' own figures, worst channel and piece, short clips."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import soxr
import torch
import zimtohrli
from torch import Tensor

from subterfuge.audibility.pieces import pieces
from subterfuge.audibility.unmeasured import Unmeasured
from subterfuge.audibility.visqol import check_visqol, visqol_mos
from subterfuge.audibility.zimtohrli import zimtohrli_distance, zimtohrli_mos
from subterfuge.errors import SubterfugeError

needs_visqol = pytest.mark.skipif(
    importlib.util.find_spec("visqol") is None, reason="the extra visqol is not installed"
)


def notes(seconds: float, *, sr: int = 48000, channels: int = 1) -> Tensor:
    """Decaying notes with overtones, one every half second, the channels at different pitches."""
    t = torch.arange(round(seconds * sr), dtype=torch.float64) / sr
    since = t % 0.5
    rows = [
        sum(torch.sin(2 * torch.pi * (196 + 40 * c) * k * t) / k**1.5 for k in range(1, 12))
        for c in range(channels)
    ]
    return (0.15 * torch.stack(rows) * torch.exp(-4 * since)).float()  # type: ignore[arg-type]


def noisy(y: Tensor, decibels: float, seed: int = 0) -> Tensor:
    """With white noise that many dB below, of the clip as a whole."""
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    return y + noise * y.square().mean().sqrt() * 10 ** (-decibels / 20)


def test_a_short_clip_at_48_khz_is_just_what_the_library_says() -> None:
    y = notes(1.5)
    z = noisy(y, 30)
    own = zimtohrli.Pyohrli().distance(y[0].numpy(), z[0].numpy())
    assert zimtohrli_distance(y, z, sr=48000) == own > 0.005
    assert zimtohrli_mos(own) == zimtohrli.mos_from_signals(y[0].numpy(), z[0].numpy())


def test_other_rates_are_resampled_first() -> None:
    y = notes(1.0, sr=44100)
    z = noisy(y, 30)
    a, b = (soxr.resample(x[0].numpy(), 44100, 48000, quality="HQ") for x in (y, z))
    assert zimtohrli_distance(y, z, sr=44100) == zimtohrli.Pyohrli().distance(a, b)


def test_the_more_noise_the_farther() -> None:
    y = notes(1.0)
    found = [zimtohrli_distance(y, noisy(y, decibels), sr=48000) for decibels in (70, 50, 30, 10)]
    assert found == sorted(found) and found[0] < 0.5 * found[1] and found[3] > 0.0121 > found[1]
    opinions = [zimtohrli_mos(distance) for distance in found]
    assert opinions == sorted(opinions, reverse=True) and 1 <= opinions[-1] < opinions[0] <= 5


def test_the_worst_channel_counts() -> None:
    y = notes(1.0, channels=2)
    z = y.clone()
    z[1] = noisy(y[1:], 20)[0]
    assert zimtohrli_distance(y, z, sr=48000) == zimtohrli_distance(y[1:], z[1:], sr=48000) > 0.01
    assert zimtohrli_distance(y[:1], z[:1], sr=48000) == 0


def test_the_worst_piece_counts() -> None:
    y = notes(12.0)  # three pieces of 4 s
    z = y.clone()
    z[:, 192000:384000] = noisy(y[:, 192000:384000], 20)
    assert zimtohrli_distance(y, z, sr=48000) == zimtohrli_distance(
        y[:, 192000:384000], z[:, 192000:384000], sr=48000
    )


def test_level_is_hardly_heeded() -> None:
    """What is said of it beside its threshold."""
    y = notes(1.0)
    assert zimtohrli_distance(y, y / 2, sr=48000) < 0.0121


@pytest.mark.parametrize("samples", [1, 2, 100, 11999])
def test_too_short_for_zimtohrli(samples: int) -> None:
    """The library itself writes beyond its memory there, which ends the whole program."""
    with pytest.raises(Unmeasured, match=r"shorter than 0\.25 s"):
        zimtohrli_distance(torch.ones(1, samples), torch.zeros(1, samples), sr=48000)


def test_just_long_enough_and_silence() -> None:
    y = notes(0.25)
    assert zimtohrli_distance(y, y, sr=48000) == 0 < zimtohrli_distance(y, 0 * y, sr=48000) < 1
    assert zimtohrli_distance(0 * y, 0 * y, sr=48000) == 0 < zimtohrli_distance(0 * y, y, sr=48000) < 1


def test_without_the_package_there_is_no_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zimtohrli", None)
    with pytest.raises(Unmeasured, match="not installed"):
        zimtohrli_distance(notes(1.0), notes(1.0), sr=48000)


@pytest.mark.parametrize(
    ("samples", "sr", "longest", "number"),
    [(1, 48000, 5.0, 1), (50, 10, 5.0, 1), (51, 10, 5.0, 2), (173, 10, 5.0, 4)],
)
def test_pieces_are_equal_whole_and_no_longer_than_asked(
    samples: int, sr: int, longest: float, number: int
) -> None:
    y = torch.arange(samples, dtype=torch.float64)
    found = list(pieces(y, -y, sr=sr, rate=sr, longest=longest))
    assert len(found) == number and np.array_equal(np.concatenate([a for a, _ in found]), y.numpy())
    assert all(np.array_equal(a, -b) and len(a) <= longest * sr for a, b in found)
    lengths = [len(a) for a, _ in found]
    assert max(lengths) - min(lengths) <= 1


def test_visqol_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SubterfugeError, match=r"^visqol: is not installed, expected it from: .*\[visqol\]'$"):
        check_visqol()


@needs_visqol
def test_visqol_is_what_the_library_says_of_the_worst_channel() -> None:
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    y = notes(1.0, channels=2)
    z = y.clone()
    z[0] = noisy(y[:1], 30)[0]
    own = api.measure_from_arrays(y[0].numpy(), z[0].numpy(), 48000).moslqo
    assert visqol_mos(y, z, sr=48000) == pytest.approx(own, abs=1e-9)
    assert own < 4
    assert visqol_mos(y[1:], z[1:], sr=48000) == pytest.approx(4.732, abs=1e-3)


@needs_visqol
def test_visqol_of_silence_and_of_next_to_nothing() -> None:
    y = notes(1.0)
    with pytest.raises(Unmeasured, match=r"shorter than 0\.96 s"):
        visqol_mos(y[:, :46079], y[:, :46079], sr=48000)
    with pytest.raises(Unmeasured, match="the clip is silent"):
        visqol_mos(0 * y, y, sr=48000)
    with pytest.raises(Unmeasured, match="silent after the change"):
        visqol_mos(y, 0 * y, sr=48000)
    both = torch.cat([y, 0 * y])  # a silent channel says nothing
    assert visqol_mos(both, both, sr=48000) == pytest.approx(4.732, abs=1e-3)
