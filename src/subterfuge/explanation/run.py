"""Clips explained from files to files: the decisive parts and the rest as WAVs, JSON, and the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subterfuge import __version__
from subterfuge.audio import load_plain, read_audio, same_file, save_audio, to_lattice
from subterfuge.errors import SubterfugeError
from subterfuge.explanation.explain import Explanation, Progress, explain
from subterfuge.explanation.parts import split
from subterfuge.files import make_folder, strict_json, write_text
from subterfuge.inputs import expand
from subterfuge.labels import index_of
from subterfuge.predictions import predict_file
from subterfuge.victims.victim import Victim

PARTS = ("only", "without")


@dataclass(frozen=True)
class Part:
    """What a victim hears in one of the parts, as written and read back from disk.

    Attributes
    ----------
    output : str
        Path of the WAV.
    predicted : str
    probability : float or None
        Of the label that is explained.
    """

    output: str
    predicted: str
    probability: float | None


@dataclass(frozen=True)
class Explained:
    """One file explained.

    Attributes
    ----------
    input, victim : str
    explanation : Explanation
    predicted : str
        Heard in the file by the victim's plain path.
    probability : float or None
        Of the label that is explained, by the plain path.
    only, without : Part
        With only the decisive parts, and without them.
    seconds : float
    version : str
    """

    input: str
    victim: str
    explanation: Explanation
    predicted: str
    probability: float | None
    only: Part
    without: Part
    seconds: float
    version: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        found = self.explanation.as_json()
        del found["predicted"], found["probability"]
        return {
            "input": self.input,
            "victim": self.victim,
            "label": found.pop("label"),
            "predicted": self.predicted,
            "probability": self.probability,
            "only": vars(self.only),
            "without": vars(self.without),
            **found,
            "seconds": self.seconds,
            "version": self.version,
        }


@dataclass(frozen=True)
class Plan:
    """What is to be explained, checked; see :func:`plan`."""

    paths: tuple[Path, ...]
    victim: Victim
    victim_name: str
    label: int | None
    share: float
    out: Path


@dataclass(frozen=True)
class Results:
    """What came of a run, and whether Ctrl-C ended it."""

    explained: tuple[Explained, ...]
    page: Path | None
    interrupted: bool


def plan(
    files: Sequence[str | Path],
    *,
    victim: str,
    label: str | None = None,
    share: float = 0.2,
    out: str | Path = "explained",
    device: str = "cpu",
) -> Plan:
    """Check all that a user can get wrong, before any work is done; make the output folder last of all.

    Parameters
    ----------
    files : sequence of str or Path
        Names and patterns.
    victim : str
        Name or folder.
    label : str, optional
        What is to be explained; by default what is heard in each file.
    share : float
        Part of the cells of time and critical band that counts as decisive, between 0 and 1.
    out : str or Path
    device : str

    Raises
    ------
    SubterfugeError
        For the first thing that is wrong; nothing has been written then.
    """
    from subterfuge.runs import check_device
    from subterfuge.victims.store import load_victim

    if not 0 < share < 1:
        raise SubterfugeError(f"share: got {share:g}, expected a number between 0 and 1")
    check_device(device)
    paths = expand(files)
    if not paths:
        raise SubterfugeError("files: got none, expected at least one")
    model = load_victim(victim, device=device)
    number = None if label is None else index_of(label, model.labels)
    folder = Path(out)
    taken: dict[str, Path] = {}
    for path in paths:
        if not bool(read_audio(path).data.any()):
            raise SubterfugeError(f"{path}: is silent, expected a sound to explain")
        twin = taken.setdefault(path.stem.casefold(), path)
        if twin is not path:
            raise SubterfugeError(
                f"{twin} and {path}: their results would have the same names, "
                "expected files of different names, or two runs with an --out each"
            )
        for result in _outputs(path, folder):
            if any(same_file(result, other) for other in paths):
                raise SubterfugeError(f"{result}: would be written over an input, expected another --out")
            if result.is_dir():
                raise SubterfugeError(f"{result}: is a folder, expected to write a file of that name")
    return Plan(tuple(paths), model, victim, number, share, make_folder(folder))


def carry_out(
    run: Plan,
    *,
    command: str,
    done: Callable[[Explained], None] | None = None,
    progress: Progress | None = None,
) -> Results:
    """Explain one file after another and write the page; Ctrl-C keeps those that are finished."""
    found: list[Explained] = []
    interrupted = False
    page: Path | None = None
    try:
        for number, path in enumerate(run.paths, 1):
            found.append(
                explain_file(path, run=run, progress=_counting(progress, number, len(run.paths), path))
            )
            if done is not None:
                done(found[-1])
    except KeyboardInterrupt:
        interrupted = True
    finally:
        # Also when a later file fails: what is finished is worth a page.
        if found:
            from subterfuge.report.explanation_page import write_explanations

            page = write_explanations(found, run.out, command=command)
    return Results(tuple(found), page, interrupted)


def explain_file(path: Path, *, run: Plan, progress: Progress | None = None) -> Explained:
    """Explain one file, write its parts at its own rate and channels, and ask the victim about each of them.

    Raises
    ------
    SubterfugeError
        If the file cannot be read, is silent at the victim's rate, or a part cannot be written.
    """
    began = time.monotonic()
    victim = run.victim
    device = next(victim.parameters(), None) if hasattr(victim, "parameters") else None
    y = load_plain(path, victim.sample_rate).to("cpu" if device is None else device.device)
    try:
        found = explain(victim, y, label=run.label, share=run.share, progress=progress)
    except SubterfugeError as error:
        raise SubterfugeError(f"{path}: {error}") from None
    file = read_audio(path)
    parts = []
    only, without, _ = _outputs(path, run.out)
    pair = split(file.data, found.chosen, sr=file.sr, grid=found.grid)
    for result, data in zip((only, without), pair, strict=True):
        save_audio(result, to_lattice(data, "PCM_24"), sr=file.sr, container="WAV", subtype="PCM_24")
        told = predict_file(result, victim=victim, victim_name=run.victim_name)
        p = None if told.probabilities is None else told.probabilities[found.label]
        parts.append(Part(str(result), told.predicted, p))
    told = predict_file(path, victim=victim, victim_name=run.victim_name)
    found.queries["forward"] += 3 * int(getattr(victim, "cost", 1))
    explained = Explained(
        input=str(path),
        victim=run.victim_name,
        explanation=found,
        predicted=told.predicted,
        probability=None if told.probabilities is None else told.probabilities[found.label],
        only=parts[0],
        without=parts[1],
        seconds=round(time.monotonic() - began, 3),
        version=__version__,
    )
    write_text(_outputs(path, run.out)[2], strict_json(explained.as_json()) + "\n")
    return explained


def _outputs(path: Path, folder: Path) -> tuple[Path, Path, Path]:
    only, without = (folder / f"{path.stem}-{part}.wav" for part in PARTS)
    return only, without, folder / f"{path.stem}-explained.json"


def _counting(progress: Progress | None, number: int, total: int, path: Path) -> Progress | None:
    if progress is None:
        return None
    count = f"[{number}/{total}] " if total > 1 else ""
    return lambda what, done, whole: progress(f"{count}{path.name}, {what}", done, whole)
