"""What a corpus is: labelled clips on disk, each belonging to a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One labelled file. Clips of one ``recording`` share player, room and microphone: never split them."""

    path: Path
    label: str
    recording: str


@dataclass(frozen=True)
class Corpus:
    """A name, the labels in their order, and the clips."""

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
