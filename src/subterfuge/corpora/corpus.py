"""What a corpus is: labelled clips on disk, each belonging to a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from subterfuge.headers import Header


@dataclass(frozen=True)
class Clip:
    """One labelled file. Clips of one ``recording`` share player, room and microphone: never split them.

    Attributes
    ----------
    path : Path
    label : str
        What it is; where several play, the first of them.
    recording : str
        Name of the recording that it was cut from, unique in the corpus.
    others : tuple of str
        Further labels, where several instruments play and none is said to lead (IRMAS's testing part).
    header : Header, optional
        Its length, sample rate and channels; None where nobody looked.
    """

    path: Path
    label: str
    recording: str
    others: tuple[str, ...] = ()
    header: Header | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """All of its labels."""
        return (self.label, *self.others)


@dataclass(frozen=True)
class Skipped:
    """A file that belongs to a corpus and is of no use, and why, in a few words."""

    path: Path
    why: str


@dataclass(frozen=True)
class Corpus:
    """Labelled clips that belong together.

    Attributes
    ----------
    name : str
    labels : tuple of str
        In their order.
    clips : tuple of Clip
        Those that can be used.
    skipped : tuple of Skipped
        What was found missing, corrupt or out of place, and gone on without.
    kind : str
        ``folder``, ``irmas-training`` or ``irmas-testing``.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    skipped: tuple[Skipped, ...] = ()
    kind: str = "folder"
