"""A listening test as one self-contained page: made from pairs of files, given to listeners.

They hear A, B and X (one of the two, at random) and say which X is (Clark 1982). The page plays offline,
from disk, in any browser with Web Audio; :mod:`subterfuge.audibility.pooling` puts their results together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subterfuge import __version__
from subterfuge.audibility.listening import SCHEMA, check_plan, controls, material_id, page_id
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, write_text
from subterfuge.report.listening_material import Files, Pair, drawn, files_in, load
from subterfuge.report.site import render_site
from subterfuge.report.wording import count

_SECONDS_A_TRIAL = 20


@dataclass(frozen=True)
class ListeningPage:
    """A page that was made.

    Attributes
    ----------
    path : Path
    page, material : str
        Hashes that results of it carry.
    trials, controls : int
        That count, and that come on top.
    pairs : tuple of Pair
    notes : tuple of str
        What was left out, a sentence each.
    """

    path: Path
    page: str
    material: str
    trials: int
    controls: int
    seed: int
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types, without the sounds."""
        return {
            "path": str(self.path),
            "page": self.page,
            "material": self.material,
            "trials": self.trials,
            "controls": self.controls,
            "seed": self.seed,
            "pairs": [
                {
                    "id": one.id,
                    "name": one.name,
                    "rate": one.rate,
                    "start": one.start,
                    "seconds": one.seconds,
                    "level_db": one.level_db,
                    "gains": list(one.gains),
                    "notes": list(one.notes),
                }
                for one in self.pairs
            ],
            "notes": list(self.notes),
            "version": __version__,
        }


def write_listening_page(
    source: Path | Sequence[Files],
    out: Path,
    *,
    trials: int = 16,
    seed: int = 0,
    seconds: float | None = None,
    command: str = "",
    title: str = "Listening test",
    report: Callable[[int, int], None] | None = None,
) -> ListeningPage:
    """Make the page of a listening test, whole or not at all.

    Parameters
    ----------
    source : Path or sequence of Files
        A folder that ``subterfuge attack`` wrote, or pairs of files. Of more pairs than trials so many are
        drawn by the seed. Of a folder, what cannot be used is left out with a note.
    out : Path
        The page; its folder is made where it is missing.
    trials : int
        That count, 8 to 32; controls (:func:`subterfuge.audibility.listening.controls`) come on top.
    seed : int
        What the trials are drawn from, together with a number of each listener's own.
    seconds : float, optional
        Longest excerpt; see :func:`subterfuge.report.listening_material.load`.
    command : str
        What to type to make the page again, to be shown.
    title : str
    report : callable, optional
        Told how many of how many pairs are done.

    Raises
    ------
    SubterfugeError
        If nothing can be listened to, a number is out of range, or the page cannot be written.
    """
    check_plan(trials=trials, pairs=1, seed=seed)
    if out.is_dir():
        raise SubterfugeError(f"{out}: is a folder, expected a file to write the page to")
    files, notes = files_in(source) if isinstance(source, Path) else (list(source), [])
    if len(files) > trials:
        notes.append(f"{trials} of {len(files)} pairs were drawn, one for each trial that counts.")
        files = drawn(files, trials, seed)
    pairs, left_out = load(files, seconds=seconds, strict=not isinstance(source, Path), report=report)
    notes += left_out
    ids = [one.id for one in pairs]
    page = ListeningPage(
        path=out,
        page=page_id(ids, trials=trials, seed=seed),
        material=material_id(ids),
        trials=trials,
        controls=sum(controls(trials)),
        seed=seed,
        pairs=tuple(pairs),
        notes=tuple(notes),
    )
    make_folder(out.parent)
    write_text(out, render(page, command=command, title=title))
    return page


def render(page: ListeningPage, *, command: str, title: str) -> str:
    """The page as text."""
    sounds: dict[str, str] = {}
    names: dict[str, str] = {}  # one original may stand in many pairs: it is embedded once

    def sound(data: str) -> str:
        if data not in names:
            names[data] = f"sound-{len(names) + 1}"
            sounds[names[data]] = data
        return names[data]

    seed = page.seed
    test = {
        "schema": SCHEMA,
        "version": __version__,
        "title": title,
        "page": page.page,
        "material": page.material,
        "seed": seed,
        "trials": page.trials,
        "pairs": [
            {
                "id": one.id,
                "name": one.name,
                "rate": one.rate,
                "sounds": [sound(one.a), sound(one.b)],
                "gains": list(one.gains),
            }
            for one in page.pairs
        ],
    }
    total = page.trials + page.controls
    return render_site(
        "listening.html",
        styles=("page.css", "measured.css", "listening.css"),
        scripts=("common.js", "sounds.js", "abx.js", "deck.js", "listening.js"),
        title=title,
        command=command,
        made=f"Sonic Subterfuge {__version__} · page {page.page} · material {page.material} · seed {seed}",
        test=test,
        sounds=sounds,
        trials=page.trials,
        total=total,
        minutes=count(max(1, round(total * _SECONDS_A_TRIAL / 60))),
        about=_about(page),
        notes=page.notes,
        pairs=[_row(one) for one in page.pairs],
    )


def _about(page: ListeningPage) -> list[str]:
    audible, identical = controls(page.trials)
    return [
        "A is the original, or the file named first; B is the other. In every trial X is A or B by a fair "
        "coin of its own (ABX: Clark, 1982). Order and coins come from the page’s seed and a number drawn "
        "for each listener; both stand in the result, so that whoever reads it can draw them again.",
        "The sounds are embedded without loss, cut to where the two differ most. They are level-matched: "
        "the root mean square over the excerpt and all channels is measured, and the stronger of the two "
        "turned down. A, B and X start together and loop together; a switch is a cross-fade of 5 "
        "milliseconds.",
        f"{audible} controls are plainly audible: B is A with bursts of white noise as strong as the clip. "
        "Whoever misses one was not listening, or could not, and is left out when results are pooled. "
        f"{identical} controls are identical: A and B are the same, so nobody can know. If answers there "
        "agree with the key more or less often than half the time, something other than the sound tells, and "
        "the test proves nothing.",
        "The probability of doing as well by guessing is the exact binomial one, the interval that of "
        "Clopper and Pearson. A small test overlooks much (Leventhal, 1986), so the result also says what it "
        "would have found.",
    ]


def _row(pair: Pair) -> dict[str, Any]:
    level = f"{pair.level_db:+.3f}".replace("-", "\N{MINUS SIGN}")
    down = "neither" if pair.level_db == 0 else "B" if pair.level_db > 0 else "A"
    end = pair.start + pair.seconds
    return {
        "name": pair.name,
        "notes": pair.notes,
        "excerpt": f"{pair.start:.2f} to {end:.2f}\N{NO-BREAK SPACE}s",
        "rate": f"{pair.rate / 1000:g}\N{NO-BREAK SPACE}kHz",
        "level": f"{level}\N{NO-BREAK SPACE}dB",
        "turned": down if down == "neither" else f"{down} by {abs(pair.level_db):.3f}\N{NO-BREAK SPACE}dB",
    }
