"""What is said of one attacked file: the JSON beside it and the section on the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Record:
    """One attacked file, judged as written and read back from disk.

    Attributes
    ----------
    input, output : str
        Paths of the original and of the adversarial file.
    victim, attack : str
        Their names.
    target : str
        The label wanted, or ``not-<label>`` where any other label would do.
    success : bool
        Whether the victim's own prediction on the written file, read back, is what was wanted.
    predicted_before, predicted_after : str
        Labels heard in the original and in the adversarial file.
    probabilities_before, probabilities_after : dict of label to float, or None
    snr_db : float
        Signal-to-noise ratio of the two files as they are on disk, over all channels, in dB.
    audibility : dict
        Measures of how well a listener could tell, taken of the file as read back from disk
        (:meth:`subterfuge.audibility.metrics.Audibility.as_json`, its verdict among them); empty where
        Ctrl-C left no time for them.
    queries : dict
        ``forward`` and ``backward``: waveforms through the victim; of one that is asked over a network,
        ``attempts`` too: requests sent, those included that came to nothing and were sent again.
    seconds : float
        Wall time that this file took.
    seed : int
    version : str
        Of subterfuge.
    notes : list of str
        Anything a reader must know: a container that had to change, an interrupted search.
    survives : dict of str to dict of str to float
        Where that was asked for: how often it still succeeds after each transform, at each strength
        (:func:`subterfuge.attacks.survival.survival`).
    noticed : bool or None
        Whether the victim's guard notices the adversarial file, which then is no success whatever is heard;
        None of a victim without a guard.
    """

    input: str
    output: str
    victim: str
    attack: str
    target: str
    success: bool
    predicted_before: str
    predicted_after: str
    probabilities_before: dict[str, float] | None
    probabilities_after: dict[str, float] | None
    snr_db: float
    audibility: dict[str, Any]
    queries: dict[str, int]
    seconds: float
    seed: int
    version: str
    notes: list[str] = field(default_factory=list)
    survives: dict[str, dict[str, float]] = field(default_factory=dict)
    noticed: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)
