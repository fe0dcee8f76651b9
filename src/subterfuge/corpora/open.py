"""Opening whatever a user has: IRMAS as it comes, packed or unpacked, or any folder of class folders."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

from subterfuge.corpora import folder, irmas, zenodo
from subterfuge.corpora.corpus import Corpus, Skipped
from subterfuge.corpora.sift import Report, few_words, files_under, folders_in
from subterfuge.corpora.unpack import unpack
from subterfuge.errors import SubterfugeError
from subterfuge.files import why

_TESTING = re.compile(r"testing|part[ _-]?\d+$", re.IGNORECASE)


def open_corpus(
    path: str | Path, *, part: str | None = None, deep: bool = False, report: Report | None = None
) -> Corpus:
    """The corpus at a path, each of its files looked at; what it is, its layout decides.

    - IRMAS: the folder that holds ``IRMAS-TrainingData`` and ``IRMAS-TestingData-Part1`` to ``3``, or one of
      these, or their zip archives. Archives are unpacked beside themselves, or in the user's cache folder
      where that cannot be written in, and found there the next time.
    - Any other folder: one folder a class (:func:`subterfuge.corpora.folder.read`).

    Parameters
    ----------
    path : str or Path
    part : str, optional
        ``training`` or ``testing``, of IRMAS; by default training where both are there.
    deep : bool
        Whether to decode every file, not only read its header.
    report : callable, optional
        Told how many of how many bytes are unpacked, then how many of how many files are looked at.

    Returns
    -------
    Corpus
        Its ``skipped`` names what was gone on without. It may be of one class only.

    Raises
    ------
    SubterfugeError
        If there is nothing at the path that can be used, or not the part asked for.

    Examples
    --------
    >>> import tempfile, soundfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("flu/[flu][cla]0393__1.wav", "tru/[tru][cla]1954__3.wav"):
    ...     (root / name).parent.mkdir()
    ...     soundfile.write(root / name, [0.0] * 800, 8000)
    >>> corpus = open_corpus(root)
    >>> corpus.kind, [clip.recording for clip in corpus.clips]
    ('irmas-training', ['0393', '1954'])
    """
    path = Path(path)
    if part not in (None, "training", "testing"):
        raise SubterfugeError(f"part: got {part!r}, expected training or testing")
    try:
        if path.is_file():
            return _of_archive(path, part, deep, report)
        if not path.is_dir():
            raise SubterfugeError(f"{path}: there is no such folder or archive")
        if part != "testing":
            training = _training(path, report)
            if training is not None:
                return irmas.read_training(training, deep=deep, report=report)
        if part != "training":
            testing, broken = _testing(path, report)
            if testing:
                corpus = irmas.read_testing(testing, name=path.resolve().name, deep=deep, report=report)
                return replace(corpus, skipped=(*broken, *corpus.skipped))
            if broken:
                raise SubterfugeError(f"{broken[0].path}: {broken[0].why}")
    except OSError as error:
        raise SubterfugeError(f"{error.filename or path}: cannot be read ({why(error)})") from None
    if part is not None:
        raise SubterfugeError(f"{path}: holds no {part} part of IRMAS, expected a folder that does")
    return folder.read(path, deep=deep, report=report)


def _of_archive(path: Path, part: str | None, deep: bool, report: Report | None) -> Corpus:
    with path.open("rb") as file:
        head = file.read(4)
    if path.suffix.lower() != ".zip" and head != b"PK\3\4":
        raise SubterfugeError(f"{path}: is a file, expected a folder of clips or a zip archive")
    return open_corpus(_unpacked(path, report), part=part, deep=deep, report=report)


def _training(path: Path, report: Report | None) -> Path | None:
    """The folder of the eleven class folders: this one, or one in it, or what its archive holds."""
    archive = zenodo.ARCHIVES[0]
    if _is_training(path):
        return path
    inner = [candidate for candidate in folders_in(path) if _is_training(candidate)]
    named = [candidate for candidate in inner if candidate.name == archive.folder]
    if len(named or inner) > 1:
        raise SubterfugeError(
            f"{path}: holds several training parts ({', '.join(found.name for found in inner)}), "
            "expected one, or the folder of one of them"
        )
    if inner:
        return (named or inner)[0]
    packed = path / archive.name
    return _unpacked(packed, report) if packed.is_file() else None


def _is_training(path: Path) -> bool:
    """Whether most of the clips in its class folders are called as IRMAS calls them."""
    stems = [
        file.stem
        for label in irmas.PUBLISHED
        if (path / label).is_dir()
        for file in (path / label).iterdir()
        if file.suffix.lower() == ".wav"
    ]
    return 2 * sum(irmas.read_name(stem) is not None for stem in stems) > len(stems)


def _testing(path: Path, report: Report | None) -> tuple[list[Path], list[Skipped]]:
    """The folders of the testing part (some may be missing), and archives that cannot be unpacked."""
    names = {archive.folder: archive for archive in zenodo.ARCHIVES if archive.part == "testing"}
    there, broken = [], []
    for name, archive in names.items():
        if (path / name).is_dir():
            there.append(path / name)
        elif (path / archive.name).is_file():
            try:
                there.append(_unpacked(path / archive.name, report))
            except SubterfugeError as error:
                broken.append(Skipped(path / archive.name, few_words(error, path / archive.name)))
        else:
            there.append(path / name)  # missing, and to be named as such
    if any(found.is_dir() for found in there):
        return there, broken
    parts = [inner for inner in folders_in(path) if _TESTING.search(inner.name)]
    for folders in (parts, [path]):
        if any(map(_has_labels, folders)):
            return folders, broken
    return [], broken


def _has_labels(path: Path) -> bool:
    """Whether there is a text file of instruments beside a clip, among the first that there are."""
    pairs = (
        text
        for text in files_under(path)
        if text.suffix.lower() == ".txt" and text.with_suffix(".wav").is_file()
    )
    for text in islice(pairs, 20):
        labels = irmas.labels_in(text.read_bytes()[:1000].decode("utf-8", errors="replace"))
        if labels and all(label in irmas.PUBLISHED for label in labels):
            return True
    return False


def _unpacked(archive: Path, report: Report | None) -> Path:
    """The folder of an archive's content, unpacked if it is not there yet."""
    beside = archive.parent / archive.stem
    if beside.is_dir():
        return beside
    if not beside.exists() and os.access(archive.parent, os.W_OK):
        return unpack(archive, beside, report=report)
    facts = archive.stat()
    key = zlib.crc32(f"{archive.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = cache / "subterfuge" / "corpora" / f"{archive.stem}-{key:08x}"
    return cached if cached.is_dir() else unpack(archive, cached, report=report)
