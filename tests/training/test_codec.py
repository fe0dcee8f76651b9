"""JSON of what is measured: strict, and the same again when read."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from subterfuge.errors import SubterfugeError
from subterfuge.training.codec import from_json, to_json
from subterfuge.training.measure import measure
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.report import Components, Epoch, TrainingReport, Trial


def _report(**changes: object) -> TrainingReport:
    p = np.random.default_rng(0).dirichlet(np.ones(2), 6)
    heard = measure(
        ("a", "b"), list("aabbab"), list("ababab"), probabilities=p, recordings=list("uuvvww"), resamples=20
    )
    return dataclasses.replace(
        TrainingReport(
            "mine", "svc", "band", ("a", "b"), 6, 3, 1, {"C": 1.5, "depth": None}, "grouped", heard, None
        ),
        cross_validated=Estimate(0.5, 0.4, 0.6),
        trials=(Trial({"C": np.float64(2.5), "degree": np.int64(3), "kernel": "rbf"}, 0.5, 0.1, 2.0),),
        epochs=(Epoch(1, 2.0, 1.9, 0.3, 4.5),),
        components=Components(("rms", "zcr"), (0.75, 0.25), ((0.6, 0.8), (-0.8, 0.6))),
        importance={"rms": Estimate(0.1, 0.0, 0.2)},
        seconds={"fit": 1.0},
        **changes,
    )


def test_a_report_survives_its_json():
    report = _report(peak_mb=12.5, seed=3, command="subterfuge train", version="0.1.0", date="2026-01-02")
    again = from_json(TrainingReport, to_json(report))
    assert again == report
    assert isinstance(again.grouped, Measures) and again.random is None
    assert again.components.loadings == ((0.6, 0.8), (-0.8, 0.6))


def test_what_cannot_be_said_is_null_and_nan_again():
    heard = measure(("a", "b"), ["a", "a"], ["a", "a"])
    text = to_json(heard)
    assert "NaN" not in text and json.loads(text)["classes"][1]["recall"]["value"] is None
    again = from_json(Measures, text)
    assert math.isnan(again.classes[1].recall.value) and again.calibration_error is None
    assert to_json(again) == text


def test_fields_with_a_default_may_be_left_out():
    table = json.loads(to_json(_report()))
    for name in ("peak_mb", "importance", "components", "epochs"):
        del table[name]
    again = from_json(TrainingReport, json.dumps(table))
    assert (again.peak_mb, again.importance, again.components, again.epochs) == (0.0, {}, None, ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("name"), "the field 'name' is missing"),
        (lambda t: t.update(nmae="x"), "got the field 'nmae'"),
        (lambda t: t.update(clips="6"), 'TrainingReport.clips: got "6", expected int'),
        (lambda t: t.update(clips=True), "clips: got true, expected int"),
        (lambda t: t.update(clips=None), "clips: got null, expected int"),
        (lambda t: t.update(labels="ab"), "labels: got"),
        (lambda t: t["grouped"]["accuracy"].update(low="no"), "TrainingReport.grouped.accuracy.low: got"),
        (lambda t: t["trials"][0].update(seconds=[]), r"trials\[0\].seconds"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    table = json.loads(to_json(_report()))
    change(table)
    with pytest.raises(SubterfugeError, match=said):
        from_json(TrainingReport, json.dumps(table))


@pytest.mark.parametrize("text", ["", "{", '{"value": NaN, "low": 0, "high": 0}'])
def test_only_strict_json(text):
    with pytest.raises(SubterfugeError, match="not strict JSON"):
        from_json(Estimate, text)
