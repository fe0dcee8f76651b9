"""Downloading one large file: it goes on where it broke off, and its checksum is right or there is none."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from subterfuge import __version__
from subterfuge.corpora.unpack import refuse_full
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, why

if TYPE_CHECKING:
    from http.client import HTTPResponse

# Told what is being done (``downloading``, ``checking``, ...), and how many of how many bytes are.
Telling = Callable[[str, int, int], None]

_CHUNK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be another one in a moment
_LONGEST = 60.0  # seconds between two attempts


class _StumbledError(Exception):
    """A request came to nothing, but the next one may not; ``after``: seconds that the server asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass
class _Transfer:
    """What is known of the file at the other end; ``version``, its ETag or date, is what is gone on with."""

    url: str
    version: str
    timeout: float
    total: int = 0
    room: float = 1.0


def download(
    url: str,
    to: Path,
    *,
    md5: str,
    retries: int = 5,
    wait: float = 1.0,
    timeout: float = 60.0,
    room: float = 1.0,
    report: Telling | None = None,
) -> bool:
    """Download a file; what a break leaves behind is gone on with, at once or at the next call.

    Until it is whole and its checksum right it is called ``<name>.part``. With a server that knows no
    ranges, or has another file by now, it begins anew.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    to : Path
        Where it goes; a file that is there already and has that checksum is left alone.
    md5 : str
        Checksum, in hexadecimal.
    retries : int
        Attempts without a byte gained after which it is given up.
    wait : float
        Seconds before the second attempt; twice as many before each one after, 60 at most, or as long as
        the server asks for.
    timeout : float
        Seconds without an answer or a byte that count as a break.
    room : float
        How many times the file's size must be free on the disk.
    report : callable, optional
        See :data:`Telling`.

    Returns
    -------
    bool
        Whether anything was downloaded; False where it was there.

    Raises
    ------
    SubterfugeError
        If the server has no such file, cannot be reached, or sends another one; if the disk is full or the
        folder cannot be written in; if another download of it is under way.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise SubterfugeError(f"url: got {url!r}, expected one that begins with http:// or https://")
    make_folder(to.parent)
    try:
        if to.is_file() and md5_of(to, report) == md5:
            return False
        part, note = to.with_name(f"{to.name}.part"), to.with_name(f"{to.name}.part.version")
        try:
            with _alone(part) as file:
                _download(url, file, note, md5, retries, wait, timeout, room, report)
                os.fsync(file.fileno())
        finally:
            if part.stat().st_size == 0:
                part.unlink()
                note.unlink(missing_ok=True)
        part.replace(to)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise SubterfugeError(f"{to}: cannot be written ({why(error)})") from None
    return True


def md5_of(path: Path, report: Telling | None = None) -> str:
    """The checksum of a file's content, in hexadecimal."""
    digest, total, done = hashlib.md5(usedforsecurity=False), path.stat().st_size, 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
            done += len(block)
            if report is not None:
                report("checking", done, total)
    return digest.hexdigest()


def _download(
    url: str,
    file: IO[bytes],
    note: Path,
    md5: str,
    retries: int,
    wait: float,
    timeout: float,
    room: float,
    report: Telling | None,
) -> None:
    """Fill ``file`` until its checksum is right; what was begun in another run is given one chance only."""
    begun = _size(file) > 0
    while True:
        transfer = _Transfer(url, _read(note) if begun else "", timeout, room=room)
        _fill(transfer, file, note, retries, wait, report)
        got = md5_of(Path(file.name), report)
        if got == md5:
            return
        file.truncate(0)
        note.unlink(missing_ok=True)
        if not begun:
            raise SubterfugeError(f"{url}: sent a file with md5 {got}, expected {md5}; it was thrown away")
        begun = False
        if report is not None:
            report("beginning anew, what was there was not of this file", 0, 0)


