"""A clip explained whole: what adds up, what is said without gradients, and files in, files out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile as sf
import torch
from listeners import RATE, BandListener, noise, tone

from subterfuge.errors import SubterfugeError
from subterfuge.explanation import run as running
from subterfuge.explanation.explain import explain
from subterfuge.explanation.run import Plan, carry_out, explain_file
from subterfuge.files import strict_json


def plan_of(victim, paths, out, **changes) -> Plan:
    known = {"victim": victim, "victim_name": "band", "label": None, "share": 0.2, "out": out}
    return Plan(paths=tuple(paths), **(known | changes))


def test_the_band_that_is_heard_decides():
    y = 0.3 * noise() + tone(1150)
    victim = BandListener(1000, 1300)
    told = []
    found = explain(victim, y, progress=lambda what, *counts: told.append(what))
    assert (found.label, found.predicted, found.unit) == ("there", "there", "log-odds")
    sums = found.completeness
    assert sums["sum"] == pytest.approx(float(found.attribution.sum()), abs=1e-9)
    # From 100 dB down to here, a logarithm of power rises by 23.03.
    assert sums["value"] - sums["baseline"] == pytest.approx(10 * np.log(10), rel=1e-4)
    assert abs(sums["residual"]) < 0.01 * 23
    best = max(found.bands, key=lambda one: one.drop)
    assert best.low < 1150 < best.high and best.predicted == "gone"
    inside = [i for i, hz in enumerate(found.grid.edges[:-1]) if 950 < hz < 1300]
    assert found.attribution[inside].sum() > 0.9 * found.attribution.sum()
    assert list(dict.fromkeys(told)) == [
        "following gradients", "searching the decisive parts", "leaving out bands", "leaving out moments"
    ]  # fmt: skip
    assert found.notes == [] and found.queries["backward"] == sums["steps"] + 48
    again = json.loads(strict_json(found.as_json()))
    assert np.array(again["cells"]["attribution"]).shape == found.attribution.shape
    assert again["bands"][0].keys() == {"low", "high", "drop", "probability", "predicted"}


def test_without_gradients_it_is_occlusion_and_says_so():
    y = 0.03 * noise() + tone(1150)
    found = explain(BandListener(1000, 1300, differentiable=False), y)
    assert found.method == "occlusion" and found.completeness is None
    assert "no gradients" in found.notes[0] and found.queries["backward"] == 0
    row = int(found.attribution.sum(1).argmax())
    assert 800 < found.grid.edges[row] < 1300 and found.chosen_by == "attribution"


def test_the_other_label_can_be_asked_about():
    y = 0.3 * noise() + tone(1150)
    victim = BandListener(1000, 1300)
    one, other = (explain(victim, y, label=label, search=0) for label in (0, 1))
    assert (other.label, other.predicted) == ("gone", "there")
    torch.testing.assert_close(other.attribution, -one.attribution)
    assert [d.drop for d in other.bands] == pytest.approx([-d.drop for d in one.bands])


@pytest.mark.parametrize(
    ("y", "options", "told"),
    [
        (torch.zeros(1, 99), {}, "silent"),
        (torch.full((1, 99), torch.nan), {}, "NaN"),
        (torch.ones(2, 99), {}, "shape"),
        (torch.ones(1, 0), {}, "shape"),
        (torch.ones(1, 99), {"share": 1.0}, "share"),
        (torch.ones(1, 181 * RATE), {}, "181 s long, expected at most 180 s"),
    ],
)
def test_what_cannot_be_explained_is_refused(y, options, told):
    with pytest.raises(SubterfugeError, match=told):
        explain(BandListener(100, 200), y, **options)


def test_a_single_sample_is_explained_too():
    found = explain(BandListener(0, 8001), torch.full((1, 1), 0.5))
    assert found.attribution.shape[1] == 1 and len(found.moments) == 1


def test_files_keep_their_rate_and_channels_and_are_judged_as_written(tmp_path):
    t = np.arange(48000) / 48000
    y = np.stack([0.3 * np.sin(2 * np.pi * 1150 * t + k) for k in range(3)], 1)
    y += 0.05 * np.random.default_rng(0).standard_normal(y.shape)
    sf.write(tmp_path / "clip.flac", y, 48000, subtype="PCM_24")
    victim = BandListener(1000, 1300)
    out = tmp_path / "out"
    out.mkdir()
    found = explain_file(tmp_path / "clip.flac", run=plan_of(victim, [], out))
    parts = {}
    for name in ("only", "without"):
        parts[name], rate = sf.read(out / f"clip-{name}.wav", always_2d=True)
        assert parts[name].shape == y.shape and rate == 48000
    np.testing.assert_allclose(parts["only"] + parts["without"], (1 + 10**-1.5) * y, atol=2e-6)
    assert (found.predicted, found.only.predicted, found.without.predicted) == ("there", "there", "gone")
    told = json.loads((out / "clip-explained.json").read_text())
    assert told["without"]["probability"] == found.without.probability < 0.5 < told["only"]["probability"]


def test_ctrl_c_keeps_what_is_finished(tmp_path, monkeypatch):
    for name in ("a", "b"):
        sf.write(tmp_path / f"{name}.wav", tone(1150)[0].numpy(), RATE)
    out = tmp_path / "out"
    out.mkdir()
    real = running.explain_file

    def pressed(path, **options):
        if path.stem == "b":
            raise KeyboardInterrupt
        return real(path, **options)

    monkeypatch.setattr(running, "explain_file", pressed)
    run = plan_of(BandListener(1000, 1300), [tmp_path / "a.wav", tmp_path / "b.wav"], out)
    done = carry_out(run, command="subterfuge explain a.wav b.wav")
    assert done.interrupted and len(done.explained) == 1 and done.page == out / "index.html"
    assert "a.wav" in done.page.read_text() and not (out / "b-only.wav").exists()
    monkeypatch.setattr(running, "explain_file", lambda path, **options: pressed(tmp_path / "b.wav"))
    assert carry_out(run, command="") == running.Results((), None, True)
