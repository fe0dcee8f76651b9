"""IRMAS, the data set of predominant instruments (Bosch, Janer, Fuhrmann, Herrera, ISMIR 2012), as it comes.

The training part is a folder a class, ``IRMAS-TrainingData/cel/008__[cel][nod][cla]0058__1.wav``: 3 s,
44.1 kHz, stereo, one label each. The testing part is in three folders, each with one folder in it
(``IRMAS-TestingData-Part1/Part1/``), of clips of 5 to 20 s with a text file of labels beside each.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.corpora.sift import Report, files_under, folders_in, sift
from subterfuge.errors import SubterfugeError
from subterfuge.files import why
from subterfuge.labels import FULL_NAMES

PUBLISHED = {
    "cel": 388,
    "cla": 505,
    "flu": 451,
    "gac": 637,
    "gel": 760,
    "org": 682,
    "pia": 721,
    "sax": 626,
    "tru": 577,
    "vio": 580,
    "voi": 778,
}
"""Training clips of each class, 6,705 in all."""

PUBLISHED_TESTING = 2874
"""Testing clips, all three parts together."""

GENRES = {
    "cla": "classical",
    "cou_fol": "country and folk",
    "jaz_blu": "jazz and blues",
    "lat_sou": "latin and soul",
    "pop_roc": "pop and rock",
}

_NAME = re.compile(r"(?:\d+__)?((?:\[\w+\])+)(\d+)__(\d+)", re.ASCII)
_PARTS = 3


@dataclass(frozen=True)
class Name:
    """What the name of a training clip says.

    Attributes
    ----------
    label : str
        Code of the predominant instrument.
    drums : bool or None
        Whether there are drums (``[dru]``) or none (``[nod]``); None where the name does not say.
    genre : str or None
        One of :data:`GENRES`.
    recording : str
        Number of the recording, counted through all classes.
    excerpt : int
        Number of the excerpt of that recording, from 1.
    """

    label: str
    drums: bool | None
    genre: str | None
    recording: str
    excerpt: int


def read_name(stem: str) -> Name | None:
    """What a training clip's name says; None if it is not called like one.

    The excerpts of one recording differ by the number after the last ``__``, so what stands before it
    names the recording. A number may stand before the first ``__`` as well, which does not: in other classes
    it comes again with other recordings (008 is both cello's 0058 and flute's 0393).

    Examples
    --------
    >>> read_name("008__[flu][nod][cla]0393__1")
    Name(label='flu', drums=False, genre='cla', recording='0393', excerpt=1)
    >>> read_name("[voi][pop_roc]2353__3")
    Name(label='voi', drums=None, genre='pop_roc', recording='2353', excerpt=3)
    >>> read_name("[tru][cla]1954__3-to-flu") is None
    True
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    label, *tags = re.findall(r"\w+", match[1])
    drums = {"dru": True, "nod": False}
    return Name(
        label,
        next((drums[tag] for tag in tags if tag in drums), None),
        next((tag for tag in tags if tag in GENRES), None),
        match[2],
        int(match[3]),
    )


def read_training(folder: Path, *, deep: bool = False, report: Report | None = None) -> Corpus:
    """The training part: one label a clip, its recordings by the numbers in the names.

    Parameters
    ----------
    folder : Path
        ``IRMAS-TrainingData``: holds the eleven class folders.
    deep, report
        As for :func:`subterfuge.corpora.folder.read`.

    Returns
    -------
    Corpus
        Of kind ``irmas-training``. ``skipped`` names each file that is not of the data set or cannot be read,
        and each class folder that is missing or does not hold as many clips as were published.

    Raises
    ------
    SubterfugeError
        If none of its clips can be used.
    """
    found: list[Clip] = []
    skipped: list[Skipped] = []
    try:
        for inner in folders_in(folder):
            if inner.name not in PUBLISHED:
                skipped.append(Skipped(inner, "is none of the eleven class folders"))
        for label, published in PUBLISHED.items():
            inner = folder / label
            clips, odd = _training_clips(inner) if inner.is_dir() else ([], [])
            found += clips
            skipped += [*_miscount(inner, len(clips), published), *odd]
    except OSError as error:
        raise SubterfugeError(f"{error.filename or folder}: cannot be read ({why(error)})") from None
    return _corpus(folder.resolve().name, "irmas-training", [folder], found, skipped, deep, report)


