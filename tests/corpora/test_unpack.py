"""Archives from elsewhere: what is unsafe, too large or damaged is refused before anything is written."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.corpora import unpack as module
from subterfuge.corpora.unpack import MARK, mark_of, unpack
from subterfuge.errors import SubterfugeError


def make(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARK
    }


def refused(archive: Path, match: str, **options: float) -> None:
    """It is refused in one sentence that names the archive, and nothing at all is left behind."""
    before = set(archive.parent.rglob("*"))
    with pytest.raises(SubterfugeError, match=match) as error:
        unpack(archive, archive.parent / "out", **options)  # type: ignore[arg-type]
    assert str(archive) in str(error.value) and "\n" not in str(error.value)
    assert set(archive.parent.rglob("*")) == before


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    files = {"a/b/c.wav": b"\1\2" * 5000, "a/[x] y.txt": b"", "top": b"z"}
    told: list[tuple[int, int]] = []
    folder = unpack(
        make(tmp_path / "it.zip", files),
        tmp_path / "new" / "out",
        md5="m",
        report=lambda done, total: told.append((done, total)),
    )
    assert tree(folder) == files
    assert mark_of(folder) == {"archive": "it.zip", "md5": "m", "files": 3, "bytes": 10001}
    assert told[-1] == (10001, 10001)
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_a_folder_called_like_the_archive_is_its_content(tmp_path: Path) -> None:
    files = {"IT/a.wav": b"a", "IT/b/c.wav": b"c", "IT/.DS_Store": b"x", "__MACOSX/IT/._a.wav": b"x"}
    assert tree(unpack(make(tmp_path / "IT.zip", files), tmp_path / "out")) == {
        "a.wav": b"a",
        "b/c.wav": b"c",
    }
    assert set(tree(unpack(make(tmp_path / "that.zip", files), tmp_path / "other"))) == {
        "IT/a.wav",
        "IT/b/c.wav",
    }


def test_names_in_utf_8_that_do_not_say_so(tmp_path: Path) -> None:
    """As macOS writes them: UTF-8, without the flag that says it."""
    name = "Canto das três raças.wav"
    archive = make(tmp_path / "a.zip", {"C" * len(name.encode()): b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"C" * len(name.encode()), name.encode()))
    assert set(tree(unpack(archive, tmp_path / "out"))) == {name}


@pytest.mark.parametrize(
    "name",
    [
        "../a.wav",
        "a/../../b.wav",
        "/etc/a.wav",
        "..",
        "a\\..\\..\\b.wav",
        "\\a.wav",
        "C:a.wav",
        "c:\\a.wav",
        "//h/a",
    ],
)
def test_a_name_that_leads_out(tmp_path: Path, name: str) -> None:
    archive = make(tmp_path / "a.zip", {"good.wav": b"x", "x" * len(name): b"evil"})
    # Written into the bytes, since zipfile itself would tidy some of these names.
    archive.write_bytes(archive.read_bytes().replace(b"x" * len(name), name.encode()))
    refused(archive, "leads out of its folder")
    assert not (tmp_path.parent / "a.wav").exists()


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(st.text("./\\a:", min_size=1, max_size=8), min_size=1, max_size=3, unique=True))
def test_no_name_at_all_leads_out(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    root = tmp_path_factory.mktemp("zip")
    archive, place = root / "a.zip", root / "deep" / "deeper" / "out"
    place.parent.mkdir(parents=True)
    make(archive, dict.fromkeys(names, b"x"))
    try:
        folder = unpack(archive, place)
    except SubterfugeError:
        pass
    else:
        assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))
    assert {
        path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_relative_to(place)
    } == {
        "a.zip",
        "deep",
        "deep/deeper",
    }


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a.wav")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "a link or device")


def test_a_bomb_by_ratio(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {f"{n}.wav": bytes(10 << 20) for n in range(7)})
    refused(archive, r"would unpack to 1,0\d\d times its size, expected 100 times at most")
    assert len(tree(unpack(archive, tmp_path / "out", ratio=2000))) == 7


def test_a_bomb_by_size(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.wav": bytes(3 << 20)})
    refused(archive, "would unpack to 3.15 MB, expected 2 MB at most", largest=2_000_000)


def overlapping(path: Path, members: int) -> Path:
    """A zip whose directory names one stored file many times (Fifield 2019 builds his bomb like that)."""
    make(path, {"a": b"x" * 1000}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    begin = raw.index(b"PK\1\2")
    entry = raw[begin : raw.index(b"PK\5\6")]
    entries = b"".join(entry.replace(b"a", bytes([65 + n]), 1) if n else entry for n in range(members))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, members, members, len(entries), begin, 0)
    path.write_bytes(raw[:begin] + entries + end)
    return path


def test_a_bomb_of_overlapping_files(tmp_path: Path) -> None:
    refused(overlapping(tmp_path / "a.zip", 20), "its files overlap")


def test_more_comes_out_than_the_directory_says(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.wav": bytes(1 << 20)})
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 1000)))
    refused(archive, "is damaged or no zip archive")


def test_encrypted(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.wav": b"x"})
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1  # the flag in the file's own header, and in the directory
    raw[raw.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    refused(archive, "is encrypted")


def test_a_method_that_is_not_known(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.wav": b"x"})
    raw = bytearray(archive.read_bytes())
    raw[8] = raw[raw.index(b"PK\1\2") + 10] = 97
    archive.write_bytes(raw)
    refused(archive, "packed by method 97")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "headless"])
def test_damaged(tmp_path: Path, damage: str) -> None:
    import random

    archive = make(tmp_path / "a.zip", {"a.wav": random.Random(0).randbytes(5000), "b.wav": b"x"})
    raw = archive.read_bytes()
    flipped = bytearray(raw)
    flipped[2000] ^= 1
    archive.write_bytes(
        {
            "cut": raw[:-30],
            "flipped": bytes(flipped),
            "empty": b"",
            "text": b"<html>not found</html>",
            "headless": b"PK\3\4" + bytes(100),
        }[damage]
    )
    refused(archive, "is damaged or no zip archive")


def test_twice_the_same_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.wav", "1")
        archive.writestr("a.wav", "2")
    refused(tmp_path / "a.zip", "'a.wav' twice")


def test_a_name_that_is_file_and_folder(tmp_path: Path) -> None:
    refused(make(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"}), "as a file and as a folder")


def test_nothing_in_it(tmp_path: Path) -> None:
    refused(make(tmp_path / "a.zip", {}), "holds no file")
    refused(make(tmp_path / "b.zip", {"__MACOSX/a": b"x"}), "holds no file")


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(20 << 20))
    archive = make(tmp_path / "a.zip", {"a.wav": bytes(5 << 20)})
    with pytest.raises(SubterfugeError, match=r"21 MB are free, expected 5.24 MB for a.zip"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(SubterfugeError, match="is there already"):
        unpack(make(tmp_path / "a.zip", {"a": b"x"}), tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine": b"mine"}


def test_no_archive_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SubterfugeError, match=r"none.zip: cannot be read \(no such file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SubterfugeError, match="is a file, expected a folder"):
        unpack(make(tmp_path / "a.zip", {"a": b"x"}), tmp_path / "file" / "out")


def test_an_interrupted_run_leaves_nothing_and_a_killed_one_no_harm(tmp_path: Path) -> None:
    archive = make(tmp_path / "a.zip", {"a.wav": b"x", "b.wav": b"y"})

    def press(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", report=press)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    left = tmp_path / ".out.unpacking"
    left.mkdir()
    (left / "a.wav").write_text("half")
    assert tree(unpack(archive, tmp_path / "out")) == {"a.wav": b"x", "b.wav": b"y"}
    assert not left.exists()
