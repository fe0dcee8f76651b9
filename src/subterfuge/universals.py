"""A universal perturbation from files to files: learnt from some, tried on others as written to disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge import __version__
from subterfuge.attacks.oracle import ACCESS
from subterfuge.attacks.record import Record
from subterfuge.attacks.universal import Universal, tiled, universal
from subterfuge.audio import (
    AudioFile,
    load_plain,
    lossless,
    output_for,
    read_audio,
    save_audio,
    to_lattice,
    write_audio,
)
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, strict_json, write_text
from subterfuge.inputs import expand
from subterfuge.labels import index_of
from subterfuge.resampling import resample
from subterfuge.victims.victim import Hearing, Victim

SNRS = (40.0, 30.0, 25.0, 20.0, 15.0, 10.0, 5.0)
Report = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """How many held-out clips are heard as wanted at one signal-to-noise ratio.

    Attributes
    ----------
    snr_db : float
    reached, clips : int
    low, high : float
        95 % interval (Clopper and Pearson) of the share.
    """

    snr_db: float
    reached: int
    clips: int
    low: float
    high: float


@dataclass(frozen=True)
class UniversalResult:
    """What came of it: the file to add to others, and how it fares on clips that it was not learnt from.

    Attributes
    ----------
    perturbation : str
        Path of the WAV, of floats.
    victim, target, access : str
    sample_rate : int
    seconds, snr_db : float
        Its length, and the ratio that it was learnt at.
    learnt_from, held_out, left_out : list of str
        Files; those left out are heard as the target already.
    tried : list of Tried
        From quiet to loud, judged from files as written and read back from disk.
    queries : dict
        ``forward`` and ``backward``, of the search alone.
    took : float
        Seconds.
    seed : int
    version : str
    """

    perturbation: str
    victim: str
    target: str
    access: str
    sample_rate: int
    seconds: float
    snr_db: float
    learnt_from: list[str]
    held_out: list[str]
    left_out: list[str]
    tried: list[Tried]
    queries: dict[str, int]
    took: float
    seed: int
    version: str
    interrupted: bool = False
    records: list[Record] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types, without the records, which have files of their own."""
        known = asdict(self)
        del known["records"]
        return known


