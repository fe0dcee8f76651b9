"""One run of ``subterfuge imagine``: all checked first, then sound after sound, then the page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from subterfuge.audio import load_plain, same_file
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, strict_json, write_text
from subterfuge.labels import index_of
from subterfuge.synthesis.styles import STYLES, find_style
from subterfuge.synthesis.work import Job, Order, file_name, made
from subterfuge.training.interruption import heeding_interrupts
from subterfuge.workers import Progress, available_cores, check_workers, each

FORMATS = ("wav", "flac")


@dataclass(frozen=True)
class Plan:
    """What is to be made, checked; see :func:`plan`."""

    jobs: tuple[Job, ...]
    order: Order
    workers: int


@dataclass(frozen=True)
class Results:
    """What came of a run: a record a sound as plain JSON types, the page, and whether Ctrl-C ended it."""

    records: tuple[dict[str, Any], ...]
    page: Path | None
    interrupted: bool

    @property
    def success(self) -> bool:
        """Whether the victim hears every label in the best sound of each style."""
        return not self.interrupted and all(one["reached"] for one in self.records)


def plan(
    labels: Sequence[str],
    *,
    everything: bool = False,
    victim: str,
    style: str = "free",
    start: str | None = None,
    seconds: float | None = None,
    snr: float | None = None,
    seeds: int = 1,
    steps: int | None = None,
    seed: int = 0,
    corpus: Path | None = None,
    survive: bool = True,
    format: str = "wav",
    workers: int = 1,
    out: Path = Path("imagined"),
) -> Plan:
    """Check all that a user can get wrong, before any search starts; make the output folder last of all.

    Parameters
    ----------
    labels : sequence of str
        By code, name or unique prefix.
    everything : bool
        All of the victim's labels, instead of ``labels``.
    victim : str
        Name or folder.
    style : str
        Names of styles with commas between, or ``all`` (without ``clip`` where there is none to begin with).
    start : str, optional
        A file to begin with, or ``noise`` (the default) or ``silence``.
    seconds : float, optional
        3 by default; in the style ``clip`` the clip's own length counts.
    snr : float, optional
        Of the style ``clip``, dB.
    seeds, steps, seed : int
        As of :func:`subterfuge.synthesis.imagine.imagine_several`.
    corpus : Path, optional
        Labelled clips that ``mosaic`` takes its grains from, instead of the embedded ones.
    survive : bool
        Whether what may become of a file is thought of during the search.
    format : str
        ``wav`` or ``flac``.
    workers : int
        Processes; 0 for one a core.
    out : Path
        Folder for the results.

    Raises
    ------
    SubterfugeError
        For the first thing that is wrong; nothing has been written then.
    """
    from subterfuge.synthesis.imagine import check_numbers
    from subterfuge.synthesis.wish import check_imaginable
    from subterfuge.victims.store import load_victim

    if bool(labels) == everything:
        got = "both labels and --all" if everything else "no label"
        raise SubterfugeError(f"imagine: got {got}, expected LABEL... or --all")
    if format not in FORMATS:
        raise SubterfugeError(f"format: got {format!r}, expected {' or '.join(FORMATS)}")
    workers = workers or available_cores()
    check_workers(workers)
    length = 3.0 if seconds is None else seconds
    check_numbers(seconds=length, seed=seed, steps=steps, seeds=seeds, keep=1)
    clip = start is not None and start not in ("noise", "silence")
    styles = _styles(style, clip=clip)
    if snr is not None and "clip" not in styles:
        raise SubterfugeError(f"snr: got {snr:g} dB without the style clip, expected them together")
    if corpus is not None and "mosaic" not in styles:
        raise SubterfugeError("corpus: got one without the style mosaic, expected them together")
    model = load_victim(victim)
    check_imaginable(model, f"victim {victim!r}")
    wanted = model.labels if everything else [model.labels[index_of(one, model.labels)] for one in labels]
    if start is not None and clip:
        load_plain(start, model.sample_rate)
    order = Order(
        victim=victim, start=start, seconds=length, snr=snr, seeds=seeds, steps=steps, seed=seed,
        corpus=None if corpus is None else str(corpus), survive=survive, format=format, out=str(out),
    )  # fmt: skip
    jobs = tuple(Job(label, one) for label in dict.fromkeys(wanted) for one in styles)
    for job in jobs:
        path = out / file_name(job, format)
        if start is not None and clip and same_file(path, start):
            raise SubterfugeError(
                f"{path}: would be written over the clip it begins with, expected another --out"
            )
        for taken in (path, path.with_suffix(".json"), out / "index.html"):
            if taken.is_dir():
                raise SubterfugeError(f"{taken}: is a folder, expected to write a file of that name")
    if corpus is not None:
        from subterfuge.synthesis.grains import corpus_clips

        corpus_clips(corpus)
    make_folder(out)
    return Plan(jobs, order, min(workers, len(jobs)))


def carry_out(
    run: Plan,
    *,
    command: str,
    done: Callable[[dict[str, Any]], None] | None = None,
    progress: Progress | None = None,
) -> Results:
    """Make the sounds, ask other victims about them, and write the page; Ctrl-C keeps what there is.

    Parameters
    ----------
    run : Plan
    command : str
        What to type to do the same again, for the page.
    done : callable, optional
        Called with each sound's record, as it is verified.
    progress : callable, optional
        Told what is being done, and how much of it is.
    """
    records: list[dict[str, Any]] = []
    interrupted = False
    place = {job: i for i, job in enumerate(run.jobs)}
    found: dict[int, list[dict[str, Any]]] = {}
    with _stopping() as (stop, pressed):
        for count, (job, several) in enumerate(_results(run, stop, progress), 1):
            found[place[job]] = several
            for one in several:
                interrupted = interrupted or one["interrupted"]
                if done is not None:
                    done(one)
            if progress is not None and run.workers > 1:
                progress("imagining", count, len(run.jobs))
            if interrupted and run.workers == 1:
                break
        interrupted = interrupted or pressed()
    records = [one for i in sorted(found) for one in found[i]]
    if not records:
        return Results((), None, True)
    _cross_examined(records, run.order, progress)
    return Results(tuple(records), _page(records, run.order, command), interrupted)


def _results(run: Plan, stop: Path, progress: Progress | None) -> Iterator[tuple[Job, list[dict[str, Any]]]]:
    if run.workers > 1:
        if progress is not None:
            progress("imagining", 0, len(run.jobs))
        yield from each(partial(made, order=run.order, stop=str(stop)), run.jobs, workers=run.workers)
        return
    for number, job in enumerate(run.jobs, 1):
        count = f"[{number}/{len(run.jobs)}] " if len(run.jobs) > 1 else ""
        told = None if progress is None else partial(_told, progress, f"{count}{job.label}, {job.style}")
        yield job, made(job, order=run.order, stop=str(stop), progress=told)


def _told(progress: Progress, what: str, step: int, steps: int, p: float) -> None:
    progress(what, step, steps)


@contextmanager
def _stopping() -> Iterator[tuple[Path, Callable[[], bool]]]:
    """A file that is there once Ctrl-C has been pressed, which other processes can see too."""
    import signal
    import threading

    with tempfile.TemporaryDirectory() as folder, heeding_interrupts() as pressed:
        stop = Path(folder) / "stop"
        heeding = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(heeding):

            def press(number: int, frame: Any) -> None:
                stop.touch()
                heeding(number, frame)

            signal.signal(signal.SIGINT, press)
        yield stop, pressed


def _styles(style: str, *, clip: bool) -> list[str]:
    if style.strip().casefold() == "all":
        return [name for name in STYLES if clip or name != "clip"]
    names = [find_style(one).name for one in style.split(",")]
    if "clip" in names and not clip:
        raise SubterfugeError("style clip: got no clip to begin with, expected --from CLIP")
    return list(dict.fromkeys(names))


def _cross_examined(records: list[dict[str, Any]], order: Order, progress: Progress | None) -> None:
    """Ask the other victims at hand about each sound, and write it into the records and their files."""
    from subterfuge.synthesis.cross_examination import cross_examine

    out = Path(order.out)
    heard = cross_examine(
        [out / one["output"] for one in records], leave_out=[order.victim], progress=progress
    )
    for record, answers in zip(records, heard, strict=True):
        record["heard_by"] = answers
        write_text((out / record["output"]).with_suffix(".json"), strict_json(record) + "\n")


def _page(records: list[dict[str, Any]], order: Order, command: str) -> Path:
    from subterfuge.report.gallery_page import write_gallery

    return write_gallery(records, Path(order.out), command=command)
