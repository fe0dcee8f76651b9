"""A small IRMAS fetched from a local server: once, after breaks, again, and from archives at hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from irmas_like import TESTING, TRAINING, pack_all, write
from shaky_server import Act, serve
from subterfuge.corpora import zenodo
from subterfuge.corpora.fetch import fetch_irmas
from subterfuge.corpora.open import open_corpus
from subterfuge.corpora.zenodo import Archive
from subterfuge.errors import SubterfugeError


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four archives, made in the real ones' layout."""
    root = write(tmp_path_factory.mktemp("irmas"), TRAINING | TESTING)
    packed = tmp_path_factory.mktemp("served")
    pack_all(root, packed)
    return packed


@pytest.fixture(scope="module")
def archives(served: Path) -> tuple[Archive, ...]:
    """Their facts, as the published ones' are known: names, parts and order of those."""
    return tuple(
        replace(archive, md5=hashlib.md5((served / archive.name).read_bytes()).hexdigest())
        for archive in zenodo.ARCHIVES
    )


def test_the_record_s_facts() -> None:
    assert [archive.name for archive in zenodo.ARCHIVES] == [
        "IRMAS-TrainingData.zip",
        "IRMAS-TestingData-Part1.zip",
        "IRMAS-TestingData-Part2.zip",
        "IRMAS-TestingData-Part3.zip",
    ]
    assert all(len(archive.md5) == 32 and int(archive.md5, 16) for archive in zenodo.ARCHIVES)
    assert zenodo.url(zenodo.ARCHIVES[1], "http://mirror/irmas/") == (
        "http://mirror/irmas/IRMAS-TestingData-Part1.zip?download=1"
    )
    assert "BY-NC-SA 3.0" in zenodo.LICENCE and "no commercial use" in zenodo.LICENCE


def test_everything_with_breaks_then_nothing(
    served: Path, archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    told: list[tuple[str, str]] = []
    acts = [Act(503), Act(drop_after=3000), Act(), Act(ranges=False, drop_after=2000), Act(ranges=False)]
    with serve(served, *acts) as server:
        done = fetch_irmas(
            tmp_path / "irmas",
            base=server.url,
            archives=archives,
            wait=0.001,
            report=lambda archive, what, *_: told.append((archive, what)),
        )
        assert (len(done.fetched), done.present) == (4, ())
        assert {one["query"] for one in server.log} == {"download=1"}
        asked = len(server.log)
        again = fetch_irmas(tmp_path / "irmas", base=server.url, archives=archives)
        assert (again.fetched, len(again.present)) == ((), 4)
        assert len(server.log) == asked == 7
    assert sorted(path.name for path in done.folder.iterdir()) == sorted(a.folder for a in archives)
    for archive in archives:
        stages = [what.partition(" ")[0] for name, what in told if name == archive.name]
        assert {"downloading", "checking", "unpacking"} <= set(stages) and stages[-1] == "unpacking"
    assert len(open_corpus(done.folder).clips) == len(TRAINING)
    assert len(open_corpus(done.folder, part="testing").clips) == len(TESTING)


def test_one_part_then_the_other(served: Path, archives: tuple[Archive, ...], tmp_path: Path) -> None:
    with serve(served) as server:
        first = fetch_irmas(tmp_path, base=server.url, archives=archives, part="training")
        assert first.fetched == ("IRMAS-TrainingData.zip",)
        rest = fetch_irmas(tmp_path, base=server.url, archives=archives, part="testing", keep=True)
        assert len(rest.fetched) == 3
        assert len(server.log) == 4
    assert sorted(path.name for path in tmp_path.glob("*.zip")) == [a.name for a in archives[1:]]
    with pytest.raises(SubterfugeError, match="part: got 'drums', expected training, testing or all"):
        fetch_irmas(tmp_path, part="drums")


def test_an_archive_that_is_at_hand_is_not_downloaded(
    served: Path, archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    (tmp_path / archives[0].name).write_bytes((served / archives[0].name).read_bytes())
    with serve(served) as server:
        fetch_irmas(tmp_path, base=server.url, archives=archives, part="training")
        assert server.log == []
    assert (tmp_path / "IRMAS-TrainingData" / "cel").is_dir()


def test_a_wrong_archive_stops_it_and_keeps_the_others(
    served: Path, archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    wrong = (archives[0], replace(archives[1], md5="0" * 32), *archives[2:])
    with serve(served) as server:
        with pytest.raises(SubterfugeError, match="IRMAS-TestingData-Part1.zip.* expected " + "0" * 32):
            fetch_irmas(tmp_path, base=server.url, archives=wrong)
        assert [path.name for path in tmp_path.iterdir()] == ["IRMAS-TrainingData"]
        assert len(fetch_irmas(tmp_path, base=server.url, archives=archives).fetched) == 3


def test_a_folder_that_is_not_ours_is_left_alone(
    served: Path, archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    (tmp_path / "IRMAS-TrainingData").mkdir()
    with serve(served) as server:
        with pytest.raises(SubterfugeError, match="IRMAS-TrainingData: is there already"):
            fetch_irmas(tmp_path, base=server.url, archives=archives)
        assert server.log == []


def test_archives_are_opened_without_fetching(served: Path, tmp_path: Path) -> None:
    """Copies of the archives in a folder, or one of them by name; unpacked once."""
    for path in served.glob("*.zip"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    told: list[tuple[int, int]] = []
    corpus = open_corpus(tmp_path, report=lambda *news: told.append(news))
    assert (corpus.kind, len(corpus.clips)) == ("irmas-training", len(TRAINING))
    assert told[-1] == (len(TRAINING), len(TRAINING)) and told[0][1] > 1000
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["IRMAS-TrainingData"]
    before = (tmp_path / "IRMAS-TrainingData").stat().st_mtime_ns
    assert len(open_corpus(tmp_path / "IRMAS-TrainingData.zip").clips) == len(TRAINING)
    assert (tmp_path / "IRMAS-TrainingData").stat().st_mtime_ns == before
    assert len(open_corpus(tmp_path / "IRMAS-TestingData-Part1.zip").clips) == 3
    assert len(open_corpus(tmp_path, part="testing").clips) == len(TESTING)


def test_a_corrupt_archive_among_others_is_named(served: Path, tmp_path: Path) -> None:
    for path in served.glob("*Testing*.zip"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "IRMAS-TestingData-Part2.zip"
    broken.write_bytes(broken.read_bytes()[:-40])
    corpus = open_corpus(tmp_path)
    assert (corpus.kind, len(corpus.clips)) == ("irmas-testing", 4)
    assert corpus.skipped[0].path == broken
    assert corpus.skipped[0].why.startswith("is damaged or no zip archive")
    with pytest.raises(SubterfugeError, match=r"Part2\.zip: is damaged or no zip archive"):
        open_corpus(broken)
    text = tmp_path / "IRMAS.txt"
    text.write_text("no archive")
    with pytest.raises(SubterfugeError, match="is a file, expected a folder of clips or a zip archive"):
        open_corpus(text)


def test_archives_in_a_folder_that_cannot_be_written_in(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from subterfuge.corpora import open as opening

    (tmp_path / "disc").mkdir()
    archive = tmp_path / "disc" / "IRMAS-TrainingData.zip"
    archive.write_bytes((served / archive.name).read_bytes())
    monkeypatch.setattr(opening.os, "access", lambda path, mode: Path(path) != archive.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        corpus = open_corpus(archive.parent)
        assert len(corpus.clips) == len(TRAINING)
        assert corpus.clips[0].path.is_relative_to(tmp_path / "cache" / "subterfuge")
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
