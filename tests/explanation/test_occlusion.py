"""Leaving out bands and moments: what a victim hears by is found, and worth exactly what was taken away."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from listeners import RATE, BandListener, MomentListener, noise, tone

from subterfuge.explanation.cells import grid_of
from subterfuge.explanation.cells_left_out import occlude_cells
from subterfuge.explanation.evidence import evidence
from subterfuge.explanation.occlusion import (
    bands_of,
    moments_of,
    occlude_bands,
    occlude_moments,
    without_band,
    without_moment,
)

NEPER = math.log(10) / 10  # of power, a decibel


@pytest.mark.parametrize("sr", [8000, 16000, 44100, 192000])
def test_bands_lie_side_by_side(sr):
    bands = bands_of(sr)
    assert bands[0][0] == 0 and bands[-1][1] == sr / 2
    assert all(a[1] == b[0] for a, b in pairwise(bands))
    assert all(high > low for low, high in bands) and len(bands) <= 26


@pytest.mark.parametrize("samples", [1, 2, 99, 4096])
def test_all_bands_taken_out_one_by_one_are_the_clip(samples):
    y = noise(seconds=samples / RATE)
    gone = sum(y.double() - without_band(y.double(), a, b, sr=RATE, depth_db=20) for a, b in bands_of(RATE))
    torch.testing.assert_close(gone, 0.9 * y.double(), atol=1e-9, rtol=1e-9)


def test_all_moments_taken_out_one_by_one_are_the_clip():
    y = noise(seconds=0.3)
    parts = moments_of(0.3)
    assert len(parts) == 12 and parts[0][0] == 0 and parts[-1][1] == 0.3
    gone = sum(y.double() - without_moment(y.double(), a, b, sr=RATE, depth_db=math.inf) for a, b in parts)
    inner = slice(100, -100)  # at the ends nothing fades in from beyond
    torch.testing.assert_close(gone[:, inner], y.double()[:, inner], atol=1e-9, rtol=1e-9)
    assert len(moments_of(10.0)) == 24 and moments_of(1e-5) == [(0.0, 1e-5)]


@pytest.mark.parametrize("depth", [10.0, 30.0])
def test_a_victim_that_listens_to_one_band_gets_that_band(depth):
    bands = bands_of(RATE)
    low, high = bands[9]
    victim = BandListener(low, high)
    y = noise() + tone((low + high) / 2, level=0.5)
    heard = evidence(victim, 0, victim.hear(y, probabilities=True))
    assert heard.unit == "log-odds"
    found = occlude_bands(heard, y, depth_db=depth)
    assert [one.low for one in found] == [low for low, _ in bands]
    assert found[9].drop == pytest.approx(depth * NEPER, rel=1e-5)
    assert max(abs(one.drop) for i, one in enumerate(found) if i != 9) < 1e-5
    assert found[9].predicted == ("gone" if depth == 30 else "there") and found[8].predicted == "there"
    odds = float(heard(y)[0]) - depth * NEPER
    assert found[9].probability == pytest.approx(1 / (1 + math.exp(-odds)), rel=1e-5)


def test_a_victim_that_listens_to_one_moment_gets_that_moment():
    y = noise(level=0.5)
    victim = MomentListener(0.5 + 0.01, 0.5 + 1 / 24 - 0.01)
    heard = evidence(victim, 0, victim.hear(y, probabilities=True))
    told = []
    found = occlude_moments(heard, y, progress=lambda *a: told.append(a))
    assert told[-1] == (24, 24)
    best = max(found, key=lambda one: one.drop)
    assert (best.low, best.high) == pytest.approx((0.5, 0.5 + 1 / 24))
    assert best.drop == pytest.approx(30 * NEPER, rel=1e-5) and best.predicted == "gone"
    assert sum(abs(one.drop) for one in found) == pytest.approx(best.drop, abs=1e-4)


def test_cells_left_out_find_the_band_and_the_moment_without_gradients():
    bands = bands_of(RATE)
    victim = BandListener(*bands[9], differentiable=False)
    y = 0.001 * noise()
    centre = sum(bands[9]) / 2
    y[:, 4000:6000] += tone(centre)[:, 4000:6000]
    heard = evidence(victim, 0, victim.hear(y, probabilities=True))
    grid = grid_of(RATE, RATE)
    found, queries = occlude_cells(heard, y, grid=grid)
    assert queries == 145 and found.shape == (grid.bands, grid.moments)
    row, column = divmod(int(found.argmax()), grid.moments)
    assert grid.edges[row] <= centre + 150 and grid.edges[row + 1] >= centre - 150
    assert 3000 <= column / grid.moments * RATE <= 6500
    assert found[0].abs().max() < 0.01 * found.max()
