"""The page of explained clips: heard as well as seen, with what each band, moment and feature is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.run import Explained
from subterfuge.files import make_folder, write_text
from subterfuge.report import explanation_picture, explanation_view, explanation_words
from subterfuge.report.site import render_site

BUDGET_BYTES = 40_000_000


def write_explanations(
    explained: Sequence[Explained], out: str | Path, *, command: str = "", title: str = "What decides"
) -> Path:
    """Write ``out/index.html``, one page that needs nothing but a browser.

    The sounds are embedded, up to 30 s a clip; with more than 40 MB of them, the later ones are only linked.

    Parameters
    ----------
    explained : sequence of Explained
    out : str or Path
        The folder; made where it is missing. An existing page is replaced in one step.
    command : str
        What to type to make the page again.
    title : str

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SubterfugeError
        If there is nothing to show, or the page cannot be written.
    """
    if not explained:
        raise SubterfugeError("page: got no explained clips, expected at least one")
    folder = make_folder(Path(out))
    return write_text(folder / "index.html", render(explained, folder, command=command, title=title))


def render(explained: Sequence[Explained], folder: Path, *, command: str, title: str) -> str:
    """The page as text; links to the files are relative to ``folder``."""
    clips = []
    room = BUDGET_BYTES
    for number, one in enumerate(explained, 1):
        clips.append(explanation_view.clip(number, one, folder, embed=room > 0))
        room -= sum(len(row["data"] or "") for row in clips[-1]["rows"])
    versions = dict.fromkeys(one.version for one in explained)
    return render_site(
        "explanation.html",
        styles=("page.css", "measured.css", "explanation.css"),
        scripts=("common.js", "sounds.js", "deck.js", "explanation.js"),
        title=title,
        command=command,
        made=f"Sonic Subterfuge {', '.join(versions)}{explanation_words.MADE}",
        clips=clips,
        summary=explanation_words.summary(explained),
        legend=explanation_picture.legend(),
    )
