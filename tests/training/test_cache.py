"""The cache: what is kept comes back, what is broken counts as missing, many may write at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from subterfuge.errors import SubterfugeError
from subterfuge.training.cache import Cache, default_cache


def test_what_is_kept_comes_back_and_the_rest_is_missing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.get(["a"]) == {}
    cache.put({f"k{i}": bytes([i % 256]) * 9 for i in range(1500)})
    cache.put({"k3": b"new"})
    found = Cache(tmp_path).get([f"k{i}" for i in range(2000)])
    assert len(found) == 1500 and found["k3"] == b"new" and found["k1499"] == bytes([1499 % 256]) * 9


def test_an_altered_entry_counts_as_missing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put({"a": b"right", "b": b"right", "c": b"right"})
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE entries SET value = ? WHERE key = 'a'", (b"wrong",))
        database.execute("UPDATE entries SET key = 'd' WHERE key = 'b'")
    assert cache.get(["a", "b", "c", "d"]) == {"c": b"right"}
    cache.put({"a": b"again"})
    assert cache.get(["a"]) == {"a": b"again"}


@pytest.mark.parametrize("damage", ["no database", "cut", "scribbled", "empty"])
def test_a_broken_file_is_begun_anew(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.put({f"k{i}": bytes(200) for i in range(2000)})
    data = cache.path.read_bytes()
    match damage:
        case "no database":
            cache.path.write_bytes(b"hello, this is no database" * 100)
        case "cut":
            cache.path.write_bytes(data[: len(data) // 2 + 77])
        case "scribbled":
            cache.path.write_bytes(data[:4096] + bytes(255 for _ in range(len(data) - 4096)))
        case "empty":
            cache.path.write_bytes(b"")
    keys = [f"k{i}" for i in range(2000)]
    cache.get(keys)  # whatever it gives, it is right, and it does not fail
    for _ in range(2):
        cache.put({"new": b"1"})
    assert cache.get(["new"]) == {"new": b"1"}
    assert all(value == bytes(200) for value in cache.get(keys).values())


def _write(folder: str, who: int) -> None:
    cache = Cache(Path(folder))
    for i in range(20):
        cache.put({f"{who}/{i}": bytes([who, i]), "shared": b"same"})


def test_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), who)) for who in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert [one.exitcode for one in writers] == [0] * 4
    keys = [f"{who}/{i}" for who in range(4) for i in range(20)]
    found = Cache(tmp_path).get([*keys, "shared"])
    assert len(found) == 81 and found["3/7"] == bytes([3, 7])


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "missing")
    cache.put({"a": b"1"})
    assert cache.get(["a"]) == {} and not (tmp_path / "missing").exists()


def test_its_place_is_the_one_named_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBTERFUGE_CACHE", str(tmp_path / "mine"))
    assert default_cache().path.parent == tmp_path / "mine" and (tmp_path / "mine").is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SUBTERFUGE_CACHE", str(tmp_path / "file"))
    with pytest.raises(SubterfugeError, match=r"SUBTERFUGE_CACHE: .*is a file"):
        default_cache()
    monkeypatch.delenv("SUBTERFUGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_cache().path.parent == tmp_path / "xdg" / "subterfuge"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    default_cache().put({"a": b"1"})  # only costs time
