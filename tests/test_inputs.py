"""Names and patterns: what exists is taken by its name, brackets and all; only then is it a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from subterfuge.errors import SubterfugeError
from subterfuge.inputs import expand


def names(*patterns: str) -> list[str]:
    return [path.as_posix() for path in expand(patterns)]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub/deep").mkdir(parents=True)
    for name in ("b.wav", "a.wav", "[a].wav", "sub/c.wav", "sub/deep/d.flac"):
        Path(name).touch()


def test_names_keep_their_order_and_patterns_are_sorted() -> None:
    assert names("sub/c.wav", "?.wav") == ["sub/c.wav", "a.wav", "b.wav"]


def test_what_exists_is_a_name() -> None:
    assert names("[a].wav") == ["[a].wav"]
    assert names("[ab].wav") == ["a.wav", "b.wav"]


def test_patterns_go_deep_and_leave_folders_out() -> None:
    assert names("**/*.flac") == ["sub/deep/d.flac"]
    assert names("sub/*") == ["sub/c.wav"]


def test_a_missing_name_is_left_to_whoever_reads_it() -> None:
    assert names("missing.wav") == ["missing.wav"]


def test_each_file_once() -> None:
    Path("link.wav").symlink_to("a.wav")
    assert names("a.wav", "./a.wav", "sub/../a.wav", "link.wav", "a*.wav") == ["a.wav"]


@pytest.mark.parametrize("name", ["*.mp3", "", "a\0b", "[x]" * 2000])
def test_what_fits_nothing_is_said(name: str) -> None:
    with pytest.raises(SubterfugeError, match="fits no file"):
        expand(["a.wav", name])
