"""A service over the network as a victim: waveforms to a JSON endpoint, scores or a label back."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.answers import Answer, in_order, place_of
from subterfuge.victims.asking import TOKEN, Asker
from subterfuge.victims.outside import OutsideVictim

# How a waveform is sent: the subtype of a WAV file in base64, or None for a list of numbers.
SENDS = {"wav": "PCM_16", "wav-float": "FLOAT", "floats": None}


class HttpVictim(OutsideVictim):
    """A service that is asked by POST, one waveform a request.

    The question is a JSON object: ``sample_rate`` in Hz, and ``audio``, a mono WAV file in base64 (or
    ``samples``, a list of numbers in [-1, 1]). The answer, with status 200, is one of::

        {"label": "flu"}
        {"label": "flu", "scores": {"flu": 0.75, "tru": 0.25}}
        {"labels": ["flu", "tru"], "scores": [0.75, 0.25]}
        [{"label": "flu", "score": 0.75}, {"label": "tru", "score": 0.25}]

    ``label`` is its word on what is heard; without it, that is the label of the largest score.
    ``probabilities`` in place of ``scores`` says what they are. Labels may be left out of the scores; see
    :func:`subterfuge.victims.answers.in_order`.

    Parameters
    ----------
    url : str
    sends : str
        One of :data:`SENDS`.
    token, timeout, retries, wait, rate
        As for :class:`subterfuge.victims.asking.Asker`.
    labels, sample_rate, gives, thresholds, window, hop, name
        As for :class:`subterfuge.victims.outside.OutsideVictim`.

    Attributes
    ----------
    attempts, answered : int
        Requests sent, and those that were answered: waveforms heard.

    Raises
    ------
    SubterfugeError
        If an option cannot be. Nothing is asked yet.
    """

    kind = "http"

    def __init__(
        self,
        url: str,
        *,
        labels: Sequence[str],
        sample_rate: int,
        gives: str = "scores",
        thresholds: float | Sequence[float] | None = None,
        window: float | None = None,
        hop: float | None = None,
        sends: str = "wav",
        token: str = TOKEN,
        timeout: float = 30.0,
        retries: int = 5,
        wait: float = 0.5,
        rate: float | None = None,
        name: str = "",
    ) -> None:
        super().__init__(
            labels=labels,
            sample_rate=sample_rate,
            gives=gives,
            thresholds=thresholds,
            window=window,
            hop=hop,
            name=name,
        )
        if sends not in SENDS:
            raise SubterfugeError(f"sends: got {sends!r}, expected {', '.join(SENDS)}")
        self.sends = sends
        self.asker = Asker(url, token=token, timeout=timeout, retries=retries, wait=wait, rate=rate)
        said = {
            "url": url,
            "sends": sends,
            "token": token,
            "timeout": timeout,
            "retries": retries,
            "wait": wait,
        }
        self.options |= said | ({} if rate is None else {"rate": rate})

    @property
    def attempts(self) -> int:
        """Requests sent, whatever came of them."""
        return self.asker.attempts

    @property
    def answered(self) -> int:
        """Requests answered: waveforms heard."""
        return self.asker.answered

    @torch.no_grad()
    def answer(self, y: Tensor) -> Answer:
        """What the service says of each row of ``y``, shape (batch, samples)."""
        told = [self._told(self.asker.ask(self._question(row))) for row in y.detach().float().cpu()]
        scores = [row for row, _, _ in told if row is not None]
        places = [place for _, place, _ in told if place is not None]
        if len(scores) not in (0, len(told)) or len(places) not in (0, len(told)):
            raise SubterfugeError(
                f"{self.asker.shown}: told scores, or a label, of some clips and not of others"
            )
        return Answer(
            torch.tensor(scores, dtype=torch.float64, device=y.device) if scores else None,
            torch.tensor(places, device=y.device) if places else None,
            probable=all(probable for _, _, probable in told),
        )

    def _question(self, row: Tensor) -> dict[str, Any]:
        return question(row, sample_rate=self.sample_rate, sends=self.sends)

    def _told(self, answer: Any) -> tuple[list[float] | None, int | None, bool]:
        try:
            scores, label, share = _parsed(answer, self.labels)
            share = share or self.meaning.gives == "probabilities"
            row = None if scores is None else in_order(scores, self.labels, share=share)
            return row, None if label is None else place_of(label, self.labels), share
        except SubterfugeError as error:
            raise SubterfugeError(f"{self.asker.shown}: {error}") from None


def question(row: Tensor, *, sample_rate: int, sends: str = "wav") -> dict[str, Any]:
    """What a service is asked about one waveform, shape (samples,), as JSON values.

    Examples
    --------
    >>> question(torch.tensor([0.0, 0.5]), sample_rate=8000, sends="floats")
    {'sample_rate': 8000, 'samples': [0.0, 0.5]}
    """
    if not bool(row.isfinite().all()):
        raise SubterfugeError("the audio holds NaN or infinite samples, expected finite ones")
    subtype = SENDS[sends]
    if subtype is None:
        return {"sample_rate": sample_rate, "samples": row.tolist()}
    import soundfile

    samples = row.numpy()
    if subtype == "PCM_16":  # by ourselves: the samples of a 16-bit file are to be sent as they are in it
        samples = (samples.astype("float64") * 32768).round().clip(-32768, 32767).astype("int16")
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, subtype=subtype, format="WAV")
    return {"sample_rate": sample_rate, "audio": base64.b64encode(file.getvalue()).decode("ascii")}


def ask_labels(url: str, *, sample_rate: int, sends: str = "wav", **asking: Any) -> tuple[str, ...]:
    """The labels of a service, by asking it about a second of silence; it must tell a score for each.

    Parameters
    ----------
    url, sample_rate, sends
    asking
        As for :class:`subterfuge.victims.asking.Asker`.

    Raises
    ------
    SubterfugeError
        If it cannot be asked, or names no labels.
    """
    if sends not in SENDS:
        raise SubterfugeError(f"sends: got {sends!r}, expected {', '.join(SENDS)}")
    asker = Asker(url, **asking)
    answer = asker.ask(question(torch.zeros(sample_rate), sample_rate=sample_rate, sends=sends))
    try:
        scores, _, _ = _parsed(answer, ())
    except SubterfugeError as error:
        raise SubterfugeError(f"{asker.shown}: {error}") from None
    if not scores:
        raise SubterfugeError(f"{asker.shown}: tells no scores by label, expected the labels as an option")
    return tuple(scores)


def _parsed(answer: Any, labels: Sequence[str]) -> tuple[dict[str, float] | None, str | None, bool]:
    """Scores by label, the label, and whether the scores are probabilities, of an answer in JSON."""
    if isinstance(answer, list) and answer and all(isinstance(one, Mapping) for one in answer):
        pairs = [(one.get("label"), one.get("score")) for one in answer]
        if any(not isinstance(label, str) or score is None for label, score in pairs):
            raise _strange(answer)
        return _unique([str(label) for label, _ in pairs], [score for _, score in pairs]), None, False
    if not isinstance(answer, Mapping):
        raise _strange(answer)
    share = "probabilities" in answer
    given, label = answer.get("probabilities", answer.get("scores")), answer.get("label")
    if label is not None and not isinstance(label, str):
        raise _strange(answer)
    if isinstance(given, list):
        names = answer.get("labels", list(labels))
        if not isinstance(names, list) or len(names) != len(given) or not given:
            raise SubterfugeError(f"the answer holds {len(given)} scores, expected one for each label")
        return _unique([str(name) for name in names], given), label, share
    if isinstance(given, Mapping):
        return dict(given), label, share
    if given is not None or label is None:
        raise _strange(answer)
    return None, label, share


def _unique(names: list[str], scores: list[Any]) -> dict[str, Any]:
    if len(set(names)) != len(names):
        raise SubterfugeError("the answer names a label twice, expected each once")
    return dict(zip(names, scores, strict=True))


def _strange(answer: Any) -> SubterfugeError:
    keys = (
        f"an object of {', '.join(map(str, list(answer)[:5])) or 'nothing'}"
        if isinstance(answer, Mapping)
        else ""
    )
    return SubterfugeError(
        f"the answer is {keys or 'a ' + type(answer).__name__}, expected 'label', 'scores' or both"
    )
