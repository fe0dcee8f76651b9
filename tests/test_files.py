"""Files are replaced whole or left alone, and folders that cannot be written in are told beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, replacing, write_text


def test_text_is_written_whole(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.json", "ä")
    assert path.read_bytes() == "ä".encode()
    write_text(path, "b")
    assert path.read_text() == "b" and list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.json", "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and list(folder.iterdir()) == []
    assert make_folder(folder) == folder


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below", "/proc/nowhere"])
def test_a_place_that_is_no_folder_is_said_in_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SubterfugeError) as caught:
        make_folder(tmp_path / place)
    assert str(tmp_path / place) in str(caught.value) and "\n" not in str(caught.value)
