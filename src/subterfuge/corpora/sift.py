"""Clips that can be used, told from those that cannot: every header read, or on request every sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from subterfuge.corpora.corpus import Clip, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.headers import read_header

# Told how many of how many are done.
Report = Callable[[int, int], None]

_NAMES = (
    "aac aif aifc aiff au avr caf flac htk ircam m4a mp1 mp2 mp3 mp4 mpc nist oga ogg opus paf pvf rf64 "
    "sd2 sds sf snd sph svx voc w64 wav wave wma wv wve xi"
)
EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())
"""What sound files are called, those among them that libsndfile cannot read: these are named as such."""


def sift(
    clips: Iterable[Clip], *, deep: bool = False, report: Report | None = None
) -> tuple[tuple[Clip, ...], tuple[Skipped, ...]]:
    """Clips whose files can be read, with their headers, and the others, with what is wrong.

    Parameters
    ----------
    clips : iterable of Clip
    deep : bool
        Whether to decode every file too: finds FLACs and MP3s that are cut short, damage in the middle,
        NaN. A header takes about 0.2 ms, a decoded 3-s clip some 2 ms.
    report : callable, optional
        Told after each file how many of how many are done.

    Returns
    -------
    kept : tuple of Clip
    skipped : tuple of Skipped
    """
    clips = tuple(clips)
    kept, skipped = [], []
    for done, clip in enumerate(clips, 1):
        try:
            header = read_header(clip.path)
            if deep:
                _decode(clip.path)
        except SubterfugeError as error:
            skipped.append(Skipped(clip.path, few_words(error, clip.path)))
        else:
            kept.append(replace(clip, header=header))
        if report is not None:
            report(done, len(clips))
    return tuple(kept), tuple(skipped)


def few_words(error: SubterfugeError, path: Path) -> str:
    """What is wrong with a file, without its name and without what was expected instead.

    Examples
    --------
    >>> few_words(SubterfugeError("a/b.wav: is empty, expected an audio file"), Path("a/b.wav"))
    'is empty'
    """
    return str(error).removeprefix(f"{path}: ").partition(", expected ")[0]


def is_sound(path: Path) -> bool:
    """Whether a file is called like a sound file (and is none of those that an archiver or editor hides)."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to some among them, but for hidden ones and what archivers add."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def files_under(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it, sorted, hidden ones left out; no links to folders.

    Raises
    ------
    OSError
        If one of the folders cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    if not folder.is_dir():
        return
    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _decode(path: Path) -> None:
    from subterfuge.audio import read_audio  # torch, which the headers need not

    read_audio(path)
