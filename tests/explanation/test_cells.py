"""Cells and parts of a sound: nothing is lost between them, and each is where it is."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from listeners import RATE, BandListener, Weighing, noise, tone

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.cells import back, cell_attribution, grid_of, transform
from subterfuge.explanation.evidence import evidence
from subterfuge.explanation.parts import decisive, split
from subterfuge.explanation.sharpened import sharpened


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.integers(1, 3000), st.sampled_from([8000, 22050, 192000]), st.integers(0, 99))
def test_shares_of_cells_add_up_to_the_whole(samples, sr, seed):
    generator = torch.Generator().manual_seed(seed)
    y, slope = (torch.randn(samples, generator=generator) for _ in range(2))
    grid = grid_of(samples, sr)
    shares = cell_attribution(y, slope, sr=sr, grid=grid)
    assert shares.shape == (grid.bands, grid.moments)
    whole = float(y.double() @ slope.double())
    assert float(shares.sum()) == pytest.approx(whole, rel=1e-9, abs=1e-9)
    torch.testing.assert_close(back(transform(y.double()[None], sr), samples, sr)[0], y.double())


def test_a_tone_that_sounds_for_half_the_clip_is_where_it_is():
    y = tone(1000)[0]
    y[RATE // 2 :] = 0
    grid = grid_of(RATE, RATE)
    shares = cell_attribution(y, y, sr=RATE, grid=grid)
    band = next(i for i in range(grid.bands) if grid.edges[i] <= 1000 < grid.edges[i + 1])
    total = shares.sum()
    assert shares[band - 1 : band + 2].sum() > 0.98 * total
    assert shares[:, : grid.moments // 2].sum() == pytest.approx(float(total), rel=0.02)
    # Only what both hold counts: a slope at another pitch finds nothing in this clip.
    assert abs(cell_attribution(y, tone(3000)[0], sr=RATE, grid=grid)).sum() < 0.02 * total


def test_decisive_cells_are_the_largest_and_never_those_against():
    shares = torch.tensor([[3.0, 0.0, -5.0], [2.0, 1.0, -1.0]])
    assert decisive(shares, 1 / 3).tolist() == [[True, False, False], [True, False, False]]
    assert int(decisive(shares, 0.99).sum()) == 3
    assert not decisive(-torch.ones(2, 2), 0.5).any()
    for share in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(SubterfugeError, match="share"):
            decisive(shares, share)


@pytest.mark.parametrize(("sr", "channels", "samples"), [(16000, 1, 16000), (48000, 8, 9000), (8000, 2, 1)])
def test_the_parts_add_up_to_the_sound(sr, channels, samples):
    y = 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(0))
    grid = grid_of(max(1, samples // 3), 16000)  # of a clip as a victim heard it, at another rate
    chosen = torch.rand(grid.bands, grid.moments, generator=torch.Generator().manual_seed(1)) < 0.3
    for depth, floor in ((30.0, 10**-1.5), (math.inf, 0.0)):
        only, without = split(y, chosen, sr=sr, grid=grid, depth_db=depth)
        assert only.shape == y.shape
        torch.testing.assert_close(only + without, (1 + floor) * y.double(), atol=1e-12, rtol=1e-9)


def test_a_part_holds_its_band_alone_at_any_rate():
    grid = grid_of(RATE, RATE)
    chosen = torch.zeros(grid.bands, grid.moments, dtype=torch.bool)
    low = [i for i in range(grid.bands) if grid.edges[i + 1] <= 2000]
    chosen[low] = True
    at = torch.arange(48000) / 48000
    tones = {hz: torch.sin(2 * torch.pi * hz * at) for hz in (500, 5000, 15000)}
    only, without = split(sum(tones.values())[None], chosen, sr=48000, grid=grid)

    def level(y, hz):
        return 2 * float((y[0] * tones[hz]).mean())

    assert level(only, 500) == pytest.approx(1, abs=0.01)
    # 15 kHz is above all that a victim at 16 kHz hears, so it is never decisive.
    for hz in (5000, 15000):
        assert level(only, hz) == pytest.approx(10**-1.5, abs=0.002)
        assert level(without, hz) == pytest.approx(1, abs=0.01)
    assert level(without, 500) == pytest.approx(10**-1.5, abs=0.01)


def test_a_search_finds_the_band_that_an_attribution_has_missed():
    victim = BandListener(1000, 1300)
    y = noise() + tone(1150)
    heard = evidence(victim, 0, victim.hear(y, probabilities=True))
    grid = grid_of(RATE, RATE)
    wrong = torch.rand(grid.bands, grid.moments, generator=torch.Generator().manual_seed(3))
    told = []
    chosen, queries = sharpened(heard, y, wrong, share=0.2, grid=grid, progress=lambda *a: told.append(a))
    assert told[-1] == (24, 24) and queries == 52
    inside = [i for i in range(grid.bands) if grid.edges[i] > 1000 and grid.edges[i + 1] < 1300]
    assert chosen[inside].double().mean() > 0.9 and int(chosen.sum()) == round(0.2 * chosen.numel())

    def gap(mask):
        only, without = heard(torch.cat(split(y, mask, sr=RATE, grid=grid)).float()).tolist()
        return only - without

    assert gap(chosen) > 3 and gap(decisive(wrong, 0.2)) < 0
    # A victim that hears no difference gives no reason to leave the attribution.
    deaf = Weighing(torch.zeros(RATE))
    same, _ = sharpened(evidence(deaf, 0, deaf.hear(y)), y, wrong, share=0.2, grid=grid, steps=2)
    assert torch.equal(same, decisive(wrong, 0.2))
