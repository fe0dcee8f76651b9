"""A corpus from a folder of class folders: ``<label>/.../<recording>__<n>.<extension>``, in any format."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.corpora.sift import Report, files_under, folders_in, is_sound, sift
from subterfuge.errors import SubterfugeError
from subterfuge.files import why


def read(folder: Path, *, deep: bool = False, report: Report | None = None) -> Corpus:
    """Every sound file in a class folder, however deep down; the class folder's name is the label.

    The recording is the part of the file's name before the last ``__`` (``cel0001__2.flac``), together with
    the folders that it lies in; a file without that mark is a recording of its own.

    Parameters
    ----------
    folder : Path
        Holds one folder a class. Files in it that are in none, class folders without sound, and files that
        cannot be read are named in ``skipped``; files that are no sound by their names are passed over.
    deep : bool
        Whether to decode every file, not only read its header.
    report : callable, optional
        Told after each file how many of how many are done.

    Raises
    ------
    SubterfugeError
        If the folder does not exist or cannot be read, or there is no sound file in its folders that can.

    Examples
    --------
    >>> import tempfile, soundfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (root / name).mkdir()
    ...     soundfile.write(root / name / "park__1.wav", [0.0] * 800, 8000)
    >>> [(clip.label, clip.recording) for clip in read(root).clips]
    [('cat', 'cat/park'), ('dog', 'dog/park')]
    """
    if not folder.is_dir():
        raise SubterfugeError(f"no such folder: {folder}")
    try:
        found = [clip for inner in folders_in(folder) for clip in _clips_in(inner)]
        bare = [
            Skipped(inner, "holds no sound file")
            for inner in folders_in(folder)
            if not any(clip.label == inner.name for clip in found)
        ]
        stray = [
            Skipped(path, "lies in no class folder") for path in sorted(folder.iterdir()) if _is_stray(path)
        ]
    except OSError as error:
        raise SubterfugeError(f"{error.filename or folder}: cannot be read ({why(error)})") from None
    if not found:
        raise SubterfugeError(f"{folder}: expected one folder a class with sound files in it, found none")
    kept, broken = sift(found, deep=deep, report=report)
    if not kept:
        raise SubterfugeError(
            f"{folder}: none of its {len(found)} sound files can be read (the first: {broken[0].path.name} "
            f"{broken[0].why}), expected some that can"
        )
    left = Counter(clip.label for clip in kept)
    lost = [
        Skipped(folder / label, f"none of its {count} sound files can be read")
        for label, count in Counter(clip.label for clip in found).items()
        if not left[label]
    ]
    return Corpus(folder.resolve().name, tuple(sorted(left)), kept, (*bare, *lost, *broken, *stray))


def _clips_in(folder: Path) -> list[Clip]:
    clips = []
    for path in files_under(folder):
        if is_sound(path):
            place = path.parent.relative_to(folder.parent).as_posix()
            clips.append(Clip(path, folder.name, f"{place}/{_recording(path.stem)}"))
    return clips


def _recording(stem: str) -> str:
    before, mark, _ = stem.rpartition("__")
    return before if mark and before else stem


def _is_stray(path: Path) -> bool:
    return is_sound(path) and path.is_file()
