"""An audit from beginning to end: every clip in a process of its own, kept as it goes, gone on with later."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from subterfuge.audit import curves, sanity
from subterfuge.audit.attempts import attempt
from subterfuge.audit.corruptions import corruptions
from subterfuge.audit.plan import BLACK, COLUMNS, WHITE, Plan, subset
from subterfuge.audit.slopes import slopes
from subterfuge.corpora.corpus import Clip
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.files import file_sha256, make_folder, strict_json, write_text
from subterfuge.predictions import noticed_in
from subterfuge.runs import load_on
from subterfuge.victims.victim import Victim
from subterfuge.workers import each

Told = dict[str, Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """One clip of an audit, and where what is found about it is kept."""

    number: int
    path: str
    label: str
    victim: str
    plan: Plan
    kept: str


def audit(
    victim: str,
    clips: Sequence[Clip],
    *,
    out: str | Path,
    plan: Plan | None = None,
    count: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Told:
    """Examine a victim on some clips.

    Parameters
    ----------
    victim : str
        Name or folder.
    clips : sequence of Clip
    out : path
        Folder for ``audit.json`` and, in ``clips/``, what was found about each clip; what is there already of
        the same victim, clip and plan is not done again.
    plan : Plan, optional
    count : int, optional
        Draw so many of the clips.
    workers : int
        Processes, one torch thread each.
    progress : callable, optional
        Told what is done, how many clips of how many.

    Returns
    -------
    dict
        What ``audit.json`` holds; ``interrupted`` says whether Ctrl-C ended it early, after so many clips.

    Raises
    ------
    SubterfugeError
        If there is no such victim, no clip, or a setting is out of range.

    Examples
    --------
    >>> audit("orchestra-svc", clips, out="examined", count=4)  # doctest: +SKIP
    """
    model = load_on(victim, "cpu")
    chosen = [clips[i] for i in subset(len(clips), count, (plan or Plan()).seed)]
    if not chosen:
        raise SubterfugeError("corpus: got no clips, expected at least one")
    settings = Plan(**{**asdict(plan or Plan()), "differentiable": bool(model.differentiable)})
    if settings.to is not None:
        Targeted(settings.to).bind(model, torch.zeros(1, model.sample_rate))
    folder = make_folder(make_folder(Path(out)) / "clips")
    jobs = [
        Job(i, str(clip.path), clip.label, victim, settings, str(_kept(folder, victim, clip, settings)))
        for i, clip in enumerate(chosen)
    ]
    began, found, interrupted = time.perf_counter(), dict[int, Told](), False
    if progress is not None:
        progress("", 0, len(jobs))
    try:
        with closing(each(examine, jobs, workers=workers)) as results:
            for job, told in results:
                found[job.number] = told
                if progress is not None:
                    progress(Path(job.path).name, len(found), len(jobs))
    except KeyboardInterrupt:
        interrupted = True
    told = report(model, victim, settings, [found[i] for i in sorted(found)])
    told |= {"interrupted": interrupted, "seconds": time.perf_counter() - began, "clips_chosen": len(jobs)}
    write_text(Path(out) / "audit.json", strict_json(told) + "\n")
    return told


def examine(job: Job) -> Told:
    """Everything about one clip; each task is kept as soon as it is done."""
    from subterfuge.audio import load_plain

    kept = Path(job.kept)
    told: Told = json.loads(kept.read_text()) if kept.is_file() else {}
    victim, plan = load_on(job.victim, "cpu"), job.plan
    y = load_plain(job.path, victim.sample_rate)

    def keep(name: str, value: Any) -> None:
        told[name] = value
        write_text(kept, strict_json(told) + "\n")

    if "clean" not in told:
        called, right = _called(victim, y, job.label)
        about = {"file": Path(job.path).name, "label": job.label, "heard": called}
        keep("clean", {**about, "right": right})
    heard = victim.labels.index(told["clean"]["heard"])
    if "corruptions" not in told:
        battery = corruptions()
        keep(
            "corruptions",
            {
                name: _called(victim, corrupt(y, victim.sample_rate, plan.seed), job.label)[1]
                for name, corrupt in battery.items()
            },
        )
    # A clip that is heard wrongly as it is needs no attack; nor one that is heard as the target already.
    if not told["clean"]["right"] or told["clean"]["heard"] == plan.to:
        return told
    if plan.differentiable and "slopes" not in told:
        keep("slopes", slopes(victim, y, Untargeted() if plan.to is None else Targeted(plan.to)))
    for task in plan.tasks[1:]:
        if task not in told:
            keep(task, attempt(victim, y, task, plan, heard=heard, like=told.get("minimal")))
    if "certified" not in told:
        keep("certified", _certified(victim, y, plan))
    return told


@torch.no_grad()
def _called(victim: Victim, y: torch.Tensor, label: str) -> tuple[str, bool]:
    """What is heard in a clip, and whether that is right; what a guard refuses is not."""
    heard = victim.hear(y)
    called = victim.labels[int(heard.predicted[0])]
    return called, called == label and not noticed_in(heard)


def _certified(victim: Victim, y: torch.Tensor, plan: Plan) -> float | None:
    """The SNR in dB above which no change can succeed, where the victim can be certified."""
    from subterfuge.victims.svm import SvmVictim

    if not isinstance(victim, SvmVictim):
        return None
    from subterfuge.defences.certificates.bracket import bracket

    target = None if plan.to is None else victim.labels.index(plan.to)
    try:
        found = float(bracket(victim, y, target=target)[0].certified_db)
    except SubterfugeError:  # of a kind or on features that have no bounds
        return None
    return found if math.isfinite(found) else None


def _kept(folder: Path, victim: str, clip: Clip, plan: Plan) -> Path:
    """A file of its own for what decides the result: victim, clip and settings."""
    home = Path(victim)
    weights = (
        [file_sha256(one) for one in sorted(home.rglob("*")) if one.is_file()] if home.is_dir() else [victim]
    )
    what = json.dumps([weights, file_sha256(Path(clip.path)), clip.label, asdict(plan)], sort_keys=True)
    return folder / f"{Path(clip.path).stem}-{hashlib.sha256(what.encode()).hexdigest()[:10]}.json"


# ---------------------------------------------------------------- what it comes to


def report(victim: Victim, name: str, plan: Plan, clips: Sequence[Told]) -> Told:
    """Accuracy, curves, medians, corruptions, certificates and sanity, of what was found about each clip."""
    from subterfuge import __version__

    clean = [bool(one["clean"]["right"]) for one in clips]
    tasks = [task for task in plan.tasks[1:] if task in COLUMNS]
    attacked = [one for one in clips if all(task in one for task in plan.tasks[1:])]
    tables = {task: [one[task] for one in attacked] for task in plan.tasks[1:]}
    # A clip that is heard wrongly counts as lost at every size.
    nothing = {"success": False, "snr_db": None, "nmr_db": None}
    whole = {task: [one.get(task, nothing) for one in clips] for task in tasks}
    certified = [one["certified"] for one in clips if one.get("certified") is not None]
    slope = [one["slopes"] for one in clips if "slopes" in one]
    return {
        "victim": name,
        "labels": list(victim.labels),
        "differentiable": plan.differentiable,
        "plan": {key: value for key, value in asdict(plan).items() if key != "differentiable"},
        "clips": len(clips),
        "clean_accuracy": sum(clean) / len(clean) if clean else None,
        "attacks": {task: _attack(task, plan, clean, whole[task], tables[task]) for task in tasks},
        "grids": {"snr_db": list(curves.SNR_GRID), "nmr_db": list(curves.NMR_GRID)},
        "corruptions": _corrupted(clips),
        "certified_snr_db": {"clips": len(certified), "median": curves.median(certified)}
        if certified
        else None,
        "sanity": sanity.checks(clean, tables, slope),
        "each": list(clips),
        "version": __version__,
    }


def _attack(
    task: str, plan: Plan, clean: Sequence[bool], whole: Sequence[Told], attacked: Sequence[Told]
) -> Told:
    attack, access = COLUMNS[task]
    found = [one for one in attacked if one["success"]]
    return {
        "attack": attack,
        "access": access,
        "adaptive": task in WHITE,
        "budget": plan.budget(task),
        "counted_in": "queries" if task in BLACK else "gradient queries",
        "fooled": len(found),
        "attacked": len(attacked),
        "median_snr_db": curves.median_snr(attacked),
        "median_nmr_db": curves.median([one["nmr_db"] for one in found]),
        "inaudible": sum(one["nmr_db"] <= 0 for one in found),
        "robust_snr": [curves.robust_snr(clean, whole, at) for at in curves.SNR_GRID],
        "robust_nmr": [curves.robust_nmr(clean, whole, at) for at in curves.NMR_GRID],
        "seconds": sum(one["seconds"] for one in attacked),
    }


def _corrupted(clips: Sequence[Told]) -> dict[str, float]:
    names = clips[0]["corruptions"] if clips else {}
    return {name: sum(bool(one["corruptions"][name]) for one in clips) / len(clips) for name in names}
