"""The clips and the victims that ship with the package, for a first look without any download."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError

VICTIMS = ("orchestra-svc", "orchestra-cnn")


def root() -> Path:
    """The folder of the embedded data."""
    return Path(str(files("subterfuge"))) / "embedded"


def clips() -> tuple[Clip, ...]:
    """The embedded clips, in the order of their names: ``<label>-<n>.flac``, 3 s, 44.1 kHz, 16 bit.

    Two a label, some stereo and most mono. The embedded victims were trained on none of them and hear
    each as its label.

    Examples
    --------
    >>> [clip.path.name for clip in clips() if clip.label == "tru"]
    ['tru-1.flac', 'tru-2.flac']
    """
    paths = sorted((root() / "clips").glob("*.flac"))
    return tuple(Clip(path, path.stem.partition("-")[0], path.stem) for path in paths)


def victim_folder(name: str = VICTIMS[0]) -> Path:
    """The folder of an embedded victim: ``orchestra-svc`` or ``orchestra-cnn``.

    Raises
    ------
    SubterfugeError
        If there is none of that name.

    Examples
    --------
    >>> victim_folder("orchestra-cnn").name
    'orchestra-cnn'
    """
    if name not in VICTIMS:
        raise SubterfugeError(f"victim: got {name!r}, expected {' or '.join(VICTIMS)}")
    return root() / "victims" / name
