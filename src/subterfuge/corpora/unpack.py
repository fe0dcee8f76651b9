"""Unpacking a zip archive that came from elsewhere: no path leads out of its folder, no bomb fills a disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from subterfuge.corpora.sift import Report
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, why

MARK = ".unpacked.json"
"""A file in each unpacked folder that says what it was unpacked from: where it is, all of it is."""

LARGEST = 32 << 30  # bytes unpacked; the largest of IRMAS's archives holds about 4 GB
RATIO = 100  # unpacked to packed, from 64 MiB on; sound packs by less than 2, a bomb by 1,000
FILES = 200_000

_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def unpack(
    archive: Path,
    folder: Path,
    *,
    md5: str | None = None,
    largest: int = LARGEST,
    ratio: float = RATIO,
    report: Report | None = None,
) -> Path:
    """Unpack an archive into a new folder, all of it or nothing.

    Everything is looked at before anything is written: names that lead out of the folder, links, encrypted or
    overlapping members, more than can be meant. Where all lies in one folder that is called like
    the archive, its content is what is put into ``folder``. What macOS adds is left out.

    Parameters
    ----------
    archive : Path
        A zip file.
    folder : Path
        Must not be there yet; it appears when the last file is written.
    md5 : str, optional
        The archive's, to be noted in the folder (see :data:`MARK`).
    largest : int
        Bytes that may come out of it.
    ratio : float
        How many times its own size may come out of it (not asked below 64 MiB).
    report : callable, optional
        Told from time to time how many of how many bytes are written.

    Raises
    ------
    SubterfugeError
        If it is no zip file, is damaged, unsafe or too large, the folder is there, or the disk is full.
    """
    if folder.exists():
        raise SubterfugeError(
            f"{folder}: is there already, expected to unpack {archive.name} into a new folder"
        )
    make_folder(folder.parent)
    # One name a folder: what a killed run has left is cleared away by the next.
    part = folder.with_name(f".{folder.name}.unpacking")
    try:
        with zipfile.ZipFile(archive) as source:
            members = _checked(archive, source, largest, ratio)
            total = sum(info.file_size for info, _ in members)
            refuse_full(folder.parent, total, archive.name)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            _write(archive, source, members, part, total, report)
        inner = _content(part, archive.stem)
        mark = {"archive": archive.name, "md5": md5, "files": len(members), "bytes": total}
        (inner / MARK).write_text(json.dumps(mark, indent=2), encoding="utf-8")
        inner.replace(folder)
    except SubterfugeError:
        raise
    except _BROKEN as error:
        raise SubterfugeError(
            f"{archive}: is damaged or no zip archive ({why(error)}), expected a whole one"
        ) from None
    except OSError as error:
        if not archive.is_file() or not os.access(archive, os.R_OK):
            raise SubterfugeError(f"{archive}: cannot be read ({why(error)})") from None
        raise SubterfugeError(f"{folder}: cannot be written ({why(error)})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def mark_of(folder: Path) -> dict[str, object] | None:
    """What a folder was unpacked from; None if that is not noted in it."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def refuse_full(folder: Path, size: int, what: str) -> None:
    """Make sure that so many bytes fit on the disk that a folder lies on.

    Raises
    ------
    SubterfugeError
        If they do not.
    """
    free = shutil.disk_usage(folder).free
    if size + (16 << 20) > free:
        raise SubterfugeError(f"{folder}: {gigabytes(free)} are free, expected {gigabytes(size)} for {what}")


def gigabytes(size: float) -> str:
    """A number of bytes, for people.

    Examples
    --------
    >>> gigabytes(3_200_000_000), gigabytes(250_000)
    ('3.2 GB', '0.25 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def _checked(
    archive: Path, source: zipfile.ZipFile, largest: int, ratio: float
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files to write, with where to; raises SubterfugeError for an archive that nothing is taken from."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    infos = source.infolist()
    if len(infos) > FILES:
        raise SubterfugeError(f"{archive}: holds {len(infos):,} files, expected {FILES:,} at most")
    for info in infos:
        path = _safe(archive, info)
        if info.is_dir() or "__MACOSX" in path.parts or path.name == ".DS_Store":
            continue
        if path in members:
            raise SubterfugeError(f"{archive}: holds {str(path)!r} twice, expected every file once")
        members[path] = info
    if not members:
        raise SubterfugeError(f"{archive}: holds no file, expected some")
    size = archive.stat().st_size
    total = sum(info.file_size for info in members.values())
    if total > largest:
        raise SubterfugeError(
            f"{archive}: would unpack to {gigabytes(total)}, expected {gigabytes(largest)} at most"
        )
    if total > (64 << 20) and total > ratio * size:
        raise SubterfugeError(
            f"{archive}: would unpack to {total / size:,.0f} times its size, expected {ratio:g} times at most"
        )
    if sum(info.compress_size for info in members.values()) > size:
        raise SubterfugeError(f"{archive}: its files overlap, expected each to be stored for itself")
    return [(info, path) for path, info in members.items()]


def _safe(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    name = _decoded(info)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or not path.parts:
        raise SubterfugeError(
            f"{archive}: holds {name!r}, which leads out of its folder, so nothing of it was unpacked, "
            "expected names within it"
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SubterfugeError(
            f"{archive}: holds {name!r}, a link or device, so nothing was unpacked, expected plain files"
        )
    if info.flag_bits & 1:
        raise SubterfugeError(f"{archive}: is encrypted, expected an archive without a password")
    if info.compress_type not in _METHODS:
        raise SubterfugeError(
            f"{archive}: {name!r} is packed by method {info.compress_type}, expected deflate, bzip2 or lzma"
        )
    return path


def _decoded(info: zipfile.ZipInfo) -> str:
    """A member's name; where it is UTF-8 without saying so, as some archivers have it, read as that."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _write(
    archive: Path,
    source: zipfile.ZipFile,
    members: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    folder: Path,
    total: int,
    report: Report | None,
) -> None:
    done = 0
    for info, path in members:
        target = folder.joinpath(*path.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise SubterfugeError(
                f"{archive}: holds {str(path)!r} as a file and as a folder, expected one of them"
            ) from None
        with file, source.open(info) as packed:
            while block := packed.read(_CHUNK):
                file.write(block)
                done += len(block)
                # zipfile stops at the size that the directory states, on which the sums above were made.
                if report is not None:
                    report(done, total)


def _content(part: Path, stem: str) -> Path:
    """The one folder called like the archive, if that is all there is, else what it was unpacked to."""
    entries = list(part.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].name == stem and entries[0].is_dir() else part
