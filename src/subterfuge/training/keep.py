"""Keeping a trained model: the victim's folder, with the report and its page beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subterfuge.training.report import TrainingReport


def keep(
    victim: Any,
    told: TrainingReport,
    *,
    out: Path,
    trained: str,
    notes: str = "",
    sample_rate: int | None = None,
    features: str = "librosa25",
    force: bool = False,
) -> Path:
    """Save a victim or fitted model, whole or not at all, with ``training.json`` and ``index.html``.

    Parameters
    ----------
    victim : victim, or fitted model of scikit-learn
        As for :func:`subterfuge.victims.store.save_victim`.
    told : TrainingReport
        Its measures go into ``victim.json`` as well.
    out : Path
    trained : str
        How, in a sentence or two.
    notes : str
        More than what the measures are.
    sample_rate : int, optional
        In Hz; a victim brings its own.
    features : str
        That a fitted model hears; a victim brings its own.
    force : bool
        Whether a victim in ``out`` may be replaced.

    Raises
    ------
    SubterfugeError
        If ``out`` is taken or cannot be written.
    """
    from subterfuge.report.training_page import write_training_page
    from subterfuge.training.codec import to_json
    from subterfuge.victims.store import save_victim
    from subterfuge.victims.writing import TRAINING

    def fill(folder: Path) -> None:
        (folder / TRAINING).write_text(to_json(told), encoding="utf-8")
        write_training_page(told, folder)

    accuracy, meant = {}, []
    if told.grouped:
        accuracy["held_out_grouped"] = told.grouped.accuracy.value
        meant.append("held_out_grouped: on a fifth whose recordings were not trained on.")
    if told.random:
        accuracy["held_out_random"] = told.random.accuracy.value
        meant.append(
            "held_out_random: with the same setting on a fifth drawn clip by clip, clips of one recording on "
            "both sides."
        )
    if told.cross_validated:
        accuracy["cross_validated"] = told.cross_validated.value
        meant.append("cross_validated: over the folds of the search, whose best this setting was.")
    return save_victim(
        victim,
        labels=told.labels,
        sample_rate=sample_rate,
        features=features,
        out=out,
        name=told.name,
        trained=trained,
        accuracy=accuracy,
        source={"corpus": told.corpus, "date": told.date}
        | ({"command": told.command} if told.command else {}),
        notes=" ".join([*meant, *([notes] if notes else [])]),
        force=force,
        fill=fill,
    )
