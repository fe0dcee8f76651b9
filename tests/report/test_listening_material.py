"""What a listening test plays: cut where it differs, level-matched, bit for bit; and what is refused."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from subterfuge.errors import SubterfugeError
from subterfuge.report import listening_material
from subterfuge.report.listening_material import Files, drawn, files_in, in_pairs, load, load_pair
from subterfuge.report.listening_page import write_listening_page

RATE = 8000


def sound(seconds: float = 1.0, channels: int = 1, *, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.4, 0.4, (round(seconds * rate), channels))


def write(path: Path, y: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    sf.write(path, y, rate, subtype=subtype)
    return path


def pair_of(folder: Path, x: np.ndarray, y: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Files:
    return Files(
        write(folder / "a.wav", x, rate, subtype), write(folder / "b.wav", y, rate, subtype), "a / b"
    )


def embedded(text: str) -> tuple[np.ndarray, sf._SoundFileInfo]:
    data = base64.b64decode(text)
    y, _ = sf.read(io.BytesIO(data), dtype="int32", always_2d=True)
    return y >> 8, sf.info(io.BytesIO(data))


@pytest.mark.parametrize(
    ("subtype", "bits", "rate", "channels", "container"),
    [
        ("PCM_16", 16, 44100, 2, "FLAC"),
        ("PCM_24", 24, 8000, 1, "FLAC"),
        ("PCM_U8", 8, 11025, 1, "FLAC"),
        ("PCM_16", 16, 192_000, 1, "FLAC"),
        ("PCM_16", 16, 700_001, 1, "WAV"),
    ],
)
def test_what_is_embedded_is_the_file_bit_for_bit(tmp_path, subtype, bits, rate, channels, container):
    x = sound(0.3, channels, rate=rate)
    pair = load_pair(pair_of(tmp_path, x, 0.98 * x, rate, subtype))
    for text, name in ((pair.a, "a.wav"), (pair.b, "b.wav")):
        got, info = embedded(text)
        want, _ = sf.read(tmp_path / name, dtype="int32", always_2d=True)
        np.testing.assert_array_equal(got, want >> 8)
        assert (info.samplerate, info.channels, info.format) == (rate, channels, container)
    assert pair.rate == rate and pair.notes == () and pair.start == 0


def test_levels_are_matched_by_turning_the_stronger_down(tmp_path):
    x = sound()
    y = x.copy()
    y[::2] *= 1.5
    pair = load_pair(pair_of(tmp_path, x, y, subtype="PCM_24"))
    ratio = np.sqrt(np.mean(y**2) / np.mean(x**2))
    assert pair.level_db == pytest.approx(20 * np.log10(ratio), abs=1e-4)
    assert pair.gains == pytest.approx((1.0, 1 / ratio), abs=1e-5)
    back = load_pair(pair_of(tmp_path, y, x, subtype="PCM_24"))
    assert back.gains == pytest.approx((1 / ratio, 1.0), abs=1e-5) and back.id != pair.id
    silent = load_pair(pair_of(tmp_path, 0 * x, x))
    assert silent.gains == (1.0, 1.0) and silent.level_db == 0


def test_the_excerpt_is_where_they_differ_most(tmp_path):
    x = sound(6.0)
    y = x.copy()
    y[500] += 0.3
    y[4 * RATE : 4 * RATE + 400] += 0.1
    pair = load_pair(pair_of(tmp_path, x, y), seconds=1.5)
    assert pair.seconds == 1.5 and 2.55 <= pair.start <= 4.0
    got, _ = embedded(pair.b)
    want, _ = sf.read(tmp_path / "b.wav", dtype="int32", always_2d=True)
    first = round(pair.start * RATE)
    np.testing.assert_array_equal(got, want[first : first + 12_000] >> 8)


def test_of_many_channels_the_two_that_differ_most_are_played(tmp_path):
    x = sound(channels=6)
    y = x.copy()
    y[:, 4] += 0.01
    y[:, 1] -= 0.02  # in a mixture of all, and with the fifth doubled, this would be gone
    y[:, 2] += 0.001
    pair = load_pair(pair_of(tmp_path, x, y))
    got, info = embedded(pair.b)
    want, _ = sf.read(tmp_path / "b.wav", dtype="int32", always_2d=True)
    assert info.channels == 2
    np.testing.assert_array_equal(got, want[:, [1, 4]] >> 8)
    assert pair.notes == ("Of 6 channels, numbers 2 and 5 differ most: these.",)


def test_floats_beyond_full_scale_are_turned_down_alike(tmp_path):
    x = 4 * sound()
    pair = load_pair(pair_of(tmp_path, x, x * 1.01, subtype="FLOAT"))
    a, b = embedded(pair.a)[0], embedded(pair.b)[0]
    assert abs(np.abs(b).max() - 2**23) <= 1
    np.testing.assert_allclose(b / a.clip(1), (1.01 * a) / a.clip(1), atol=2)
    assert "both are turned down" in pair.notes[0] and "rounded to 24 bits" in pair.notes[1]


def test_lengths_may_differ(tmp_path):
    x = sound()
    pair = load_pair(pair_of(tmp_path, x, 0.9 * x[:-100]))
    assert pair.seconds == (RATE - 100) / RATE
    assert pair.notes == ("The two differ in length; both end with the shorter one.",)


def test_the_hash_is_of_what_is_heard_and_of_nothing_else(tmp_path):
    x = sound()
    one = load_pair(pair_of(tmp_path, x, 0.9 * x))
    (tmp_path / "else").mkdir()
    again = pair_of(tmp_path / "else", x, 0.9 * x)
    assert load_pair(Files(again.a, again.b, "another name")).id == one.id
    y = np.round(0.9 * x * 2**15) / 2**15
    y[17] += 2**-15
    assert load_pair(pair_of(tmp_path, x, y)).id != one.id


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: pair_of(d, sound(), sound()), "sample for sample the same, nothing to tell apart"),
        (lambda d: pair_of(d, sound(0.1), sound(0.1)), "a.wav: lasts 0.1 s, expected at least 0.2 s"),
        (lambda d: pair_of(d, sound()[:1], sound()[:1]), "lasts 0.000125 s"),
        (
            lambda d: Files(write(d / "a.wav", sound()), write(d / "b.wav", sound(), 16000), ""),
            "differ in sample rate .8000 Hz, 16000 Hz., expected the same",
        ),
        (
            lambda d: Files(write(d / "a.wav", sound()), write(d / "b.wav", sound(channels=2)), ""),
            "differ in number of channels .1, 2.",
        ),
        (lambda d: Files(write(d / "a.wav", sound()), d / "none.wav", ""), "none.wav"),
    ],
)
def test_pairs_of_no_use(tmp_path, make, words):
    with pytest.raises(SubterfugeError, match=words):
        load_pair(make(tmp_path))


def record(folder: Path, stem: str, **changes: object) -> Path:
    data = {
        "input": str(folder / f"{stem}.wav"),
        "output": str(folder / "out" / f"{stem}-to-tru.wav"),
        "target": "tru",
        "success": True,
    }
    path = folder / "out" / f"{stem}-to-tru.json"
    path.write_text(json.dumps(data | changes))
    return path


@pytest.fixture
def attacked(tmp_path: Path) -> Path:
    """The folder of three attacks, of which one failed."""
    out = tmp_path / "out"
    out.mkdir()
    for seed, stem in enumerate(("cello", "flute", "organ")):
        x = sound(seed=seed)
        write(tmp_path / f"{stem}.wav", x)
        write(out / f"{stem}-to-tru.wav", x + 0.001 * sound(seed=9))
        record(tmp_path, stem, success=stem != "organ")
    (out / "study.json").write_text('{"success": 3}')
    (out / "other.json").write_text("no JSON")
    (out / "list.json").write_text("[1, 2]")
    return out


def test_the_folder_of_an_attack(attacked):
    pairs, notes = files_in(attacked)
    assert [one.name for one in pairs] == ["cello.wav → trumpet", "flute.wav → trumpet"]
    assert notes == ["organ-to-tru.json is left out: its attack did not succeed."]
    page = write_listening_page(attacked, attacked / "listen.html", trials=8, command="subterfuge listen")
    assert [one.name for one in page.pairs] == [one.name for one in pairs] and page.controls == 5
    assert page.path.read_text("utf-8").count('id="sound-') == 4


def test_a_folder_that_was_moved_still_has_its_files(attacked, tmp_path):
    for stem in ("cello", "flute"):
        record(tmp_path, stem, output=f"/nowhere/{stem}-to-tru.wav")
    assert len(files_in(attacked)[0]) == 2
    (tmp_path / "cello.wav").unlink()
    pairs, notes = files_in(attacked)
    assert (
        len(pairs) == 1 and f"cello-to-tru.json is left out: {tmp_path / 'cello.wav'} is not there." in notes
    )


def test_a_pair_of_no_use_in_a_folder_is_noted_and_the_rest_is_played(attacked, tmp_path):
    (attacked / "cello-to-tru.wav").write_bytes((tmp_path / "cello.wav").read_bytes())
    page = write_listening_page(attacked, attacked / "listen.html", trials=8)
    assert [one.name for one in page.pairs] == ["flute.wav → trumpet"]
    assert any("cello.wav → trumpet is left out" in note and "the same" in note for note in page.notes)


def test_one_pair_under_two_names_is_played_once(attacked, tmp_path):
    copy = record(tmp_path, "flute").read_text()
    (attacked / "zz.json").write_text(copy)
    page = write_listening_page(attacked, attacked / "listen.html", trials=8)
    assert len(page.pairs) == 2 and any("sounds the same as flute.wav" in note for note in page.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: out / "none", "none: does not exist, expected a folder"),
        (lambda out: out / "other.json", "other.json: is a file, expected a folder"),
        (lambda out: (out.parent / "empty").mkdir() or out.parent / "empty", "empty: holds no results"),
    ],
)
def test_folders_of_no_use(attacked, spoil, words):
    with pytest.raises(SubterfugeError, match=words):
        files_in(spoil(attacked))


def test_no_pair_left(attacked, tmp_path):
    for stem in ("cello", "flute"):
        record(tmp_path, stem, success=False)
    with pytest.raises(SubterfugeError, match=r"holds no pair to listen to: cello-to-tru.json is left out"):
        files_in(attacked)


def test_files_two_by_two():
    paths = [Path(name) for name in ("a.wav", "b.wav", "c.wav", "d.wav")]
    assert [one.name for one in in_pairs(paths)] == ["a.wav / b.wav", "c.wav / d.wav"]
    for odd in (paths[:3], []):
        with pytest.raises(SubterfugeError, match=f"got {len(odd)} files, expected two for each pair"):
            in_pairs(odd)


def test_of_too_many_pairs_some_are_drawn_by_the_seed():
    files = [Files(Path(), Path(), str(i)) for i in range(40)]
    some = drawn(files, 16, 3)
    names = [int(one.name) for one in some]
    assert len(names) == 16 and names == sorted(names) and names != list(range(16))
    assert drawn(files, 16, 3) == some != drawn(files, 16, 4)


def test_a_page_too_large_is_said_and_a_long_one_is_cut_shorter(tmp_path, monkeypatch):
    x = sound(12.0)
    files = [pair_of(tmp_path, x, 0.9 * x)]
    assert load(files)[0][0].seconds == 10.0
    # 10 s of 8 kHz, twice, in 16 bits: 0.32 MB, of which three quarters of the budget must hold all.
    monkeypatch.setattr(listening_material, "BUDGET_BYTES", 250_000)
    assert load(files)[0][0].seconds == 5.0
    monkeypatch.setattr(listening_material, "BUDGET_BYTES", 50_000)
    with pytest.raises(SubterfugeError, match=r"1 of 1 pairs already take 0.\d MB, expected at most 0.05 MB"):
        load(files)
    for bad in (0.1, 61.0):
        with pytest.raises(SubterfugeError, match=r"expected 0\.2 to 60"):
            load(files, seconds=bad)


def test_nothing_is_written_where_something_is_wrong(attacked):
    for change, words in (({"trials": 4}, "trials: got 4"), ({"seconds": 99.0}, "seconds: got 99")):
        with pytest.raises(SubterfugeError, match=words):
            write_listening_page(attacked, attacked / "new" / "page.html", **change)
    assert not (attacked / "new").exists()
    with pytest.raises(SubterfugeError, match="is a folder, expected a file"):
        write_listening_page(attacked, attacked)
