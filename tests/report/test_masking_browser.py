"""The masking picture in a real browser: what slider, map and player do to it; and without a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from in_browser import CONTRAST, OUTSIDE, comes_true
from records import record

from subterfuge.audibility.metrics import measure_audibility
from subterfuge.report import masking_view
from subterfuge.report.masking_cells import cells
from subterfuge.report.masking_picture import Picture, thinned
from subterfuge.report.page import write_page

pytestmark = pytest.mark.browser

RATE = 16000
SECONDS = 2.0
PATHS = ("clip", "clip-area", "hidden", "threshold", "noise", "excess")
DRAWN = """([n, names]) => Object.fromEntries(
    names.map(name => [name, document.querySelector(`#file-${n} path.${name}`).getAttribute('d')]))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pairs: noise beside notes that die away, a failed attempt, one sample, and nothing changed."""
    folder = tmp_path_factory.mktemp("masking")
    rng = np.random.default_rng(0)
    t = np.arange(round(SECONDS * RATE)) / RATE
    y = 0.2 * (np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 1760 * t)) * np.exp(-4 * (t % 0.5))
    noise = 3e-4 * rng.standard_normal(len(y))
    noise[: RATE // 4] = 0.0
    pairs = {
        "notes": (y, y + noise),
        "quiet": (y, 1.001 * y),
        "one": (y[:1] + 0.1, y[:1] + 0.2),
        "same": (y, y),
    }
    records = []
    for name, (a, b) in pairs.items():
        sf.write(folder / f"{name}.wav", a, RATE, subtype="FLOAT")
        sf.write(folder / f"{name}-to-tru.wav", b, RATE, subtype="FLOAT")
        found = measure_audibility(torch.from_numpy(a)[None], torch.from_numpy(b)[None], sr=RATE)
        paths = {"input": str(folder / f"{name}.wav"), "output": str(folder / f"{name}-to-tru.wav")}
        success = name != "quiet"
        heard = "tru" if success else "flu"
        records.append(
            record(
                **paths,
                audibility=found.as_json(),
                success=success,
                predicted_after=heard,
                snr_db=found.snr_db,
            )
        )
    write_page(records, folder / "index.html", command="x")
    return folder


@pytest.fixture(scope="module")
def picture(folder: Path) -> Picture:
    """What the first pair's picture is drawn from."""
    return thinned(cells(folder / "notes.wav", folder / "notes-to-tru.wav"))


def drawn(page: Any, number: int = 1) -> dict[str, str]:
    return page.evaluate(DRAWN, [number, list(PATHS)])


def wanted(picture: Picture, at: int) -> dict[str, str]:
    clip, threshold, noise = picture.clip[at], picture.threshold[at], picture.noise[at]
    step = picture.step_db
    return {
        "clip": masking_view.stairs(clip, step),
        "clip-area": masking_view.area(clip, step),
        "hidden": masking_view.area(threshold, step),
        "threshold": masking_view.stairs(threshold, step),
        "noise": masking_view.stairs(noise, step),
        "excess": masking_view.excess(threshold, noise, step),
    }


def step(page: Any, number: int = 1) -> int:
    return int(page.get_attribute(f"#file-{number} .masking", "data-step"))


def go(page: Any, at: int) -> None:
    page.evaluate("at => subterfuge.pictures[0].go(at)", at)


def test_every_instant_is_drawn_as_it_was_measured(open_page, picture):
    page = open_page()
    assert step(page) == picture.moment and drawn(page) == wanted(picture, picture.moment)
    assert page.evaluate("subterfuge.pictures.every(p => !p.unpacked)")  # nothing before it is asked for
    for at in (0, 17, 150, picture.steps - 1, picture.moment):
        go(page, at)
        assert step(page) == at and drawn(page) == wanted(picture, at)
        told = masking_view.readout(picture, at, 0.0)
        for name in ("time", "worst", "where"):
            assert page.text_content(f"#file-1 .look-{name}") == told[name]
        assert page.text_content("#file-1 .look-over") == str(told["over"])
        assert page.get_attribute("#file-1 .look-slider", "aria-valuetext") == masking_view.instant(
            picture, at, 0.0
        )
        assert page.evaluate("document.querySelector('#file-1 .masking').matches('.over')") == (
            told["over"] > 0
        )
        shown = page.evaluate("getComputedStyle(document.querySelector('#file-1 .look-is-worst')).visibility")
        assert shown == ("visible" if at == picture.moment else "hidden")
    assert "no perturbation" in masking_view.instant(picture, 0, 0.0)
    assert page.evaluate("subterfuge.pictures.filter(p => p.unpacked).length") == 1


