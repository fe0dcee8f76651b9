"""The gallery: what its tables say is what the records hold, and nothing wrong with a sound prevents it."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import soundfile as sf

from subterfuge.errors import SubterfugeError
from subterfuge.report import gallery_matrix, gallery_view, gallery_words
from subterfuge.report.gallery_page import write_gallery
from subterfuge.report.gallery_sounds import read_sound, read_sounds

RATE = 16000
HEARD = {
    "cnn": {"predicted": "tru", "probabilities": {"tru": 0.7, "flu": 0.3}},
    "tagger": {"predicted": "guitar", "probabilities": {"guitar": 0.6, "flute": 0.1}},
}


def record(**changes):
    return {
        "label": "tru", "style": "free", "output": "tru-free.wav", "probability": 0.9, "ceiling": 0.96,
        "survives": {"wav": 0.9, "gain": 0.25}, "seconds": 2.5, "seed": 3, "victim": "svc", "heard_by": HEARD,
        "version": "0.1.0", **changes,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    y = 0.5 * np.sin(np.arange(RATE) * 0.3)
    for name in ("tru-free.wav", "flu-free.wav", "flu-harmonic.flac"):
        sf.write(tmp_path / name, y, RATE, subtype="PCM_16")
    return tmp_path


def pieces(folder, records):
    sounds = read_sounds([folder / one["output"] for one in records], embed=False)
    return [gallery_view.piece(i, one, s) for i, (one, s) in enumerate(zip(records, sounds, strict=True), 1)]


def test_the_embedded_sound_is_the_file_sample_for_sample(folder):
    sound = read_sound(folder / "tru-free.wav")
    y, rate = sf.read(io.BytesIO(base64.b64decode(sound.data)), dtype="int32")
    want, _ = sf.read(folder / "tru-free.wav", dtype="int32")
    assert rate == RATE == sound.rate and sound.duration == 1.0
    np.testing.assert_array_equal(y, want)
    assert sound.peak_db == pytest.approx(-6.02, abs=0.01)
    assert base64.b64decode(sound.picture)[:4] == b"\x89PNG"


def test_what_is_said_of_a_sound(folder):
    (one,) = pieces(folder, [record()])
    assert one["percent"].replace("\xa0", " ") == "90.0 %" and one["of_ceiling"].startswith("94")
    assert [(row["name"], row["bar"]) for row in one["survives"]] == [("wav", 90.0), ("gain", 25.0)]
    cnn, tagger = one["others"]
    assert cnn["agrees"] is True and cnn["says"] == "trumpet"
    assert tagger["agrees"] is None and tagger["says"] == "guitar"
    (odd,) = pieces(folder, [record(probability=None, ceiling=None, survives=None, heard_by={})])
    assert (odd["percent"], odd["ceiling"], odd["of_ceiling"]) == ("–", None, None)


def test_the_grid_holds_the_surest_of_each_cell(folder):
    records = [
        record(),
        record(label="flu", output="flu-free.wav", probability=0.2),
        record(label="flu", output="flu-free.wav", probability=0.4),
        record(label="flu", style="harmonic", output="flu-harmonic.flac", probability=0.3),
    ]
    grid = gallery_view.grid("svc", pieces(folder, records), alone=True)
    assert [style for style, _ in grid["styles"]] == ["free", "harmonic"]
    trumpet, flute = grid["rows"]
    assert trumpet["cells"][1] is None and trumpet["ceiling"].startswith("96")
    assert flute["cells"][0]["piece"]["p"] == 0.4 and flute["cells"][0]["more"] == 1
    assert flute["best"] == 0.4


def test_the_matrix_shades_by_what_was_meant(folder):
    records = [record(), record(label="flu", output="flu-free.wav")]
    table = gallery_matrix.matrix("svc", pieces(folder, records), alone=True)
    assert table["groups"] == [("cnn", 1), ("tagger", 1)] and table["single"]
    (right, unknown), (wrong, missed) = (row["cells"] for row in table["rows"])
    assert right["right"] and right["level"] == 14 and "as was meant" in right["says"]
    assert unknown["unknown"] and unknown["level"] == 0 and "no word" in unknown["says"]
    assert not wrong["right"] and wrong["level"] == 6 and wrong["text"] == "tru"
    assert missed["level"] == 2 and not missed["unknown"] and missed["text"] == "guitar"
    own = [record(heard_by={"svc": HEARD["cnn"]})]
    assert gallery_matrix.matrix("svc", pieces(folder, own), alone=True) is None


def test_the_table_of_transforms(folder):
    records = [record(), record(label="flu", output="flu-free.wav", survives={"mp3": 0.5})]
    table = gallery_matrix.survival(pieces(folder, records))
    assert table["transforms"] == ["wav", "gain", "mp3"]
    assert [cell["text"] for cell in table["rows"][0]["cells"]] == ["90", "90", "25", ""]
    assert [cell["text"] for cell in table["rows"][1]["cells"]] == ["90", "", "", "50"]
    assert gallery_matrix.survival(pieces(folder, [record(survives={})])) is None


def test_the_sentences_count_rightly():
    records = [record(probability=0.95), record(label="flu", probability=0.5)]
    assert re.sub("<.*?>", "", gallery_words.headline(records)).startswith("For 1 of 2 labels")
    told = gallery_words.finding(records)
    assert "cnn hears what was meant in 1 and tagger in 0 of the 1 that it has a word for" in told
    assert "convinces another victim for trumpet; for flute none does" in told
    assert gallery_words.finding([record(heard_by={})]) is None


def test_a_sound_that_is_gone_is_said_to_be(folder):
    page = write_gallery([record(output="gone.wav"), record()], folder).read_text("utf-8")
    assert "This file could not be read" in page and page.count("data-embedded") == 1
    light = write_gallery([record()], folder, embed=False).read_text("utf-8")
    assert "data-embedded" not in light and 'data-file="tru-free.wav"' in light and len(light) < 200_000


def test_records_that_lack_something_are_refused(tmp_path):
    with pytest.raises(SubterfugeError, match="no records"):
        write_gallery([], tmp_path / "new")
    with pytest.raises(SubterfugeError, match="record 1 lacks 'victim'"):
        write_gallery([{k: v for k, v in record().items() if k != "victim"}], tmp_path / "new")
    assert not (tmp_path / "new").exists()