def read_testing(
    folders: Sequence[Path], *, name: str | None = None, deep: bool = False, report: Report | None = None
) -> Corpus:
    """The testing part: all labels of a clip in the order of its text file, none of them leading.

    Clips whose names differ in the number after the last ``-`` alone are of one recording.

    Parameters
    ----------
    folders : sequence of Path
        The three folders, or some of them; how deep the clips lie in them does not matter.
    name : str, optional
        Of the corpus; by default the first folder's.
    deep, report
        As for :func:`subterfuge.corpora.folder.read`.

    Returns
    -------
    Corpus
        Of kind ``irmas-testing``. ``skipped`` names each clip without labels, labels without a clip, unknown
        labels and files that cannot be read; given all three folders, also how many clips are missing.

    Raises
    ------
    SubterfugeError
        If none of its clips can be used.
    """
    found: list[Clip] = []
    skipped: list[Skipped] = []
    total = 0
    try:
        for folder in folders:
            files = list(files_under(folder))
            sounds = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".wav"}
            texts = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
            total += len(sounds)
            if not sounds:
                skipped.append(Skipped(folder, "holds no clip" if folder.is_dir() else "is missing"))
            read = [_testing_clip(path, texts.get(stem)) for stem, path in sounds.items()]
            found += [clip for clip in read if isinstance(clip, Clip)]
            skipped += [odd for odd in read if isinstance(odd, Skipped)]
            skipped += [
                Skipped(path, "has no clip beside it")
                for stem, path in texts.items()
                if stem not in sounds and not _is_note(path)
            ]
    except OSError as error:
        raise SubterfugeError(f"{error.filename or folders[0]}: cannot be read ({why(error)})") from None
    if len(folders) >= _PARTS:
        skipped[:0] = _miscount(folders[0].parent, total, PUBLISHED_TESTING)
    return _corpus(name or folders[0].resolve().name, "irmas-testing", folders, found, skipped, deep, report)


def labels_in(text: str) -> tuple[str, ...]:
    r"""The labels in a testing clip's text file, each once: one a line, with tabs, blanks and empty lines.

    Examples
    --------
    >>> labels_in("gel\t\n\nvoi \r\n")
    ('gel', 'voi')
    """
    return tuple(dict.fromkeys(re.findall(r"[^\s,;]+", text.replace("\ufeff", "").lower())))


def _training_clips(folder: Path) -> tuple[list[Clip], list[Skipped]]:
    clips, odd = [], []
    for path in files_under(folder):
        if path.suffix.lower() != ".wav":
            continue
        name = read_name(path.stem)
        if name is None:
            odd.append(Skipped(path, "is not called like a clip of the data set"))
        elif name.label != folder.name:
            odd.append(Skipped(path, f"is tagged {name.label}, but lies with {folder.name}"))
        else:
            clips.append(Clip(path, name.label, name.recording))
    return clips, odd


def _testing_clip(path: Path, text: Path | None) -> Clip | Skipped:
    if text is None:
        return Skipped(path, "has no text file of labels beside it")
    labels = labels_in(text.read_bytes().decode("utf-8", errors="replace"))
    if not labels:
        return Skipped(path, "its text file holds no label")
    unknown = [label for label in labels if label not in FULL_NAMES]
    if unknown:
        return Skipped(path, f"has the unknown label {unknown[0][:20]!r} in its text file")
    # One letter can be written in two ways, and archives have both.
    stem = unicodedata.normalize("NFC", path.stem)
    recording = re.sub(r"(?<=.)-\d+$", "", stem)
    return Clip(path, labels[0], recording, labels[1:])


def _is_note(path: Path) -> bool:
    return path.stem.lower().startswith(("readme", "license", "licence"))


def _miscount(folder: Path, found: int, published: int) -> list[Skipped]:
    if found == published:
        return []
    if not folder.is_dir():
        return [Skipped(folder, f"is missing, and {published:,} clips with it")]
    if found == 0:
        return [Skipped(folder, f"holds no clip, {published:,} were published")]
    gap = f"{published - found:,} missing" if found < published else f"{found - published:,} too many"
    return [Skipped(folder, f"holds {found:,} clips, {published:,} were published: {gap}")]


def _corpus(
    name: str,
    kind: str,
    folders: Sequence[Path],
    found: Sequence[Clip],
    skipped: Iterable[Skipped],
    deep: bool,
    report: Report | None,
) -> Corpus:
    skipped = list(skipped)
    kept, broken = sift(found, deep=deep, report=report)
    if not kept:
        first = [*broken, *skipped][:1]
        about = f" (the first: {first[0].path.name} {first[0].why})" if first else ""
        raise SubterfugeError(
            f"{folders[0]}: holds no clip of IRMAS that can be used{about}, expected the data set as it comes"
        )
    counts = Counter(label for clip in kept for label in clip.labels)
    labels = tuple(label for label in FULL_NAMES if counts[label])
    return Corpus(name, labels, kept, (*skipped, *broken), kind)
