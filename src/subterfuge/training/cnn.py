"""Training a convolutional network on a corpus, from clips to a victim's folder with its measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge import __version__
from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder
from subterfuge.training.cost import Clock, peak_mb
from subterfuge.training.keep import keep
from subterfuge.training.learning import NAPIERS_A_DECIBEL, Lessons, Taught, logits_of, teach
from subterfuge.training.measure import measure
from subterfuge.training.measures import Measures
from subterfuge.training.report import Epoch, TrainingReport
from subterfuge.training.selection import check_clips, check_usable, chosen
from subterfuge.training.spectrograms import Spectrograms, spectrograms_of
from subterfuge.training.splits import SPLITS, Side, hold_out
from subterfuge.training.train import today
from subterfuge.training.workers import Progress, check_workers
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network, folded

SAMPLE_RATE = 22050
SECONDS = 3.0
WIDTHS = (16, 32, 64, 96)
EPOCHS = 40
PATIENCE = 12
FRONT_END: dict[str, Any] = {
    "n_fft": 1024,
    "hop_length": 512,
    "n_mels": 96,
    "fmin": 30.0,
    "fmax": 10000.0,
    "floor_db": -40.0,
}


def train_cnn(
    corpus: Corpus,
    *,
    out: str | Path,
    labels: Sequence[str] | None = None,
    split: str = "grouped",
    epochs: int = EPOCHS,
    widths: Sequence[int] = WIDTHS,
    seed: int = 0,
    both: bool = True,
    device: str = "cpu",
    resume: bool = False,
    workers: int = 1,
    name: str | None = None,
    force: bool = False,
    command: str = "",
    report: Progress | None = None,
    skip: Callable[[Skipped], None] | None = None,
    epoch: Callable[[Epoch], None] | None = None,
) -> TrainingReport:
    """Teach a network to hear a corpus, measure it honestly, and save it as a victim with its report.

    A fifth is held out and never looked at until the end; of the rest, a part of the recordings is set
    aside to tell when to stop and to calibrate the probabilities (one temperature: Guo et al. 2017). With
    ``both``, a second network is taught and measured on the other kind of split, so that the report shows
    how much a random one flatters.

    Parameters
    ----------
    corpus : Corpus
        Of clips with one label each; of longer ones the loudest three seconds are taken.
    out : str or Path
        The victim's folder: ``victim.json``, ``model.safetensors``, ``training.json`` and ``index.html``.
    labels : sequence of str, optional
        Those to tell apart; all of the corpus if None.
    split : str
        ``grouped`` or ``random``: by which the network that is kept is taught.
    epochs : int
        At most.
    widths : sequence of int
        Channels of the network's layers.
    seed : int
    both : bool
        Whether the other split is measured too, which takes as long again.
    device : str
        ``cpu``, ``cuda``, ...
    resume : bool
        Whether to go on from the checkpoint that an unfinished run left beside ``out``.
    workers : int
        Processes that read the clips, and threads that teach.
    name : str, optional
        By default the name of ``out``.
    force : bool
        Whether a victim in ``out`` may be replaced.
    command : str
        What was typed, for the report.
    report, skip, epoch : callable, optional
        Told of the progress, of each file that is of no use, and of each epoch.

    Returns
    -------
    TrainingReport

    Raises
    ------
    SubterfugeError
        If an option is wrong, ``out`` is taken, or the corpus cannot be split.
    KeyboardInterrupt
        At Ctrl-C; ``resume`` goes on from the last whole epoch.
    """
    from subterfuge.victims.store import check_free

    _check(epochs=epochs, split=split, seed=seed, widths=widths, device=device)
    check_workers(workers)
    out = Path(out)
    check_free(out, force=force)
    clips = chosen(corpus, labels)
    check_clips(clips, split=split, seed=seed)
    clock = Clock()
    with clock.stage("features"):
        heard = spectrograms_of(
            clips,
            front_end=FRONT_END,
            sample_rate=SAMPLE_RATE,
            seconds=SECONDS,
            workers=workers,
            progress=report,
        )
    for skipped in heard.skipped:
        if skip is not None:
            skip(skipped)
    check_usable(heard.clips, heard.skipped, wanted={clip.label for clip in clips})

    names = tuple(label for label in corpus.labels if any(clip.label == label for clip in heard.clips))
    sides = _sides(heard.clips, split, seed, both=both)
    checkpoints = make_folder(out.parent / f".{out.name}.training")
    results: dict[str, _Result] = {}
    for which, side in sides.items():
        told = _told(which, len(sides), epochs, report, epoch)
        with clock.stage("fit"):
            results[which] = _one_side(
                heard,
                side,
                names,
                widths=tuple(widths),
                epochs=epochs,
                seed=seed,
                split=which,
                device=device,
                checkpoint=checkpoints / f"{which}.pt",
                resume=resume,
                threads=workers,
                told=told,
            )
    with clock.stage("measure"):
        measures = {
            which: _measure(heard.clips, sides[which], result, names, seed)
            for which, result in results.items()
        }
    kept = results[split]
    victim = CnnVictim(
        {
            "front_end": FRONT_END,
            "widths": list(widths),
            "temperature": round(kept.temperature, 6),
            "seconds": SECONDS,
        },
        folded(kept.taught.network).state_dict(),
        labels=names,
        sample_rate=SAMPLE_RATE,
        name=name or out.resolve().name,
    )
    report_ = TrainingReport(
        name=victim.name,
        model="cnn",
        corpus=corpus.name,
        labels=names,
        clips=len(heard.clips),
        recordings=len({clip.recording for clip in heard.clips}),
        skipped=len(corpus.skipped) + len(heard.skipped),
        parameters={
            "widths": list(widths),
            "weights": sum(one.numel() for one in victim.parameters()),
            "epochs": len(kept.taught.epochs),
            "best_epoch": kept.taught.best,
            "temperature": kept.temperature,
            **FRONT_END,
        },
        split=split,
        grouped=measures.get("grouped"),
        random=measures.get("random"),
        epochs=kept.taught.epochs,
        seconds=clock.seconds,
        peak_mb=peak_mb(),
        seed=seed,
        command=command,
        version=__version__,
        date=today(),
    )
    keep(victim, report_, out=out, trained=_sentence(report_, len(sides[split].train)), force=force)
    _clear(checkpoints)
    return report_


@dataclass(frozen=True, eq=False)
class _Result:
    """A taught network with what it says of the held-out part."""

    taught: Taught
    temperature: float
    logits: Tensor


def _one_side(
    heard: Spectrograms,
    side: Side,
    names: tuple[str, ...],
    *,
    widths: tuple[int, ...],
    epochs: int,
    seed: int,
    split: str,
    device: str,
    checkpoint: Path,
    resume: bool,
    threads: int,
    told: Callable[[Epoch], None],
) -> _Result:
    """Set a part aside to stop and calibrate by, teach on the rest, and hear the held-out part."""
    index = torch.tensor([names.index(clip.label) for clip in heard.clips])
    train = torch.from_numpy(side.train)
    labels = [heard.clips[i].label for i in side.train]
    recordings = [heard.clips[i].recording for i in side.train]
    inner = hold_out(labels, recordings, split=split, seed=seed + 1)
    learn, stop = train[torch.from_numpy(inner.train)], train[torch.from_numpy(inner.test)]
    floor = float(FRONT_END["floor_db"]) * NAPIERS_A_DECIBEL
    lessons = Lessons(heard.values[learn], index[learn], heard.values[stop], index[stop], floor)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        taught = teach(
            lessons,
            widths=widths,
            classes=len(names),
            epochs=epochs,
            patience=PATIENCE,
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            resume=resume,
            key={"split": split, "labels": list(names), "clips": _fingerprint(heard.clips)},
            report=told,
        )
        temperature = fitted_temperature(
            logits_of(taught.network, lessons.validation_x, floor), lessons.validation_y
        )
        logits = logits_of(taught.network, heard.values[torch.from_numpy(side.test)], floor)
    finally:
        torch.set_num_threads(before)
    return _Result(taught, temperature, logits)


def fitted_temperature(logits: Tensor, truth: Tensor) -> float:
    """The number to divide logits by, 0.05 to 20, for the least log loss (Guo et al. 2017).

    Examples
    --------
    >>> sure = torch.tensor([[4.0, 0.0]] * 3 + [[0.0, 4.0]])  # right three times of four
    >>> round(fitted_temperature(sure, torch.zeros(4, dtype=torch.long)), 2)  # 4 / log(3)
    3.64
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda t: float(torch.nn.functional.cross_entropy(logits.double() / np.exp(t), truth)),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _measure(
    clips: Sequence[Clip], side: Side, result: _Result, names: tuple[str, ...], seed: int
) -> Measures:
    probabilities = (result.logits.double() / result.temperature).softmax(1).numpy()
    return measure(
        names,
        [clips[i].label for i in side.test],
        [names[k] for k in result.logits.argmax(1).tolist()],
        probabilities=probabilities,
        recordings=[clips[i].recording for i in side.test],
        seed=seed,
    )


