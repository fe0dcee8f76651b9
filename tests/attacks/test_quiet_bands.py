"""Gradients held back where a clip is quiet: a map that never turns round, row by row, cell by cell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from subterfuge.attacks.whitebox import quiet_bands
from subterfuge.attacks.whitebox.quiet_bands import hold_back

RATE = 44100


def noise(rows: int, samples: int, *, seed: int = 0) -> Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def levels(rows: int, db: float) -> Tensor:
    return torch.full((rows,), 10 ** (db / 10), dtype=torch.float64)


def tone(frequency: float, samples: int) -> Tensor:
    t = torch.arange(samples, dtype=torch.float64) / RATE
    return torch.sin(2 * math.pi * frequency * t)


def coloured(rows: int, samples: int) -> Tensor:
    """A loud tone, faint hiss, and silence in the last third."""
    x = tone(700, samples) + 1e-3 * noise(rows, samples, seed=8)
    x[:, 2 * samples // 3 :] = 0
    return x


@pytest.mark.parametrize("samples", [512, 513, 1999, 4096, 5000, 30001])
@pytest.mark.parametrize("db", [-60.0, -40.0, 0.0])
def test_symmetric_positive_and_never_longer(samples: int, db: float) -> None:
    x, g, h = coloured(4, samples), noise(4, samples, seed=1), noise(4, samples, seed=2)
    held_g, held_h = hold_back(g, x, levels(4, db)), hold_back(h, x, levels(4, db))
    assert held_g.shape == g.shape and held_g.dtype == g.dtype
    torch.testing.assert_close((held_g * h).sum(1), (g * held_h).sum(1), rtol=1e-9, atol=1e-9)
    assert ((held_g * g).sum(1) > 0).all()
    assert (held_g.norm(dim=1) <= g.norm(dim=1) * (1 + 1e-12)).all()
    assert (held_g.norm(dim=1) < 0.9 * g.norm(dim=1)).all(), "nothing was held back"


@pytest.mark.parametrize("samples", [512, 1777, 8192, 20000])
def test_a_vanishing_level_changes_nothing(samples: int) -> None:
    x, g = noise(2, samples), noise(2, samples, seed=1)
    torch.testing.assert_close(hold_back(g, x, torch.full((2,), 1e-25, dtype=torch.float64)), g)


def test_a_great_level_scales_cells_by_their_power() -> None:
    """Far above every cell the weight is P / level: ten times the level, a tenth of what comes back."""
    x, g = coloured(2, 9000), noise(2, 9000, seed=1)
    less, least = hold_back(g, x, levels(2, 80)), hold_back(g, x, levels(2, 90))
    torch.testing.assert_close(less / 10, least, rtol=1e-4, atol=1e-14)


def test_bands_are_held_back_by_what_they_hold() -> None:
    samples = 16384
    x = (tone(1000, samples) + 10 ** (-40 / 20) * tone(9000, samples))[None]
    middle = slice(2048, -2048)
    kept = {}
    for frequency in (1000, 5000, 9000):
        g = tone(frequency, samples)[None]
        kept[frequency] = [
            float(hold_back(g, x, levels(1, db))[0, middle].norm() / g[0, middle].norm())
            for db in (-60.0, -30.0, 0.0)
        ]
    assert kept[1000][0] > 0.999 and kept[1000][1] > 0.999 and kept[1000][2] > 0.95
    assert kept[9000][0] > 0.99 and 0.5 < kept[9000][1] < 0.8 and kept[9000][2] < 0.01
    assert kept[5000][0] < 0.3 and kept[5000][1] < 1e-3 and kept[5000][2] < 1e-4


def test_time_is_held_back_by_what_it_holds() -> None:
    x, g = noise(1, 20000), noise(1, 20000, seed=1)
    x[:, 10000:] *= 1e-4  # 80 dB down
    held = hold_back(g, x, levels(1, -40))
    assert float(held[0, 2000:8000].norm() / g[0, 2000:8000].norm()) > 0.99
    assert float(held[0, 12000:18000].norm() / g[0, 12000:18000].norm()) < 1e-3


def test_only_the_level_below_the_clip_matters() -> None:
    x, g = coloured(2, 6000), noise(2, 6000, seed=1)
    held = hold_back(g, x, levels(2, -40))
    torch.testing.assert_close(hold_back(g, 1e-3 * x, levels(2, -40)), held)
    torch.testing.assert_close(hold_back(7 * g, x, levels(2, -40)), 7 * held)


def test_rows_are_held_back_apart() -> None:
    x, g = coloured(3, 5000), noise(3, 5000, seed=1)
    x[1] = noise(1, 5000, seed=5)[0]
    level = torch.tensor([1e-6, 1e-3, 1.0], dtype=torch.float64)
    together = hold_back(g, x, level)
    for i in range(3):
        assert torch.equal(hold_back(g[[i]], x[[i]], level[[i]])[0], together[i])


def test_long_clips_go_through_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, g = coloured(2, 30000), noise(2, 30000, seed=1)
    whole = hold_back(g, x, levels(2, -40))
    monkeypatch.setattr(quiet_bands, "_BLOCK", 7)
    torch.testing.assert_close(hold_back(g, x, levels(2, -40)), whole)


@pytest.mark.parametrize("samples", [1, 2, 100, 511])
def test_clips_too_short_for_a_spectrum_keep_their_gradient(samples: int) -> None:
    g = noise(2, samples, seed=1)
    assert torch.equal(hold_back(g, coloured(2, samples), levels(2, -40)), g)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_silence_and_the_faintest_sound_stay_finite(dtype: torch.dtype) -> None:
    x = noise(3, 4000).to(dtype)
    x[0] = 0
    x[1] *= 1e-18
    held = hold_back(noise(3, 4000, seed=1).to(dtype), x, levels(3, -40).to(dtype))
    assert held.dtype == dtype
    assert torch.isfinite(held).all()


def test_float32_agrees_with_float64_in_bands_far_below_the_loudest() -> None:
    samples = 16384
    x = (tone(300, samples) + 10 ** (-70 / 20) * tone(12000, samples))[None]
    g = tone(12000, samples)[None]
    wide = hold_back(g, x, levels(1, -70))
    narrow = hold_back(g.float(), x.float(), levels(1, -70).float())
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-3)
