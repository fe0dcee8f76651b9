"""The gallery in a real browser, offline: it plays, is walked by keys, is legible, fits a phone."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
from in_browser import CONTRAST, OUTSIDE, comes_true

from subterfuge.report.gallery_page import write_gallery

pytestmark = pytest.mark.browser

RATE = 16000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    records = []
    t = np.arange(2 * RATE) / RATE
    for i, label in enumerate(("tru", "flu", HOSTILE)):
        for k, style in enumerate(("free", "harmonic")):
            name = f"{i}-{style}.wav"
            sf.write(folder / name, 0.3 * np.sin(2 * np.pi * (300 + 200 * i + 50 * k) * t), RATE)
            heard = {
                "cnn": {"predicted": "tru", "probabilities": {"tru": 0.8, "flu": 0.2}},
                "tagger": {"predicted": HOSTILE, "probabilities": {HOSTILE: 0.4, "flute": 0.1}},
            }
            records.append(
                {
                    "label": label, "style": style, "output": name, "probability": 0.9 - 0.1 * k,
                    "ceiling": 0.97, "survives": {"wav": 0.9, "gain 6 dB": 0.5}, "seconds": 1.0, "seed": 0,
                    "victim": "svc", "heard_by": heard, "version": "0.1.0",
                }
            )  # fmt: skip
    return write_gallery(records, folder, command="subterfuge imagine --all")


def state(page, number):
    found = page.evaluate("n => ({...document.querySelector('#sound-' + n).dataset})", number)
    return found["state"], float(found["time"])


def wait_for(page, wanted, number):
    page.wait_for_selector(f"#sound-{number}[data-state={wanted}]")


def test_tiles_and_cards_play_one_sound_at_a_time(visit, page_of):
    page = visit(page_of)
    page.keyboard.press("l")  # round and round, so that it has not ended by the time that we look
    page.click("[data-plays=sound-1]")
    wait_for(page, "playing", 1)
    comes_true(page, "() => Number(document.querySelector('#sound-1').dataset.time) > .1")
    assert state(page, 1)[0] == "playing"
    assert page.get_attribute("[data-plays=sound-1]", "data-state") == "playing"
    page.click("#sound-4 .play")
    wait_for(page, "playing", 4)
    assert state(page, 1) == ("idle", 0.0)
    assert page.evaluate("subterfuge.audio.duration") == pytest.approx(2, abs=0.01)
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    wait_for(page, "paused", 4)
    page.evaluate("subterfuge.audio.currentTime = 1")
    page.keyboard.press("ArrowRight")
    assert state(page, 4)[1] == pytest.approx(1.25, abs=0.01)
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "sound-3"
    plot = page.locator("#sound-3 .plot")
    plot.click(position={"x": plot.bounding_box()["width"] / 2, "y": 5})
    assert state(page, 3)[1] == pytest.approx(1, abs=0.02)


def test_cells_are_walked_by_arrows_and_told_in_full(visit, page_of):
    page = visit(page_of, reduced_motion="reduce")
    page.focus("#others .asked td[tabindex='0']")
    assert page.inner_text("#others .cell-says").startswith("cnn calls the free trumpet trumpet")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#others .cell-says").startswith("cnn calls the free flute trumpet")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#others .cell-says").startswith("tagger calls the harmonic flute")
    assert page.inner_text("#others thead .lit").strip() == "harmonic"
    page.focus("#survival td[tabindex='0']")
    page.keyboard.press("End")
    assert page.inner_text("#survival .cell-says") == "trumpet, free, after gain 6 dB: 50.0\xa0%"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_legible(visit, page_of, scheme):
    page = visit(page_of, color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 100 and found["poor"] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out(visit, page_of, width):
    page = visit(
        page_of, viewport={"width": width, "height": 800}, is_mobile=width < 500, has_touch=width < 500
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    out = page.evaluate(OUTSIDE.replace("!e.closest('.unseen')", "!e.closest('.unseen, .table-scroll')"))
    assert out == []


def test_names_are_only_text_and_the_rest_needs_no_scripts(visit, page_of):
    page = visit(page_of, java_script_enabled=False)
    assert page.locator("img").count() == 0 and page.locator("audio").count() == 6
    assert HOSTILE in page.text_content("#labels")
    assert not page.locator("#sound-1 .play").is_visible()
    assert "90.0" in page.inner_text("#sound-1 .big")
