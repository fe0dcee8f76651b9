"""What an audit does: its attacks, their access and budgets, and the jobs that these make of some clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from subterfuge.errors import SubterfugeError

# A column of the examination: attack, what it may see, and what its budget is counted in.
COLUMNS: dict[str, tuple[str, str]] = {
    "minimal": ("minimal", "gradients"),
    "masked": ("masked", "gradients"),
    "scores": ("hunt", "scores"),
    "label": ("hunt", "label"),
}
WHITE, BLACK = ("minimal", "masked"), ("scores", "label")
# Sanity needs these beside the columns: the same with a third of the steps, one step, and noise as loud.
EXTRAS = ("fewer-steps", "one-step", "noise")


@dataclass(frozen=True)
class Plan:
    """Settings of an audit.

    Attributes
    ----------
    columns : tuple of str
        Keys of :data:`COLUMNS`.
    steps, masked_steps : int
        Gradient queries a clip of ``minimal`` and of ``masked``.
    queries : int
        Of the two without gradients.
    to : str or None
        A target label; None for anything but what is heard.
    seed : int
    """

    columns: tuple[str, ...] = tuple(COLUMNS)
    steps: int = 150
    masked_steps: int = 300
    queries: int = 300
    to: str | None = None
    seed: int = 0
    differentiable: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS:
                raise SubterfugeError(f"attacks: got {name!r}, expected some of {', '.join(COLUMNS)}")
        for option, value, least in (
            ("steps", self.steps, 6),
            ("masked-steps", self.masked_steps, 2),
            ("queries", self.queries, 2),
        ):
            if value < least:
                raise SubterfugeError(f"{option}: got {value}, expected a whole number from {least} up")

    @property
    def tasks(self) -> tuple[str, ...]:
        """What is done to every clip, in this order; what needs gradients only where there are some."""
        usable = [name for name in self.columns if self.differentiable or name in BLACK]
        extras = EXTRAS if "minimal" in usable else ()
        return ("clean", *usable, *extras)

    def budget(self, column: str) -> int:
        """Forward queries that a clip may cost."""
        if column in BLACK:
            return self.queries
        return self.masked_steps if column == "masked" else self.steps


def subset(number: int, count: int | None, seed: int) -> Sequence[int]:
    """``count`` of so many clips, drawn once and in order; all of them for None.

    Raises
    ------
    SubterfugeError
        If it is below 1.

    Examples
    --------
    >>> len(subset(22, 8, 0)), subset(3, None, 0)
    (8, [0, 1, 2])
    """
    import numpy as np

    if count is None or count >= number:
        return list(range(number))
    if count < 1:
        raise SubterfugeError(f"clips: got {count}, expected a whole number from 1 up")
    return sorted(np.random.default_rng(seed).permutation(number)[:count].tolist())
