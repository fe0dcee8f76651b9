"""IRMAS as it comes: names, labels, recordings, counts, and all that can be wrong with it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from irmas_like import RATE, TESTING, TRAINING, write
from subterfuge.corpora import irmas
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.open import open_corpus
from subterfuge.errors import SubterfugeError
from subterfuge.labels import FULL_NAMES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "irmas", TRAINING | TESTING)


def reasons(corpus: Corpus, root: Path) -> dict[str, str]:
    """Why each was skipped, the class folders that hold fewer than published left out."""
    return {
        skipped.path.relative_to(root).as_posix(): skipped.why
        for skipped in corpus.skipped
        if " published" not in skipped.why and " is missing" not in f" {skipped.why}"
    }


def test_published_numbers_add_up() -> None:
    assert sum(irmas.PUBLISHED.values()) == 6705
    assert tuple(irmas.PUBLISHED) == tuple(FULL_NAMES)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("008__[flu][nod][cla]0393__1", irmas.Name("flu", False, "cla", "0393", 1)),
        ("[tru][cla]1954__3", irmas.Name("tru", None, "cla", "1954", 3)),
        ("001__[gel][dru][pop_roc]0829__1", irmas.Name("gel", True, "pop_roc", "0829", 1)),
        # The genre "cla" is spelt like the clarinet, which is the label only where it comes first.
        ("[cla][cla]0150__12", irmas.Name("cla", None, "cla", "0150", 12)),
        ("[voi]2353__3", irmas.Name("voi", None, None, "2353", 3)),
    ],
)
def test_what_a_name_says(stem: str, name: irmas.Name) -> None:
    assert irmas.read_name(stem) == name


@pytest.mark.parametrize(
    "stem", ["", "0393__1", "[flu]0393", "[flu]0393__1-to-tru", "x[flu]0393__1", "[]1__1"]
)
def test_other_names_say_nothing(stem: str) -> None:
    assert irmas.read_name(stem) is None


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.sampled_from(tuple(FULL_NAMES)),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, *irmas.GENRES]),
    st.integers(0, 9999),
    st.integers(1, 40),
    st.none() | st.integers(0, 200),
)
def test_names_round_trip(label, drums, genre, recording, excerpt, first) -> None:
    tags = [label, *({True: ["dru"], False: ["nod"], None: []}[drums]), *([genre] if genre else [])]
    stem = "".join(f"[{tag}]" for tag in tags) + f"{recording:04d}__{excerpt}"
    stem = stem if first is None else f"{first:03d}__{stem}"
    assert irmas.read_name(stem) == irmas.Name(label, drums, genre, f"{recording:04d}", excerpt)


def test_the_seed_s_genuine_names(seed: Path) -> None:
    found = {path.name: irmas.read_name(path.stem) for path in (seed / "clips").glob("*.wav")}
    assert {name: (said.label, said.recording) for name, said in found.items() if said} == {
        "008__[flu][nod][cla]0393__1.wav": ("flu", "0393"),
        "065__[cel][nod][cla]0059__2.wav": ("cel", "0059"),
        "[tru][cla]1954__3.wav": ("tru", "1954"),
        "[voi][pop_roc]2353__3.wav": ("voi", "2353"),
    }


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.lists(st.sampled_from(tuple(FULL_NAMES)), min_size=1, unique=True),
    st.sampled_from(["\n", "\r\n", "\t\n", " \n", "\n\n", "\r", " \t \r\n\r\n"]),
    st.sampled_from(["", "\ufeff", "\n", "  "]),
    st.booleans(),
)
def test_labels_are_read_however_lines_end(labels, end, begin, last) -> None:
    text = begin + end.join(labels) + (end if last else "")
    assert irmas.labels_in(text) == tuple(labels)


def test_training_clips_and_recordings(root: Path) -> None:
    corpus = open_corpus(root)
    assert (corpus.name, corpus.kind) == ("IRMAS-TrainingData", "irmas-training")
    assert corpus.labels == ("cel", "flu", "gel", "tru", "voi")
    assert sorted((clip.label, clip.recording, clip.path.name) for clip in corpus.clips) == sorted(
        (Path(name).parent.name, re.search(r"(\d{4})__\d", name)[1], Path(name).name) for name in TRAINING
    )
    # Excerpts of one recording share it; the number in front (008, cello's and flute's) is none.
    assert len({clip.recording for clip in corpus.clips}) == 7
    header = corpus.clips[0].header
    assert header is not None and (header.sample_rate, header.channels, header.seconds) == (RATE, 2, 0.05)


def test_training_counts_are_held_against_the_published_ones(root: Path) -> None:
    said = {skipped.path.name: skipped.why for skipped in open_corpus(root).skipped}
    assert set(said) == set(irmas.PUBLISHED)
    assert said["cel"] == "holds 3 clips, 388 were published: 385 missing"
    assert said["org"] == "is missing, and 682 clips with it"


def test_a_class_that_is_whole_is_not_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"cel": 3, "flu": 2, "gel": 1, "tru": 1, "voi": 2}
    monkeypatch.setattr(irmas, "PUBLISHED", counts)
    said = {skipped.path.name: skipped.why for skipped in open_corpus(root).skipped}
    assert said == {
        "tru": "holds 2 clips, 1 were published: 1 too many",
        "voi": "holds 1 clips, 2 were published: 1 missing",
    }
    monkeypatch.setattr(irmas, "PUBLISHED", counts | {"tru": 2, "voi": 1})
    assert open_corpus(root).skipped == ()


def test_training_what_is_wrong_is_named_and_gone_on_without(root: Path) -> None:
    training = root / "IRMAS-TrainingData"
    good = len(open_corpus(root).clips)
    whole = (training / "cel" / "[cel][pop_roc]0006__1.wav").read_bytes()
    (training / "cel" / "[cel][cla]0007__1.wav").write_bytes(whole[:-100])
    (training / "cel" / "[cel][cla]0007__2.wav").write_bytes(b"")
    (training / "cel" / "[cel][cla]0007__3.wav").write_text("not sound at all")
    (training / "cel" / "[cel][cla]0008__1.wav").write_bytes(whole[:44])
    (training / "cel" / "[tru][cla]0009__1.wav").write_bytes(whole)
    (training / "cel" / "[cel][cla]0010__1-to-tru.wav").write_bytes(whole)
    (training / "cel" / "notes.txt").write_text("of no concern")
    (training / "cel" / "._[cel][cla]0011__1.wav").write_bytes(b"what an archiver hides")
    (training / "drums").mkdir()
    (training / "pia").mkdir()
    corpus = open_corpus(root)
    assert len(corpus.clips) == good
    said = reasons(corpus, training)
    assert said.pop("cel/[cel][cla]0007__1.wav").startswith("is cut short (its header promises ")
    assert said.pop("cel/[cel][cla]0007__3.wav").startswith("is not audio that can be read")
    assert re.match("is cut short|holds no samples", said.pop("cel/[cel][cla]0008__1.wav"))
    assert said == {
        "cel/[cel][cla]0007__2.wav": "is empty",
        "cel/[tru][cla]0009__1.wav": "is tagged tru, but lies with cel",
        "cel/[cel][cla]0010__1-to-tru.wav": "is not called like a clip of the data set",
        "drums": "is none of the eleven class folders",
    }
    counts = {skipped.path.name: skipped.why for skipped in corpus.skipped}
    assert counts["pia"] == "holds no clip, 721 were published"
    # Broken clips are there, so they are not missing: three good, three broken, one without a sample.
    assert counts["cel"] == "holds 7 clips, 388 were published: 381 missing"


def test_testing_labels_and_recordings(root: Path) -> None:
    corpus = open_corpus(root, part="testing")
    assert (corpus.name, corpus.kind) == ("irmas", "irmas-testing")
    assert {clip.path.name: clip.labels for clip in corpus.clips} == {
        "01 Emily-30.wav": ("sax", "pia"),
        "01 Emily-7.wav": ("sax",),
        "01 - Canto das tre\u0302s rac\u0327as-13.wav": ("voi",),
        "The Failure-1.wav": ("gel", "gac"),
        "01. Flight Time-14.wav": ("org", "pia"),
        "Four Tet - Love Cry-27.wav": ("gel",),
    }
    assert corpus.labels == ("gac", "gel", "org", "pia", "sax", "voi")
    assert sorted({clip.recording for clip in corpus.clips}) == [
        "01 - Canto das tr\u00eas ra\u00e7as",
        "01 Emily",
        "01. Flight Time",
        "Four Tet - Love Cry",
        "The Failure",
    ]
    assert [skipped.why for skipped in corpus.skipped] == [
        "holds 6 clips, 2,874 were published: 2,868 missing"
    ]


def test_testing_what_is_wrong_is_named_and_gone_on_without(root: Path) -> None:
    part = root / "IRMAS-TestingData-Part1" / "Part1"
    whole = (part / "01 Emily-30.wav").read_bytes()
    for name, text in (("a-1", "dru\ncel\n"), ("b-1", " \n\t\n"), ("c-1", None), ("d-1", "cel")):
        (part / f"{name}.wav").write_bytes(whole if name != "d-1" else whole[:60])
        if text is not None:
            (part / f"{name}.txt").write_text(text)
    (part / "e-1.txt").write_text("cel")
    (part / "README.txt").write_text("of no concern")
    corpus = open_corpus(root, part="testing")
    assert len(corpus.clips) == 6
    said = reasons(corpus, part)
    assert said.pop("d-1.wav").startswith("is cut short")
    assert said == {
        "a-1.wav": "has the unknown label 'dru' in its text file",
        "b-1.wav": "its text file holds no label",
        "c-1.wav": "has no text file of labels beside it",
        "e-1.txt": "has no clip beside it",
    }


def test_a_missing_part_is_named(root: Path) -> None:
    shutil.rmtree(root / "IRMAS-TestingData-Part2")
    corpus = open_corpus(root, part="testing")
    assert len(corpus.clips) == 4
    assert {"IRMAS-TestingData-Part2": "is missing"}.items() <= {
        s.path.name: s.why for s in corpus.skipped
    }.items()


@pytest.mark.parametrize(
    ("below", "clips"),
    [
        ("IRMAS-TestingData-Part1", 3),
        ("IRMAS-TestingData-Part1/Part1", 3),
        ("IRMAS-TestingData-Part2/IRTestingData-Part2", 2),
    ],
)
def test_one_part_of_the_testing_part(root: Path, below: str, clips: int) -> None:
    corpus = open_corpus(root / below)
    assert (corpus.kind, len(corpus.clips), corpus.skipped) == ("irmas-testing", clips, ())


def test_other_ways_to_lay_it_out(root: Path, tmp_path: Path) -> None:
    """The class folders themselves; renamed; all testing clips in one folder; only the testing part there."""
    training = root / "IRMAS-TrainingData"
    assert len(open_corpus(training).clips) == len(TRAINING)
    training.rename(root / "train")
    assert open_corpus(root).name == "train"
    shutil.rmtree(root / "train")
    assert open_corpus(root).kind == "irmas-testing"
    one = tmp_path / "one" / "IRMAS-TestingData"
    one.mkdir(parents=True)
    for path in root.rglob("*.*"):
        shutil.copy(path, one)
    for place in (one, one.parent):
        assert len(open_corpus(place, part="testing").clips) == len(TESTING)


def test_two_training_parts_are_not_chosen_between(root: Path) -> None:
    shutil.copytree(root / "IRMAS-TrainingData", root / "denoised")
    assert open_corpus(root).name == "IRMAS-TrainingData"
    (root / "IRMAS-TrainingData").rename(root / "noisy")
    with pytest.raises(SubterfugeError, match=r"several training parts \(denoised, noisy\)"):
        open_corpus(root)


def test_classes_of_the_same_codes_are_a_plain_folder(root: Path, tmp_path: Path) -> None:
    for label in ("cel", "flu"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for n in (1, 2):
            shutil.copy(
                root / "IRMAS-TrainingData/cel/[cel][pop_roc]0006__1.wav",
                tmp_path / "mine" / label / f"{label}0001__{n}.wav",
            )
    corpus = open_corpus(tmp_path / "mine")
    assert corpus.kind == "folder"
    assert {clip.recording for clip in corpus.clips} == {"cel/cel0001", "flu/flu0001"}


def test_deep_finds_what_a_header_hides(root: Path) -> None:
    good = root / "IRMAS-TrainingData/cel/[cel][pop_roc]0006__1.wav"
    y, _ = soundfile.read(good)
    y[3] = float("nan")
    soundfile.write(good, y, RATE, subtype="FLOAT")
    assert len(open_corpus(root).clips) == len(TRAINING)
    corpus = open_corpus(root, deep=True)
    assert len(corpus.clips) == len(TRAINING) - 1
    assert reasons(corpus, root)[good.relative_to(root).as_posix()] == "holds NaN or infinite samples"


def test_progress_counts_every_clip_once(root: Path) -> None:
    told: list[tuple[int, int]] = []
    open_corpus(root, report=lambda done, total: told.append((done, total)))
    assert told == [(n, len(TRAINING)) for n in range(1, len(TRAINING) + 1)]


def test_nothing_of_use_is_an_error(root: Path, tmp_path: Path) -> None:
    for path in (root / "IRMAS-TrainingData").rglob("*.wav"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        SubterfugeError, match=r"holds no clip of IRMAS that can be used \(the first: .* is cut short"
    ):
        open_corpus(root)
    with pytest.raises(SubterfugeError, match="no testing part of IRMAS"):
        open_corpus(root / "IRMAS-TrainingData", part="testing")
    with pytest.raises(SubterfugeError, match="no training part of IRMAS"):
        open_corpus(root / "IRMAS-TestingData-Part1", part="training")
    with pytest.raises(SubterfugeError, match="part: got 'test', expected training or testing"):
        open_corpus(root, part="test")
    with pytest.raises(SubterfugeError, match="no such folder or archive"):
        open_corpus(tmp_path / "none")


def test_a_class_folder_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from subterfuge.corpora import sift

    walk = sift.os.walk

    def denied(folder: Path, onerror: Callable[[OSError], None]) -> object:
        if folder.name == "flu":
            onerror(PermissionError(13, "Permission denied", str(folder)))
        return walk(folder, onerror=onerror)

    monkeypatch.setattr(sift.os, "walk", denied)
    with pytest.raises(SubterfugeError, match=r"Data/flu: cannot be read \(permission denied\)"):
        open_corpus(root)


def test_an_unreadable_folder_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(SubterfugeError, match=r"cannot be read \(permission denied\)"):
        open_corpus(root)