def test_the_slider_by_keyboard(open_page, picture):
    page = open_page(reduced_motion="reduce")
    page.focus("#file-1 .look-slider")
    at = picture.moment
    page.keyboard.press("ArrowLeft")
    assert step(page) == at - 1
    page.keyboard.press("Home")
    assert step(page) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert step(page) == 2
    slider = page.locator("#file-1 .look-slider")
    assert slider.get_attribute("aria-valuetext") == masking_view.instant(picture, 2, 0.0)
    assert "notes.wav" in slider.get_attribute("aria-label")
    assert "seconds" in page.get_attribute("#file-1 .bark .stage", "aria-label")
    page.keyboard.press("w")  # the worst instant again, and it is said
    assert step(page) == at
    assert page.text_content("#live") == masking_view.instant(picture, at, 0.0)
    page.keyboard.press("Home")
    page.click("#file-1 .worst")
    assert step(page) == at


def test_a_click_in_the_map_moves_slider_picture_and_player(open_page, picture):
    page = open_page(reduced_motion="reduce")
    for plot, share in ((".map", 0.25), (".course", 0.7)):
        place = page.locator(f"#file-1 {plot}")
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 10)
        at = int(share * picture.steps + 1e-6)
        assert abs(step(page) - at) <= 1
        assert int(page.input_value("#file-1 .look-slider")) == step(page)
        assert drawn(page) == wanted(picture, step(page))
        time = float(page.get_attribute("#file-1", "data-time"))
        assert time == pytest.approx((step(page) + 0.5) / picture.steps * SECONDS, abs=1e-3)
        line = page.evaluate(
            """plot => { const box = e => document.querySelector('#file-1 ' + e).getBoundingClientRect();
               const a = box(plot + ' .lookline'), b = box(plot);
               return (a.left + a.width / 2 - b.left) / b.width; }""",
            plot,
        )
        assert line == pytest.approx((step(page) + 0.5) / picture.steps, abs=0.003)


def test_the_map_lies_under_the_players(open_page):
    page = open_page()
    left, right = page.evaluate(
        """['.plot', '.map', '.course'].map(c => document.querySelector('#file-1 ' + c))
           .map(e => e.getBoundingClientRect())
           .map(b => [b.left, b.right]).reduce((a, b) => [[...a[0], b[0]], [...a[1], b[1]]], [[], []])"""
    )
    assert max(left) - min(left) < 0.5 and max(right) - min(right) < 0.5


def test_it_follows_the_player_unless_it_is_untied(open_page, picture):
    page = open_page(reduced_motion="reduce")
    page.click("#file-1 .play")
    page.wait_for_selector("#file-1[data-state=playing]")
    comes_true(page, "() => Number(subterfuge.pictures[0].box.dataset.step) > 0")
    drawn_at = "Number(document.querySelector('#file-1').dataset.time)"
    time, at = page.evaluate(f"[{drawn_at}, Number(subterfuge.pictures[0].box.dataset.step)]")
    assert abs((at + 0.5) / picture.steps * SECONDS - time) < SECONDS / picture.steps
    page.uncheck("#file-1 .follow")
    comes_true(page, f"() => {drawn_at} > 0.3")
    before, after = page.evaluate(
        """() => { const player = subterfuge.players[0], time = player.time();
           subterfuge.pictures[0].go(5);
           return [time, player.time()]; }"""
    )
    assert 0 <= (after - before) % SECONDS < 0.1  # nor does it move the player
    comes_true(page, f"before => Math.abs({drawn_at} - before) > 0.2", after)
    assert step(page) == 5
    assert page.get_attribute("#file-1", "data-state") == "playing"
    opacity = "getComputedStyle(document.querySelector('#file-1 .lookhead')).opacity"
    assert page.evaluate(opacity) == "1"
    page.check("#file-1 .follow")
    comes_true(page, "() => Number(subterfuge.pictures[0].box.dataset.step) > 5")
    assert page.evaluate(opacity) == "0"
    page.click("#file-1 .play")
    page.evaluate("subterfuge.players[0].seek(1.5)")
    assert step(page) == int(1.5 / SECONDS * picture.steps)