def _fill(
    transfer: _Transfer, file: IO[bytes], note: Path, retries: int, wait: float, report: Telling | None
) -> None:
    """Request what is missing, again and again, until the file has its whole length."""
    failures = 0
    while True:
        before = _size(file)
        try:
            _request(transfer, file, note, report)
            return
        except _StumbledError as stumble:
            failures = 1 if _size(file) > before else failures + 1
            if failures > retries:
                raise SubterfugeError(
                    f"{transfer.url}: cannot be downloaded ({stumble}; {failures} attempts in vain); "
                    "what has come is kept, the same command goes on from there"
                ) from None
            pause = min(_LONGEST, max(stumble.after, wait * 2 ** (failures - 1)))
            if report is not None:
                report(f"waiting ({stumble})", _size(file), transfer.total)
            time.sleep(pause)


def _request(transfer: _Transfer, file: IO[bytes], note: Path, report: Telling | None) -> None:
    """One request for all that is missing; returns when the last byte of the file is there."""
    have = _size(file)
    headers = {"User-Agent": f"sonic-subterfuge/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if transfer.version:
            headers["If-Range"] = transfer.version
    try:
        response = urlopen(Request(transfer.url, headers=headers), timeout=transfer.timeout)
    except HTTPError as error:
        with error:
            if error.code == 416:
                return _beyond(transfer, file, have, error.headers.get("Content-Range", ""))
            _refuse(transfer.url, error)
    except URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise SubterfugeError(f"{transfer.url}: is not who it says it is ({why(reason)})") from None
        raise _StumbledError(why(reason) if isinstance(reason, BaseException) else reason) from None
    except (HTTPException, OSError, ValueError) as error:
        raise _StumbledError(why(error)) from None
    with response:
        _agree(transfer, file, have, response)
        note.write_text(transfer.version, encoding="utf-8")
        have = _size(file)
        missing = transfer.total - have if transfer.total else 0
        refuse_full(note.parent, round(missing + (transfer.room - 1) * transfer.total), Path(file.name).stem)
        for block in _blocks(response):
            file.write(block)
            have += len(block)
            if report is not None:
                report("downloading", have, transfer.total)
        file.flush()
    if transfer.total and have < transfer.total:
        raise _StumbledError("the connection broke off")
    if transfer.total and have > transfer.total:
        file.truncate(0)
        raise _StumbledError("the server sent more than it said")


def _agree(transfer: _Transfer, file: IO[bytes], have: int, response: Any) -> None:
    """Note what the answer says, and cut the file to where its first byte belongs."""
    length = response.headers.get("Content-Length", "")
    start, total = 0, int(length) if length.isdecimal() else 0
    if response.status == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if said is None or int(said[1]) != have:
            file.truncate(0)
            raise _StumbledError("the server sent another part of the file than was asked for")
        start, total = have, 0 if said[2] == "*" else int(said[2])
    elif response.status != 200:
        raise _StumbledError(f"the server answered {response.status}")
    file.truncate(start)
    tag = response.headers.get("ETag", "")
    # A weak tag does not promise the same bytes, so it is no ground to go on by.
    transfer.version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    transfer.total = total


def _beyond(transfer: _Transfer, file: IO[bytes], have: int, said: str) -> None:
    """Nothing is missing, says the server: right if it knows the file to be as long as what is there."""
    if said.strip() == f"bytes */{have}":
        return
    file.truncate(0)
    raise _StumbledError("the server has less of the file than is here")


def _refuse(url: str, error: HTTPError) -> None:
    if error.code in _PASSING:
        after = error.headers.get("Retry-After", "")
        raise _StumbledError(
            f"the server answered {error.code}", float(after) if after.isdecimal() else 0.0
        ) from None
    raise SubterfugeError(
        f"{url}: the server answered {error.code} {error.reason}, expected it to have the file"
    ) from None


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes in, as it comes; a connection that breaks is a stumble, and no defect of the disk."""
    while True:
        try:
            block = response.read1(_CHUNK)
        except (HTTPException, OSError, ValueError) as error:
            raise _StumbledError(f"the connection broke off: {why(error)}") from None
        if not block:
            return
        yield block


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    """The file, opened to be gone on with, for one process at a time (where the system knows such locks)."""
    with path.open("ab") as file:
        with suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SubterfugeError(
                    f"{path}: is being downloaded already, expected one at a time"
                ) from None
        yield file


def _size(file: IO[bytes]) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
