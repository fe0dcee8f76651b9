"""A folder of class folders, read as a corpus: labels, recordings, formats, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.open import open_corpus
from subterfuge.errors import SubterfugeError

RATE = 8000


def clip(path: Path, *, rate: int = RATE, channels: int = 1, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y = np.random.default_rng(0).uniform(-0.5, 0.5, (rate // 4, channels))
    soundfile.write(path, y, rate, subtype=subtype)
    return path


def skipped(corpus: Corpus, root: Path) -> dict[str, str]:
    return {one.path.relative_to(root).as_posix(): one.why for one in corpus.skipped}


def test_labels_recordings_and_what_is_passed_over(tmp_path: Path) -> None:
    for name in ("vio/b__2.WAV", "vio/b__1.wav", "cel/b__1.flac", "cel/solo.mp3", "cel/take__two__1.ogg"):
        clip(tmp_path / name)
    for name in ("cel/notes.txt", "cel/.hidden.wav", "README.md", ".git/a.wav", "__MACOSX/cel/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of no concern")
    corpus = folder.read(tmp_path)
    assert (corpus.name, corpus.kind, corpus.labels, corpus.skipped) == (
        tmp_path.name,
        "folder",
        ("cel", "vio"),
        (),
    )
    assert [(one.path.name, one.label, one.recording) for one in corpus.clips] == [
        ("b__1.flac", "cel", "cel/b"),
        ("solo.mp3", "cel", "cel/solo"),
        ("take__two__1.ogg", "cel", "cel/take__two"),
        ("b__1.wav", "vio", "vio/b"),
        ("b__2.WAV", "vio", "vio/b"),
    ]


def test_deeper_folders_belong_to_the_class_and_tell_recordings_apart(tmp_path: Path) -> None:
    for name in ("a dog/park/1__1.wav", "a dog/park/1__2.wav", "a dog/home/1__1.wav", "cat/x/y/z.wav"):
        clip(tmp_path / name)
    corpus = folder.read(tmp_path)
    assert corpus.labels == ("a dog", "cat")
    assert [one.recording for one in corpus.clips] == [
        "a dog/home/1",
        "a dog/park/1",
        "a dog/park/1",
        "cat/x/y/z",
    ]


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "FLOAT"),
        ("a.wav", "ULAW"),
        ("a.flac", "PCM_24"),
        ("a.aiff", None),
        ("a.ogg", None),
        ("a.mp3", None),
        ("a.au", None),
        ("a.caf", None),
        ("a.w64", None),
        ("a.RF64", None),
        ("a.voc", None),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48000, 2)])
def test_any_format_that_soundfile_reads(
    tmp_path: Path, name: str, subtype: str | None, rate: int, channels: int
) -> None:
    clip(tmp_path / "cel" / name, rate=rate, channels=channels, subtype=subtype)
    header = folder.read(tmp_path, deep=True).clips[0].header
    assert header is not None and (header.sample_rate, header.channels) == (rate, channels)
    assert header.seconds == pytest.approx(0.25, abs=0.1)


def test_what_is_wrong_is_named_and_gone_on_without(tmp_path: Path) -> None:
    good = clip(tmp_path / "cel" / "good.wav")
    (tmp_path / "cel" / "cut.wav").write_bytes(good.read_bytes()[:-50])
    (tmp_path / "cel" / "text.flac").write_text("not sound")
    (tmp_path / "cel" / "empty.wav").touch()
    (tmp_path / "cel" / "film.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    (tmp_path / "flu").mkdir()
    (tmp_path / "vio").mkdir()
    (tmp_path / "vio" / "broken.wav").write_text("RIFF")
    clip(tmp_path / "stray.wav")
    corpus = folder.read(tmp_path)
    assert corpus.labels == ("cel",) and [one.path.name for one in corpus.clips] == ["good.wav"]
    said = skipped(corpus, tmp_path)
    assert said.pop("cel/cut.wav").startswith("is cut short (its header promises 4000, it holds 3950)")
    for name in ("cel/text.flac", "cel/film.m4a", "vio/broken.wav"):
        assert said.pop(name).startswith("is not audio that can be read")
    assert said == {
        "cel/empty.wav": "is empty",
        "flu": "holds no sound file",
        "vio": "none of its 1 sound files can be read",
        "stray.wav": "lies in no class folder",
    }


def test_deep_finds_a_flac_that_is_cut_short(tmp_path: Path) -> None:
    clip(tmp_path / "cel" / "good.flac")
    cut = clip(tmp_path / "cel" / "cut.flac")
    cut.write_bytes(cut.read_bytes()[:-500])
    assert folder.read(tmp_path).skipped == ()
    corpus = folder.read(tmp_path, deep=True)
    assert [one.path.name for one in corpus.clips] == ["good.flac"]
    assert list(skipped(corpus, tmp_path)) == ["cel/cut.flac"]


def test_one_class_alone_can_be_read(tmp_path: Path) -> None:
    clip(tmp_path / "cel" / "a.wav")
    assert open_corpus(tmp_path).labels == ("cel",)


def test_class_folders_may_be_links_and_loops_end(tmp_path: Path) -> None:
    clip(tmp_path / "far" / "x" / "a.wav")
    root = tmp_path / "root"
    root.mkdir()
    (root / "cel").symlink_to(tmp_path / "far" / "x")
    (tmp_path / "far" / "x" / "again").symlink_to(root)
    assert [one.label for one in folder.read(root).clips] == ["cel"]


def test_what_cannot_be_used_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SubterfugeError, match="no such folder"):
        folder.read(tmp_path / "none")
    with pytest.raises(SubterfugeError, match="one folder a class"):
        folder.read(tmp_path)
    clip(tmp_path / "loose.wav")
    with pytest.raises(SubterfugeError, match="one folder a class"):
        open_corpus(tmp_path)
    (tmp_path / "cel").mkdir()
    (tmp_path / "cel" / "a.wav").touch()
    with pytest.raises(
        SubterfugeError, match=r"none of its 1 sound files can be read \(the first: a.wav is empty\)"
    ):
        open_corpus(tmp_path)


def test_progress_counts_every_file(tmp_path: Path) -> None:
    for n in range(3):
        clip(tmp_path / "cel" / f"{n}.wav")
    (tmp_path / "cel" / "bad.wav").touch()
    told: list[tuple[int, int]] = []
    folder.read(tmp_path, report=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
