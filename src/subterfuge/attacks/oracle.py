"""A victim behind a counter: it tells an attack no more than it is granted, and every question counts."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Hearing, Victim

ACCESS = ("gradients", "scores", "top-k", "label")
# How far a refusal is beyond the guard's threshold, and any other answer within: more than margins are, as
# log-probabilities go, and the same for all, so that it tells no more than which of the two it is.
_REFUSED = 100.0
# What each attack may be given: more than it needs is no harm.
_GRANTS = {"gradients": 3, "scores": 2, "top-k": 1, "label": 0}


# Prediction, scores, whether these are log-probabilities, whether of several labels, and of a guarded victim
# what is refused; the same of one clip in the log.
_Told = tuple[Tensor, Tensor, bool, bool, Tensor | None]
_Known = tuple[int, list[float], bool, bool, bool | None]


class Oracle:
    """A victim as a black box: scores, the best few scores, or the label alone.

    It is a victim like any other, so whatever asks a victim can ask it. Each row of each call is one query.
    Of a guarded victim a clip that is noticed is answered by a refusal, whatever the access: no label, no
    scores (all are the same), and no goal is reached. How near the others are to being noticed is not told.

    Parameters
    ----------
    victim : Victim
    access : str
        ``scores``: the logarithms of its probabilities (its scores, where it has none); ``top-k``: those of
        the ``top`` most probable labels, for the others the most that is left for them; ``label``: what it
        predicts, told as scores of 1 and 0. Of a victim that may hear several labels at once, its scores are
        shown as they are, each above or below its own threshold; the labels alone, as 1 and -1.
    top : int
        How many labels ``top-k`` shows.
    log : path, optional
        Where every question and answer is written to, one JSON object a line: ``sha256`` of the waveform
        (float32, little endian), ``predicted``, ``scores``, of a guarded victim ``refused``. What an earlier
        run has written there is answered from it, without asking the victim again, as long as the questions
        are the same.

    Attributes
    ----------
    queries : int
        Waveforms that were asked about.
    replayed : int
        Those of them that were answered from the log.

    Raises
    ------
    SubterfugeError
        If the access is not one of those, or the log cannot be read.

    Examples
    --------
    >>> box = Oracle(victim, access="label")
    >>> box.hear(y).scores[0].tolist()
    [1.0, 0.0]
    >>> box.queries
    2
    """

    differentiable = False
    guided = False

    def __init__(
        self, victim: Victim, *, access: str = "scores", top: int = 3, log: str | Path | None = None
    ) -> None:
        if access not in ("scores", "top-k", "label"):
            raise SubterfugeError(f"access: got {access!r}, expected scores, top-k or label")
        if top < 1:
            raise SubterfugeError(f"top: got {top}, expected a whole number from 1 up")
        self.victim, self.access, self.top = victim, access, top
        self.labels, self.sample_rate = victim.labels, victim.sample_rate
        self.queries = self.replayed = 0
        self._log = None if log is None else Path(log)
        self._known = {} if self._log is None else _read_log(self._log)

    @torch.no_grad()
    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """What the access grants of one query a row, ``y`` of shape (batch, samples).

        Raises
        ------
        SubterfugeError
            If probabilities are wanted that the access, or the victim, does not give.
        """
        told = self._ask(y) if self._log is None else self._ask_log(y)
        predicted, scores, shown, several, refused = told
        self.queries += len(y)
        allowance = None if refused is None else torch.where(refused, -_REFUSED, _REFUSED).to(scores.dtype)
        if self.access == "label":
            if probabilities:
                raise SubterfugeError("confidence: got one with access to labels alone, expected none")
            if not several:
                scores = torch.nn.functional.one_hot(predicted, len(self.labels)).to(y.dtype)
                scores = scores if refused is None else scores * ~refused[:, None]
            return Hearing(scores, predicted, multilabel=several, allowance=allowance)
        if self.access == "top-k":
            scores = _top(scores, min(self.top, scores.shape[1]), shown, several)
        given = scores.exp() if probabilities and shown else None
        return Hearing(scores, predicted, given, multilabel=several, allowance=allowance)

    def scores(self, y: Tensor) -> Tensor:
        """One score per label, shape (batch, labels)."""
        return self.hear(y).scores

    def predict(self, y: Tensor) -> Tensor:
        """Index of the label heard, int64, shape (batch,).

        Raises
        ------
        SubterfugeError
            If one is refused: then none is told.
        """
        heard = self.hear(y)
        if heard.noticed is not None and bool(heard.noticed.any()):
            raise SubterfugeError(
                "the victim's guard refuses the clip as it is, so that what it hears there is not told; "
                "expected a label to leave or to reach"
            )
        return heard.predicted

    def probabilities(self, y: Tensor) -> Tensor | None:
        """Probabilities as far as they are shown, shape (batch, labels), or None."""
        return None if self.access == "label" else self.hear(y, probabilities=True).probabilities

    def verdict(self, y: Tensor) -> Hearing:
        """As :meth:`hear`: a black box has no other path."""
        return self.hear(y)

    def _ask(self, y: Tensor) -> _Told:
        """What the victim tells, whatever it is behind."""
        shown = False
        if self.access == "label":
            hearing = self.victim.hear(y)
            scores = hearing.tags.to(y.dtype) * 2 - 1
        else:
            hearing = self.victim.hear(y, probabilities=True)
            scores, p = hearing.scores, hearing.probabilities
            if p is not None and not hearing.multilabel:
                scores, shown = p.clamp(min=torch.finfo(p.dtype).tiny).log(), True
        predicted, refused = hearing.predicted, hearing.noticed
        if refused is not None:
            nothing = -math.log(scores.shape[1]) if shown else -1.0
            scores = torch.where(refused[:, None], nothing, scores)
            predicted = torch.where(refused, 0, predicted)
        return predicted, scores, shown, hearing.multilabel, refused

    def _ask_log(self, y: Tensor) -> _Told:
        assert self._log is not None
        digests = [_digest(row) for row in y]
        new = [i for i, digest in enumerate(digests) if digest not in self._known]
        self.replayed += len(digests) - len(new)
        if new:
            predicted, scores, shown, several, refused = self._ask(y[new])
            refusals = [None] * len(new) if refused is None else refused.tolist()
            lines = []
            for i, label, row, refusal in zip(
                new, predicted.tolist(), scores.double().tolist(), refusals, strict=True
            ):
                self._known[digests[i]] = (label, row, shown, several, refusal)
                told = {"sha256": digests[i], "predicted": label, "scores": row, "logarithms": shown}
                told |= {"multilabel": True} if several else {}
                told |= {} if refusal is None else {"refused": refusal}
                lines.append(json.dumps(told, allow_nan=False) + "\n")
            with self._log.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        labels, rows, logarithms, several_, refusals_ = zip(
            *(self._known[digest] for digest in digests), strict=True
        )
        guarded = any(one is not None for one in refusals_)
        return (
            torch.tensor(labels, device=y.device),
            torch.tensor(rows, dtype=torch.float64, device=y.device),
            all(logarithms),
            any(several_),
            torch.tensor([bool(one) for one in refusals_], device=y.device) if guarded else None,
        )


def grants(access: str, needed: str) -> bool:
    """Whether an attack that needs ``needed`` may be used with ``access``.

    Examples
    --------
    >>> grants("scores", "label"), grants("label", "scores")
    (True, False)
    """
    return _GRANTS[access] >= _GRANTS[needed]


def check_access(attack: str, access: str) -> None:
    """Refuse an attack that needs more than the access grants.

    Raises
    ------
    SubterfugeError
        Naming both, and attacks that would do.

    Examples
    --------
    >>> check_access("minimal", "label")
    Traceback (most recent call last):
        ...
    subterfuge.errors.SubterfugeError: access: got 'label' for the attack 'minimal', which needs gradients...
    """
    from subterfuge.attacks.registry import ATTACKS, find

    if access not in ACCESS:
        raise SubterfugeError(f"access: got {access!r}, expected {', '.join(ACCESS)}")
    needed = find(attack).access
    if not grants(access, needed):
        able = [name for name, entry in ATTACKS.items() if grants(access, entry.access)]
        would = f"; {', '.join(able)} would do" if able else ""
        raise SubterfugeError(
            f"access: got {access!r} for the attack {attack!r}, which needs {needed}{would}"
        )


def _top(scores: Tensor, top: int, shown: bool, several: bool) -> Tensor:
    """Scores of the best; the others share what the least of them, or one, leaves.

    Of several labels at once, one that is not shown still is above its threshold or below.
    """
    best = scores.topk(top, dim=1)
    least = best.values[:, -1:]
    if shown:
        left = (1 - best.values.exp().sum(1, keepdim=True)).clamp(min=torch.finfo(scores.dtype).tiny)
        least = torch.minimum(least, left.log())
    others = least.expand_as(scores).clone()
    if several:
        others = torch.where(scores < 0, others.clamp(max=-torch.finfo(scores.dtype).eps), others)
    return others.scatter(1, best.indices, best.values)


def _digest(row: Tensor) -> str:
    return hashlib.sha256(row.detach().float().cpu().numpy().astype("<f4").tobytes()).hexdigest()


def _read_log(path: Path) -> dict[str, _Known]:
    if not path.exists():
        return {}
    known: dict[str, _Known] = {}
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # a killed run leaves half a line
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            told = json.loads(line)
            shown, several = bool(told["logarithms"]), bool(told.get("multilabel"))
            label, row, refused = int(told["predicted"]), list(told["scores"]), told.get("refused")
            known[told["sha256"]] = (label, row, shown, several, refused)
        except (ValueError, KeyError, TypeError) as error:
            raise SubterfugeError(f"{path}: line {number} is no answer of an oracle") from error
    return known
