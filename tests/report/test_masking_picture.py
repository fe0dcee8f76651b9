"""The masking picture in numbers: cells of files, what is left of them after thinning, and what is said."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from records import record

from subterfuge.audibility.masking import LEVEL, critical_bands, frame_times, noise_to_mask
from subterfuge.audibility.metrics import measure_audibility
from subterfuge.report import masking_view
from subterfuge.report.colour import diverging
from subterfuge.report.masking_cells import Cells, cells, worst_moment
from subterfuge.report.masking_picture import FLOOR_DB, Picture, thinned
from subterfuge.report.measures import sentence, table
from subterfuge.report.page import write_page


def files(folder: Path, y: np.ndarray, z: np.ndarray, rate: int, subtype: str = "FLOAT") -> tuple[Path, Path]:
    """Two files of shape (channels, samples)."""
    sf.write(folder / "a.wav", y.T, rate, subtype=subtype)
    sf.write(folder / "b.wav", z.T, rate, subtype=subtype)
    return folder / "a.wav", folder / "b.wav"


def clip(seconds: float, rate: int, channels: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A decaying chord that is struck again and again, and noise that is not always hidden beneath it."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    y = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 331, 1480)) * np.exp(-5 * (t % 0.4))
    y = 0.1 * np.stack([y * (1 - 0.4 * c) for c in range(channels)])
    return y, y + 3e-4 * rng.standard_normal(y.shape) * (1 + np.arange(channels))[:, None]


def ratio_of(a: Path, b: Path) -> tuple[np.ndarray, np.ndarray]:
    """Noise-to-mask ratio of whole files, by the public function: all channels, and the times of frames."""
    (y, rate), (z, _) = (sf.read(p, dtype="float32", always_2d=True) for p in (a, b))
    ratio = noise_to_mask(torch.from_numpy(y.T.copy()), torch.from_numpy(z.T.copy()), sr=rate)
    return ratio.double().numpy(), frame_times(len(y), rate).numpy()


# --- cells -----------------------------------------------------------------------------------------


def test_cells_are_the_ratio_of_the_worst_channel(tmp_path):
    a, b = files(tmp_path, *clip(1.0, 22050), 22050)
    ratio, times = ratio_of(a, b)
    found = cells(a, b)
    np.testing.assert_allclose(found.ratio, ratio.max(0), rtol=1e-5)
    np.testing.assert_allclose(found.positions / 22050, times)
    assert found.share == pytest.approx((ratio > 1).mean((1, 2)).max())
    # All three levels are of the channel that the ratio is of: the second holds more noise and less clip.
    assert (ratio[1] > ratio[0]).mean() > 0.99
    y = torch.from_numpy(sf.read(a, dtype="float32")[0].T.copy())
    from subterfuge.audibility.masking import band_power

    wanted = np.where(ratio[1] > ratio[0], *band_power(y, sr=22050).double().numpy()[[1, 0]])
    np.testing.assert_allclose(found.clip, wanted, rtol=1e-5)


@pytest.mark.parametrize("first", [0, 9000, 9001, 12345, 30000])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_stretch_is_as_in_the_whole(tmp_path, first, rate):
    a, b = files(tmp_path, *clip(1.3, 44100, channels=1), rate)
    whole = cells(a, b)
    part = cells(a, b, first=first, length=5000)
    at = (part.positions + first) // part.hop
    assert ((part.positions + first) % part.hop == 0).all()
    assert (np.diff(at) == 1).all() and len(at) in (5000 // part.hop, 5000 // part.hop + 1)
    assert part.positions[0] >= 0 and part.positions[0] < part.hop and part.positions[-1] <= 5000
    for name in ("clip", "threshold", "noise"):
        x, y = getattr(part, name), getattr(whole, name)[:, at]
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6 * y.max())


def test_the_worst_moment_of_a_long_file(tmp_path):
    rate = 8000
    y, _ = clip(50.0, rate, channels=1)
    z = y.copy()
    z[:, 100:8000] += 0.05 * np.sin(2 * np.pi * 331 * np.arange(7900) / rate)  # strong, but well hidden
    z[:, 37 * rate : 37 * rate + 200] += 0.004 * np.random.default_rng(0).standard_normal(200)
    a, b = files(tmp_path, y, z, rate)
    ratio, times = ratio_of(a, b)
    found = worst_moment(a, b)
    assert found == pytest.approx(times[ratio[0].max(0).argmax()])
    assert 36.9 < found < 37.2
    assert worst_moment(a, a) is None


# --- thinning --------------------------------------------------------------------------------------


@st.composite
def some_cells(draw: st.DrawFn) -> Cells:
    """Cells of any size; ratios of all sizes, many within a hair of one, many with no noise at all."""
    frames, hop, bands = draw(st.integers(1, 90)), draw(st.integers(2, 300)), draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (bands, frames)
    threshold = 10 ** rng.uniform(-9, 0, shape)
    ratio = 10 ** rng.uniform(-8, 3, shape)
    hair = 1 + rng.choice([-1e-9, 1e-9, 0.003, -0.003, 0.0], shape)
    ratio = np.where(rng.random(shape) < 0.4, hair, ratio) * (rng.random(shape) < draw(st.floats(0, 1)))
    offset = draw(st.integers(0, hop - 1))
    length = offset + (frames - 1) * hop + draw(st.integers(int(frames == 1), hop - 1))
    noise = threshold * ratio
    return Cells(
        10 ** rng.uniform(-12, 0, shape),
        threshold,
        noise,
        offset + hop * np.arange(frames, dtype=np.int64),
        length,
        44100,
        hop,
        float((noise > threshold).mean()),
        1,
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some_cells(), st.integers(1, 40))
def test_nothing_above_the_threshold_is_lost(found, steps):
    picture = thinned(found, steps=steps)
    assert 1 <= picture.steps <= steps
    # Which instant a frame belongs to follows from its time alone.
    width = found.length / picture.steps
    of = np.minimum(np.floor(found.positions / width + 1e-9), picture.steps - 1).astype(int)
    assert set(of) == set(range(picture.steps))
    for j in range(picture.steps):
        ratio = found.ratio[:, of == j]
        above = (found.noise > found.threshold)[:, of == j]
        np.testing.assert_array_equal(picture.noise[j] > picture.threshold[j], above.any(1))
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(picture.ratio_db[j], 10 * np.log10(ratio.max(1)))
        if ratio.max() > 0:
            assert picture.worst_db[j] == pytest.approx(10 * math.log10(ratio.max()))
            frame = int(np.abs(found.positions / 44100 - picture.when[j]).argmin())
            assert of[frame] == j and picture.when[j] == pytest.approx(found.positions[frame] / 44100)
            assert found.ratio[picture.band[j], frame] == pytest.approx(ratio.max(), rel=1e-12)
        else:
            assert picture.worst_db[j] == -math.inf
    assert picture.share == found.share
    assert picture.changed == bool((found.noise > 0).any())


@settings(max_examples=80, deadline=None, derandomize=True)
@given(some_cells(), st.floats(60, 140))
def test_levels_are_right_to_a_step(found, level):
    picture = thinned(found, steps=10, level=level)
    edges = np.minimum(found.positions * picture.steps // found.length, picture.steps - 1)
    for j in range(picture.steps):
        here = np.flatnonzero(edges == j)
        frame = here[found.ratio[:, here].argmax(1)]
        bands = np.arange(picture.bands)
        for name, most in (("clip", 0.5), ("threshold", 0.5), ("noise", 1.5)):
            power = getattr(found, name)[bands, frame]
            shown = picture.db(getattr(picture, name)[j])
            wanted = level + 10 * np.log10(np.maximum(2 * power, 1e-300))
            assert np.abs(shown - np.maximum(wanted, FLOOR_DB)).max() <= most * picture.step_db + 1e-6


def test_the_picture_shows_what_the_model_says(tmp_path):
    rate = 22050
    a, b = files(tmp_path, *clip(2.0, rate), rate)
    ratio, times = ratio_of(a, b)
    picture = thinned(cells(a, b))
    of = np.minimum((times / 2.0 * picture.steps + 1e-9).astype(int), picture.steps - 1)
    for j in range(picture.steps):
        np.testing.assert_allclose(
            picture.ratio_db[j], 10 * np.log10(ratio[..., of == j].max((0, 2))), atol=1e-3
        )
    said = measure_audibility(*(torch.from_numpy(sf.read(p)[0].T.copy()) for p in (a, b)), sr=rate)
    assert picture.worst_db.max() == pytest.approx(said.nmr_worst_db, abs=1e-3)
    assert picture.share == pytest.approx(said.nmr_share, abs=2e-4)
    drawn = picture.db(picture.noise) - picture.db(picture.threshold)
    seen = picture.noise > 0
    assert np.abs(drawn - picture.ratio_db)[seen].max() <= 1.0
    np.testing.assert_array_equal(drawn > 0, picture.ratio_db > 0)
    summary = masking_view.summary(picture, 0.0, True).replace("\xa0", " ")
    assert f"the worst by {said.nmr_worst_db:.1f} dB" in summary


def test_a_sine_of_full_scale_stands_at_the_playback_level(tmp_path):
    t = np.arange(44100) / 44100
    y = np.sin(2 * np.pi * 1000 * t)[None]
    a, b = files(tmp_path, y, 0.9 * y, 44100)
    band = int((critical_bands(44100).centre - 1000).abs().argmin())
    for level in (LEVEL, 70.0, 120.0):
        picture = thinned(cells(a, b, level=level), level=level)
        middle = picture.steps // 2
        assert picture.db(picture.clip)[middle, band] == pytest.approx(level, abs=0.75)
        assert picture.db(picture.noise)[middle, band] == pytest.approx(level - 20, abs=0.75)
        assert picture.step_db == (0.5 if level < 107 else 1.0)
    quiet = critical_bands(44100).quiet.numpy()
    assert (picture.db(picture.threshold)[middle] > quiet - 0.51 * picture.step_db).all()


def unpacked(picture: Picture) -> dict[str, np.ndarray]:
    """As the page's script reads it."""
    data = base64.b64decode(picture.packed())
    n, s = picture.steps * picture.bands, picture.steps
    assert len(data) == 3 * n + 5 * s
    return {
        "levels": np.frombuffer(data, np.uint8, 3 * n).reshape(3, s, -1),
        "worst": np.frombuffer(data, "<i2", s, 3 * n) / 10,
        "when": np.frombuffer(data, "<u2", s, 3 * n + 2 * s) / 1000,
        "band": np.frombuffer(data, np.uint8, s, 3 * n + 4 * s),
    }


