"""The page's ingredients: words, colours, images, spectrograms, excerpts."""

from __future__ import annotations

import base64
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from records import record

from subterfuge.report import excerpt, png, spectrogram, wording
from subterfuge.report.colour import palette


def said(**changes: object) -> str:
    return wording.verdict(record(**changes)).striptags().replace("\xa0", " ")


# --- words -----------------------------------------------------------------------------------------


def test_a_success_is_said_of_the_file_on_disk():
    assert said() == (
        "The victim heard a flute; it now hears a trumpet, and says so of the file as written, "
        "read back from disk: a change 51.2 dB below the clip."
    )


@pytest.mark.parametrize(
    ("changes", "contains", "lacks"),
    [
        (
            {"success": False, "predicted_after": "flu"},
            ["No success", "still", "a trumpet was wanted"],
            ["now"],
        ),
        (
            {"success": False, "predicted_after": "org"},
            [
                "No success",
                "it hears an organ",
                "a trumpet was wanted",
                "came nearest: a change 51.2 dB below",
            ],
            ["read back"],
        ),
        (
            {"success": False},
            ["Not as surely as asked", "hears a trumpet", "at 60.0 %"],
            ["No success", "now"],
        ),
        ({"target": "not-flu"}, ["it now hears a trumpet", "Any other label would have done"], []),
        (
            {"target": "not-flu", "success": False, "predicted_after": "flu"},
            ["No success", "something else was wanted"],
            ["not-flu"],
        ),
        (
            {"target": "flu", "predicted_after": "flu", "probabilities_after": {"flu": 0.97}},
            ["hears a flute still", "97.0 % instead of 85.0 %"],
            ["now hears"],
        ),
        ({"target": "flu", "predicted_after": "flu", "snr_db": math.inf}, ["all along"], ["dB", "now"]),
        ({"snr_db": -3.04}, ["a change 3.0 dB above the clip"], ["below"]),
        ({"snr_db": math.nan}, ["read back from disk."], ["dB", "nan"]),
        ({"snr_db": -math.inf}, ["silent"], ["inf"]),
    ],
)
def test_other_verdicts(changes, contains, lacks):
    sentence = said(**changes)
    for words in contains:
        assert words in sentence
    for words in lacks:
        assert words not in sentence


def test_labels_of_any_kind_are_quoted_and_escaped():
    text = wording.verdict(record(predicted_before="dog_bark", predicted_after="<b>x", target="<b>x"))
    assert "“dog_bark”" in text and "“&lt;b&gt;x”" in text and "<b>x" not in text


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (0.0, "0.0 %"),
        (0.0001, "< 0.1 %"),
        (0.5, "50.0 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100.0 %"),
        (None, "–"),
    ],
)
def test_per_cent_never_rounds_to_none_or_certainty(p, shown):
    assert wording.percent(p).replace("\xa0", " ") == shown


def test_summary_counts_and_takes_the_median_of_the_successes():
    records = [record(snr_db=x, success=ok) for x, ok in [(40, True), (50, True), (60, True), (5, False)]]
    text = wording.summary(records).replace("\xa0", " ")
    assert text.startswith("3 of 4 files are now heard as wanted") and "50.0 dB" in text
    assert wording.summary([record(success=False)] * 2) == "None of the 2 files is heard as wanted."


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("segmental_snr_db", -1.26, ("segmental SNR", "−1.3 dB")),
        ("masked_fraction", 0.8333, ("masked fraction", "0.833")),
        ("snr_db", math.inf, ("signal-to-noise ratio", "∞ dB")),
        ("odd", math.nan, ("odd", "–")),
    ],
)
def test_measures(name, value, shown):
    words, text = wording.measure(name, value)
    assert (words, text.replace("\xa0", " ")) == shown


# --- colours and images ----------------------------------------------------------------------------


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB bytes, from the relative luminance alone."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


@pytest.mark.parametrize("n", [2, 61, 256])
def test_lightness_of_the_palette_is_a_straight_line(n):
    assert np.abs(lightness(palette(n)) - np.linspace(4, 96, n)).max() < 0.6


def unpack(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Palette indices and colours of a PNG with row filters 0 and 1, checking every chunk's CRC."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    width, height, depth, colour_type = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour_type) == (8, 3)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    index = np.stack([np.cumsum(r[1:], dtype=np.uint8) if r[0] == 1 else r[1:] for r in rows])
    return index, np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 60))
)
def test_png_round_trip(index):
    got, colours = unpack(png.encode(index, palette(61)))
    np.testing.assert_array_equal(got, index)
    np.testing.assert_array_equal(colours, palette(61))


