"""The classifiers' stages and page: what is trained and heard on what, what is done again, what is told."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import classifier
import common
from classifier import (
    FONTS,
    Part,
    arguments,
    hearings,
    left,
    prepare,
    settings_of,
    soundfont_trials,
    trainings,
)
from classifier_page import Results, page


def orchestra(root: Path, fonts: tuple[str, ...], *, seed: int = 0, recordings: int = 4) -> Path:
    for label in ("cel", "flu"):
        (root / label).mkdir(parents=True)
        for number in range(recordings):
            for n in (1, 2):
                y = np.full(90, 0.1)
                soundfile.write(root / label / f"{label}{number:04d}__{n}.wav", y, 8000)
    told = {"kind": "orchestra", "version": 2, "seed": seed, "clips": {"cel": 8, "flu": 8}}
    told["soundfonts"] = [{"name": font, "sha256": font} for font in fonts]
    (root / "corpus.json").write_text(json.dumps(told))
    return root


@pytest.fixture
def both(tmp_path: Path) -> Path:
    return orchestra(tmp_path / "both", (FONTS["fluid"], FONTS["muse"]))


def given(both: Path, tmp_path: Path, *more: str) -> argparse.Namespace:
    return prepare(arguments(["--corpus", str(both), "--work", str(tmp_path / "work"), *more]))


def numbers(part: Part) -> set[int]:
    return {int(clip.path.stem[3:7]) for clip in part.clips().clips}


def test_a_part_is_of_one_soundfont_and_half(both: Path) -> None:
    assert numbers(Part(str(both))) == {0, 1, 2, 3}
    assert numbers(Part(str(both), FONTS["fluid"])) == {0, 2}
    assert numbers(Part(str(both), FONTS["muse"])) == {1, 3}
    assert numbers(Part(str(both), half="odd")) == {1, 3}


def test_without_orchestras_of_their_own_soundfonts_are_halves_of_the_one(both: Path, tmp_path: Path) -> None:
    one, two = soundfont_trials(given(both, tmp_path))
    assert (one.name, two.name) == ("fluid-muse", "muse-fluid")
    assert numbers(one.train) == numbers(two.test) == {0, 2} and numbers(one.test) == {1, 3}


@pytest.mark.parametrize(("seed", "apart"), [(1, False), (0, True)])
def test_orchestras_of_one_seed_are_parted_by_recording(
    both: Path, tmp_path: Path, seed: int, apart: bool
) -> None:
    fluid = orchestra(tmp_path / "fluid", (FONTS["fluid"],), seed=0)
    muse = orchestra(tmp_path / "muse", (FONTS["muse"],), seed=seed)
    one, two = soundfont_trials(given(both, tmp_path, "--fluid", str(fluid), "--muse", str(muse)))
    assert one.train.folder == two.test.folder == str(fluid)
    for trial in (one, two):
        assert numbers(trial.train).isdisjoint(numbers(trial.test)) == apart


def test_every_model_is_trained_once_and_svc_and_cnn_on_each_soundfont(both: Path, tmp_path: Path) -> None:
    jobs = trainings(given(both, tmp_path))
    names = [job.name for job in jobs]
    assert len(names) == len(set(names)) == 12
    assert {"cnn", "cnn-random", "svc", "boosting", "svc-fluid-muse", "cnn-muse-fluid"} <= set(names)
    assert [job.split for job in jobs if job.name == "cnn-random"] == ["random"]
    few = trainings(given(both, tmp_path, "--models", "svc"))
    assert {job.name for job in few} == {"svc", "svc-fluid-muse", "svc-muse-fluid"}


def test_what_is_not_trained_is_not_heard(both: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    args = given(both, tmp_path, "--recordings", str(real), "--timgm", str(both), "--victim", str(real))
    assert [job.name for job in hearings(args)] in (
        ["soundfont-svc-shipped-timgm"],
        ["soundfont-svc-shipped-timgm", "soundfont-cnn-shipped-timgm"],
    )


def test_a_result_of_other_settings_is_done_again(both: Path, tmp_path: Path) -> None:
    jobs = trainings(given(both, tmp_path, "--tune", "3", "--epochs", "4"))
    for job in jobs:
        common.write_json(job.result, {"settings": settings_of(job)})
    assert left(jobs) == []
    tuned = left(trainings(given(both, tmp_path, "--tune", "5", "--epochs", "4")))
    assert {job.model for job in tuned} == set(classifier.MODELS) - {"cnn"}
    taught = left(trainings(given(both, tmp_path, "--tune", "3", "--epochs", "5")))
    assert {job.model for job in taught} == {"cnn"} and len(taught) == 4
    common.fingerprint.cache_clear()
    (both / "cel" / "cel0000__1.wav").unlink()
    assert left(jobs) == jobs


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": None if value == 0.5 else value + 0.1}


def trained(grouped: float | None, random: float | None, *, tried: int = 10) -> dict[str, Any]:
    sides = {"grouped": grouped, "random": random}
    return {
        "sides": {
            name: None if value is None else {"accuracy": estimate(value), "macro_f1": estimate(value)}
            for name, value in sides.items()
        },
        "settings_tried": tried,
        "clips": 3300,
        "epochs": 0 if tried else 12,
        "best_epoch": None if tried else 9,
        "core_seconds": 90.0,
    }


def heard(value: float, clips: int = 4) -> dict[str, Any]:
    return {
        "clips": clips,
        "labels": ["cel", "cla", "flu"],
        "known": ["cel", "flu"],
        "accuracy": estimate(value),
        "among_known": estimate(value + 0.05),
        "confusion": [[1, 1, 0], [0, 0, 0], [0, 2, 0]],
    }


ORCHESTRAS = {"corpus": {"clips": 300, "seed": 0, "soundfonts": ["one.sf2", "two.sf2"]}}


def test_the_page_tells_the_gap_of_each_model_and_of_the_network_that_was_taught_twice() -> None:
    models = {"svc": trained(0.7, 0.78), "cnn": trained(0.8, None, tried=0)}
    models["cnn-random"] = trained(None, 0.85, tried=0)
    text = page(Results(models, {}, ORCHESTRAS, tune=10, epochs=12), "command")
    assert "| svc | 10 | 70.0% [60.0, 80.0] | 78.0% [68.0, 88.0] | +8.0 | 70.0% [60.0, 80.0] |" in text
    assert "| cnn |  | 80.0% [70.0, 90.0] | 85.0% [75.0, 95.0] | +5.0 |" in text
    assert "+5.0 to +8.0 points" in text
    assert "| cnn | 3,300 | 12 (9) | 1.5 |" in text
    assert "300 clips a class from one.sf2 and two.sf2" in text
    assert "## Real recordings" not in text and "## Aims" not in text


def test_the_page_tells_halves_of_the_recordings_and_what_was_mistaken() -> None:
    real = {"all": heard(0.4), "looked_at": heard(0.3, 2), "unseen": heard(0.5, 2)}
    shipped = {"all": heard(0.62), "looked_at": heard(0.6, 2), "unseen": heard(0.64, 2)}
    told = {"real-shipped-orchestra-cnn": {"measured": shipped}, "real-svc": {"measured": real}}
    text = page(Results({}, told, ORCHESTRAS), "command")
    assert "| model | all 4 | looked at (2) | unseen (2) | among the 2, all | unseen |" in text
    row = "| svc | 40.0% [30.0, 50.0] | 30.0% [20.0, 40.0] | 50.0% | 45.0% [35.0, 55.0] |"
    assert f"{row} 55.0% [45.0, 65.0] |" in text
    assert "| svc | 1 of 2 (cla 1) | 0 of 2 (cla 2) |" in text
    assert text.index("| svc |") < text.index("| `orchestra-cnn` |")
    assert "| svc on real recordings | ≥ 45% | 40.0% | **no** |" in text
    assert "| `orchestra-cnn` on real recordings | ≥ 60% | 62.0% | yes |" in text


def test_the_page_tells_soundfonts_and_their_mean() -> None:
    told = {
        f"soundfont-{model}-{way}": {"measured": {"all": heard(value, 3300)}}
        for way, values in {
            "both-timgm": (0.6, 0.7),
            "fluid-muse": (0.7, 0.9),
            "muse-fluid": (0.82, 0.84),
        }.items()
        for model, value in zip(("svc", "cnn"), values, strict=True)
    }
    text = page(Results({}, told, ORCHESTRAS, halves=True), "command")
    first = text.index("| FluidR3 GM → MuseScore General | 3300 | 70.0% [60.0, 80.0] | 90.0% [80.0, 100.0] |")
    assert first < text.index("| both MIT fonts → TimGM6mb | 3300 | 60.0%")
    assert "the even recordings are trained on and the odd ones heard" in text
    assert "| svc on a soundfont held out, mean of both ways | ≥ 75% | 76.0% | yes |" in text
    assert "| cnn on a soundfont held out, mean of both ways | ≥ 85% | 87.0% | yes |" in text
