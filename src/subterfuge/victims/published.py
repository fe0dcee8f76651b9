"""Making a victim's folder of a model that others have published: of transformers, or musicnn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError


def import_published(
    *,
    huggingface: str | None = None,
    musicnn: str | None = None,
    labels: Sequence[str] | None = None,
    tags: str | None = None,
    threshold: float | str | None = None,
    unwanted: Sequence[str] = (),
    **options: Any,
) -> Path:
    """Make a victim's folder of what was named; exactly one must be.

    Parameters
    ----------
    huggingface : str, optional
        See :func:`subterfuge.victims.huggingface.import_huggingface`; takes ``labels``.
    musicnn : str, optional
        See :func:`subterfuge.victims.musicnn.import_musicnn`; takes ``tags`` and ``threshold``.
    unwanted : sequence of str
        Names of other options that were given and say what such a model says itself.
    **options
        ``out``, ``name`` and ``force``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SubterfugeError
        As those do; or if both are named, or an option is given that has no meaning for the one that is.
    """
    if huggingface is None and musicnn is None:
        raise SubterfugeError("got no MODEL, no --huggingface and no --musicnn, expected one of them")
    which = "--huggingface" if huggingface is not None else "--musicnn"
    odd = list(unwanted)
    if huggingface is not None:
        odd += [
            name
            for name, one in (("--musicnn", musicnn), ("--tags", tags), ("--threshold", threshold))
            if one is not None
        ]
    elif labels is not None:
        odd.append("--labels")
    if odd:
        raise SubterfugeError(f"got {odd[0]} with {which}, expected one without the other")
    if huggingface is not None:
        from subterfuge.victims.huggingface import import_huggingface

        return import_huggingface(huggingface, labels=labels, **options)
    from subterfuge.victims.answers import one_threshold
    from subterfuge.victims.musicnn import import_musicnn

    return import_musicnn(str(musicnn), tags=tags or "mtt", threshold=one_threshold(threshold), **options)
