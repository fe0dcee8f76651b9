"""Explained clips in a real browser, offline: three sounds in step, a tint, bars, keys, a phone."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
import torch
from in_browser import CONTRAST, LEVEL, OUTSIDE

from subterfuge.explanation.cells import grid_of
from subterfuge.explanation.explain import Explanation
from subterfuge.explanation.features import Feature, FeatureView
from subterfuge.explanation.occlusion import Dropped, bands_of, moments_of
from subterfuge.explanation.run import Explained, Part
from subterfuge.report import explanation_picture, explanation_view, explanation_words
from subterfuge.report.explanation_page import write_explanations
from subterfuge.report.explanation_picture import tints

pytestmark = pytest.mark.browser

RATE = 16000
HOSTILE = "<img src=x onerror=alert(1)>"


def explained(folder, name="clip", **changes) -> Explained:
    """Three tones, and an explanation that is made up: the upper half speaks for, the lower against."""
    t = np.arange(2 * RATE) / RATE
    for part, hz in (("", 440), ("-only", 3000), ("-without", 440)):
        sf.write(folder / f"{name}{part}.wav", 0.3 * np.sin(2 * np.pi * hz * t), RATE)
    grid = grid_of(2 * RATE, RATE)
    attribution = torch.ones(grid.bands, grid.moments, dtype=torch.float64)
    attribution[: grid.bands // 2] = -1
    told = {
        "label": "tru", "predicted": "tru", "unit": "log-odds", "evidence": 2.0, "probability": 0.88,
        "method": "integrated gradients", "grid": grid, "attribution": attribution, "chosen": attribution > 0,
        "share": 0.2, "chosen_by": "search",
        "completeness": {"value": 2.0, "baseline": -2.0, "sum": 3.9, "residual": 0.1, "steps": 32},
        "bands": [Dropped(a, b, i - 5.0, 0.5, HOSTILE) for i, (a, b) in enumerate(bands_of(RATE))],
        "moments": [Dropped(a, b, 1.0 - a, 0.5, "tru") for a, b in moments_of(2.0)],
        "features": FeatureView((Feature("rms", 0.1, 0.2, -1.0, 0.5, 0.4, 0.3),), 2.0, 1.6, 0.0),
        "notes": [HOSTILE], "queries": {"forward": 9, "backward": 3},
    }  # fmt: skip
    parts = {part: Part(str(folder / f"{name}-{part}.wav"), label, 0.5) for part, label in
             (("only", "tru"), ("without", "flu"))}  # fmt: skip
    known = {
        "input": str(folder / f"{name}.wav"), "victim": "svc", "predicted": "tru", "probability": 0.88,
        "seconds": 1.0, "version": "0.1.0", **parts, **changes,
    }  # fmt: skip
    return Explained(explanation=Explanation(**told), **known)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    two = [explained(folder, "clip"), explained(folder, "other")]
    return write_explanations(two, folder, command="subterfuge explain clip.wav other.wav")


def wait_for(page, wanted, number=1):
    page.wait_for_selector(f"#clip-{number}[data-state={wanted}]")


def level(page, hz):
    """Level in dB of what leaves the first clip's player, at a frequency."""
    return page.evaluate(f"hz => ({LEVEL})({{node: subterfuge.players[0].deck.master, hz, size: 4096}})", hz)


def test_the_three_sounds_play_in_step(visit, page_of):
    page = visit(page_of)
    page.click("#clip-1 .play")
    wait_for(page, "playing")
    assert level(page, 440) > -40 > -70 > level(page, 3000)
    page.keyboard.press("2")
    assert page.get_attribute("#clip-1", "data-source") == "only"
    assert level(page, 3000) > -40 > -70 > level(page, 440)
    assert page.inner_text("#clip-1 .hearing") == "decisive parts"
    page.keyboard.press("x")
    assert page.get_attribute("#clip-1", "data-source") == "without"
    page.click("#clip-2 .play")
    wait_for(page, "playing", 2)
    assert page.get_attribute("#clip-1", "data-state") == "paused"
    page.click("#clip-2 .play")
    stage = page.locator("#clip-2 .stage")
    stage.click(position={"x": stage.bounding_box()["width"] / 2, "y": 5})
    assert float(page.get_attribute("#clip-2", "data-time")) == pytest.approx(1, abs=0.02)
    page.keyboard.press("ArrowLeft")
    assert float(page.get_attribute("#clip-2", "data-time")) == pytest.approx(0.75, abs=0.02)
    tint = page.locator("#clip-2 .tint")
    assert tint.is_visible()
    page.keyboard.press("t")
    assert not tint.is_visible() and not page.is_checked("#clip-2 .tint-toggle")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_legible(visit, page_of, scheme):
    page = visit(page_of, color_scheme=scheme, reduced_motion="reduce")
    page.add_style_tag(content=".file { content-visibility: visible !important }")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 150 and found["poor"] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out(visit, page_of, width):
    page = visit(
        page_of, viewport={"width": width, "height": 800}, is_mobile=width < 500, has_touch=width < 500
    )
    page.add_style_tag(content=".file { content-visibility: visible !important }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []


def test_what_it_says_without_scripts(visit, page_of):
    page = visit(page_of, java_script_enabled=False)
    assert page.locator("img").count() == 0 and page.locator("audio").count() == 6
    text = page.inner_text("#clip-1")
    assert "svc hears a trumpet. In the 20\xa0% of it that matter most" in text
    assert "These parts decide" in text and "+3.90" in text and HOSTILE in text
    rows = page.locator("#clip-1 .by-bands tbody tr")
    assert rows.count() == len(bands_of(RATE))
    # The highest band on top, with the longest bar to the right; the lowest against.
    assert rows.nth(0).locator("i").get_attribute("class") == "for"
    assert rows.last.locator("i").get_attribute("class") == "against"


def test_tints_lie_where_the_cells_are():
    grid = grid_of(2 * RATE, RATE, moments=4)
    attribution = np.zeros((grid.bands, grid.moments))
    attribution[10, 1] = 4.0
    attribution[20, 3] = -1.0
    found = tints(attribution, grid, (200, 400), RATE, 0.0, 2.0)
    row, column = np.unravel_index(found.argmax(), found.shape)
    mel = (row + 0.5) / 200 * explanation_picture.spectrogram.hz_to_mel(RATE / 2)
    assert grid.edges[10] <= explanation_picture.spectrogram.mel_to_hz(mel) < grid.edges[11]
    assert 100 <= column < 200 and found.max() == 1
    assert found.min() == pytest.approx(-0.5) and found[:, 300:].min() == found.min()
    # Half a second later the picture begins half a second later.
    late = tints(attribution, grid, (200, 400), RATE, 0.5, 1.0)
    assert late[:, :200].max() == 1 and late[:, 200:].max() == 0


def test_what_follows_is_said_of_all_four_cases(tmp_path):
    told = set()
    for only in ("tru", "flu"):
        for without in ("tru", "flu"):
            one = explained(tmp_path, only=Part("a", only, None), without=Part("b", without, None))
            told.add(explanation_words.meaning(one))
    assert len(told) == 4
    assert "1 are heard as before" in explanation_words.summary([explained(tmp_path)] * 1 + [one])


def test_a_long_clip_is_cut_to_where_most_speaks_for_it(tmp_path):
    one = explained(tmp_path)
    one.explanation.attribution[:] = 0
    one.explanation.attribution[:, -1] = 1
    first, length = explanation_view._stretch(one, RATE, 100 * RATE)
    assert length == 30 * RATE and first + length > 99 * RATE
