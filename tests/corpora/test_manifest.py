"""The orchestra's manifest: read back, and the soundfont of each clip as the orchestra itself draws it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from subterfuge.corpora.corpus import Clip
from subterfuge.corpora.manifest import Manifest, apart, number_of, read_manifest
from subterfuge.errors import SubterfugeError

FONTS = (("one.sf2", "ab"), ("two.sf2", "cd"), ("three.sf2", "ef"))
TOLD = {
    "kind": "orchestra",
    "version": 2,
    "seed": 7,
    "clips_per_recording": 2,
    "soundfonts": [{"name": name, "sha256": digest} for name, digest in FONTS],
    "clips": {"cel": 12, "cla": 8},
}


def clip(label: str, number: int, n: int = 1) -> Clip:
    name = f"{label}{number:04d}"
    return Clip(Path(f"{label}/{name}__{n}.flac"), label, f"{label}/{name}")


def test_what_was_written_is_read(tmp_path):
    (tmp_path / "corpus.json").write_text(json.dumps(TOLD))
    assert read_manifest(tmp_path) == Manifest(version=2, seed=7, soundfonts=FONTS, clips=8)


@pytest.mark.parametrize("change", [{"soundfonts": []}, {"clips": {}}, {"clips": None}, {"seed": "x"}])
def test_a_damaged_one_is_named(tmp_path, change):
    (tmp_path / "corpus.json").write_text(json.dumps(TOLD | change))
    with pytest.raises(SubterfugeError, match=r"corpus\.json: (is damaged|names no soundfont)"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_no_orchestra(tmp_path):
    with pytest.raises(SubterfugeError, match="expected an orchestra"):
        read_manifest(tmp_path)


def test_the_soundfont_is_the_one_that_the_orchestra_draws():
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    from subterfuge.corpora import orchestra

    fonts = orchestra.installed_soundfonts()
    if not fonts:
        pytest.skip("no soundfont is installed (Debian: fluid-soundfont-gm)")
    font = orchestra.read_soundfont(fonts[0])
    made = Manifest(2, 0, FONTS, 20)
    for number in range(5):
        drawn = orchestra.draw_recording(font, "pia", number, len(FONTS), 0)
        assert (
            made.soundfont_of(Clip(Path(f"{drawn.name}__1.flac"), "pia", drawn.name)) == FONTS[drawn.font][0]
        )


def test_clips_of_another_name_are_refused():
    for name in ("cel/other0001__1.flac", "cel/cel__1.flac", "cel/celx1__1.flac"):
        with pytest.raises(SubterfugeError, match="another name than the orchestra's"):
            number_of(Clip(Path(name), "cel", "x"))


def test_orchestras_of_different_seeds_share_nothing():
    one, two = Manifest(2, 0, FONTS[:1], 4), Manifest(2, 1, FONTS[1:2], 4)
    clips = [clip("cel", i) for i in range(4)]
    assert apart(clips, one, clips, two) == (tuple(clips), tuple(clips))


def test_what_is_trained_on_is_not_tested_in_another_soundfont():
    # The odd recordings of an orchestra of two soundfonts, and all of one of the first soundfont alone.
    both, first = Manifest(2, 0, FONTS[:2], 12), Manifest(2, 0, FONTS[:1], 12)
    train = [clip(label, i, n) for label in ("cel", "cla") for i in (1, 3, 5) for n in (1, 2)]
    test = [clip(label, i, n) for label in ("cel", "cla") for i in range(6) for n in (1, 2)]
    kept, left = apart(train, both, test, first)
    assert kept == tuple(train)
    assert {number_of(one) for one in left} == {0, 2, 4} and len(left) == 12


def test_where_all_is_drawn_alike_either_side_keeps_a_half():
    made = Manifest(2, 0, FONTS[:1], 12)
    clips = [clip("cel", i) for i in range(6)]
    train, test = apart(clips, made, clips, Manifest(2, 0, FONTS[1:2], 12))
    assert {number_of(one) for one in train}.isdisjoint(number_of(one) for one in test)
    assert len(train) == len(test) == 3
