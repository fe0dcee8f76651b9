"""Detectors on disk: what a victim's card and the weights beside it say of one, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from subterfuge.defences.detection.detector import Detector
from subterfuge.defences.detection.stability import Stability
from subterfuge.defences.detection.statistics import Mahalanobis
from subterfuge.defences.input.defence import make
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

_KEPT = {"mahalanobis": Mahalanobis, "stability": Stability}


def options_of(detector: Detector) -> dict[str, Any]:
    """What a card says of a detector.

    Raises
    ------
    SubterfugeError
        If it is none of those that are kept.
    """
    for name, kind in _KEPT.items():
        if isinstance(detector, kind):
            more = detector.options if isinstance(detector, Stability) else {}
            return {"detector": name, **more}
    raise SubterfugeError(f"detector: got a {type(detector).__name__}, expected {' or '.join(_KEPT)} to keep")


def weights_of(detector: Detector) -> dict[str, Tensor]:
    """What a detector has learnt, by name."""
    if isinstance(detector, Stability):
        return {"temperature": torch.tensor([detector.temperature], dtype=torch.float64)}
    options_of(detector)
    assert isinstance(detector, Mahalanobis)
    return detector.statistics()


def read_detector(options: Mapping[str, Any], weights: Mapping[str, Tensor], victim: Victim) -> Detector:
    """The detector for a victim, of what :func:`options_of` and :func:`weights_of` told.

    Raises
    ------
    SubterfugeError
        If there is no such detector, or something is missing.
    """
    name = options.get("detector")
    try:
        if name == "mahalanobis":
            return Mahalanobis.of(weights, sample_rate=victim.sample_rate)
        if name == "stability":
            transforms = [make(one["defence"], **one["with"]) for one in options["transforms"]]
            steady = Stability(victim, transforms, seed=options["seed"])
            steady.temperature = float(weights["temperature"][0])
            return steady
    except KeyError as error:
        raise SubterfugeError(f"detector {name!r}: {error} is missing") from error
    raise SubterfugeError(f"detector: got {name!r}, expected {' or '.join(_KEPT)}")
