"""A corpus from a folder of class folders: ``<label>/<recording>__<n>.<ext>``."""

from __future__ import annotations

from pathlib import Path

from subterfuge.corpora.corpus import Clip, Corpus
from subterfuge.errors import SubterfugeError

EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"})


def read(folder: Path) -> Corpus:
    """Every audio file one folder down; the folder's name is the label.

    The recording is the part of the file's name before ``__`` (as in IRMAS), together with the label;
    a file without that mark is a recording of its own.

    Raises
    ------
    SubterfugeError
        If the folder does not exist or holds no audio file in a subfolder.
    """
    if not folder.is_dir():
        raise SubterfugeError(f"no such folder: {folder}")
    clips = tuple(
        Clip(path, path.parent.name, f"{path.parent.name}/{path.stem.partition('__')[0]}")
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in EXTENSIONS
    )
    if not clips:
        raise SubterfugeError(f"{folder}: expected one folder a class with audio files in it, found none")
    return Corpus(folder.name, tuple(sorted({clip.label for clip in clips})), clips)