def test_png_of_a_smooth_image_is_filtered():
    index = np.tile(np.arange(200, dtype=np.uint8), (50, 1))
    got, _ = unpack(png.encode(index, palette(256)))
    np.testing.assert_array_equal(got, index)


# --- spectrograms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
@pytest.mark.parametrize("hz", [150.0, 440.0, 1000.0, 3000.0])
def test_a_tone_lies_where_the_axis_says(rate, hz):
    y = np.sin(2 * np.pi * hz * np.arange(rate) / rate)[None]
    power = spectrogram.bands(y, rate, width=60, height=168)
    rows = power[:, 30].argmax() + np.array([0, 1])
    at = 168 * spectrogram.hz_to_mel(hz) / spectrogram.hz_to_mel(rate / 2)
    assert rows[0] - 1 <= at <= rows[1] + 1


def test_a_change_40_db_down_is_drawn_40_db_down():
    y = np.random.default_rng(1).standard_normal((2, 8000)) * 0.1
    a, b = (spectrogram.bands(x, 8000, width=50) for x in (y, 0.01 * y))
    top = a.max()
    drop = spectrogram.levels(a, top).astype(float) - spectrogram.levels(b, top)
    inside = spectrogram.levels(b, top) > 0
    assert inside.mean() > 0.9
    assert np.abs(drop[inside] * spectrogram.STEP_DB - 40).max() <= spectrogram.STEP_DB
    assert spectrogram.levels(a, top).max() == spectrogram.LEVELS - 1


@pytest.mark.parametrize("samples", [1, 2, 100, 5000])
def test_silence_and_short_clips(samples):
    power = spectrogram.bands(np.zeros((1, samples)), 44100, width=20, height=10)
    assert not spectrogram.levels(power, float(power.max())).any()
    power = spectrogram.bands(np.ones((1, samples)), 44100, width=20, height=10)
    assert np.isfinite(power).all() and power.argmax(0).max() == 0


def test_energy_sits_where_it_is_in_time():
    y = np.zeros((1, 44100))
    y[0, 30000] = 1.0
    power = spectrogram.bands(y, 44100, width=441).sum(0)
    assert abs(power.argmax() - 300) <= 1 and not power[:280].any() and not power[320:].any()


def test_ticks():
    assert [t for t, _ in spectrogram.time_ticks(0.0, 132299 / 44100)][-1] == "3.0"
    assert spectrogram.time_ticks(130.0, 30.0)[0] == ("2:10", 0.0)
    for rate in (4000, 44100, 192000):
        places = [at for _, at in spectrogram.frequency_ticks(rate)]
        assert places and max(places) < 1 and min(np.diff([0, *places])) > 0.02
        for text, at in spectrogram.frequency_ticks(rate):
            hz = float(text.replace("k", "e3"))
            assert at == pytest.approx(math.log(1 + hz / 700) / math.log(1 + rate / 1400))


# --- excerpts --------------------------------------------------------------------------------------


def put(path: Path, y: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    sf.write(path, y, rate, subtype=subtype)
    return path


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bits", [16, 24])
def test_flac_is_bit_exact(channels, bits):
    full = 2 ** (bits - 1)
    whole = np.random.default_rng(0).integers(-full, full, (channels, 4000))
    whole[:, :2] = [[-full, full - 1]] * channels
    data = base64.b64decode(excerpt.as_base64(whole / full, 44100))
    assert data[:4] == b"fLaC"
    back, rate = sf.read(io.BytesIO(data), dtype="int32", always_2d=True)
    np.testing.assert_array_equal(back.T >> (32 - bits), whole)
    assert rate == 44100


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "PCM_32"])
def test_what_is_played_is_what_is_on_disk(tmp_path, subtype):
    y = np.random.default_rng(2).uniform(-0.9, 0.9, (3000, 2))
    a, b = put(tmp_path / "a.wav", y, subtype=subtype), put(tmp_path / "b.wav", y * 0.99, subtype=subtype)
    cut = excerpt.cut(a, b)
    assert cut.adversarial is not None
    data = base64.b64decode(excerpt.as_base64(cut.adversarial, cut.rate))
    back, _ = sf.read(io.BytesIO(data), dtype="float64")
    wanted, _ = sf.read(b, dtype="float64")
    assert np.abs(back - wanted).max() <= (2**-24 if subtype in ("FLOAT", "PCM_32") else 0)
    assert any("24 bits" in note for note in cut.notes) == (subtype in ("FLOAT", "PCM_32"))