def test_without_scripts_it_can_be_read(open_page, picture):
    page = open_page(java_script_enabled=False)
    one = page.locator("#file-1")
    assert one.locator(".map-summary").is_visible() and one.locator("table.measures").is_visible()
    assert one.locator("path.noise").first.get_attribute("d") == wanted(picture, picture.moment)["noise"]
    assert one.locator(".map .for-light").is_visible()
    for control in (".look-slider", ".worst", ".follow"):
        assert not one.locator(control).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_the_map_in_both_lights(open_page, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    page.add_style_tag(content=".file { content-visibility: visible !important }")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 150 and found["poor"] == []
    assert page.locator(f"#file-1 .map .for-{scheme}").is_visible()
    page.click("#theme")
    assert not page.locator(f"#file-1 .map .for-{scheme}").is_visible()
    assert page.evaluate(CONTRAST)["poor"] == []


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_sticks_out_or_is_too_small_to_touch(open_page, width):
    phone = width < 500
    page = open_page(viewport={"width": width, "height": 740}, has_touch=phone, is_mobile=phone)
    page.add_style_tag(content=".file { content-visibility: visible !important }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    overlaps = page.evaluate(
        """[...document.querySelectorAll('.masking .times, .masking .axis')].flatMap(e => {
             const boxes = [...e.children].filter(c => c.checkVisibility())
               .map(c => c.getBoundingClientRect());
             return boxes.slice(1).map((b, i) => [boxes[i], b])
               .filter(([a, b]) => a.right > b.left && a.left < b.right)
               .filter(([a, b]) => a.bottom > b.top + 1 && a.top + 1 < b.bottom)
               .map(() => e.className); })"""
    )
    assert overlaps == []
    if phone:
        heights = page.evaluate(
            """[...document.querySelectorAll('#file-1 .look-slider, #file-1 .worst, #file-1 .tie')]
               .map(e => e.getBoundingClientRect().height)"""
        )
        assert len(heights) == 3 and min(heights) >= 39


def test_odd_pairs_stand_on_the_page(open_page):
    page = open_page()
    assert page.locator("#file-2 .look-slider").count() == 1  # the one that failed
    assert page.locator("#file-3 .look-slider").count() == 0  # one sample: one instant, and no slider
    assert page.locator("#file-3 path.noise").count() == 2
    assert page.locator("#file-4 .stage").count() == 0  # nothing changed: the table alone
    assert "Nothing was changed" in page.text_content("#file-4 .audible")
    assert page.locator("#file-4 table.measures").count() == 1
    page.evaluate("subterfuge.players.forEach(p => { p.seek(0); p.toWorst?.(); })")
    nameless = page.evaluate(
        """[...document.querySelectorAll('.masking :is(button, input, [role=img], table)')]
           .map(e => e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent)
           .filter(name => !name?.trim()).length"""
    )
    assert nameless == 0


def test_the_table_of_all_files_is_sorted_by_what_can_be_heard(open_page):
    page = open_page()
    page.click("#overview .c-nmr .sort")
    shown = page.locator("#overview tbody .c-nmr").all_inner_texts()
    values = [float(text.replace("−", "-").split()[0]) for text in shown[1:]]
    assert shown[0] == "–" and values == sorted(values) and values[0] < 0 < values[-1]
    loud = page.locator("#overview tbody .c-nmr.loud").all_inner_texts()
    assert loud == [text for text in shown if text.startswith("+")]
