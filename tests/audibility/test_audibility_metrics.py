"""One record a pair of clips, and the sentence over it: thresholds, verdicts, strict JSON, odd clips."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from subterfuge.audibility import metrics
from subterfuge.audibility.masked_noise import masked_noise
from subterfuge.audibility.masking import LEVEL, noise_to_mask
from subterfuge.audibility.metrics import Audibility, measure_audibility, verdict
from subterfuge.audibility.thresholds import MEASURES, measure
from subterfuge.audibility.unmeasured import Unmeasured
from subterfuge.cli import options
from subterfuge.errors import SubterfugeError
from subterfuge.files import strict_json

QUIET = Audibility(
    level_db=92.0,
    snr_db=60.0,
    segmental_snr_db=35.0,
    peak_db=-70.0,
    db_x=-60.0,
    loudness_lu=-60.0,
    nmr_mean_db=-20.0,
    nmr_worst_db=-3.0,
    nmr_share=0.0,
    zimtohrli=0.001,
    zimtohrli_mos=4.8,
    visqol=4.7,
)


def noise(channels: int, samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


# The noise-to-mask ratio in three numbers.


def test_the_ratio_of_the_worst_channel() -> None:
    y = noise(3, 22050)
    z = y.clone()
    z[1] *= 1.3
    z[2, 11025:11100] += 0.2
    one, two = (noise_to_mask(y[i : i + 1], z[i : i + 1], sr=22050) for i in (1, 2))
    found = masked_noise(y, z, sr=22050)
    assert found.worst_db == pytest.approx(10 * math.log10(max(one.max(), two.max())), abs=1e-4)
    assert found.mean_db == pytest.approx(10 * math.log10(max(one.mean(), two.mean())), abs=1e-4)
    assert found.share == pytest.approx(max(float((each > 1).float().mean()) for each in (one, two)))
    assert found.share > 0 and found.worst_db > found.mean_db


def test_the_ratio_follows_the_noise_decibel_by_decibel() -> None:
    y, added = noise(1, 22050), 0.01 * noise(1, 22050, seed=1)
    found = [masked_noise(y, y + gain * added, sr=22050) for gain in (1.0, 10.0)]
    assert found[1].worst_db - found[0].worst_db == pytest.approx(20, abs=0.02)
    assert found[1].mean_db - found[0].mean_db == pytest.approx(20, abs=0.02)


def test_level_and_scale_go_together() -> None:
    y = noise(1, 22050)
    z = y + 0.003 * noise(1, 22050, seed=1)
    loud, soft = masked_noise(y, z, sr=22050, level=92), masked_noise(y / 10, z / 10, sr=22050, level=112)
    assert soft == pytest.approx(loud, abs=0.01)
    # At 20 dB SPL for full scale, all of it is below the threshold in quiet.
    assert masked_noise(y, z, sr=22050, level=20).worst_db < loud.worst_db - 10


def test_a_change_in_a_quiet_moment_is_worse_than_in_a_loud_one() -> None:
    y = noise(1, 44100)
    y[:, 22050:] *= 0.001
    click = 0.001 * noise(1, 2000, seed=1)
    loud, soft = y.clone(), y.clone()
    loud[:, 5000:7000] += click
    soft[:, 35000:37000] += click
    found = [measure_audibility(y, z, sr=44100) for z in (loud, soft)]
    assert found[0].snr_db == pytest.approx(found[1].snr_db, abs=0.01)
    assert found[1].nmr_worst_db > found[0].nmr_worst_db + 20


# The sentence.


def test_the_verdict_counts_published_thresholds_only() -> None:
    counted = [each.name for each in MEASURES if each.threshold is not None]
    assert counted == ["nmr_worst_db", "zimtohrli", "visqol"]
    assert verdict(QUIET) == (
        "below threshold by 3 of 3 measures "
        "(worst noise-to-mask ratio, Zimtohrli distance, ViSQOL opinion score)"
    )
    assert verdict(replace(QUIET, snr_db=-20.0, db_x=10.0, loudness_lu=5.0)) == verdict(QUIET)


def test_the_verdict_names_what_is_above_and_by_how_much() -> None:
    assert verdict(replace(QUIET, nmr_worst_db=7.26)) == (
        "below threshold by 2 of 3 measures; above it: worst noise-to-mask ratio (7.3 dB, at most 0 dB)"
    )
    assert verdict(replace(QUIET, nmr_worst_db=7.26, zimtohrli=0.02, visqol=3.0)) == (
        "below threshold by 0 of 3 measures; above it: worst noise-to-mask ratio (7.3 dB, at most 0 dB), "
        "Zimtohrli distance (0.0200, at most 0.0121), ViSQOL opinion score (3.00, at least 4.246)"
    )


def test_what_was_not_measured_is_not_counted() -> None:
    assert verdict(replace(QUIET, visqol=None, zimtohrli=None)) == (
        "below threshold by 1 of 1 measure (worst noise-to-mask ratio)"
    )
    nothing = replace(QUIET, visqol=None, zimtohrli=None, nmr_worst_db=math.nan)
    assert verdict(nothing) == "not judged: no measure with a published threshold could be taken"
    assert verdict(replace(QUIET, snr_db=math.inf)).startswith(
        "nothing was changed: below threshold by 3 of 3"
    )


@pytest.mark.parametrize(
    ("name", "at", "beyond"),
    [("nmr_worst_db", 0.0, 0.01), ("zimtohrli", 0.0121, 0.0122), ("visqol", 4.246, 4.24)],
)
def test_on_the_threshold_is_unheard_and_beyond_it_is_not(name: str, at: float, beyond: float) -> None:
    assert measure(name).unheard(at) is True and measure(name).unheard(beyond) is False
    assert measure(name).unheard(None) is None


def test_every_field_is_explained_and_every_threshold_has_a_source() -> None:
    names = [each.name for each in MEASURES]
    assert names == [one.name for one in fields(Audibility) if one.name not in ("level_db", "notes")]
    for each in MEASURES:
        assert bool(each.source) == (each.threshold is not None) and each.about and each.title
    assert measure("nmr_share").shown(0.5) == "50.00 %" and measure("snr_db").shown(math.inf) == "inf dB"
    assert measure("visqol").shown(None) == "not measured" and measure("snr_db").limit == "none published"
    assert measure("visqol").limit == "at least 4.246" and measure("nmr_worst_db").limit == "at most 0 dB"


# The record.


def strictly(found: Audibility) -> dict[str, object]:
    """The record through strict JSON and back."""
    known = found.as_json()
    text = json.dumps(known, allow_nan=False)
    assert strict_json(known) == json.dumps(known, indent=2, ensure_ascii=False)
    again: dict[str, object] = json.loads(text)
    assert again == known
    return again


def test_identical_clips() -> None:
    y = noise(2, 22050)
    found = measure_audibility(y, y, sr=22050)
    assert (found.snr_db, found.peak_db, found.db_x, found.loudness_lu) == (math.inf, *[-math.inf] * 3)
    assert (found.nmr_worst_db, found.nmr_mean_db, found.nmr_share) == (-math.inf, -math.inf, 0.0)
    assert (found.zimtohrli, found.zimtohrli_mos, found.segmental_snr_db) == (0.0, 5.0, 35.0)
    known = strictly(found)
    assert known["snr_db"] is None and known["nmr_worst_db"] is None and known["nmr_share"] == 0.0
    notes = known["notes"]
    assert isinstance(notes, dict) and notes["nmr_worst_db"] == "infinite, since nothing was changed"
    assert known["verdict"] == (
        "nothing was changed: below threshold by 2 of 2 measures "
        "(worst noise-to-mask ratio, Zimtohrli distance)"
    )


def test_a_silent_original() -> None:
    y = noise(1, 22050)
    found = measure_audibility(0 * y, y, sr=22050)
    assert (found.snr_db, found.db_x, found.segmental_snr_db, found.loudness_lu) == (
        -math.inf,
        math.inf,
        None,
        None,
    )
    assert found.nmr_worst_db > 40 and found.nmr_share > 0.9
    assert found.notes == {"segmental_snr_db": "the clip is silent", "loudness_lu": "the clip is silent"}
    known = strictly(found)
    assert known["notes"] == {
        **found.notes,
        "snr_db": "infinite, since the clip is silent",
        "db_x": "infinite, since the clip is silent",
    }


@pytest.mark.parametrize("samples", [1, 2, 200])
def test_next_to_no_samples(samples: int) -> None:
    y = noise(1, samples)
    found = measure_audibility(y, 0.9 * y, sr=44100)
    assert found.snr_db == pytest.approx(20, abs=1e-3) and math.isfinite(found.nmr_worst_db)
    assert set(found.notes) == {"zimtohrli", "loudness_lu"} and found.zimtohrli_mos is None
    assert "of 1 measure" in str(strictly(found)["verdict"])


@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (192000, 2), (44100, 8), (11025, 3)])
def test_rates_and_channels(sr: int, channels: int) -> None:
    y = noise(channels, sr // 2)
    found = measure_audibility(y, 1.001 * y, sr=sr)
    assert found.snr_db == pytest.approx(60, abs=0.01) and found.db_x == pytest.approx(-60, abs=0.01)
    assert found.nmr_worst_db < 0 and found.zimtohrli is not None and found.zimtohrli < 1e-3
    assert (found.loudness_lu is None) == (channels > 5)
    assert found.loudness_lu is None or found.loudness_lu == pytest.approx(-60, abs=0.01)
    strictly(found)


def test_doubles_are_not_rounded() -> None:
    y = noise(1, 22050).double()
    found = measure_audibility(y, y * (1 + 1e-9), sr=22050)
    assert found.snr_db == pytest.approx(180, abs=0.01) and math.isfinite(found.nmr_worst_db)
    assert found.nmr_worst_db == pytest.approx(
        measure_audibility(y, y * (1 + 1e-3), sr=22050).nmr_worst_db - 120, abs=0.1
    )
    assert measure_audibility(y.float(), y.float().double() * (1 + 1e-9), sr=22050).snr_db == pytest.approx(
        180, abs=0.01
    )


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 9000), st.floats(-100, 20), st.integers(0, 99))
def test_whatever_the_clips_the_record_is_strict_json(
    channels: int, samples: int, decibels: float, seed: int
) -> None:
    y = noise(channels, samples, seed)
    found = measure_audibility(
        y, y + 10 ** (decibels / 20) * noise(channels, samples, seed + 1), sr=8000 if seed % 2 else 22050
    )
    strictly(found)
    assert 0 <= found.nmr_share <= 1 and found.nmr_mean_db <= found.nmr_worst_db
    assert (found.nmr_share > 0) == (found.nmr_worst_db > 0)
    assert found.zimtohrli is None or 0 <= found.zimtohrli <= 1


def test_measuring_leaves_the_clips_and_their_gradients_alone() -> None:
    y = noise(1, 4000).requires_grad_()
    before = y.detach().clone()
    measure_audibility(y, y.detach() + 0.1, sr=8000)
    assert y.grad is None and torch.equal(y.detach(), before)


def test_visqol_is_asked_only_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*clips: Tensor, sr: int) -> float:
        raise Unmeasured("the clip is too odd")

    monkeypatch.setattr(metrics, "visqol_mos", never)
    monkeypatch.setattr(metrics, "check_visqol", lambda: None)
    y = noise(1, 4000)
    assert measure_audibility(y, y, sr=8000).notes == {}
    found = measure_audibility(y, y, sr=8000, visqol=True)
    assert found.visqol is None and found.notes == {"visqol": "the clip is too odd"}
    monkeypatch.setattr(metrics, "visqol_mos", lambda *clips, sr: 3.5)
    assert measure_audibility(y, y, sr=8000, visqol=True).visqol == 3.5


def test_what_is_being_measured_is_told() -> None:
    told: list[str] = []
    y = noise(1, 4000)
    measure_audibility(y, y, sr=8000, report=told.append)
    assert told == ["noise-to-mask ratio", "Zimtohrli distance", "loudness of the change"]


@pytest.mark.parametrize(
    ("original", "changed", "options", "sentence"),
    [
        (noise(1, 9), noise(1, 8), {}, r"changed: got \(channels, samples\) \(1, 8\), expected .* \(1, 9\)$"),
        (noise(1, 9), noise(2, 9), {}, r"changed: got .*\(2, 9\)"),
        (noise(1, 9)[0], noise(1, 9)[0], {}, "original: got torch.float32, shape .9,., expected floats"),
        (noise(1, 0), noise(1, 0), {}, "original: got .* expected"),
        (noise(1, 9).int(), noise(1, 9), {}, "original: got torch.int32"),
        (noise(1, 9) / 0, noise(1, 9), {}, "original: holds NaN or infinite samples"),
        (noise(1, 9), noise(1, 9) * math.nan, {}, "changed: holds NaN or infinite samples"),
        (noise(1, 9), noise(1, 9), {"level": math.nan}, "level: got nan, expected .* from 0 to 140"),
        (noise(1, 9), noise(1, 9), {"level": 141.0}, "level: got 141, expected"),
        (noise(1, 9), noise(1, 9), {"sr": 0}, "sr: got 0, expected a sample rate"),
    ],
)
def test_bad_input_is_said_in_a_sentence(
    original: Tensor, changed: Tensor, options: dict[str, float], sentence: str
) -> None:
    with pytest.raises(SubterfugeError, match=sentence):
        measure_audibility(original, changed, **({"sr": 8000} | options))  # type: ignore[arg-type]


def test_the_command_line_s_level_is_the_model_s() -> None:
    assert options.LEVEL == LEVEL
