"""Defended victims on disk: read back from their card and the victim in the folder beside it."""

from __future__ import annotations

from typing import Any

from subterfuge.defences.defended import Defended
from subterfuge.defences.input.defence import make
from subterfuge.errors import SubterfugeError
from subterfuge.victims.card import CARD, INNERS, VictimInfo
from subterfuge.victims.store import load_victim
from subterfuge.victims.victim import TorchVictim


def read_wrapped(info: VictimInfo) -> TorchVictim:
    """The victim that a card describes, around what is in the folder ``inner`` and its like.

    Raises
    ------
    SubterfugeError
        If that is missing or altered, or the card says what cannot be.
    """
    inner = _behind(info, INNERS[0])
    options = dict(info.options)
    try:
        if info.kind == "smoothed":
            from subterfuge.defences.smoothing import Smoothed

            victim: Any = Smoothed(inner, **options)
        elif info.kind == "ensemble":
            from subterfuge.defences.voting import Voting

            more = INNERS[1 : int(options.pop("voters"))]
            victim = Voting([inner, *(_behind(info, one) for one in more)], **options)
        elif info.kind == "guarded":
            from subterfuge.defences.detection.guarded import Guarded
            from subterfuge.defences.detection.kept import read_detector
            from subterfuge.victims.kinds import read_safetensors

            detector = read_detector(options, read_safetensors(info.weights), inner)
            victim = Guarded(inner, detector, threshold=options["threshold"], weight=options["weight"])
        else:
            defence = make(str(options.pop("defence", "")), **options.pop("with", {}))
            victim = Defended(inner, defence, **options)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SubterfugeError(f"{CARD}: an option cannot be ({error})") from error
    if victim.labels != info.labels or victim.sample_rate != info.sample_rate:
        raise SubterfugeError(
            f"{CARD}: labels or sample rate are not those of the victim behind the defence, expected the same"
        )
    victim.name = info.name
    wrapped: TorchVictim = victim
    return wrapped


def _behind(info: VictimInfo, where: str) -> TorchVictim:
    """A victim in a folder beside the card."""
    folder = info.folder / where
    if not (folder / CARD).is_file():
        raise SubterfugeError(f"{folder}: the victim behind the defence is missing, expected its folder")
    return load_victim(folder.resolve())
