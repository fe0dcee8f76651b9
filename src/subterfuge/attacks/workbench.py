"""A file in, a verified file out: read, attack, settle on the file's lattice, write, read back, judge."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge import __version__
from subterfuge.attacks.file_domain import AtRate, OnLattice, at_rate
from subterfuge.attacks.lattice import Judge, rounded, settle
from subterfuge.attacks.oracle import Oracle, check_access
from subterfuge.attacks.outcome import Outcome
from subterfuge.attacks.record import Record
from subterfuge.attacks.registry import DEFAULT, find, get_attack
from subterfuge.attacks.search import Watch
from subterfuge.attacks.survival import Survival, survival
from subterfuge.attacks.surviving import Surviving
from subterfuge.audibility.masking import LEVEL
from subterfuge.audibility.metrics import check_level, measure_audibility
from subterfuge.audibility.snr import snr_db
from subterfuge.audibility.visqol import check_visqol
from subterfuge.audio import (
    AudioFile,
    load_plain,
    lossless,
    lossless_note,
    output_for,
    read_audio,
    write_audio,
)
from subterfuge.criteria import Criterion, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder, strict_json, write_text
from subterfuge.predictions import label_of, noticed_in, tags_of
from subterfuge.transforms.transform import Transform
from subterfuge.victims.victim import Hearing, Victim


def attack_file(
    path: str | Path,
    *,
    victim: Victim,
    criterion: Criterion,
    out: str | Path,
    victim_name: str = "victim",
    attack: str = DEFAULT,
    access: str = "gradients",
    steps: int | None = None,
    budget: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    level: float = LEVEL,
    visqol: bool = False,
    survive: Sequence[Transform] = (),
    draws: int = 2,
    report: Callable[[str], None] | None = None,
) -> Record:
    """Change a file so that a victim hears in it what the criterion wants, and prove it from disk.

    Writes ``<stem>-to-<label>.<ext>`` with the input's rate, channels, length and subtype, and its record
    beside it as JSON. Ctrl-C ends the search and keeps the best attempt so far.

    Parameters
    ----------
    path : str or Path
        Any file that :func:`subterfuge.audio.read_audio` reads.
    victim : Victim
    criterion : Targeted or Untargeted
    out : str or Path
        Folder to write to; made where there is none.
    victim_name : str
        For the record.
    attack : str
        A name in :mod:`subterfuge.attacks.registry`.
    access : str
        What the attack may see of the victim: ``gradients``, ``scores``, ``top-k`` or ``label``. One that
        needs no gradients asks an :class:`subterfuge.attacks.oracle.Oracle`, about the file as it would be
        written each time, and spends no query besides.
    steps : int, optional
        The attack's own default if None.
    budget : int, optional
        Most forward queries that the attack may spend.
    seed : int
    device : str
        Where the search runs, as torch names it.
    level : float
        Playback level that audibility is measured at: dB SPL of a sine of full scale.
    visqol : bool
        Whether ViSQOL is among the measures of audibility; it takes longer than the others together.
    survive : sequence of Transform
        What the change is to survive (:func:`subterfuge.transforms.named.named`). The attack then hears each
        candidate changed by each as well (:class:`subterfuge.attacks.surviving.Surviving`), and each time
        that is a query; how much the file survives is measured from disk.
    draws : int
        Variants of each of those that the attack hears.
    report : callable, optional
        Called from time to time with how the search is doing, in a few words.

    Returns
    -------
    Record
        ``success`` is the victim's plain path on the written file, read back.

    Raises
    ------
    SubterfugeError
        If the file cannot be read or attacked, or the result not written.
    """
    began = time.monotonic()
    source = read_audio(path)
    get_attack(attack)  # a wrong option is said before anything else is done
    check_access(attack, access)
    check_level(level)
    if visqol:
        check_visqol()
    file = lossless(source)
    notes = [note] if (note := lossless_note(source)) else []
    clean = load_plain(path, victim.sample_rate).to(device)
    attempts = getattr(victim, "attempts", None)  # of a victim that is asked over a network
    before = victim.verdict(clean)
    if isinstance(criterion, Untargeted) and criterion.label is None:
        criterion = Untargeted(int(before.predicted[0]))  # known already, so that binding costs no query
    goal = criterion.bind(victim, clean)
    folder = make_folder(Path(out))
    # The two verdicts, on the clip and on what is written.
    data, forward, backward = file.data, 2 * int(getattr(victim, "cost", 1)), 0
    interrupted = False
    if not bool(goal.reached(before)):
        gain = max(1.0, float(file.data.abs().max()))
        blind = find(attack).access != "gradients"
        shown = "scores" if access == "gradients" else access
        heard: Victim = victim
        if survive:
            heard = _surviving(victim, file, survive, draws, seed, shown if blind else None)
            check_budget(budget, heard)
        hearer = OnLattice(heard, file, gain=gain) if blind else at_rate(heard, file.sr, gain=gain)
        asked = Oracle(hearer, access=shown) if blind and not survive else hearer
        y = _mono(file, hearer).to(device)
        options = _hiding(file, hearer, level) if find(attack).hides else {}
        outcome = _search(asked, y, criterion, attack, steps, budget, seed, options, report)
        judge = Judge(hearer, goal, device=device)
        delta = (outcome.audio[0].double().cpu() - _mono(file, hearer)[0].double()) * hearer.gain
        data, interrupted = rounded(file, delta), outcome.interrupted
        if bool(outcome.success[0]) and not blind:
            try:
                data, settled = settle(file, delta, judge)
                if not settled:
                    notes.append(f"rounding to {file.subtype} undid the change; this is the nearest attempt")
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            notes.append("interrupted: this is the best attempt so far")
        if survive and not interrupted and not bool(outcome.success[0]):
            notes.append("none was found that survives all that was tried on it; this is the nearest attempt")
        forward += int(outcome.queries.forward[0]) + judge.forward_queries
        backward += int(outcome.queries.backward[0]) + judge.backward_queries
    tag = "away" if goal.away else victim.labels[int(goal.label[0])]
    written = write_audio(output_for(source, folder, tag), data, file)
    after = victim.verdict(load_plain(written, victim.sample_rate).to(device))
    if after.multilabel:
        tags = [", ".join(tags_of(victim, one) or ["nothing"]) for one in (before, after)]
        notes.append(f"this victim may hear several labels at once; before: {tags[0]}; after: {tags[1]}")
    if noticed_in(before):
        notes.append("the original is noticed by the victim's guard as it is: a false alarm")
    # Who has pressed Ctrl-C already is not kept waiting for the slow one (and a report would raise it again).
    told = None if interrupted else report
    audibility = _audibility(source, written, level, visqol and not interrupted, told)
    if not audibility:
        notes.append("interrupted: how audible the change is was not measured")
    queries = {"forward": forward, "backward": backward}
    if attempts is not None:
        queries["attempts"] = int(getattr(victim, "attempts", 0)) - attempts
    survives: Survival = {}
    if survive and not interrupted:
        survives, queries["survival"] = survival(
            written, victim=victim, goal=goal, transforms=survive, seed=seed, device=device, report=report
        )
    record = Record(
        input=str(path),
        output=str(written),
        victim=victim_name,
        attack=attack,
        target=f"not-{victim.labels[int(goal.label[0])]}" if goal.away else tag,
        success=bool(goal.reached(after)),
        predicted_before=label_of(victim, before),
        predicted_after=label_of(victim, after, None if goal.away else int(goal.label[0])),
        probabilities_before=_probabilities(victim, before),
        probabilities_after=_probabilities(victim, after),
        snr_db=snr_db(file.data, data),
        audibility=audibility,
        queries=queries,
        seconds=round(time.monotonic() - began, 3),
        seed=seed,
        version=__version__,
        notes=notes,
        survives=survives,
        noticed=noticed_in(after),
    )
    write_text(written.with_name(written.stem + ".json"), strict_json(record.as_json()) + "\n")
    return record


def _audibility(
    source: AudioFile, written: Path, level: float, visqol: bool, report: Callable[[str], None] | None
) -> dict[str, Any]:
    """How audible the change is, of both files as they are on disk; empty if Ctrl-C ended it."""
    slow = visqol or source.seconds * source.channels > 20  # longer than a second or two

    def tell(what: str) -> None:
        if report is not None and slow:
            report(f"measuring {what}")

    try:
        changed = read_audio(written).data
        return measure_audibility(
            source.data, changed, sr=source.sr, level=level, visqol=visqol, report=tell
        ).as_json()
    except KeyboardInterrupt:
        return {}


def check_budget(budget: int | None, victim: Victim) -> None:
    """Refuse a budget that does not allow one question.

    Raises
    ------
    SubterfugeError
    """
    cost = int(getattr(victim, "cost", 1))
    if budget is not None and budget < cost:
        raise SubterfugeError(
            f"budget: got {budget}, expected at least {cost}: so many waveforms are heard at a question"
        )


def _surviving(
    victim: Victim,
    file: AudioFile,
    survive: Sequence[Transform],
    draws: int,
    seed: int,
    access: str | None,
) -> Surviving:
    """The victim at the file's rate, where the transforms happen; as a black box where access is named."""
    inner: Victim = at_rate(victim, file.sr)
    if access is not None:
        inner = Oracle(inner, access=access)
    return Surviving(inner, survive, draws=draws, generator=torch.Generator().manual_seed(seed))


