"""Fetching IRMAS: its archives downloaded, checked and unpacked, and nothing done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from subterfuge.corpora import zenodo
from subterfuge.corpora.download import download
from subterfuge.corpora.unpack import mark_of, unpack
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder

# Told which archive, what is being done with it, and how many of how many bytes are.
Telling = Callable[[str, str, int, int], None]

_ROOM = 2.4  # times an archive's size: itself, and what comes out of it, which sound makes little larger


@dataclass(frozen=True)
class Fetched:
    """What came of it.

    Attributes
    ----------
    folder : Path
        To be opened with :func:`subterfuge.corpora.open.open_corpus`.
    fetched, present : tuple of str
        Names of the archives that were fetched, and of those that were there already.
    """

    folder: Path
    fetched: tuple[str, ...]
    present: tuple[str, ...]


def fetch_irmas(
    out: Path,
    *,
    part: str = "all",
    base: str = zenodo.BASE,
    archives: Sequence[zenodo.Archive] | None = None,
    keep: bool = False,
    retries: int = 5,
    wait: float = 1.0,
    timeout: float = 60.0,
    report: Telling | None = None,
) -> Fetched:
    """Download the archives of IRMAS into a folder, check them by their md5, unpack them and remove them.

    A second call does nothing; one after a break goes on where that was. IRMAS is licensed CC BY-NC-SA 3.0
    (:data:`subterfuge.corpora.zenodo.LICENCE`).

    Parameters
    ----------
    out : Path
        Gets one folder an archive, ``IRMAS-TrainingData`` and ``IRMAS-TestingData-Part1`` to ``3``.
    part : str
        ``training``, ``testing`` or ``all``.
    base : str
        Where the archives are: Zenodo's record, or the address of a mirror's folder.
    archives : sequence of Archive, optional
        Their names and checksums, by default the published ones.
    keep : bool
        Whether to leave the archives where they are once they are unpacked.
    retries, wait, timeout
        As for :func:`subterfuge.corpora.download.download`.
    report : callable, optional
        See :data:`Telling`.

    Raises
    ------
    SubterfugeError
        If an archive cannot be downloaded, is not the published one or cannot be unpacked, or the disk is
        full. What was fetched before is kept.
    """
    if part not in ("training", "testing", "all"):
        raise SubterfugeError(f"part: got {part!r}, expected training, testing or all")
    make_folder(out)
    fetched = {
        archive.name: _fetch(archive, out, base, keep, retries, wait, timeout, report)
        for archive in (zenodo.ARCHIVES if archives is None else archives)
        if part in ("all", archive.part)
    }
    return Fetched(
        out,
        tuple(name for name, new in fetched.items() if new),
        tuple(name for name, new in fetched.items() if not new),
    )


def _fetch(
    archive: zenodo.Archive,
    out: Path,
    base: str,
    keep: bool,
    retries: int,
    wait: float,
    timeout: float,
    report: Telling | None,
) -> bool:
    """One archive; False if its folder is there, whole."""
    folder, packed = out / archive.folder, out / archive.name
    if folder.exists():
        if (mark_of(folder) or {}).get("md5") == archive.md5:
            return False
        raise SubterfugeError(
            f"{folder}: is there already, but not from {archive.name} as published; "
            "expected another --out, or that it is moved away"
        )

    def tell(what: str, done: int, total: int) -> None:
        if report is not None:
            report(archive.name, what, done, total)

    download(
        zenodo.url(archive, base),
        packed,
        md5=archive.md5,
        retries=retries,
        wait=wait,
        timeout=timeout,
        room=_ROOM,
        report=tell,
    )
    unpack(packed, folder, md5=archive.md5, report=lambda done, total: tell("unpacking", done, total))
    if not keep:
        packed.unlink()
    return True
