"""The sound that a victim finds most like a label, under a prior that says what kind of sound is meant."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.labels import index_of
from subterfuge.synthesis.climb import Found, Progress, climb
from subterfuge.synthesis.grains import Sounds
from subterfuge.synthesis.seeds import diverse
from subterfuge.synthesis.styles import Style, find_style
from subterfuge.synthesis.survives import heard, survives_table
from subterfuge.synthesis.variants import usual
from subterfuge.synthesis.wish import Wish, check_imaginable
from subterfuge.training.interruption import heeding_interrupts
from subterfuge.transforms.transform import Transform
from subterfuge.victims.victim import Victim

# Seconds that a sound may last; an attack of notes, and what memory holds.
SHORTEST, LONGEST = 0.05, 60.0


@dataclass(frozen=True, eq=False)
class Imagined:
    """A sound that a victim was asked for.

    Attributes
    ----------
    audio : Tensor, shape (samples,)
        At the victim's rate, on the lattice of 16 bits; no peak over -1 dBFS, no DC.
    label, style : str
    probability : float
        Of the label, by the victim's plain path: what a file of this audio is heard as.
    predicted : str
        The label that the victim's own ``predict`` gives.
    ceiling : float or None
        The highest probability of the label that there is, where the victim is an SVM.
    survives : dict of str to float
        The label's probability after each of the things that may become of a file.
    seed, steps : int
    seconds : float
        What it took.
    interrupted : bool
    snr_db : float or None
        Of the style ``clip``: how far below the clip the change is, dB.
    told : dict of str to float
        What else the style has to say of it.
    """

    audio: Tensor
    label: str
    style: str
    probability: float
    predicted: str
    ceiling: float | None
    survives: dict[str, float]
    seed: int
    steps: int
    seconds: float
    interrupted: bool = False
    snr_db: float | None = None
    told: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the victim hears the label."""
        return self.predicted == self.label