def _search(
    hearer: Victim,
    y: Tensor,
    criterion: Criterion,
    attack: str,
    steps: int | None,
    budget: int | None,
    seed: int,
    options: dict[str, Any],
    report: Callable[[str], None] | None,
) -> Outcome:
    if steps is not None:
        options = {**options, "steps": steps}
    size = torch.linalg.vector_norm(y)

    def watch(number: int, best: Tensor) -> None:
        if report is not None:
            found = bool(best[0].isfinite() & (best[0] > 0) & (size > 0))
            told = ""
            if found and "threshold" in options:
                told = f", noise-to-mask ratio {20 * math.log10(float(best[0])):.1f} dB"
            elif found:
                told = f", best SNR {20 * math.log10(float(size / best[0])):.1f} dB"
            report(f"{number:,} queries{told}")

    outcome: Outcome = get_attack(attack)(
        hearer,
        y,
        criterion,
        generator=torch.Generator().manual_seed(seed),
        watch=Watch(budget=budget, report=watch),
        **options,
    )
    return outcome


def _hiding(file: AudioFile, hearer: AtRate, level: float) -> dict[str, Any]:
    """What may be filled: in every channel, each of which is given the same change, no more than it masks."""
    from subterfuge.attacks.whitebox.hidden_norm import room

    level = level + 20 * math.log10(hearer.gain)
    channels = file.data.float() / hearer.gain
    return {"threshold": room(channels, sr=file.sr, level=level).amin(0, keepdim=True), "level": level}


def _mono(file: AudioFile, hearer: AtRate) -> Tensor:
    """The mean over channels as the search sees it, float32 within [-1, 1], shape (1, samples)."""
    return file.data.float().mean(0, keepdim=True) / hearer.gain


def _probabilities(victim: Victim, hearing: Hearing) -> dict[str, float] | None:
    if hearing.probabilities is None:
        return None
    return dict(zip(victim.labels, hearing.probabilities[0].double().tolist(), strict=True))
