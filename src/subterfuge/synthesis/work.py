"""One label in one style: searched for, written, read back from disk, recorded; fit for another process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge import __version__
from subterfuge.audio import load_plain, save_audio
from subterfuge.files import strict_json, write_text
from subterfuge.synthesis.climb import SUBTYPE, Progress
from subterfuge.synthesis.imagine import Imagined, imagine_several, known_ceiling
from subterfuge.synthesis.survives import heard
from subterfuge.victims.store import load_victim
from subterfuge.victims.victim import Victim

# Most sounds that are kept of several seeds.
_KEPT = 3


@dataclass(frozen=True)
class Job:
    """One label in one style."""

    label: str
    style: str


@dataclass(frozen=True)
class Order:
    """What all jobs of a run share, in plain types."""

    victim: str
    start: str | None
    seconds: float
    snr: float | None
    seeds: int
    steps: int | None
    seed: int
    corpus: str | None
    survive: bool
    format: str
    out: str


def made(job: Job, *, order: Order, stop: str, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Search for the sounds of a job and write them; their records, the best first.

    Parameters
    ----------
    job : Job
    order : Order
    stop : str
        A file; once it is there, the search ends with the best so far (with nothing, before it began).
    progress : callable, optional
    """
    if Path(stop).exists():
        return []
    torch.set_num_threads(1)
    victim = _victim(order.victim)
    start: Tensor | None = None
    if order.start == "silence":
        start = torch.zeros(1, round(order.seconds * victim.sample_rate))
    elif order.start not in (None, "noise"):
        start = load_plain(str(order.start), victim.sample_rate)
    grains = None
    if job.style == "mosaic" and order.corpus is not None:
        from subterfuge.synthesis.grains import corpus_sounds

        grains = corpus_sounds(order.corpus, victim.sample_rate)
    found = imagine_several(
        victim,
        job.label,
        style=job.style,
        start=start,
        seconds=order.seconds,
        seed=order.seed,
        steps=order.steps,
        seeds=order.seeds,
        keep=_KEPT,
        snr_db=order.snr if job.style == "clip" else None,
        survive=order.survive,
        grains=grains,
        ceiling=_ceiling(order.victim, victim.labels.index(job.label)),
        stop=Path(stop).exists,
        progress=progress,
    )
    return [_kept(one, job, order, number, victim) for number, one in enumerate(found, 1)]


def file_name(job: Job, format: str, number: int = 1) -> str:
    """What the sound is called: ``<label>-<style>.wav``, the second best of several ``...-2.wav``.

    Examples
    --------
    >>> file_name(Job("a/c", "free"), "wav", 2)
    'a_c-free-2.wav'
    """
    safe = re.sub(r"[^\w.+-]", "_", job.label)
    return f"{safe}-{job.style}{f'-{number}' if number > 1 else ''}.{format}"


def _kept(one: Imagined, job: Job, order: Order, number: int, victim: Victim) -> dict[str, Any]:
    """Write a sound, read it back, and say what is known of it."""
    path = Path(order.out) / file_name(job, order.format, number)
    sr = victim.sample_rate
    save_audio(path, one.audio[None], sr=sr, container=order.format.upper(), subtype=SUBTYPE)
    p, predicted = heard(victim, load_plain(path, sr), victim.labels.index(job.label))
    record: dict[str, Any] = {
        "label": one.label,
        "style": one.style,
        "output": path.name,
        "victim": order.victim,
        "probability": p,
        "predicted": victim.labels[predicted],
        "reached": victim.labels[predicted] == one.label,
        "ceiling": one.ceiling,
        "survives": {**one.survives, "wav": p},
        "start": order.start or "noise",
        "snr_db": one.snr_db,
        "made_of": one.told,
        "sample_rate": sr,
        "duration": len(one.audio) / sr,
        "seconds": one.seconds,
        "steps": one.steps,
        "seed": one.seed,
        "interrupted": one.interrupted,
        "heard_by": {},
        "version": __version__,
    }
    write_text(path.with_suffix(".json"), strict_json(record) + "\n")
    return record


@cache
def _victim(name: str) -> Victim:
    return load_victim(name)


@cache
def _ceiling(name: str, label: int) -> float | None:
    return known_ceiling(_victim(name), label)
