"""The styles by name: priors that say what kind of sound is meant; imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from subterfuge.errors import SubterfugeError
from subterfuge.names import did_you_mean
from subterfuge.synthesis.sound import Sound


@dataclass(frozen=True)
class Style:
    """One style.

    Attributes
    ----------
    name, about : str
    steps : int
        Most steps of a search, where nobody says.
    own_length : bool
        Whether a clip that it begins with gives it its length.
    """

    name: str
    about: str
    steps: int = 400
    own_length: bool = False

    def make(self) -> Callable[..., Sound]:
        """``make(*, samples, sr, generator, start, ...) -> Sound``."""
        module = importlib.import_module(f"subterfuge.synthesis.{self.name}")
        made: Callable[..., Sound] = getattr(module, self.name)
        return made


STYLES: dict[str, Style] = {
    one.name: one
    for one in (
        Style("free", "every sample as it pleases: what the model alone wants"),
        Style("spectral", "cells of a spectrogram, deep ones moving more than high ones"),
        Style("harmonic", "one instrument: a harmonic tone and filtered noise, smooth in time"),
        Style("mosaic", "a mixture of grains of a corpus"),
        Style("clip", "a clip, changed within a bound", own_length=True),
    )
}


def find_style(name: str) -> Style:
    """The style of that name.

    Raises
    ------
    SubterfugeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> find_style("harmonic").name
    'harmonic'
    """
    wanted = name.strip().casefold()
    if wanted in STYLES:
        return STYLES[wanted]
    hint = did_you_mean(wanted, STYLES, count=1) or f"expected one of {', '.join(STYLES)}"
    raise SubterfugeError(f"style: got {name!r}, {hint}")
