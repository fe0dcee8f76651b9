"""Grains: short pieces of recorded sound that a mosaic is laid of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from subterfuge.audio import load_plain
from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError

# Most clips that are taken of a corpus, and seconds of each; most grains that are cut of them.
_CLIPS, _SECONDS, _GRAINS = 66, 3.0, 320
# A grain so far below the loudest, dB, is silence.
_SILENT = -45.0


@dataclass(frozen=True, eq=False)
class Sounds:
    """What grains are cut from.

    Attributes
    ----------
    audio : tuple of Tensor, shape (samples,) each
    labels : tuple of str
        What each is.
    """

    audio: tuple[Tensor, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Grains:
    """Pieces of equal length.

    Attributes
    ----------
    audio : Tensor, shape (grains, samples)
        Under a window that sums to one at half its length; root mean square 1.
    labels : tuple of str
    """

    audio: Tensor
    labels: tuple[str, ...]


def corpus_clips(folder: str | Path) -> tuple[Clip, ...]:
    """Clips of a corpus, evenly over its labels, the first of each; at most 66.

    Raises
    ------
    SubterfugeError
        If there is no corpus there.
    """
    from subterfuge.corpora.open import open_corpus

    corpus = open_corpus(folder)
    each = max(1, _CLIPS // len(corpus.labels))
    found = [clip for label in corpus.labels for clip in [c for c in corpus.clips if c.label == label][:each]]
    return tuple(found[:_CLIPS])


def corpus_sounds(folder: str | Path | None, sr: int) -> Sounds:
    """The first seconds of clips of a corpus at a rate; of the embedded clips, without a folder."""
    from subterfuge.corpora.embedded import clips

    chosen = clips() if folder is None else corpus_clips(folder)
    longest = round(_SECONDS * sr)
    return Sounds(
        tuple(load_plain(clip.path, sr)[0, :longest] for clip in chosen), tuple(clip.label for clip in chosen)
    )


def cut(sounds: Sounds, length: int, *, generator: torch.Generator) -> Grains:
    """All pieces of that length that overlap by half and are not silent; at most 320, drawn.

    Parameters
    ----------
    sounds : Sounds
    length : int
        Samples, even.
    generator : torch.Generator

    Raises
    ------
    SubterfugeError
        If all is silent.

    Examples
    --------
    >>> made = cut(Sounds((torch.ones(8),), ("one",)), 4, generator=torch.Generator().manual_seed(0))
    >>> tuple(made.audio.shape), made.labels
    ((3, 4), ('one', 'one', 'one'))
    """
    pieces: list[Tensor] = []
    labels: list[str] = []
    for y, label in zip(sounds.audio, sounds.labels, strict=True):
        y = torch.nn.functional.pad(y, (0, max(0, length - len(y))))
        rows = y.unfold(0, length, length // 2)
        pieces.append(rows)
        labels += [label] * len(rows)
    audio = torch.cat(pieces)
    level = audio.square().mean(1).sqrt()
    loud = (level > float(level.max()) * 10 ** (_SILENT / 20)).nonzero()[:, 0]
    if not len(loud):
        raise SubterfugeError("grains: all of the clips are silent, expected some sound")
    drawn = loud[torch.randperm(len(loud), generator=generator)[:_GRAINS]].sort().values
    window = torch.hann_window(length, periodic=True)
    kept = audio[drawn] / level[drawn, None] * window
    return Grains(kept, tuple(labels[i] for i in drawn.tolist()))