def universal_run(
    files: Sequence[str | Path],
    *,
    victim: str,
    to: str,
    out: str | Path,
    test: Sequence[str | Path] = (),
    seconds: float = 1.0,
    snr_db: float = 20.0,
    steps: int = 200,
    access: str = "gradients",
    budget: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    command: str = "",
    report: Report | None = None,
) -> UniversalResult:
    """Learn one perturbation from some clips, save it, and try it on others.

    Writes ``universal-to-<label>.wav``, ``universal.json``, each held-out clip with the perturbation in it at
    the ratio that it was learnt at, and ``index.html`` to listen to them.

    Parameters
    ----------
    files : sequence of str or Path
        Names and patterns; without ``test`` every third of them (drawn by the seed) is held out.
    victim : str
        Name or folder.
    to : str
        The label wanted.
    out : str or Path
    test : sequence of str or Path
        Clips to hold out instead.
    seconds, snr_db, steps, access, budget
        See :func:`subterfuge.attacks.universal.universal`.
    seed : int
    device : str
    command : str
        For the page.
    report : callable, optional

    Raises
    ------
    SubterfugeError
        For anything wrong with the input; nothing is written then.
    """
    from subterfuge.runs import check_device, load_on

    began = time.monotonic()
    report = report or (lambda _: None)
    if access not in ACCESS:
        raise SubterfugeError(f"access: got {access!r}, expected {', '.join(ACCESS)}")
    check_device(device)
    paths = expand(files)
    model = load_on(victim, device)
    label = index_of(to, model.labels)
    learn, held = _split(paths, expand(test), seed)
    out = Path(out)
    _check_names(held, out, model.labels[label])
    heard = {path: load_plain(path, model.sample_rate)[0].to(device) for path in (*learn, *held)}
    before = {path: model.verdict(clip[None]) for path, clip in heard.items()}
    already = [path for path, hearing in before.items() if int(hearing.predicted[0]) == label]
    learn, held = ([path for path in some if path not in already] for some in (learn, held))
    for some, what in ((learn, "to learn from"), (held, "to try it on")):
        if not some:
            raise SubterfugeError(
                f"clips: got none {what} that are not heard as {model.labels[label]} already, expected some"
            )
    folder = make_folder(out)
    found = universal(
        model,
        [heard[path] for path in learn],
        Targeted(label),
        seconds=seconds,
        snr_db=snr_db,
        steps=steps,
        access=access,
        budget=budget,
        generator=torch.Generator().manual_seed(seed),
        report=report,
    )
    perturbation = save_perturbation(found, folder / f"universal-to-{model.labels[label]}.wav")
    tried: list[Tried] = []
    records: list[Record] = []
    interrupted = found.interrupted
    if not interrupted:
        try:
            tried = try_on(perturbation, held, model, label, snrs=(*SNRS, snr_db), report=report)
            for number, path in enumerate(held, 1):
                report(f"writing {path.name}, {number} of {len(held)}")
                records.append(
                    _written(path, perturbation, model, label, before[path], folder, victim, snr_db, seed)
                )
        except KeyboardInterrupt:
            interrupted = True
    result = UniversalResult(
        perturbation=str(perturbation),
        victim=victim,
        target=model.labels[label],
        access=access,
        sample_rate=model.sample_rate,
        seconds=seconds,
        snr_db=snr_db,
        learnt_from=[str(path) for path in learn],
        held_out=[str(path) for path in held],
        left_out=[str(path) for path in already],
        tried=tried,
        queries={"forward": found.forward, "backward": found.backward},
        took=round(time.monotonic() - began, 3),
        seed=seed,
        version=__version__,
        interrupted=interrupted,
        records=records,
    )
    write_text(folder / "universal.json", strict_json(result.as_json()) + "\n")
    if records:
        from subterfuge.report.page import write_page

        write_page(records, folder / "index.html", command=command, title="One perturbation, many clips")
    return result


def save_perturbation(found: Universal, path: Path) -> Path:
    """As a WAV of floats with a peak of a half: only its shape matters, its level is that of the clip."""
    data = found.perturbation.detach().cpu().float()
    data = 0.5 * data / data.abs().max().clamp(min=1e-12)
    return save_audio(path, data[None], sr=found.sample_rate, container="WAV", subtype="FLOAT")


def added(file: AudioFile, perturbation: AudioFile, *, snr_db: float, offset: float = 0.0) -> Tensor:
    """Samples of a file with a perturbation in it, as the file can hold them.

    Parameters
    ----------
    file : AudioFile
        Of any rate, length and number of channels; each is given the same.
    perturbation : AudioFile
        Repeated for as long as the file lasts.
    snr_db : float
        Ratio of the file to what is added, over all channels.
    offset : float
        Where within the perturbation to begin, in seconds.

    Returns
    -------
    Tensor, shape (channels, frames)
    """
    needed = round(file.seconds * perturbation.sr) + 2
    mono = perturbation.data.double().mean(0)
    long = tiled(mono, needed, round(offset * perturbation.sr)).float()[None]
    there = resample(long, orig_sr=perturbation.sr, target_sr=file.sr)[0, : file.frames].double()
    there = torch.nn.functional.pad(there, (0, file.frames - len(there)))
    level = file.data.double().square().mean().sqrt()
    own = there.square().mean().sqrt().clamp(min=1e-12)
    low, high = file.bounds
    data = file.data.double() + there * (level / own * 10 ** (-snr_db / 20))
    return to_lattice(data.clamp(low, high), file.subtype)


