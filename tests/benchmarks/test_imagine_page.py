"""The page of imagined sounds: bars kept and missed, medians and shares as by hand, who else is convinced."""

from __future__ import annotations

from typing import Any

import pytest

from imagine_page import bars, page, reached, survival

SVM, NET = "irmas-svc", "orchestra-cnn"


def result(label: str, style: str, p: float, *, victim: str = SVM, **changes: Any) -> dict[str, Any]:
    record = {
        "victim": victim,
        "label": label,
        "style": style,
        "probability": p,
        "survives": {"wav": p, "gain +6 dB": p / 2},
        "steps": 100,
        "snr_db": None,
        "heard_by": {NET: {"predicted": "flu", "probabilities": {"cel": 0.2, "flu": 0.8}}},
    } | changes.pop("record", {})
    certificate = {"exact": 0.98, "slope": 1e-9, "curvature": -0.04, "certified": True, "starts": 24}
    ceiling = {"probability": 0.99, "agree": 0.5} | certificate if victim == SVM else None
    told = {
        "ceiling": ceiling,
        "ceiling_seconds": 1.5,
        "core_seconds": 10.0,
        "peak_mb": 600.0,
        "before": 0.25,
    }
    return {"record": record, "peak_db": -1.2, "dc": 1e-8} | told | changes


def test_bars_are_met_or_not_by_the_worst_and_by_counts() -> None:
    good = [result("cel", "free", 0.98), result("flu", "free", 0.975)]
    met = {what: (told, yes) for what, told, yes in bars(good, svm=SVM, network=NET)}
    assert met["`free` at least 98 % of the SVM's ceiling"] == ("98.48% at least", True)
    worse = [*good, result("tru", "free", 0.96)]
    met = {what: (told, yes) for what, told, yes in bars(worse, svm=SVM, network=NET)}
    assert met["`free` at least 98 % of the SVM's ceiling"] == ("96.97% at least", False)
    assert met[f"`free` ≥ 0.95, {SVM}, wherever the ceiling is"] == ("3 of 3", True)


@pytest.mark.parametrize(("high", "yes"), [(8, True), (7, False)])
def test_eight_of_eleven_are_enough(high: int, yes: bool) -> None:
    tones = [result(str(i), "harmonic", 0.95 if i < high else 0.5) for i in range(11)]
    told = {what: met for what, _, met in bars(tones, svm=SVM, network=NET)}
    assert told[f"`harmonic` ≥ 0.9 on 8 of 11 labels, {SVM}"] is yes


@pytest.mark.parametrize(("p", "snr", "yes"), [(0.96, 20.1, True), (0.96, 19.9, False), (0.94, 20.1, False)])
def test_the_voice_must_be_sure_and_within_its_bound(p: float, snr: float, yes: bool) -> None:
    clip = [result("voi", "clip", p, record={"snr_db": snr})]
    told = {what: met for what, _, met in bars(clip, svm=SVM, network=NET)}
    assert told["voice → voice ≥ 0.95 at ≥ 20 dB SNR"] is yes


def test_too_loud_or_too_slow_is_said() -> None:
    told = {what: met for what, _, met in bars([result("cel", "free", 0.99, peak_db=-0.9, core_seconds=31.0)],
                                               svm=SVM, network=NET)}  # fmt: skip
    assert told["no peak over −1 dBFS"] is False
    assert told["a sound in 30 s of one core (median)"] is False


def test_tables_hold_what_was_measured() -> None:
    mine = [result("cel", "free", 0.9), result("flu", "free", 0.8), result("flu", "mosaic", 0.7)]
    assert "| flu | 0.9900 | 0.8000 | 0.7000 |" in reached(mine)
    assert "| gain +6 dB | 0.425, 0.400, 0 of 2 | 0.350, 0.350, 0 of 1 |" in survival(mine)


def test_the_page_says_who_else_is_convinced() -> None:
    results = [
        result("cel", "free", 0.99),
        result("flu", "free", 0.99),
        result("flu", "harmonic", 0.99),
        result("flu", "free", 0.99, victim=NET, record={"heard_by": {}}),
        result("voi", "clip", 0.97, record={"snr_db": 20.2}),
    ]
    text = page(results, svm=SVM, network=NET)
    assert "| cel | 0 of 1 (flu) |" in text
    assert "| flu | 2 of 2 |" in text
    assert "25.0% → **97.0%**, SNR 20.2 dB" in text
    assert "**no**" not in text
    assert "Asked about 3 sounds, orchestra-cnn hears what was meant in 2." in text
