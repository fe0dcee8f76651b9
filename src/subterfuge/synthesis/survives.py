"""What is heard in a sound as a file holds it, and after each of the things that may become of it."""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.audio import to_lattice
from subterfuge.synthesis.variants import changed, panel
from subterfuge.victims.victim import Victim


@torch.no_grad()
def heard(victim: Victim, audio: Tensor, label: int) -> tuple[float, int]:
    """The label's probability and the label predicted, by the victim's plain path.

    Parameters
    ----------
    victim : Victim
    audio : Tensor, shape (1, samples)
        At the victim's rate.
    label : int
    """
    hearing = victim.verdict(audio)
    assert hearing.probabilities is not None, "checked by check_imaginable"
    best = int(hearing.predicted[0])
    if hearing.multilabel and bool(hearing.tags[0, label]):
        best = label
    return float(hearing.probabilities[0, label]), best


def survives_table(victim: Victim, audio: Tensor, label: int) -> dict[str, float]:
    """The label's probability after each variant of the panel, rounded to 16 bits, by the plain path.

    Parameters
    ----------
    victim : Victim
    audio : Tensor, shape (1, samples)
    label : int

    Returns
    -------
    dict of str to float
        Such as ``{"gain -6 dB": 0.99, ...}``; ``wav`` is the sound itself, written and read again.
    """
    sr = victim.sample_rate
    rows = {"wav": audio} | {name: changed(audio, one, sr=sr) for name, one in panel(sr).items()}
    return {name: heard(victim, to_lattice(y, "PCM_16"), label)[0] for name, y in rows.items()}
