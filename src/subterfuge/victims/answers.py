"""From what a classifier of any make gives (scores, probabilities, logits or a label) to a hearing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing

# What the numbers mean that a classifier gives, one for each label: the largest is heard.
GIVES = {
    "scores": "any numbers, the largest of which is heard",
    "probabilities": "probabilities",
    "logits": "log-probabilities, up to a constant",
}
_LARGEST = 1e30


@dataclass(frozen=True)
class Answer:
    """What a classifier gave for some waveforms: scores, labels, or both.

    Attributes
    ----------
    scores : Tensor, shape (batch, labels), or None
    predicted : Tensor of int64, shape (batch,), or None
        Its own word on the label, where it has one; otherwise the largest score is heard.
    probable : bool
        Whether it says itself that the scores are probabilities.
    """

    scores: Tensor | None = None
    predicted: Tensor | None = None
    probable: bool = False


@dataclass(frozen=True)
class Meaning:
    """What a classifier's numbers mean.

    Attributes
    ----------
    labels : tuple of str
    gives : str
        One of :data:`GIVES`.
    thresholds : tuple of float
        Of a classifier that may hear several labels at once: from which number on each is heard, in the
        units of what it gives. Empty for one that hears one label.

    Raises
    ------
    SubterfugeError
        If there is no such meaning, or not one finite threshold a label.

    Examples
    --------
    >>> heard = Meaning(("dog", "cat")).hearing(Answer(torch.tensor([[0.2, 0.9]])), pieces=1)
    >>> heard.predicted, heard.probabilities
    (tensor([1]), None)
    >>> both = Meaning(("dog", "cat"), thresholds=(0.1, 0.5))
    >>> both.hearing(Answer(torch.tensor([[0.2, 0.9]])), pieces=1).tags
    tensor([[True, True]])
    """

    labels: tuple[str, ...]
    gives: str = "scores"
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        if self.gives not in GIVES:
            raise SubterfugeError(f"gives: got {self.gives!r}, expected {', '.join(GIVES)}")
        if self.thresholds and len(self.thresholds) != len(self.labels):
            raise SubterfugeError(
                f"thresholds: got {len(self.thresholds)} for {len(self.labels)} labels, expected one for all "
                "or one a label"
            )
        if not all(-_LARGEST < one < _LARGEST for one in self.thresholds):
            raise SubterfugeError(f"thresholds: got {list(self.thresholds)}, expected finite numbers")

    def hearing(self, answer: Answer, *, pieces: int, probabilities: bool = False) -> Hearing:
        """What is heard in clips of ``pieces`` windows each, of which ``answer`` holds one row a window.

        Over windows, scores are averaged and the largest mean is heard; labels alone are counted, and the
        most frequent is heard.
        """
        scores, predicted = answer.scores, answer.predicted
        if scores is None:
            assert predicted is not None
            scores = torch.nn.functional.one_hot(predicted, len(self.labels)).float()
            own = None if pieces > 1 else predicted
            return self._heard(_over(scores, pieces), own, None)
        if bool(scores.isnan().any()):
            raise SubterfugeError("the victim gave NaN for a score, expected numbers")
        scores = scores.clamp(-_LARGEST, _LARGEST)  # an infinite score is a very large one
        chances = self._chances(scores, answer.probable) if probabilities else None
        if pieces > 1:
            scores, predicted = _over(scores, pieces), None
            chances = None if chances is None else _over(chances, pieces)
        return self._heard(scores, predicted, chances)

    def _chances(self, scores: Tensor, probable: bool) -> Tensor | None:
        if probable or self.gives == "probabilities":
            return scores.clone()
        if self.gives == "logits":
            return scores.sigmoid() if self.thresholds else scores.softmax(1)
        return None

    def _heard(self, scores: Tensor, predicted: Tensor | None, chances: Tensor | None) -> Hearing:
        if self.thresholds:
            above = scores - torch.tensor(self.thresholds, dtype=scores.dtype, device=scores.device)
            return Hearing(above, above.argmax(1), chances, multilabel=True)
        return Hearing(scores, scores.argmax(1) if predicted is None else predicted, chances)


def thresholds_for(given: float | str | Sequence[float] | None, labels: Sequence[str]) -> tuple[float, ...]:
    """One threshold a label: a single one counts for all; none where None is given. Text may hold commas.

    Raises
    ------
    SubterfugeError
        If one is no number.

    Examples
    --------
    >>> thresholds_for(0.5, ("dog", "cat")), thresholds_for(None, ("dog",))
    ((0.5, 0.5), ())
    """
    if given is None:
        return ()
    try:
        parts = given.split(",") if isinstance(given, str) else given
        values = [float(one) for one in ([parts] if isinstance(parts, (int, float)) else parts)]
    except (TypeError, ValueError):
        raise SubterfugeError(f"thresholds: got {given!r}, expected numbers") from None
    return tuple(values) * len(labels) if len(values) == 1 else tuple(values)


def one_threshold(given: float | str | None) -> float | None:
    """The threshold of a victim that takes but one, from a number or text.

    Raises
    ------
    SubterfugeError
        If it is no number.

    Examples
    --------
    >>> one_threshold("0.5"), one_threshold(None)
    (0.5, None)
    """
    values = thresholds_for(given, ("all",))
    if len(values) > 1:
        raise SubterfugeError(f"threshold: got {given!r}, expected one number")
    return values[0] if values else None


def place_of(label: object, labels: Sequence[str]) -> int:
    """Index of a label that a classifier gave, by name or as an index.

    Raises
    ------
    SubterfugeError
        If there is none.
    """
    if isinstance(label, str):
        if label in labels:
            return list(labels).index(label)
    elif isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(labels):
        return label
    raise SubterfugeError(f"the victim gave the label {str(label)[:80]!r}, expected {_few(labels)}")


def in_order(scores: Mapping[str, float], labels: Sequence[str], *, share: bool = False) -> list[float]:
    """Scores by label as a list in the order of ``labels``.

    A label that is left out counts as less than all that are there: it gets the least of those less one, or,
    where they are probabilities (``share``), its share of what they leave of 1, or the least if that is less.

    Raises
    ------
    SubterfugeError
        If there is a label that the victim has not, or a score that is no number.

    Examples
    --------
    >>> in_order({"cat": 0.75, "dog": 0.125}, ("bat", "cat", "dog"), share=True)
    [0.125, 0.75, 0.125]
    """
    if not scores:
        raise SubterfugeError("the victim gave no scores, expected one for each label")
    for label, score in scores.items():
        place_of(str(label), labels)
        if isinstance(score, bool) or not isinstance(score, (int, float)) or abs(score) > 1e300:
            raise SubterfugeError(f"the victim gave the score {str(score)[:80]!r}, expected a number")
    least, missing = min(scores.values()), len(labels) - len(scores)
    shared = min(least, max(0.0, 1.0 - sum(scores.values())) / max(1, missing))
    left = shared if share else least - 1.0
    return [float(scores.get(label, left)) for label in labels]


def _over(scores: Tensor, pieces: int) -> Tensor:
    """The mean over the windows of each clip."""
    return scores.reshape(-1, pieces, scores.shape[1]).mean(1)


def _few(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:12])
    return f"one of {shown}" + (" …" if len(labels) > 12 else "")