def try_on(
    perturbation: Path,
    paths: Sequence[Path],
    victim: Victim,
    label: int,
    *,
    snrs: Sequence[float] = SNRS,
    report: Report | None = None,
) -> list[Tried]:
    """Add a perturbation to files at several ratios and ask the victim's plain path about what is on disk."""
    from scipy.stats import binomtest

    shape = read_audio(perturbation)
    tried = []
    with tempfile.TemporaryDirectory() as folder:
        for snr_db in sorted(set(snrs), reverse=True):
            reached = 0
            for path in paths:
                if report is not None:
                    report(f"trying it on {path.name} at {snr_db:g} dB")
                file = lossless(read_audio(path))
                there = write_audio(
                    output_for(file, folder, "tried"), added(file, shape, snr_db=snr_db), file
                )
                reached += int(_heard(victim, there).predicted[0]) == label
                there.unlink()
            interval = binomtest(reached, len(paths)).proportion_ci(method="exact")
            low, high = float(interval.low), float(interval.high)
            tried.append(Tried(float(snr_db), reached, len(paths), low, high))
    return tried


def _written(
    path: Path,
    perturbation: Path,
    victim: Victim,
    label: int,
    before: Hearing,
    folder: Path,
    name: str,
    snr_db: float,
    seed: int,
) -> Record:
    """A held-out clip with the perturbation in it, on disk, and its record beside it."""
    from subterfuge.audibility.metrics import measure_audibility
    from subterfuge.audibility.snr import snr_db as measured
    from subterfuge.predictions import label_of, noticed_in

    began = time.monotonic()
    source = read_audio(path)
    file = lossless(source)
    data = added(file, read_audio(perturbation), snr_db=snr_db)
    there = write_audio(output_for(source, folder, victim.labels[label]), data, file)
    after = _heard(victim, there)
    audibility = measure_audibility(source.data, read_audio(there).data, sr=source.sr).as_json()
    shown = [
        None if one.probabilities is None
        else dict(zip(victim.labels, one.probabilities[0].double().tolist(), strict=True))
        for one in (before, after)
    ]  # fmt: skip
    cost = 2 * int(getattr(victim, "cost", 1))
    record = Record(
        input=str(path),
        output=str(there),
        victim=name,
        attack="universal",
        target=victim.labels[label],
        success=int(after.predicted[0]) == label and not noticed_in(after),
        predicted_before=label_of(victim, before),
        predicted_after=label_of(victim, after, label),
        probabilities_before=shown[0],
        probabilities_after=shown[1],
        snr_db=measured(file.data, data),
        audibility=audibility,
        queries={"forward": cost, "backward": 0},
        seconds=round(time.monotonic() - began, 3),
        seed=seed,
        version=__version__,
        noticed=noticed_in(after),
        notes=["this clip was not among those that the perturbation was learnt from"],
    )
    write_text(there.with_name(there.stem + ".json"), strict_json(record.as_json()) + "\n")
    return record


def _heard(victim: Victim, path: Path) -> Hearing:
    device = next(victim.parameters(), torch.zeros(0)).device if isinstance(victim, torch.nn.Module) else None
    return victim.verdict(load_plain(path, victim.sample_rate).to(device or "cpu"))


def _split(paths: list[Path], test: list[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """Clips to learn from, and clips to try it on."""
    if test:
        twice = {path.resolve() for path in paths} & {path.resolve() for path in test}
        if twice:
            raise SubterfugeError(
                f"{min(twice)}: got it to learn from and to be tried on, expected different clips"
            )
        return paths, test
    if len(paths) < 2:
        raise SubterfugeError(
            f"clips: got {len(paths)}, expected at least two, one to be held out (or name some with --test)"
        )
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = set(order[: max(1, len(paths) // 3)])
    return [p for i, p in enumerate(paths) if i not in chosen], [
        p for i, p in enumerate(paths) if i in chosen
    ]


def _check_names(held: Sequence[Path], out: Path, tag: str) -> None:
    """Make sure that no result would be written over an input or over another's."""
    taken: dict[str, Path] = {}
    for path in held:
        result = output_for(read_audio(path), out, tag)
        if result.resolve() in {one.resolve() for one in held}:
            raise SubterfugeError(f"{path}: a result would be written over an input, expected another --out")
        twin = taken.setdefault(result.stem.casefold(), path)
        if twin is not path:
            raise SubterfugeError(
                f"{twin} and {path}: both results would be named {result.stem}, expected different names"
            )