def test_what_is_packed_comes_out_again(tmp_path):
    rate = 16000
    y, z = clip(0.7, rate, channels=1)
    z[:, :3000] = y[:, :3000]  # the first instants are unchanged
    picture = thinned(cells(*files(tmp_path, y, z, rate)), steps=50)
    got = unpacked(picture)
    np.testing.assert_array_equal(got["levels"], [picture.clip, picture.threshold, picture.noise])
    np.testing.assert_allclose(got["when"], picture.when, atol=5.1e-4)
    np.testing.assert_array_equal(got["band"], picture.band)
    known = np.isfinite(picture.worst_db)
    assert (got["worst"][~known] == -3276.8).all() and not known.all() and known.any()
    np.testing.assert_allclose(got["worst"][known], picture.worst_db[known], atol=0.0501)
    assert len(picture.packed()) < 60_000


# --- odd inputs ------------------------------------------------------------------------------------


ODD = {
    "one sample": (np.full((1, 1), 0.2), np.full((1, 1), 0.3), 44100),
    "a few samples": (np.full((1, 50), 0.2), np.full((1, 50), 0.3), 44100),
    "silent": (np.zeros((2, 4000)), np.full((2, 4000), 1e-3), 44100),
    "8 kHz": (*clip(0.5, 8000), 8000),
    "192 kHz": (*clip(0.2, 192000), 192000),
    "100 Hz": (*clip(2.0, 100), 100),
    "8 channels": (*clip(0.3, 22050, channels=8), 22050),
    "not numbers": (
        np.array([[0.1, np.nan, 0.2, np.inf] * 500]),
        np.array([[0.2, 0.1, -np.inf, 3e2] * 500]),
        8000,
    ),
    "beyond full scale": (30 * clip(0.3, 22050)[0], 30 * clip(0.3, 22050)[1], 22050),
    "cancels when mixed": (np.zeros((8, 2000)), 0.01 * np.tile([[1.0], [-1.0]], (4, 2000)), 8000),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pairs_have_pictures(tmp_path, name):
    y, z, rate = ODD[name]
    a, b = files(tmp_path, y, z, rate)
    picture = thinned(cells(a, b))
    assert picture.steps == max(1, min(300, y.shape[1] // cells(a, b).hop))
    assert picture.changed and not np.isnan(picture.ratio_db).any()
    view = masking_view.view(picture, start=0.0, whole=True)
    assert view["paths"]["threshold"].startswith("M0,")
    text = write_page([record(input=str(a), output=str(b), audibility={})], tmp_path / "p.html", command="x")
    page = text.read_text("utf-8")
    assert 'class="masking' in page and "cells-1" in page
    assert ("look-slider" in page.partition("<main>")[2].partition("<script")[0]) == (picture.steps > 1)


def test_pairs_that_do_not_fit(tmp_path):
    rate = 8000
    y, z = clip(0.5, rate)
    a, b = files(tmp_path, y, z[:, :3000], rate)
    short = cells(a, b)
    assert short.length == 3000 and short.channels == 2
    sf.write(b, z.mean(0), rate)
    assert cells(a, b).channels == 1
    for changes in ({"output": str(a)}, {"output": "gone.wav"}, {"input": "gone.wav"}):
        one = record(**({"input": str(a), "output": str(b), "audibility": {}} | changes))
        page = write_page([one], tmp_path / "p.html", command="x").read_text("utf-8")
        assert 'class="masking' not in page


def test_the_excerpt_of_a_long_file_holds_the_worst_cell(tmp_path):
    rate = 8000
    y, _ = clip(70.0, rate, channels=1)
    z = y.copy()
    z[:, 100:40000] += 0.05 * np.sin(2 * np.pi * 331 * np.arange(39900) / rate) * np.sign(y[:, 100:40000])
    z[:, 100:40000] = 1.3 * y[:, 100:40000]  # most of the change's energy lies here, and is hidden
    z[:, 65 * rate : 65 * rate + 100] += 0.004 * np.random.default_rng(0).standard_normal(100)
    a, b = files(tmp_path, y, z, rate)
    page = write_page([record(input=str(a), output=str(b))], tmp_path / "p.html", command="x").read_text(
        "utf-8"
    )
    assert "from 0:40.0 to 1:10.0 of 1:10.0" in page and "stands out most" in page
    ratio, times = ratio_of(a, b)
    worst = ratio[0].max(0)
    assert f"at {times[worst.argmax()]:.2f}\xa0s" in page
    assert f"the worst by {10 * math.log10(worst.max()):.1f}\xa0dB" in page
    assert len(page) < 3e6


# --- what is drawn and said ------------------------------------------------------------------------


def test_above_the_threshold_is_told_by_lightness_alone():
    for dark in (False, True):
        c = diverging(20, 10, dark=dark) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        lightness = 116 * np.cbrt(linear @ np.array([0.2126, 0.7152, 0.0722])) - 16
        below, above = lightness[:20], lightness[20:]
        gap = above.min() - below.max() if dark else below.min() - above.max()
        assert gap > 14
        nearest = below[-1]
        assert nearest < 16 if dark else nearest > 93  # the ground's own at zero


def test_paths_say_the_levels():
    threshold, noise = np.array([60, 60, 60], np.uint8), np.array([61, 60, 0], np.uint8)
    assert masking_view.excess(threshold, noise, 0.5) == "M0,-10V-10.5H1V-10Z"
    assert masking_view.course(np.array([-50.0, 3.0, -np.inf, 99.0]), 10) == {
        "line": "M0,30H1V-3H2V30H3V-10H4",
        "above": "M1,0V-3H2V0ZM3,0V-10H4V0Z",
    }


@pytest.mark.parametrize("rate", [4000, 8000, 44100, 192000])
def test_frequencies_at_the_axis_do_not_touch(rate):
    bands = critical_bands(rate)
    one = np.ones((len(bands.centre), 1))
    picture = thinned(Cells(one, one, one, np.zeros(1, np.int64), 10, rate, 10, 0.0, 1))
    ticks = masking_view.hertz_ticks(picture, apart=0.055)
    assert len(ticks) >= 6 and min(np.diff([at for _, at, _ in ticks])) >= 0.055
    for text, at, _ in ticks:  # a band's centre lies where its own column is
        hz = float(text.replace("k", "e3"))
        k = int((bands.centre - hz).abs().argmin())
        assert abs(at * picture.bands - (k + 0.5)) < 0.6


def test_the_table_holds_every_measure_and_its_source():
    rng = torch.Generator().manual_seed(0)
    y = torch.randn(1, 22050, generator=rng) / 10
    loud = measure_audibility(y, y + torch.randn(1, 22050, generator=rng) / 50, sr=22050).as_json()
    found = table(loud)
    rows = {row["name"]: row for row in found["judged"] + found["plain"]}
    assert found["level"] == "92\xa0dB SPL"
    worst = rows["Worst noise-to-mask ratio"]
    assert worst["value"] == f"{loud['nmr_worst_db']:.1f}\xa0dB" and worst["word"] == "above"
    assert worst["limit"] == "at most 0\xa0dB" and "BS.1387" in worst["source"]
    assert rows["Signal-to-noise ratio"]["limit"] is None and rows["Signal-to-noise ratio"]["word"] is None
    assert "ViSQOL opinion score" not in rows  # it was not asked for
    assert {"Segmental SNR", "dB_x", "Zimtohrli distance"} <= set(rows)
    assert sentence(loud).startswith("Below threshold by ") and sentence(loud).endswith(".")
    assert rows["Peak of the change"]["value"].startswith("−")


def test_a_score_is_better_or_worse():
    for score, word in ((4.6, "better"), (3.0, "worse")):
        assert table({"visqol": score})["judged"][0]["word"] == word


def test_nothing_changed_is_said_as_such():
    y = torch.randn(1, 22050, generator=torch.Generator().manual_seed(0)) / 10
    same = measure_audibility(y, y, sr=22050).as_json()
    rows = {row["name"]: row for row in table(same)["judged"]}
    assert rows["Worst noise-to-mask ratio"]["value"] == "−∞\xa0dB"
    assert rows["Worst noise-to-mask ratio"]["word"] == "below"
    assert rows["Worst noise-to-mask ratio"]["why"] == "Infinite, since nothing was changed"
    silent = measure_audibility(0 * y, y, sr=22050).as_json()
    plain = {row["name"]: row["value"] for row in table(silent)["plain"]}
    assert (plain["Signal-to-noise ratio"], plain["dB_x"]) == ("−∞\xa0dB", "∞\xa0dB")


def test_old_and_odd_records():
    assert table({}) is None and sentence({}) is None
    assert sentence({"verdict": 3}) is None
    (row,) = table({"masked_fraction": 0.25})["plain"]
    assert (row["name"], row["value"]) == ("Masked fraction", "0.25")
    missing = table({"zimtohrli": None, "notes": {"zimtohrli": "the clip is too short"}})
    assert (
        missing["judged"][0]["why"] == "Not measured: the clip is too short"
        and missing["judged"][0]["word"] is None
    )
    odd = table({"nmr_worst_db": "loud", "level_db": "x", "notes": 3})
    assert odd["judged"][0]["value"] == "not measured" and odd["level"] is None


def test_the_table_is_on_the_page(tmp_path):
    a, b = files(tmp_path, *clip(0.5, 22050), 22050)
    found = measure_audibility(
        *(torch.from_numpy(sf.read(p)[0].T.copy()) for p in (a, b)), sr=22050
    ).as_json()
    one = record(input=str(a), output=str(b), audibility=found)
    page = write_page([one, one], tmp_path / "p.html", command="x").read_text("utf-8").replace("\xa0", " ")
    assert page.count("Below threshold by ") >= 2 and "Brandenburg 1987" in page
    assert page.count(f"+{found['nmr_worst_db']:.1f} dB</td>") == 2  # the table of all files
    assert "plays at 92 dB SPL" in page