def test_a_long_file_is_cut_to_where_the_change_is(tmp_path):
    rng = np.random.default_rng(3)
    y = rng.uniform(-0.1, 0.1, (100 * 8000, 2))
    y[: 5 * 8000] *= 8  # loud at the beginning, where nothing is changed
    z = y.copy()
    z[70 * 8000 : 75 * 8000, 0] += 0.05
    z[70 * 8000 : 75 * 8000, 1] -= 0.05  # cancels in a mono mix
    cut = excerpt.cut(put(tmp_path / "a.wav", y), put(tmp_path / "b.wav", z), seconds=30)
    assert cut.duration == pytest.approx(30)
    assert cut.start <= 70 and cut.start + 30 >= 75
    assert "1:40" in cut.notes[0] and "strongest" in cut.notes[0]
    wanted, _ = sf.read(tmp_path / "b.wav", start=round(cut.start * 8000), frames=240000)
    np.testing.assert_array_equal(cut.adversarial, wanted.T)


def test_pairs_that_do_not_fit(tmp_path):
    rng = np.random.default_rng(4)
    six = put(tmp_path / "six.wav", rng.uniform(-0.5, 0.5, (800, 6)))
    cut = excerpt.cut(six, six)
    assert cut.original.shape == (1, 800) and "6 channels" in cut.notes[0]
    mono = put(tmp_path / "mono.wav", rng.uniform(-0.5, 0.5, 700))
    stereo = put(tmp_path / "stereo.wav", rng.uniform(-0.5, 0.5, (800, 2)))
    cut = excerpt.cut(stereo, mono)
    assert cut.original.shape == cut.adversarial.shape == (1, 700) and len(cut.notes) == 2
    other = put(tmp_path / "other.wav", rng.uniform(-0.5, 0.5, 800), rate=16000)
    cut = excerpt.cut(stereo, other)
    assert cut.adversarial is None and "sample rate" in cut.notes[0]
    cut = excerpt.cut(stereo, tmp_path / "none.wav")
    assert cut.adversarial is None and "not there" in cut.notes[0]


def test_files_that_cannot_be_played(tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("not audio")
    empty = put(tmp_path / "empty.wav", np.zeros(0))
    for path, words in [
        (text, "could not be read"),
        (empty, "no samples"),
        (tmp_path / "x.wav", "not there"),
    ]:
        with pytest.raises(excerpt.Unplayable, match=words):
            excerpt.cut(path, path)


def test_samples_that_are_no_numbers_become_numbers(tmp_path):
    y = np.array([0.5, np.nan, np.inf, -np.inf, 0.25])
    cut = excerpt.cut(
        put(tmp_path / "a.wav", y, subtype="FLOAT"), put(tmp_path / "b.wav", y, subtype="FLOAT")
    )
    np.testing.assert_array_equal(cut.original, [[0.5, 0, 1, -1, 0.25]])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(-90, 20), st.floats(-60, 0), st.integers(0, 2**32 - 1))
def test_the_perturbation_is_never_louder_than_the_clip_nor_clipped(change_db, clip_db, seed):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((2, 500))
    y *= 10 ** (clip_db / 20) / np.abs(y).max()
    d = rng.laplace(size=(2, 500))
    d *= 10 ** (change_db / 20) * np.abs(y).max() / np.abs(d).max()
    gain = excerpt.listening_gain(y, d)
    assert gain is not None
    heard = d * 10 ** (gain / 20)
    assert np.abs(heard).max() <= 1 + 1e-9
    if gain > 0:
        assert np.abs(heard).max() <= min(np.abs(y).max(), 10 ** (-3 / 20)) * (1 + 1e-9)
        assert np.mean(heard**2) <= np.mean(y**2) * (1 + 1e-9)
        louder = d * 10 ** ((gain + 1) / 20)  # and not a whole decibel less than that allows
        ceiling = min(np.abs(y).max(), 10 ** (-3 / 20))
        assert np.abs(louder).max() > ceiling or np.mean(louder**2) > np.mean(y**2)


def test_no_perturbation_has_no_gain():
    assert excerpt.listening_gain(np.ones((1, 4)), np.zeros((1, 4))) is None
    assert excerpt.listening_gain(np.zeros((1, 4)), np.full((1, 4), 1e-3)) == 40
