"""The parts of the pages of measures: axes, drawings, shades, sentences, and pages with parts missing."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_reports import ELEVEN, heard_in_windows, heard_singly, measures, network, svc

from subterfuge.errors import SubterfugeError
from subterfuge.report import charts, measured, parts
from subterfuge.report.colour import ink_on, shades
from subterfuge.report.evaluation_page import write_evaluation, write_evaluation_page
from subterfuge.report.scales import linear, logarithmic, shares
from subterfuge.report.site import BLUE, LEVELS, ORANGE, heat_style, level
from subterfuge.report.svg import WIDTH, Frame, tag
from subterfuge.report.training_page import write_training_page
from subterfuge.training.codec import from_json
from subterfuge.training.evaluate import Evaluation
from subterfuge.training.measure import measure
from subterfuge.training.measures import Estimate
from subterfuge.training.report import Components, Epoch, TrainingReport, Trial

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=20))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_linear_axis_holds_its_values(values: list[float]):
    axis = linear(values, "x")
    assert axis.low < axis.high
    assert all(0 <= axis.at(v) <= 1 for v in values)
    room = 1e-6 * (axis.high - axis.low)
    assert axis.low <= min(values) + room and axis.high >= max(values) - room
    texts = [text for _, text in axis.ticks]
    assert len(set(texts)) == len(texts) and 2 <= len(texts) <= 8
    for value, text in axis.ticks:  # what is written is where it is written
        assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(
            value, abs=0.01 * (axis.high - axis.low)
        )


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_logarithmic_axis_holds_its_values(values: list[float]):
    axis = logarithmic(values, "x")
    assert all(0 < axis.at(v) < 1 for v in values)
    assert len(axis.ticks) <= 5 and all(axis.low <= v <= axis.high for v, _ in axis.ticks)
    middle = math.sqrt(axis.low * axis.high)
    assert axis.at(middle) == pytest.approx(0.5)


def test_ticks_by_hand():
    def texts(axis):
        return [text for _, text in axis.ticks]

    assert texts(linear([1.0, 32.0], "x", whole=True)) == ["0", "10", "20", "30", "40"]
    assert texts(linear([-0.03, 0.11], "x")) == ["−0.05", "0.00", "0.05", "0.10", "0.15"]
    assert texts(linear([5.0, 5.0], "x", whole=True)) == ["4", "5", "6"]
    assert texts(shares("y", [0.232, 0.58])) == ["20", "30", "40", "50", "60"]
    assert texts(linear([math.nan], "x")) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert texts(logarithmic([1e-5, 1e3], "x")) == ["1e−5", "0.001", "0.1", "10", "1000"]


def test_texts_on_an_axis_never_run_into_each_other():
    frame = Frame(linear([0.0, 1.0], "x", ticks=40), linear([0.0, 1.0], "y"))
    ends = -1.0
    for one in ElementTree.fromstring(f"<g>{''.join(frame.axes())}</g>").iter("text"):
        if one.get("text-anchor") == "middle" and one.get("class") == "tick":
            x, half = float(one.get("x")), 3.0 * len(one.text)
            assert x - half > ends and x + half <= WIDTH
            ends = x + half


def test_markup_is_escaped():
    text = str(tag("text", "<script>", title='"&'))
    assert text == '<text title="&#34;&amp;">&lt;script&gt;</text>'


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("hue", [BLUE, ORANGE])
def test_text_is_legible_on_every_shade(hue, dark):
    def luminance(rgb):
        x = np.asarray(rgb) / 255
        return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    colours = shades(LEVELS, hue, dark=dark)
    lights = [luminance(c) for c in colours]
    assert (np.diff(lights) > 0).all() if dark else (np.diff(lights) < 0).all()
    assert (np.abs(np.diff(colours.astype(int), axis=0)).max(1) > 1).all()  # each told from the next
    for colour, light in zip(colours, lights, strict=True):
        ink = 0.0 if ink_on(colour) == "#000" else 1.0
        assert (max(ink, light) + 0.05) / (min(ink, light) + 0.05) >= 4.5


def test_every_shade_has_a_style():
    style = heat_style()
    for name in (f"{family}{n}" for family in "hg" for n in range(LEVELS)):
        assert f".{name}{{background:var(--{name});color:var(--{name}t)}}" in style
        assert (
            len(re.findall(rf"--{name}:#[0-9a-f]{{6}}", style)) == 3
        )  # light, dark by system, dark by choice
    assert style.count("{") == style.count("}")
    assert [level(x) for x in (0, 1e-9, 0.5, 1)] == [0, 1, 10, 20]


def drawn(markup: object) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def test_explained_variance_is_drawn_where_it_is():
    root = drawn(charts.explained([0.5, 0.3, 0.2]))
    line = next(one for one in root.iter("polyline"))
    y = [float(point.split(",")[1]) for point in line.get("points").split()]
    grid = sorted(float(one.get("y1")) for one in root.iter("line") if one.get("class") == "grid")
    top, bottom = grid[0], grid[-1]  # 100 and 0 per cent
    np.testing.assert_allclose([(bottom - v) / (bottom - top) for v in y], [0.5, 0.8, 1.0], atol=1e-3)
    assert "2 are needed for 90" not in root.get("aria-label") and "3 are needed for 90" in root.get(
        "aria-label"
    )


def test_reliability_is_drawn_where_it_is():
    heard = measures()
    root = drawn(charts.reliability(heard.reliability))
    dots = list(root.iter("circle"))
    assert len(dots) == len(heard.reliability)
    grid = sorted(float(one.get("y1")) for one in root.iter("line") if one.get("class") == "grid")
    for dot, one in zip(dots, heard.reliability, strict=True):
        share = (grid[-1] - float(dot.get("cy"))) / (grid[-1] - grid[0])
        assert share == pytest.approx(one.accuracy, abs=1e-3)
        assert str(one.clips) in dot[0].text
    counts = [int(one.text) for one in root.iter("text") if one.get("class") == "count"]
    assert sum(counts) == heard.clips


def test_trials_over_what_varied_only():
    tried = [
        Trial({"C": c, "kernel": "rbf", "depth": d, "scale": s}, 0.5, 0.1, 1.0)
        for c, d, s in ((0.1, None, 1.0), (10.0, 3, 1.5), (100.0, 5, 2.0))
    ]
    found = {one["name"]: drawn(one["drawing"]) for one in charts.trials(tried)}
    assert list(found) == ["C", "depth", "scale"]
    x = [float(one.get("cx")) for one in found["C"].iter("circle")]
    by_title = {one[0].text.split(":")[0]: float(one.get("cx")) for one in found["C"].iter("circle")}
    assert len(x) == 3
    places = [by_title["C 0.1"], by_title["C 10"], by_title["C 100"]]
    assert (places[1] - places[0]) == pytest.approx(2 * (places[2] - places[1]), abs=0.1)  # logarithmic
    assert {"3", "5", "none"} <= {one.text for one in found["depth"].iter("text")}
    assert charts.trials(tried[:1]) == []


def test_learning_curves_survive_odd_epochs():
    one = charts.learning((Epoch(1, math.nan, math.nan, 0.25, 3.0),))
    assert "25.0" in one[1]["says"] and drawn(one[0]["drawing"]) is not None
    late = charts.learning(tuple(Epoch(i, 1 / i, 1 / i, 0.5, 1.0) for i in range(40, 46)))
    ticks = [t.text for t in drawn(late[0]["drawing"]).iter("text") if t.get("text-anchor") == "middle"]
    assert ticks[:2] == ["40", "41"]


def test_a_whisker_lies_where_its_values_are():
    assert parts.whisk(Estimate(0.5, 0.4, 0.7)) == {"at": 50.0, "low": 40.0, "width": 30.0, "zero": None}
    unsure = parts.whisk(Estimate(0.5, math.nan, math.nan))
    assert unsure["at"] == 50.0 and unsure["low"] is None and unsure["width"] is None
    moved = parts.whisk(Estimate(0.0, -0.1, 0.1), low=-0.1, high=0.3, zero=0.0)
    assert (moved["at"], moved["low"], moved["width"], moved["zero"]) == (25.0, 0.0, 50.0, 25.0)


def test_what_is_said_of_the_leak():
    plain = svc()
    assert "the leak: recordings that it knows again" in measured.leak(plain)
    told = float(re.search(r"The ([\d.]+) points", measured.leak(plain)).group(1))
    shown = [round(100 * one.accuracy.value, 1) for one in (plain.random, plain.grouped)]
    assert told == pytest.approx(shown[0] - shown[1])
    assert "chance" not in measured.leak(plain)
    assert "may be chance" in measured.leak(replace(plain, random=measures(right=0.62)))
    assert "no leak shows" in measured.leak(replace(plain, random=plain.grouped))
    assert "even lower" in measured.leak(replace(plain, random=measures(right=0.3)))
    assert "too kind" in measured.leak(replace(plain, grouped=None))
    assert "not measured" in measured.leak(replace(plain, random=None))
    assert "Nothing was held out" in measured.leak(replace(plain, random=None, grouped=None))


def test_numbers_say_what_they_are():
    assert measured.share(0.6249).replace("\xa0", " ") == "62.5 %"
    assert measured.share(-0.0001).replace("\xa0", " ") == "0.0 %"
    assert measured.share(math.nan) == "–" == measured.points(None)
    assert measured.points(0.0123, sign=True) == "+1.2" and measured.points(-0.0123) == "−1.2"
    assert measured.interval(Estimate(0.5, 0.4, 0.6)).replace("\xa0", " ") == "40.0 to 60.0 %"
    assert (
        measured.interval(Estimate(1.0, 1.0, 1.0)) == "" == measured.interval(Estimate(1, math.nan, math.nan))
    )
    assert measured.listed(["a", "b", "c"]) == "a, b and c"


def test_mistakes_are_named():
    heard = measure(("cel", "vio"), [0, 0, 0, 1], [0, 1, 1, 1], resamples=0)
    assert measured.mistakes(heard) == [("cel", "vio", 2, 3)]
    assert measured.mistakes_sentence(heard) == "Most often mistaken: cello for violin (2 of 3)."
    assert "Not one clip" in measured.mistakes_sentence(measure(("a", "b"), [0, 1], [0, 1], resamples=0))
    assert measured.commonest(heard) == 0.75


def test_confusion_says_each_cell():
    table = parts.confusion(measure(("cel", "vio", "tuba"), [0, 0, 1], [0, 1, 1], resamples=0))
    assert [row["name"] for row in table["rows"]] == ["cello", "violin"] and table["names"][2] == "tuba"
    assert "No clip carries tuba" in table["about"]
    cell = table["rows"][0]["cells"][1]
    assert cell["says"].replace("\xa0", " ") == "cello, heard as violin: 1 of 2 clips (50.0 %)"
    assert (cell["level"], cell["right"], table["rows"][1]["cells"][0]["text"]) == (10, False, "")


@pytest.mark.parametrize(
    ("report", "there", "missing"),
    [
        (
            svc(),
            {"labels", "confusion", "reliability", "components", "importance", "search", "costs"},
            {"learning"},
        ),
        (network(), {"labels", "confusion", "reliability", "learning", "costs"}, {"components", "search"}),
        (
            svc(grouped=measures(calibrated=False), random=None, trials=(), components=None, importance={}),
            {"labels", "confusion", "costs"},
            {"reliability", "components", "importance", "search", "learning"},
        ),
        (
            TrainingReport("bare", "odd", "c", ("a", "b"), 2, 2, 0, {}, "random", None, None),
            {"costs", "reproduce"},
            {"labels", "confusion"},
        ),
    ],
)
def test_a_page_has_the_parts_that_there_are(tmp_path: Path, report, there, missing):
    page = write_training_page(report, tmp_path / "new").read_text("utf-8")
    ids = set(re.findall(r'<section class="\w+" id="(\w+)"', page))
    assert there | {"reproduce"} <= ids and not missing & ids
    links = set(re.findall(r'<li><a href="#(\w+)"', page))
    assert links == ids - {"skip"}
    assert (
        "nan" not in re.sub(r"<script>.*</script>|<style>.*?</style>", "", page, flags=re.S).lower().split()
    )


def test_awkward_numbers_do_not_break_a_page(tmp_path: Path):
    odd = svc(
        importance={"rms": Estimate(math.nan, math.nan, math.nan), "zcr": Estimate(0.0, 0.0, 0.0)},
        components=Components(("a", "b"), (1.0,), ((0.0, 0.0),)),
        trials=(Trial({}, 0.5, 0.0, 0.0), Trial({"x": (1, 2), "y": math.inf}, 0.5, math.nan, math.nan)),
        grouped=measure(("a", "b"), ["a"], ["a"]),
        random=measure(("a", "b"), ["a"], ["b"]),
        labels=("a", "b"),
    )
    page = write_training_page(odd, tmp_path).read_text("utf-8")
    assert "100.0" in page and not re.search(r'="[^"]*nan', page)


def test_what_comes_from_outside_is_escaped(tmp_path: Path):
    bad = "<img src=x onerror=alert(1)>"
    report = svc((bad, "b"), name=bad, corpus=bad, command=bad, grouped=measures((bad, "b")), random=None)
    page = write_training_page(report, tmp_path).read_text("utf-8")
    assert "<img" not in page and "&lt;img" in page
    one = heard_singly(corpus=bad, unknown={bad: 1}, command=bad)
    assert "<img" not in write_evaluation_page(one, tmp_path).read_text("utf-8")


def test_an_evaluation_and_its_json(tmp_path: Path):
    for done in (heard_singly(), heard_in_windows()):
        page = write_evaluation(done, tmp_path / done.kind)
        assert page.name == "index.html"
        again = from_json(Evaluation, (page.parent / "evaluation.json").read_text("utf-8"))
        assert again.victim == done.victim and again.partial == done.partial
        text = page.read_text("utf-8")
        assert ("Cut short" in text) == done.partial and "tuba" in text and "broken.wav" in text
        assert ("F1 over the threshold" in text) == (done.excerpts is not None)


def test_a_folder_that_cannot_be_written_in(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SubterfugeError, match="is a file, expected a folder"):
        write_training_page(svc(ELEVEN[:2]), tmp_path / "file")
