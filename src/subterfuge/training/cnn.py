"""Training a convolutional network on a corpus, from clips to a victim's folder with its measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from subterfuge.training.augment import NAPIERS_A_DECIBEL
from subterfuge.training.cost import Clock, peak_mb
from subterfuge.training.keep import keep
from subterfuge.training.learning import Lessons, Taught, logits_of, teach
from subterfuge.training.measure import measure
from subterfuge.training.measures import Measures
from subterfuge.training.report import Epoch, TrainingReport
from subterfuge.training.selection import check_usable, chosen
from subterfuge.training.spectrograms import Spectrograms, spectrograms_of
from subterfuge.training.splits import SPLITS, hold_out
from subterfuge.training.train import today
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import folded
from subterfuge.workers import Progress, check_workers

SAMPLE_RATE = 22050
SECONDS = 3.0
WIDTHS = (16, 32, 64, 96)
EPOCHS = 60
PATIENCE = 10
FRONT_END: dict[str, Any] = {
    "n_fft": 2048,
    "hop_length": 1024,
    "n_mels": 128,
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
        Whether to go on from the checkpoints that an unfinished run left beside ``out``; otherwise they
        are thrown away. They are gone, too, once the victim is there.
    workers : int
        Processes that read the clips, and threads that teach. The network depends on how many (by rounding
        alone), the spectrograms do not.
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
        If an option is wrong, ``out`` is taken or cannot be written, the corpus cannot be split, or the
        checkpoint is of another run.
    KeyboardInterrupt
        At Ctrl-C; ``resume`` goes on from the last whole epoch.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    from subterfuge.victims.store import check_free

    _check(epochs=epochs, split=split, seed=seed, widths=widths, device=device)
    check_workers(workers)
    out = Path(out)
    check_free(out, force=force)
    clips = chosen(corpus, labels)
    _parts(clips, split, seed)
    clock = Clock()
    with clock.stage("features"), _threads(1):
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
    sides = _both_sides(heard.clips, split, seed, both=both)
    checkpoints = make_folder(out.parent / f".{out.resolve().name}.training")
    if not resume:
        _empty(checkpoints)
    results: dict[str, _Result] = {}
    try:
        for which, parts in sides.items():
            with clock.stage("fit"), _threads(workers):
                results[which] = _one_side(
                    heard,
                    parts,
                    names,
                    widths=tuple(widths),
                    epochs=epochs,
                    seed=seed,
                    split=which,
                    device=device,
                    checkpoint=checkpoints / f"{which}.pt",
                    resume=resume,
                    told=_told(which, len(sides), epochs, report, epoch),
                )
    finally:
        with suppress(OSError):  # where there is nothing yet to go on from
            checkpoints.rmdir()
    with clock.stage("measure"):
        measures = {
            which: _measure(heard.clips, sides[which].test, result, names, seed)
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
    learnt_from = len(sides[split].learn) + len(sides[split].stop)
    keep(victim, report_, out=out, trained=_sentence(report_, learnt_from), force=force)
    _empty(checkpoints)
    with suppress(OSError):
        checkpoints.rmdir()
    return report_


@dataclass(frozen=True, eq=False)
class _Parts:
    """Indices of the clips to learn from, of those that tell when to stop, and of those held out."""

    learn: Tensor
    stop: Tensor
    test: Tensor


def _parts(clips: Sequence[Clip], split: str, seed: int) -> _Parts:
    labels, recordings = [clip.label for clip in clips], [clip.recording for clip in clips]
    outer = hold_out(labels, recordings, split=split, seed=seed)
    try:
        inner = hold_out(
            [labels[i] for i in outer.train],
            [recordings[i] for i in outer.train],
            split=split,
            seed=(seed + 1) % 2**32,
        )
    except SubterfugeError as error:
        raise SubterfugeError(
            f"once a fifth is held out, {error}: a part of the rest tells a network when to stop"
        ) from error
    learn, stop, test = outer.train[inner.train], outer.train[inner.test], outer.test
    return _Parts(torch.from_numpy(learn), torch.from_numpy(stop), torch.from_numpy(test))


@dataclass(frozen=True, eq=False)
class _Result:
    """A taught network with what it says of the held-out part."""

    taught: Taught
    temperature: float
    logits: Tensor


def _one_side(
    heard: Spectrograms,
    parts: _Parts,
    names: tuple[str, ...],
    *,
    widths: tuple[int, ...],
    epochs: int,
    seed: int,
    split: str,
    device: str,
    checkpoint: Path,
    resume: bool,
    told: Callable[[Epoch], None],
) -> _Result:
    """Teach, with a part set aside to stop and calibrate by, and hear the held-out part."""
    index = torch.tensor([names.index(clip.label) for clip in heard.clips])
    learn, stop = parts.learn, parts.stop
    floor = float(FRONT_END["floor_db"]) * NAPIERS_A_DECIBEL
    lessons = Lessons(heard.values[learn], index[learn], heard.values[stop], index[stop], floor)
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
        key={"split": split, "labels": list(names), "clips": _fingerprint(heard), "front_end": FRONT_END},
        report=told,
    )
    temperature = fitted_temperature(
        logits_of(taught.network, lessons.validation_x, floor), lessons.validation_y
    )
    return _Result(taught, temperature, logits_of(taught.network, heard.values[parts.test], floor))


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
    clips: Sequence[Clip], test: Tensor, result: _Result, names: tuple[str, ...], seed: int
) -> Measures:
    held = [clips[i] for i in test.tolist()]
    probabilities = (result.logits.double() / result.temperature).softmax(1).numpy()
    return measure(
        names,
        [clip.label for clip in held],
        [names[k] for k in result.logits.argmax(1).tolist()],
        probabilities=probabilities,
        recordings=[clip.recording for clip in held],
        seed=seed,
    )


def _both_sides(clips: Sequence[Clip], split: str, seed: int, *, both: bool) -> dict[str, _Parts]:
    sides = {split: _parts(clips, split, seed)}
    if both:
        other = next(one for one in SPLITS if one != split)
        with suppress(SubterfugeError):  # raised of the chosen split; of the other, the report has none
            sides[other] = _parts(clips, other, seed)
    return sides


def _told(
    which: str,
    sides: int,
    epochs: int,
    report: Progress | None,
    epoch: Callable[[Epoch], None] | None,
) -> Callable[[Epoch], None]:
    what = "epochs" if sides == 1 else f"epochs ({which} split)"
    if report is not None:
        report(what, 0, epochs)

    def tell(one: Epoch) -> None:
        if report is not None:
            report(what, one.number, epochs)
        if epoch is not None:
            epoch(one)

    return tell


def _fingerprint(heard: Spectrograms) -> str:
    """What other clips would hardly share, and the same clips heard on another machine do."""
    import hashlib

    told = [f"{clip.label} {clip.recording} {clip.path.name}" for clip in heard.clips]
    told.append(f"{float(heard.values[:, ::4, ::8].float().mean()):.2f}")
    return f"{len(heard.clips)} ({hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:8]})"


def _empty(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        some = "cpu or cuda" if torch.cuda.is_available() else "cpu (torch finds no other here)"
        raise SubterfugeError(f"device: got {device!r}, expected {some}") from error


def _sentence(told: TrainingReport, on: int) -> str:
    return (
        f"Convolutional network ({told.parameters['weights']:,} weights, best of "
        f"{len(told.epochs)} epochs) on log-mel spectrograms of {on} of the {told.clips} clips of "
        f"{told.corpus} (the training part of a {told.split} split), seed {told.seed}."
    )
