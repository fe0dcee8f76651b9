"""What was computed once, kept by what it was computed of: one small database for all processes."""

from __future__ import annotations

import os
import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder

FILE = "computed-1.sqlite"
VARIABLE = "SUBTERFUGE_CACHE"

_TABLE = "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, sum INTEGER, value BLOB) WITHOUT ROWID"
_AT_ONCE = 500  # keys to a question; SQLite takes 999 at least
_PATIENCE = 60.0  # seconds to wait for another process to finish writing


class Cache:
    """A lasting dictionary of bytes in one file. Nothing in it is needed: losing it costs only time.

    Several processes may read and write it at once. An entry that was altered on disk counts as missing, a
    file that is no database as empty, and where nothing can be written nothing is kept.

    Parameters
    ----------
    folder : Path
        Where :data:`FILE` lies or is to be made.

    Examples
    --------
    >>> import tempfile
    >>> cache = Cache(Path(tempfile.mkdtemp()))
    >>> cache.put({"a": b"1"})
    >>> cache.get(["a", "b"])
    {'a': b'1'}
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of those keys that there are."""
        found: dict[str, bytes] = {}
        if not self.path.is_file():
            return found
        with self._lenient(), closing(self._open()) as database:
            for start in range(0, len(keys), _AT_ONCE):
                some = list(keys[start : start + _AT_ONCE])
                question = f"SELECT key, sum, value FROM entries WHERE key IN ({','.join('?' * len(some))})"
                for key, total, value in database.execute(question, some):
                    if isinstance(value, bytes) and total == _sum(key, value):
                        found[key] = value
        return found

    def put(self, entries: Mapping[str, bytes]) -> None:
        """Keep these values; those there are of the same keys are replaced."""
        rows = [(key, _sum(key, value), value) for key, value in entries.items()]
        if not rows:
            return
        with self._lenient(), closing(self._open()) as database, database:
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_PATIENCE)
        try:
            database.execute(_TABLE)
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """Go on without what cannot be read or written; a file that is broken is begun anew."""
        try:
            yield
        except sqlite3.OperationalError:
            pass  # a full disk, a folder that cannot be written in, a process that holds on for too long
        except sqlite3.DatabaseError:
            for name in (self.path, Path(f"{self.path}-journal")):
                with suppress(OSError):
                    name.unlink()


def default_cache() -> Cache:
    """The cache in ``$SUBTERFUGE_CACHE``, or else in the user's own cache folder.

    Raises
    ------
    SubterfugeError
        If ``$SUBTERFUGE_CACHE`` is set and cannot be written in.
    """
    named = os.environ.get(VARIABLE)
    if named:
        try:
            return Cache(make_folder(Path(named)))
        except SubterfugeError as error:
            raise SubterfugeError(f"{VARIABLE}: {error}") from None
    folder = _users_folder() / "subterfuge"
    with suppress(SubterfugeError):
        make_folder(folder)
    return Cache(folder)


def _users_folder() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def _sum(key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode()))