def imagine(
    victim: Victim,
    label: str,
    *,
    style: str = "free",
    start: Tensor | None = None,
    seconds: float = 3.0,
    seed: int = 0,
    steps: int | None = None,
    seeds: int = 1,
    snr_db: float | None = None,
    survive: bool | Sequence[Transform] = True,
    grains: Sounds | None = None,
    ceiling: float | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Imagined:
    """The sound that ``victim`` finds most like ``label``.

    Parameters
    ----------
    victim : Victim
        With gradients and probabilities.
    label : str
        Code, full name or unique prefix.
    style : str
        ``free``, ``spectral``, ``harmonic``, ``mosaic`` or ``clip``: see :mod:`subterfuge.synthesis.styles`.
    start : Tensor, shape (samples,) or (1, samples), optional
        What to begin with, mono, at the victim's rate; the style ``clip`` needs one. Otherwise, noise.
    seconds : float
        Length; of a ``start`` in the style ``clip`` its own length counts instead.
    seed : int
    steps : int, optional
        Most steps of the search; otherwise the style's own number.
    seeds : int
        How many searches, from ``seed`` on, the best of which is given; see :func:`imagine_several`.
    snr_db : float, optional
        Of the style ``clip`` alone: how far the change must be below the clip, dB; 20 by default.
    survive : bool or sequence of Transform
        What the label is to survive, in expectation (:func:`subterfuge.synthesis.variants.usual`).
    grains : Sounds, optional
        Of the style ``mosaic`` alone: sounds at the victim's rate that it is made of; the embedded clips by
        default.
    ceiling : float, optional
        The highest probability that there is, where it is known already; of an SVM it is found.
    stop : callable, optional
        Asked at every step; true ends the search with the best so far, as Ctrl-C does.
    progress : callable, optional
        Told steps done, steps in all, and the probability.

    Returns
    -------
    Imagined

    Raises
    ------
    SubterfugeError
        If the victim has no gradients or no probabilities, or something given makes no sense.

    References
    ----------
    Athalye, Engstrom, Ilyas and Kwok, "Synthesizing robust adversarial examples", ICML 2018.

    Examples
    --------
    >>> found = imagine(victim, "left", seconds=0.1, steps=5, survive=False)
    >>> found.label, tuple(found.audio.shape), list(found.survives)[0]
    ('left', (800,), 'wav')
    """
    return imagine_several(
        victim,
        label,
        style=style,
        start=start,
        seconds=seconds,
        seed=seed,
        steps=steps,
        seeds=seeds,
        keep=1,
        snr_db=snr_db,
        survive=survive,
        grains=grains,
        ceiling=ceiling,
        stop=stop,
        progress=progress,
    )[0]


def imagine_several(
    victim: Victim,
    label: str,
    *,
    style: str = "free",
    start: Tensor | None = None,
    seconds: float = 3.0,
    seed: int = 0,
    steps: int | None = None,
    seeds: int = 3,
    keep: int = 3,
    snr_db: float | None = None,
    survive: bool | Sequence[Transform] = True,
    grains: Sounds | None = None,
    ceiling: float | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> list[Imagined]:
    """As :func:`imagine`, from several seeds: the best, then those that are good too and unlike the others.

    Parameters
    ----------
    keep : int
        Most that are given.

    Returns
    -------
    list of Imagined
        At least one; the best first.
    """
    check_imaginable(victim)
    index = index_of(label, victim.labels)
    chosen = find_style(style)
    check_numbers(seconds=seconds, seed=seed, steps=steps, seeds=seeds, keep=keep)
    start = None if start is None else _as_row(start)
    options = _options(chosen, start=start, snr_db=snr_db, grains=grains)
    sr = victim.sample_rate
    samples = max(1, round(seconds * sr))
    if start is not None:
        samples = start.shape[1] if chosen.own_length else samples
        start = _fitted(start, samples)
    if ceiling is None:
        ceiling = known_ceiling(victim, index)
    transforms = (usual(sr) if survive else ()) if isinstance(survive, bool) else tuple(survive)
    wish = Wish(victim, index, ceiling or 1.0)
    most = steps if steps is not None else chosen.steps
    tried: list[tuple[int, Found, float]] = []
    with heeding_interrupts() as pressed:
        for number in range(seeds):
            began = time.perf_counter()
            generator = torch.Generator().manual_seed((seed + number) % 2**63)
            sound = chosen.make()(samples=samples, sr=sr, generator=generator, start=start, **options)
            found = climb(
                sound,
                wish,
                steps=most,
                transforms=transforms,
                generator=generator,
                stop=lambda: pressed() or (stop is not None and stop()),
                progress=_counting(progress, number, seeds, most),
            )
            tried.append((seed + number, found, time.perf_counter() - began))
            if found.interrupted:
                break
    tried.sort(key=lambda one: -one[1].worth)
    kept = diverse([one.audio for _, one, _ in tried], [one.worth for _, one, _ in tried], sr=sr, keep=keep)
    out = []
    for number, found, took in (tried[i] for i in kept):
        began = time.perf_counter()
        p, predicted = heard(victim, found.audio, index)
        table = survives_table(victim, found.audio, index)
        out.append(
            Imagined(
                audio=found.audio[0],
                label=victim.labels[index],
                style=style,
                probability=p,
                predicted=victim.labels[predicted],
                ceiling=ceiling,
                survives=table,
                seed=number,
                steps=found.steps,
                seconds=took + time.perf_counter() - began,
                interrupted=found.interrupted,
                snr_db=found.told.get("snr_db"),
                told=found.told,
            )
        )
    return out


def known_ceiling(victim: Victim, label: int) -> float | None:
    """The highest probability of a label that there is, of an SVM with probabilities; else None."""
    from subterfuge.synthesis.ceiling import ceiling
    from subterfuge.victims.svm import SvmVictim

    if not isinstance(victim, SvmVictim) or not victim.head.has_probabilities:
        return None
    return ceiling(victim, label).probability


def check_numbers(*, seconds: float, seed: int, steps: int | None, seeds: int, keep: int) -> None:
    """Refuse numbers that make no sense.

    Raises
    ------
    SubterfugeError
    """
    if not SHORTEST <= seconds <= LONGEST:
        raise SubterfugeError(f"seconds: got {seconds:g}, expected {SHORTEST:g} to {LONGEST:g}")
    if not 0 <= seed < 2**63:
        raise SubterfugeError(f"seed: got {seed}, expected a whole number from 0 to {2**63 - 1}")
    for name, value in (("steps", steps), ("seeds", seeds), ("keep", keep)):
        if value is not None and value < 1:
            raise SubterfugeError(f"{name}: got {value}, expected a whole number from 1 up")


def _as_row(start: Tensor) -> Tensor:
    """One clip as shape (1, samples), float32, finite."""
    row = start.detach().float().reshape(1, -1)
    if start.ndim > 2 or (start.ndim == 2 and len(start) != 1) or not row.numel():
        raise SubterfugeError(f"start: got shape {tuple(start.shape)}, expected (samples,) or (1, samples)")
    if not bool(row.isfinite().all()):
        raise SubterfugeError("start: holds NaN or infinite samples, expected finite ones")
    return row


def _fitted(start: Tensor, samples: int) -> Tensor:
    """Cut, or followed by silence."""
    return torch.nn.functional.pad(start, (0, max(0, samples - start.shape[1])))[:, :samples]


def _options(
    style: Style, *, start: Tensor | None, snr_db: float | None, grains: Sounds | None
) -> dict[str, object]:
    """What a style is given beyond what all are."""
    if style.name == "clip" and start is None:
        raise SubterfugeError("style clip: got nothing to begin with, expected a clip")
    if snr_db is not None and style.name != "clip":
        raise SubterfugeError(f"snr: got {snr_db:g} dB with the style {style.name}, expected it with clip")
    if grains is not None and style.name != "mosaic":
        raise SubterfugeError(f"grains: got some with the style {style.name}, expected them with mosaic")
    options: dict[str, object] = {}
    if snr_db is not None:
        options["snr_db"] = snr_db
    if grains is not None:
        options["grains"] = grains
    return options


def _counting(progress: Progress | None, number: int, seeds: int, steps: int) -> Progress | None:
    """Progress of one search told as that of all."""
    if progress is None:
        return None
    return lambda done, _, p: progress(number * steps + done, seeds * steps, p)
