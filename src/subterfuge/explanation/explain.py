"""One clip explained: by gradients where the victim has them, else by what it misses; and in parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.explanation.cells import Grid, cell_attribution, grid_of
from subterfuge.explanation.cells_left_out import occlude_cells
from subterfuge.explanation.evidence import Evidence, evidence
from subterfuge.explanation.features import FeatureView, feature_view
from subterfuge.explanation.integrated import Integrated, integrated_gradients
from subterfuge.explanation.occlusion import (
    DEPTH_DB,
    Dropped,
    heard_label,
    occlude_bands,
    occlude_moments,
)
from subterfuge.explanation.parts import decisive
from subterfuge.explanation.sharpened import STEPS, sharpened
from subterfuge.explanation.true_slopes import with_true_slopes
from subterfuge.victims.victim import Hearing, Victim

Progress = Callable[[str, int, int], None]

# The path begins with the clip this far down: not with zeros, where the shape of a spectrum is not defined,
# and all features of it jump.
SILENCE_DB = -100.0
# Steps are doubled until the residual is no more than this part of what is explained, or there are so many.
_GOOD, _MOST_STEPS = 0.05, 256
# Seconds: longer clips do not fit in memory with all that is kept of them; long ones are not searched.
LONGEST, _LONG = 180.0, 60.0
# Samples that go through the victim at once, so that a long clip needs no more memory than some short ones.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Explanation:
    """What in a clip decides.

    Attributes
    ----------
    label, predicted : str
        What is explained, and what is heard.
    unit : str
        Of all evidence: ``log-odds`` or ``score`` (:class:`subterfuge.explanation.evidence.Evidence`).
    evidence : float
        For the label in the whole clip.
    probability : float or None
    method : str
        ``integrated gradients``, or ``occlusion`` of a victim without gradients.
    grid : Grid
    attribution : Tensor of float64, shape (bands, moments)
        By cell. Integrated gradients add up to the evidence less that at the path's beginning, but for the
        residual.
    chosen : Tensor of bool, shape (bands, moments)
        The decisive cells.
    share : float
        Which part of all cells was asked for.
    chosen_by : str
        ``attribution``: those with the largest ones; or ``search`` from there
        (:func:`subterfuge.explanation.sharpened.sharpened`).
    completeness : dict of str to float, or None
        ``value``, ``baseline`` (evidence at the path's ends), ``sum`` (of the attributions), ``residual``
        (what the sum lacks) and ``steps``; None without gradients.
    bands, moments : list of Dropped
        What each is worth.
    features : FeatureView or None
    notes : list of str
    queries : dict of str to int
        ``forward`` and ``backward``.
    """

    label: str
    predicted: str
    unit: str
    evidence: float
    probability: float | None
    method: str
    grid: Grid
    attribution: Tensor
    chosen: Tensor
    share: float
    chosen_by: str
    completeness: dict[str, float] | None
    bands: list[Dropped]
    moments: list[Dropped]
    features: FeatureView | None
    notes: list[str] = field(default_factory=list)
    queries: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del known["grid"], known["chosen"], known["attribution"]
        return known | {
            "bands": [asdict(one) for one in self.bands],
            "moments": [asdict(one) for one in self.moments],
            "features": None if self.features is None else asdict(self.features),
            "cells": {
                "edges_hz": [round(hz, 2) for hz in self.grid.edges],
                "seconds": self.grid.seconds,
                "attribution": [[float(f"{x:.4g}") for x in row] for row in self.attribution.tolist()],
                "decisive": self.chosen.int().tolist(),
            },
        }


def explain(
    victim: Victim,
    y: Tensor,
    *,
    label: int | None = None,
    share: float = 0.2,
    steps: int = 32,
    search: int = STEPS,
    depth_db: float = DEPTH_DB,
    progress: Progress | None = None,
) -> Explanation:
    """What in a clip speaks for a label.

    Parameters
    ----------
    victim : Victim
    y : Tensor, shape (1, samples)
        At the victim's rate.
    label : int, optional
        By default the one that is heard.
    share : float
        Part of the cells of time and critical band that counts as decisive, between 0 and 1.
    steps : int
        Gradients at first along the path from silence; doubled where they do not add up.
    search : int
        Steps of the search for the decisive cells, from those with the largest attributions; 0 for just
        these. Without gradients there is none.
    depth_db : float
        How far bands and moments are turned down to see what they are worth.
    progress : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Explanation

    Raises
    ------
    SubterfugeError
        If the clip is silent, too long or not one clip, or the share no share.

    Examples
    --------
    >>> explain(victim, 0.1 + y[:1]).method
    'integrated gradients'
    """
    if y.ndim != 2 or len(y) != 1 or not y.numel():
        raise SubterfugeError(f"explain: got shape {tuple(y.shape)}, expected (1, samples)")
    if not bool(y.isfinite().all()):
        raise SubterfugeError("explain: the clip holds NaN or infinite samples, expected finite ones")
    if not bool(y.any()):
        raise SubterfugeError("explain: the clip is silent, expected a sound")
    if not 0 < share < 1:
        raise SubterfugeError(f"share: got {share:g}, expected a number between 0 and 1")
    seconds = y.shape[1] / victim.sample_rate
    if seconds > LONGEST:
        raise SubterfugeError(f"explain: the clip is {seconds:.0f} s long, expected at most {LONGEST:.0f} s")
    tell = progress or (lambda what, done, total: None)
    with torch.no_grad():
        hearing: Hearing = victim.hear(y, probabilities=True)
    heard = evidence(victim, int(hearing.predicted[0]) if label is None else label, hearing)
    chunk = max(1, min(8, _AT_ONCE // y.shape[1]))
    grid = grid_of(y.shape[1], victim.sample_rate)
    queries = {"forward": 1, "backward": 0}
    notes: list[str] = []
    completeness = None
    if victim.differentiable:
        found, spent = _integrated(heard, y, steps, chunk, tell)
        queries = {"forward": queries["forward"] + spent + 2, "backward": spent}
        attribution = cell_attribution(y[0], found.slope * (1 - _SILENCE), sr=victim.sample_rate, grid=grid)
        completeness = {
            "value": found.value,
            "baseline": found.baseline_value,
            "sum": float(attribution.sum()),
            "residual": found.difference - float(attribution.sum()),
            "steps": found.steps,
        }
    else:
        notes.append(
            "This victim has no gradients: all that is shown is by occlusion, part after part left out."
        )
        attribution, spent = occlude_cells(
            heard, y, grid=grid, depth_db=depth_db, chunk=chunk, progress=_telling(tell, "leaving out cells")
        )
        queries["forward"] += spent
    chosen = decisive(attribution, share)
    chosen_by = "attribution"
    if seconds > _LONG and victim.differentiable:
        notes.append(
            f"Longer than {_LONG:.0f} s: the decisive parts are those of the attribution, not searched."
        )
    elif victim.differentiable and search > 0:
        tuned, spent = sharpened(
            heard, y, attribution, share=share, grid=grid, steps=search, depth_db=depth_db,
            progress=_telling(tell, "searching the decisive parts"),
        )  # fmt: skip
        chosen_by = "attribution" if torch.equal(tuned, chosen) else "search"
        chosen = tuned
        queries = {"forward": queries["forward"] + spent, "backward": queries["backward"] + 2 * search}
    bands = occlude_bands(
        heard, y, depth_db=depth_db, chunk=chunk, progress=_telling(tell, "leaving out bands")
    )
    moments = occlude_moments(
        heard, y, depth_db=depth_db, chunk=chunk, progress=_telling(tell, "leaving out moments")
    )
    queries["forward"] += len(bands) + len(moments) + 2
    probabilities = hearing.probabilities
    return Explanation(
        label=victim.labels[heard.label],
        predicted=heard_label(victim, hearing),
        unit=heard.unit,
        evidence=float(heard.of(hearing)[0]),
        probability=None if probabilities is None else float(probabilities[0, heard.label]),
        method="integrated gradients" if victim.differentiable else "occlusion",
        grid=grid,
        attribution=attribution.cpu(),
        chosen=chosen.cpu(),
        share=share,
        chosen_by=chosen_by,
        completeness=completeness,
        bands=bands,
        moments=moments,
        features=feature_view(heard, y),
        notes=notes,
        queries=queries,
    )


_SILENCE = 10 ** (SILENCE_DB / 20)


def _integrated(heard: Evidence, y: Tensor, steps: int, chunk: int, tell: Progress) -> tuple[Integrated, int]:
    """Integrated gradients with as many steps as it takes for them to add up, and how many were taken."""
    spent = 0
    while True:
        found = integrated_gradients(
            lambda x: with_true_slopes(heard, x),
            y[0],
            baseline=y[0] * _SILENCE,
            steps=steps,
            spread=1 / _SILENCE,
            chunk=chunk,
            progress=_telling(tell, "following gradients"),
        )
        spent += found.steps
        if abs(found.residual) <= _GOOD * abs(found.difference) or 2 * steps > _MOST_STEPS:
            return found, spent
        steps *= 2


def _telling(tell: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(what, done, total)
