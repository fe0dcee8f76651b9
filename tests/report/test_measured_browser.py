"""The pages of a training run and of an evaluation in a real browser: legible, in place, and quiet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import CONTRAST, OUTSIDE, SAYINGS, comes_true
from measured_reports import heard_in_windows, heard_singly, measures, network, svc

from subterfuge.report.evaluation_page import write_evaluation_page
from subterfuge.report.training_page import write_training_page

pytestmark = pytest.mark.browser

LONG = ("a label of many words that goes on", "Acoustic_guitar_(plucked)", *(f"class {i}" for i in range(14)))
PAGES = ("svc", "network", "long", "singly", "windows")
Open = Callable[..., Any]

# The class of what has the focus, and whether one sees it.
FOCUSED = """(e => [e === document.body ? 'BODY' : String(e.className), getComputedStyle(e).outlineStyle])(
  document.activeElement)"""

# Tables wider than their boxes, and cells narrower than their numbers.
SCROLLED = """[...document.querySelectorAll('.table-scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
  .map(e => e.firstElementChild.className)"""
CUT = """[...document.querySelectorAll('.heat td, .num')].filter(e => e.scrollWidth > e.clientWidth + 1)
  .filter(e => getComputedStyle(e).display !== 'inline').map(e => e.textContent)"""

# Texts of drawings that run into each other, or out of their drawing.
TOUCHING = """[...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const texts = [...chart.querySelectorAll('text')]
    .map(e => ({box: e.getBoundingClientRect(), text: e.textContent}));
  const frame = chart.getBoundingClientRect();
  const out = texts.filter(({box}) => box.left < frame.left - 1 || box.right > frame.right + 1)
    .map(e => e.text);
  const meet = ({box: a}, {box: b}) =>
    a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  const pairs = texts.flatMap((a, i) =>
    texts.slice(i + 1).filter(b => meet(a, b)).map(b => [a.text, b.text]));
  return [...out, ...pairs.map(pair => pair.join(' | '))];
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of each sort, in a folder of its own."""
    root = tmp_path_factory.mktemp("measured")
    write_training_page(svc(), root / "svc")
    write_training_page(network(), root / "network")
    long = svc(LONG, grouped=measures(LONG), random=None, name="a-name-that-is-rather-long-for-a-phone")
    write_training_page(long, root / "long")
    write_evaluation_page(heard_singly(), root / "singly")
    write_evaluation_page(heard_in_windows(), root / "windows")
    return root


@pytest.fixture
def open_page(visit: Open, folder: Path) -> Open:
    """Open one of the pages (see ``visit``)."""
    return lambda name="svc", **options: visit(folder / name / "index.html", **options)


@pytest.mark.parametrize(
    ("name", "scheme"), [("svc", "light"), ("network", "dark"), ("singly", "dark"), ("windows", "light")]
)
def test_contrast(open_page, name, scheme):
    page = open_page(name, color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 100 and found["poor"] == []
    paper = [int(n) for n in found["paper"][4:-1].split(",")]
    assert (min(paper) > 230) if scheme == "light" else (max(paper) < 40)
    page.click("#theme")
    other = page.evaluate(CONTRAST)
    assert other["poor"] == [] and other["paper"] != found["paper"]


@pytest.mark.parametrize("name", PAGES)
def test_everything_has_its_place(open_page, name):
    page = open_page(name, has_touch=True)
    page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        scrolled = page.evaluate(SCROLLED)
        if name == "long":  # sixteen labels may be scrolled, in a box of their own
            assert all("confusion" in one for one in scrolled)
        else:
            assert scrolled == [] == page.evaluate(OUTSIDE)
        assert page.evaluate(CUT) == []
        assert page.evaluate(TOUCHING) == []
        sizes = page.evaluate(
            "[...document.querySelectorAll('svg.chart text')].map(e => e.getBoundingClientRect().height)"
        )
        assert not sizes or min(sizes) >= 9  # pixels


def test_walking_through_the_confusion(open_page):
    page = open_page()
    says = page.locator("#confusion .cell-says")
    rest = says.inner_text()
    page.focus(".confusion tbody tr:nth-child(1) td:nth-child(2)")
    assert says.inner_text().startswith("cello, heard as cello:")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert says.inner_text().startswith("clarinet, heard as clarinet:")
    page.keyboard.press("ArrowLeft")
    assert says.inner_text().startswith("clarinet, heard as cello:")
    page.keyboard.press("ArrowLeft")  # no further
    page.keyboard.press("End")
    assert says.inner_text().startswith("clarinet:") and "in all" in says.inner_text()
    assert page.locator(".confusion td[tabindex='0']").count() == 1
    assert page.locator(".confusion .lit").count() == 2
    page.keyboard.press("Tab")
    assert page.locator(".confusion :focus").count() == 0 and says.inner_text() == rest
    page.hover(".confusion tbody tr:nth-child(3) td:nth-child(5)")
    assert says.inner_text().startswith("flute, heard as acoustic guitar:")
    assert page.locator(".confusion td[title]").count() == 0  # told once, not twice


def test_what_is_shown_is_what_was_measured(open_page):
    page, report = open_page(), svc()
    best = report.grouped
    rows = page.locator(".confusion tbody tr")
    counts = [[cell or "0" for cell in rows.nth(i).locator("td").all_inner_texts()] for i in range(11)]
    assert [[int(n) for n in row[:-1]] for row in counts] == [list(row) for row in best.confusion]
    for i in (0, 5):
        cell = page.locator(".scores tbody tr").nth(i).locator("td.c-recall")
        one = best.classes[i].recall
        assert cell.locator(".num").inner_text().replace("\xa0", " ") == f"{100 * one.value:.1f} %"
        track, dot = (cell.locator(at).bounding_box() for at in (".whisk", ".whisk b"))
        assert (dot["x"] + dot["width"] / 2 - track["x"]) / track["width"] == pytest.approx(
            one.value, abs=0.01
        )
        bar = cell.locator(".whisk i").bounding_box()
        assert (bar["x"] - track["x"]) / track["width"] == pytest.approx(one.low, abs=0.01)
        assert bar["width"] / track["width"] == pytest.approx(one.high - one.low, abs=0.01)


def test_sorting_labels(open_page):
    page = open_page("windows")
    names = ".scores tbody:last-child th"
    first = page.locator(names).all_inner_texts()
    page.click(".scores .sort >> nth=4")
    values = page.locator(".scores tbody:last-child .c-f1").evaluate_all(
        "all => all.map(e => Number(e.dataset.value))"
    )
    assert values == sorted(values) and sorted(page.locator(names).all_inner_texts()) == sorted(first)
    assert page.locator(".scores tbody.together th").all_inner_texts() == ["micro", "macro"]


def test_named_landmarks_and_keyboard(open_page):
    page = open_page()
    assert page.locator("main").count() == page.locator("h1").count() == page.locator("header").count() == 1
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, a, [role=img], [role=region], [role=grid]')]
           .map(e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent)
           .filter(name => !name.trim()).length"""
    )
    assert nameless == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    dangling = page.evaluate(
        """[...document.querySelectorAll('[aria-labelledby], a[href^="#"]')]
           .map(e => e.getAttribute('aria-labelledby') ?? e.hash.slice(1))
           .filter(id => !document.getElementById(id)).length"""
    )
    assert dangling == 0
    seen: list[list[str]] = []
    while not seen or seen[-1][0] != "BODY":  # from the first to the last
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    names = [name for name, _ in seen]
    assert names[0] == "skip" and any("copy" in name for name in names)
    assert sum(name.startswith("h") and "right" in name for name in names) == 1  # one stop for the matrix
    assert all(ring != "none" for name, ring in seen[:-1])
    page.click("nav a >> nth=1")
    comes_true(page, "() => location.hash === '#confusion'")


def test_print_shows_the_report_and_no_controls(open_page):
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("#theme", ".contents", ".copy"):
        assert not page.locator(hidden).is_visible()
    for shown in (".lede", ".confusion", ".loadings", ".importance", "svg.chart >> nth=0", ".command code"):
        assert page.locator(shown).first.is_visible()
    assert page.evaluate(CONTRAST)["poor"] == []


def test_without_scripts_it_is_still_a_report(open_page):
    page = open_page(java_script_enabled=False)
    assert "of the clips rightly" in page.inner_text("h2.lede")
    assert not page.locator("#theme").is_visible() and not page.locator(".cell-says").is_visible()
    assert page.get_attribute(".confusion td >> nth=1", "title").startswith("cello, heard as clarinet")


def test_copy(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(SAYINGS)
    page.click(".copy")
    comes_true(page, "() => said.includes('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == svc().command
