"""The gallery: every label in every style, to be heard and seen, with what else is known of each sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, write_text
from subterfuge.report import gallery_matrix, gallery_view, gallery_words
from subterfuge.report.gallery_sounds import read_sounds
from subterfuge.report.site import render_site

_NEEDED = ("label", "style", "output", "probability", "victim")


def write_gallery(
    records: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    command: str = "",
    title: str = "What a class sounds like",
    embed: bool = True,
) -> Path:
    """Write ``out/index.html``: one page that needs nothing but a browser, and the sounds where not embedded.

    Parameters
    ----------
    records : sequence of mapping
        One a sound, in the order in which they are to appear: ``label``, ``style``, ``output`` (a file's name
        within ``out``), ``probability`` (None where the victim has none), ``victim``; and, where they are
        known, ``ceiling``, ``survives`` (probability by transform), ``seconds``, ``seed``, ``heard_by``
        (:func:`subterfuge.synthesis.cross_examination.cross_examine`) and ``version``.
    out : str or Path
        The folder; made where it is missing. An existing page is replaced in one step.
    command : str
        What to type to make the page again.
    title : str
    embed : bool
        Whether the page holds the sounds themselves (as FLAC, up to 40 MB of them), so that it can be sent
        alone; otherwise it plays the files beside it.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SubterfugeError
        If there are no records, one of them lacks something, or the page cannot be written. A sound that
        cannot be read is said to be so on the page.

    Examples
    --------
    >>> record = {"label": "tru", "style": "free", "output": "tru.wav", "probability": 0.9, "victim": "svc"}
    >>> write_gallery([record], "gallery").name
    'index.html'
    """
    for number, one in enumerate(records, 1):
        missing = [name for name in _NEEDED if name not in one]
        if missing:
            raise SubterfugeError(
                f"gallery: record {number} lacks {missing[0]!r}, expected {', '.join(_NEEDED)}"
            )
    if not records:
        raise SubterfugeError("gallery: got no records, expected at least one sound")
    folder = make_folder(Path(out))
    return write_text(
        folder / "index.html", render(records, folder, command=command, title=title, embed=embed)
    )


def render(
    records: Sequence[Mapping[str, Any]], folder: Path, *, command: str, title: str, embed: bool
) -> str:
    """The page as text."""
    sounds = read_sounds([folder / str(one["output"]) for one in records], embed=embed)
    pieces = [
        gallery_view.piece(number, one, sound)
        for number, (one, sound) in enumerate(zip(records, sounds, strict=True), 1)
    ]
    makers = list(dict.fromkeys(str(one["victim"]) for one in records))
    versions = dict.fromkeys(str(one["version"]) for one in records if one.get("version"))
    return render_site(
        "gallery.html",
        styles=("page.css", "measured.css", "gallery.css"),
        scripts=("common.js", "sounds.js", "measured.js", "gallery.js"),
        title=title,
        command=command,
        made=" ".join(["Sonic Subterfuge", ", ".join(versions)]).strip() + gallery_words.MADE,
        headline=gallery_words.headline(records),
        about=gallery_words.about(records),
        finding=gallery_words.finding(records),
        grids=[gallery_view.grid(maker, pieces, alone=len(makers) == 1) for maker in makers],
        labels=gallery_view.by_label(pieces),
        survival=gallery_matrix.survival(pieces),
        matrices=[
            one for maker in makers if (one := gallery_matrix.matrix(maker, pieces, alone=len(makers) == 1))
        ],
        pieces=pieces,
    )
