"""One run of attacks on several files: everything checked first, then file after file, then the page."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from subterfuge.attacks.oracle import check_access
from subterfuge.attacks.record import Record
from subterfuge.attacks.registry import chosen, find
from subterfuge.audibility.masking import LEVEL
from subterfuge.audio import output_for, read_audio, same_file
from subterfuge.criteria import Criterion, Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder
from subterfuge.inputs import expand
from subterfuge.labels import index_of
from subterfuge.transforms.named import named
from subterfuge.transforms.transform import Transform
from subterfuge.victims.victim import Victim

# Given the number of a file (from 1), how many there are and its path; what it yields is told, from
# time to time, how the attack on that file is doing.
Onlooker = Callable[[int, int, Path], AbstractContextManager[Callable[[str], None] | None]]


@dataclass(frozen=True)
class Run:
    """What is to be done, checked: files with what is wanted of each, and how.

    Made by :func:`plan`; done by :func:`carry_out`.
    """

    jobs: tuple[tuple[Path, Criterion], ...]
    victim: Victim
    victim_name: str
    attack: str
    access: str
    steps: int | None
    budget: int | None
    seed: int
    out: Path
    device: str
    level: float = LEVEL
    visqol: bool = False
    survive: tuple[Transform, ...] = ()


@dataclass(frozen=True)
class Results:
    """What came of a run: one record a file that was attacked, the page, and whether Ctrl-C ended it."""

    records: tuple[Record, ...]
    page: Path | None
    interrupted: bool

    @property
    def success(self) -> bool:
        """Whether every file was attacked, and is heard as wanted."""
        return not self.interrupted and all(record.success for record in self.records)


def plan(
    files: Sequence[str | Path],
    *,
    victim: str,
    to: str | None = None,
    away: bool = False,
    confidence: float | None = None,
    attack: str | None = None,
    audibility: str | None = None,
    access: str = "gradients",
    steps: int | None = None,
    budget: int | None = None,
    seed: int = 0,
    out: str | Path = "subterfuge-out",
    device: str = "cpu",
    level: float = LEVEL,
    visqol: bool = False,
    survive: str | None = None,
) -> Run:
    """Check all that a user can get wrong, before any attack starts; make the output folder last of all.

    Parameters
    ----------
    files : sequence of str or Path
        Names and patterns (:func:`subterfuge.inputs.expand`).
    victim : str
        Name or folder of a victim.
    to : str, optional
        The label wanted; exactly one of this and ``away``.
    away : bool
        Whether any label but the one heard now is wanted.
    confidence : float, optional
        Least probability of ``to``, between 0 and 1.
    attack : str, optional
        The attack's name; otherwise the one for ``audibility``.
    audibility : str, optional
        What a change is to be small by: ``masked`` (what the clip hides; the default) or ``l2``.
    access : str
        What the attack may see of the victim: ``gradients``, ``scores``, ``top-k`` or ``label``.
    steps, budget : int, optional
        Limits on the search: steps of the attack, queries of the victim a file.
    seed : int
        What the random numbers start from.
    out : str or Path
        Folder that results are written to.
    device : str
        Where torch computes: ``cpu``, ``cuda``, ...
    level : float
        Playback level that audibility is measured at: dB SPL of a sine of full scale.
    visqol : bool
        Whether ViSQOL is among the measures of audibility.
    survive : str, optional
        What the change is to survive: names of transforms, with commas between
        (:func:`subterfuge.transforms.named.named`).

    Raises
    ------
    SubterfugeError
        For the first thing that is wrong; nothing has been written then.
    """
    from subterfuge.audibility.metrics import check_level
    from subterfuge.audibility.visqol import check_visqol

    criterion = _criterion(to, away, confidence)
    surviving = () if survive is None else named(survive)
    attack = chosen(attack, audibility, access)
    check_access(attack, access)
    for name, value in (("steps", steps), ("budget", budget)):
        if value is not None and value < 1:
            raise SubterfugeError(f"{name}: got {value}, expected a whole number from 1 up")
    if not 0 <= seed < 2**63:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 to {2**63 - 1}")
    check_device(device)
    check_level(level)
    if visqol:
        check_visqol()
    paths = expand(files)
    if not paths:
        raise SubterfugeError("files: got none, expected at least one")
    model = load_on(victim, device)
    _check_label(criterion, model, victim)
    if find(attack).access == "gradients" and not model.differentiable:
        raise SubterfugeError(f"victim {victim!r} has no gradients, which the attack needs")
    tag = "away" if isinstance(criterion, Untargeted) else model.labels[index_of(str(to), model.labels)]
    _check_outputs(paths, Path(out), tag)
    return Run(
        jobs=tuple((path, criterion) for path in paths),
        victim=model,
        victim_name=victim,
        attack=attack,
        access=access,
        steps=steps,
        budget=budget,
        seed=seed,
        out=make_folder(Path(out)),
        device=device,
        level=level,
        visqol=visqol,
        survive=surviving,
    )


def carry_out(
    run: Run,
    *,
    command: str,
    title: str | None = None,
    onlooker: Onlooker | None = None,
    done: Callable[[Record], None] | None = None,
) -> Results:
    """Attack one file after another and write the page; Ctrl-C keeps what there is and ends the run.

    Parameters
    ----------
    run : Run
    command : str
        What to type to do the same again, for the page.
    title : str, optional
        Of the page.
    onlooker : callable, optional
        Context around each file, see :data:`Onlooker`.
    done : callable, optional
        Called with each file's record.
    """
    from subterfuge.attacks.workbench import attack_file

    records: list[Record] = []
    interrupted = False
    page: Path | None = None
    try:
        for number, (path, criterion) in enumerate(run.jobs, 1):
            watching = onlooker(number, len(run.jobs), path) if onlooker else nullcontext()
            with watching as report, _lasting_interrupt(report) as report:
                record = attack_file(
                    path,
                    victim=run.victim,
                    victim_name=run.victim_name,
                    criterion=criterion,
                    attack=run.attack,
                    access=run.access,
                    steps=run.steps,
                    budget=run.budget,
                    seed=run.seed,
                    out=run.out,
                    device=run.device,
                    level=run.level,
                    visqol=run.visqol,
                    survive=run.survive,
                    report=report,
                )
            records.append(record)
            if done is not None:
                done(record)
            if any(note.startswith("interrupted") for note in record.notes):
                interrupted = True
                break
    except KeyboardInterrupt:
        interrupted = True
    finally:
        # Also when a later file fails (a full disk): what is finished is worth a page.
        if records:
            page = _page(records, run, command, title)
    return Results(tuple(records), page, interrupted)


@contextmanager
def _lasting_interrupt(report: Callable[[str], None] | None) -> Iterator[Callable[[str], None]]:
    """A report that raises KeyboardInterrupt if Ctrl-C was pressed but came to nothing.

    Python raises it wherever the program happens to be, and some places (a destructor, a callback from C,
    an import that catches everything) swallow it; the next query of the search then asks again.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    def heeding(text: str) -> None:
        if pressed:
            raise KeyboardInterrupt
        if report is not None:
            report(text)

    if threading.current_thread() is not threading.main_thread():
        yield heeding
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield heeding
    finally:
        signal.signal(signal.SIGINT, before)