def _sides(clips: Sequence[Clip], split: str, seed: int, *, both: bool) -> dict[str, Side]:
    labels, recordings = [clip.label for clip in clips], [clip.recording for clip in clips]
    sides = {split: hold_out(labels, recordings, split=split, seed=seed)}
    if both:
        other = next(one for one in SPLITS if one != split)
        with suppress(SubterfugeError):  # raised of the chosen split; of the other, the report has none
            sides[other] = hold_out(labels, recordings, split=other, seed=seed)
    return sides


def _told(
    which: str,
    sides: int,
    epochs: int,
    report: Progress | None,
    epoch: Callable[[Epoch], None] | None,
) -> Callable[[Epoch], None]:
    def tell(one: Epoch) -> None:
        if report is not None:
            report("epochs" if sides == 1 else f"epochs ({which} split)", one.number, epochs)
        if epoch is not None:
            epoch(one)

    return tell


def _fingerprint(clips: Sequence[Clip]) -> str:
    import hashlib

    told = "\n".join(f"{clip.label} {clip.recording} {clip.path.name}" for clip in clips)
    return hashlib.sha256(told.encode()).hexdigest()


def _clear(checkpoints: Path) -> None:
    with suppress(OSError):
        for path in checkpoints.iterdir():
            path.unlink()
        checkpoints.rmdir()


def _check(*, epochs: int, split: str, seed: int, widths: Sequence[int], device: str) -> None:
    if epochs < 1:
        raise SubterfugeError(f"epochs: got {epochs}, expected a whole number from 1 up")
    if split not in SPLITS:
        raise SubterfugeError(f"split: got {split!r}, expected {' or '.join(SPLITS)}")
    if not 0 <= seed < 2**32:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 to {2**32 - 1}")
    if not widths or min(widths) < 1:
        raise SubterfugeError(f"widths: got {list(widths)}, expected whole numbers from 1 up")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "torch refused it"
        raise SubterfugeError(f"device: got {device!r}, expected one that works here ({reason})") from error


def _sentence(told: TrainingReport, on: int) -> str:
    network = Network(told.parameters["widths"], len(told.labels))
    return (
        f"Convolutional network ({sum(one.numel() for one in network.parameters()):,} weights, best of "
        f"{len(told.epochs)} epochs) on log-mel spectrograms of {on} of the {told.clips} clips of "
        f"{told.corpus} (the training part of a {told.split} split), seed {told.seed}."
    )
