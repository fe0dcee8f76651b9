"""What a rendered orchestra says of itself: soundfonts, seed, and which clip was rendered from which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError

FILE = "corpus.json"


@dataclass(frozen=True)
class Manifest:
    """How an orchestra was rendered.

    Attributes
    ----------
    version : int
        Of what is drawn.
    seed : int
    soundfonts : tuple of (str, str)
        File name and SHA-256 of each, in the order in which recordings take turns with them.
    clips : int
        Clips a class; the least, where classes differ.
    """

    version: int
    seed: int
    soundfonts: tuple[tuple[str, str], ...]
    clips: int

    def soundfont_of(self, clip: Clip) -> str:
        """Name of the soundfont that a clip of this orchestra was rendered from.

        Examples
        --------
        >>> fonts = (("one.sf2", "ab"), ("two.sf2", "cd"))
        >>> Manifest(2, 0, fonts, 8).soundfont_of(Clip(Path("cel/cel0003__1.flac"), "cel", "cel/cel0003"))
        'two.sf2'
        """
        return self.soundfonts[number_of(clip) % len(self.soundfonts)][0]

    def is_like(self, other: Manifest) -> bool:
        """Whether recordings of the same label and number were drawn alike: same phrases, same rooms."""
        return (self.seed, self.version) == (other.seed, other.version)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder that :func:`subterfuge.corpora.orchestra.build` has filled.

    Raises
    ------
    SubterfugeError
        If there is none, or it is damaged.
    """
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        fonts = tuple((str(one["name"]), str(one["sha256"])) for one in told["soundfonts"])
        found = Manifest(
            version=int(told["version"]),
            seed=int(told["seed"]),
            soundfonts=fonts,
            clips=min(int(count) for count in told["clips"].values()),
        )
    except FileNotFoundError:
        raise SubterfugeError(
            f"{folder}: holds no {FILE}, expected an orchestra (subterfuge corpus build orchestra)"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SubterfugeError(f"{path}: is damaged, expected the manifest of an orchestra") from None
    if not fonts:
        raise SubterfugeError(f"{path}: names no soundfont, expected at least one")
    return found


def number_of(clip: Clip) -> int:
    """Number of a clip's recording within its label.

    Raises
    ------
    SubterfugeError
        If the file is not called as the orchestra calls its clips.

    Examples
    --------
    >>> number_of(Clip(Path("cel/cel0012__2.flac"), "cel", "cel/cel0012"))
    12
    """
    name = clip.path.stem.partition("__")[0].removeprefix(clip.label)
    if not (name.isascii() and name.isdigit()):
        raise SubterfugeError(
            f"{clip.path}: got another name than the orchestra's, expected one like {clip.label}0001__1.flac"
        )
    return int(name)


def apart(
    train: Sequence[Clip], trained: Manifest, test: Sequence[Clip], tested: Manifest
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Clips to train on and to test on that share no draw, of two orchestras or of two parts of one.

    Recordings of equal label, number and seed are the same phrases in the same room, played on another
    soundfont: a victim could know them again. They are left out of the test; where next to nothing would
    be left of that, the training part keeps those of even numbers and the test those of odd ones.

    Examples
    --------
    >>> clips = [Clip(Path(f"cel/cel{i:04d}__1.flac"), "cel", f"cel/cel{i:04d}") for i in range(4)]
    >>> made = Manifest(2, 0, (("one.sf2", "ab"),), 4)
    >>> [[number_of(clip) for clip in side] for side in apart(clips, made, clips, made)]
    [[0, 2], [1, 3]]
    """
    if not trained.is_like(tested):
        return tuple(train), tuple(test)
    known = {(clip.label, number_of(clip)) for clip in train}
    fresh = tuple(clip for clip in test if (clip.label, number_of(clip)) not in known)
    if len(fresh) >= len(test) / 3:
        return tuple(train), fresh
    return (
        tuple(clip for clip in train if number_of(clip) % 2 == 0),
        tuple(clip for clip in test if number_of(clip) % 2 == 1),
    )
