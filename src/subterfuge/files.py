"""Writing a file whole or not at all (and JSON that is strict), and saying plainly why it could not be."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError


def why(error: BaseException) -> str:
    """The system's own reason for an error, for the end of a sentence (``no space left on device``)."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = text.strip().rstrip(".") or type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def make_folder(folder: Path) -> Path:
    """Make a folder, its parents too, and make sure that files can be made in it.

    Raises
    ------
    SubterfugeError
        If there is a file of that name or on the way to it, or the folder cannot be written in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{secrets.token_hex(8)}.part"
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        probe.unlink()
    except FileExistsError:
        raise SubterfugeError(f"{folder}: is a file, expected a folder to write in") from None
    except NotADirectoryError:
        raise SubterfugeError(
            f"{folder}: a part of this path is a file, expected a folder to write in"
        ) from None
    except OSError as error:
        raise SubterfugeError(f"{folder}: cannot write in this folder ({why(error)})") from None
    return folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside ``path`` to be filled; it takes its place at the end of the block.

    The file is flushed to the disk before it is renamed, and the folder after, so that at every instant
    (a crash, a power cut) ``path`` is either what it was or the whole new file. Leaving the block by
    an exception removes the new file and leaves ``path`` alone.

    Raises
    ------
    SubterfugeError
        If the folder is missing or cannot be written in, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(target) as part:
    ...     _ = part.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        # Not tempfile.mkstemp: the file is to have the permissions that the user's umask gives.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield part
            _flush(part)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _flush(path.parent)
    except OSError as error:
        raise SubterfugeError(f"{path}: cannot be written ({why(error)})") from None


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all (see :func:`replacing`)."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def strict_json(value: Any) -> str:
    """Strict JSON, indented; numbers that JSON has no word for (an infinite ratio) become null.

    Examples
    --------
    >>> strict_json([1.5, float("inf")]).split()
    ['[', '1.5,', 'null', ']']
    """
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, have reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