def load_on(victim: str, device: str) -> Victim:
    """A victim by name or folder, on a device; several, with commas between, as one that all must be fooled.

    Raises
    ------
    SubterfugeError
        If there is no such victim, or it cannot be loaded.
    """
    from subterfuge.victims.store import load_victim

    names = [name.strip() for name in victim.split(",")]
    if len(names) == 1 or Path(victim).exists():
        return load_victim(victim, device=device)
    from subterfuge.attacks.ensemble import Ensemble

    return Ensemble([load_victim(name, device=device) for name in names])


def check_device(device: str) -> None:
    """Make sure that torch can compute there.

    Raises
    ------
    SubterfugeError
        If torch knows no such device, or this machine has none.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        some = "cpu or cuda" if torch.cuda.is_available() else "cpu (torch finds no other here)"
        raise SubterfugeError(f"device: got {device!r}, expected {some}") from None


def _criterion(to: str | None, away: bool, confidence: float | None) -> Criterion:
    if to is not None and away:
        raise SubterfugeError("got both --to and --away, expected one of them")
    if to is None and not away:
        raise SubterfugeError("got neither --to LABEL nor --away, expected one of them")
    if to is None:
        if confidence is not None:
            raise SubterfugeError("got --confidence with --away, expected it only with --to LABEL")
        return Untargeted()
    return Targeted(to, confidence)


def _check_label(criterion: Criterion, model: Victim, name: str) -> None:
    if isinstance(criterion, Targeted):
        index_of(str(criterion.label), model.labels)
        if criterion.confidence is not None:
            silence = torch.zeros(1, model.sample_rate // 10, device=_device_of(model))
            if model.probabilities(silence) is None:
                raise SubterfugeError(
                    f"confidence: victim {name!r} gives no probabilities, expected one that does"
                )


def _check_outputs(paths: Sequence[Path], out: Path, tag: str) -> None:
    """Read every input, and make sure that no result would be written over one, or over another's."""
    taken: dict[str, Path] = {}
    for path in paths:
        result = output_for(read_audio(path), out, tag)
        for other in paths:
            if same_file(result, other):
                raise SubterfugeError(
                    f"{path}: its result would be written over the input {other}, expected another --out"
                )
        for taken_by in (result, result.with_suffix(".json"), out / "index.html"):
            if taken_by.is_dir():
                raise SubterfugeError(f"{taken_by}: is a folder, expected to write a file of that name")
        # The JSON beside a result differs by its stem alone.
        twin = taken.setdefault(result.stem.casefold(), path)
        if twin is not path:
            raise SubterfugeError(
                f"{twin} and {path}: both results would be named {result.stem}, "
                "expected files of different names, or two runs with an --out each"
            )


def _device_of(model: Victim) -> torch.device:
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            return tensor.device
    return torch.device("cpu")


def _page(records: Sequence[Record], run: Run, command: str, title: str | None) -> Path:
    from subterfuge.report.page import write_page

    named = {} if title is None else {"title": title}
    return write_page(records, run.out / "index.html", command=command, **named)
