"""Compiled models (ONNX) as victims, by onnxruntime: waveforms or features in, scores out, no gradients."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.answers import Answer, place_of
from subterfuge.victims.card import WAVEFORM, checked_labels, checked_rate
from subterfuge.victims.outside import OutsideVictim
from subterfuge.victims.own_code import in_short
from subterfuge.victims.svm import FeatureSet, feature_set

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)")


class OnnxVictim(OutsideVictim):
    """A model in an ONNX file.

    Its one input is audio of shape (batch, samples), (batch, 1, samples) or (samples,), or with ``features``
    a batch of feature vectors. A fixed batch is kept to by filling it up, a fixed number of samples is its
    window. Of its outputs, the first of shape (batch, labels) is taken for the scores; one of shape (batch,)
    that holds names or indices (as skl2onnx makes it) is its word on the label.

    Parameters
    ----------
    path : str or Path
        The model, in one file.
    labels, sample_rate
        As in :class:`subterfuge.victims.outside.OutsideVictim`; where they are None, what the model's
        metadata has under ``labels`` (``classes``, ``names``) and ``sample_rate``.
    features : str
        ``waveform``, ``librosa25``, or the user's own as ``module:callable``.
    gives : str, optional
        By default what the name of the output says: ``probabilities``, ``logits``, otherwise ``scores``.
    thresholds, window, hop, name
        As in :class:`subterfuge.victims.outside.OutsideVictim`. A model of a fixed length sets its window.

    Raises
    ------
    SubterfugeError
        If onnxruntime is missing, the file is no model, or inputs and outputs are not as above.
    """

    kind = "onnx"

    def __init__(
        self,
        path: str | Path,
        *,
        labels: Sequence[str] | None = None,
        sample_rate: int | None = None,
        features: str = WAVEFORM,
        gives: str | None = None,
        thresholds: float | Sequence[float] | None = None,
        window: float | None = None,
        hop: float | None = None,
        name: str = "",
    ) -> None:
        self.path, self.feature_name = Path(path), features
        session = _session(self.path)
        said: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        labels = _labels_in(said, self.path) if labels is None else labels
        sample_rate = checked_rate(_rate_in(said, self.path) if sample_rate is None else sample_rate)
        self.features: FeatureSet | None = None if features == WAVEFORM else feature_set(features)
        self.source = _Input(session, self.path, vectors=self.features is not None)
        if self.source.samples is not None and self.features is None:
            window = _fixed(self.source.samples, window, sample_rate)
        self.session = session
        outputs = session.get_outputs()
        scores, self._label = _outputs(outputs, len(labels), self.path)
        super().__init__(
            labels=labels,
            sample_rate=sample_rate,
            gives=gives or _meaning_of("" if scores is None else outputs[scores].name),
            thresholds=thresholds,
            window=window,
            hop=hop,
            name=name or self.path.stem,
        )
        self._scores = scores

    @torch.no_grad()
    def answer(self, y: Tensor) -> Answer:
        """What the model gives for ``y``, shape (batch, samples)."""
        rows = y.detach().float().cpu().numpy()
        if self.features is not None:
            rows = np.stack([self.features.plain(row, self.sample_rate) for row in rows])
            wanted = self.source.samples
            if wanted is not None and rows.shape[1] != wanted:
                raise SubterfugeError(
                    f"features: {self.feature_name} gives {rows.shape[1]} numbers, but "
                    f"{self.path.name} takes {wanted}"
                )
        size = self.source.batch or len(rows)
        parts = [self._run(rows[at : at + size], size) for at in range(0, len(rows), size)]
        scores = None if parts[0][0] is None else np.concatenate([one[0] for one in parts])
        labels = None if parts[0][1] is None else [label for _, part in parts for label in part or ()]
        return Answer(
            None if scores is None else torch.from_numpy(scores).to(y.device),
            None if labels is None else torch.tensor(labels, device=y.device),
        )

    def _run(self, rows: NDArray[Any], size: int) -> tuple[NDArray[Any] | None, list[int] | None]:
        """Scores and labels of at most ``size`` rows."""
        n = len(rows)
        full = np.concatenate([rows, np.repeat(rows[-1:], size - n, 0)]) if n < size else rows
        try:
            given = self.session.run(None, {self.source.name: self.source.shaped(full)})
        except Exception as error:  # onnxruntime's own exceptions derive from nothing else
            shape = "×".join(map(str, full.shape))
            raise SubterfugeError(f"{self.path}: the model failed on {shape} ({in_short(error)})") from error
        scores = None if self._scores is None else self._table(given[self._scores], n, size)
        if self._label is None:
            return scores, None
        names = np.asarray(given[self._label]).reshape(-1)[:n].tolist()
        try:
            return scores, [place_of(one, self.labels) for one in names]
        except SubterfugeError as error:
            raise SubterfugeError(f"{self.path}: {error}") from error

    def _table(self, given: Any, n: int, size: int) -> NDArray[np.float64]:
        """Scores of the first ``n`` rows, shape (n, labels), however the model gives them."""
        k = len(self.labels)
        if isinstance(given, list):  # skl2onnx's ZipMap: a dict a row, in the order of the classes
            named = set(given[0]) == set(self.labels)
            given = [[row[label] for label in self.labels] if named else list(row.values()) for row in given]
        table = np.asarray(given, dtype=np.float64)
        if table.shape == (k,) and size == 1:
            table = table[None]
        if table.shape != (size, k):
            raise SubterfugeError(
                f"{self.path}: gave scores of shape {table.shape}, expected {(size, k)} for {k} labels"
            )
        return table[:n]


class _Input:
    """What a model takes: its name, type and the sizes that it fixes."""

    def __init__(self, session: Any, path: Path, *, vectors: bool) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            named = ", ".join(one.name for one in inputs)
            raise SubterfugeError(f"{path}: takes {len(inputs)} inputs ({named}), expected one, the audio")
        only = inputs[0]
        self.name: str = only.name
        if only.type not in _TYPES:
            raise SubterfugeError(f"{path}: takes {only.type}, expected numbers of type float")
        self.dtype = _TYPES[only.type]
        shape = [size if isinstance(size, int) else None for size in only.shape]
        self.rank = len(shape)
        fits = (
            self.rank == 2 if vectors else self.rank in (1, 2) or (self.rank == 3 and shape[1] in (1, None))
        )
        if not fits:
            wanted = "(batch, features)" if vectors else "(batch, samples), (batch, 1, samples) or (samples,)"
            raise SubterfugeError(f"{path}: takes shape {tuple(only.shape)}, expected {wanted}")
        self.batch: int | None = 1 if self.rank == 1 else shape[0]
        self.samples: int | None = shape[-1]

    def shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows, shape (batch, samples), as the model takes them."""
        rows = np.ascontiguousarray(rows.astype(self.dtype, copy=False))
        return rows[0] if self.rank == 1 else rows[:, None] if self.rank == 3 else rows


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise SubterfugeError(
            "onnxruntime is not installed, expected it for a victim in ONNX's format "
            "(pip install 'sonic-subterfuge[onnx]')"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said by us
    options.intra_op_num_threads = torch.get_num_threads()
    if not path.is_file():
        raise SubterfugeError(f"{path}: no such file, expected a model in ONNX's format")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions derive from nothing else
        raise SubterfugeError(f"{path}: cannot be read as an ONNX model ({in_short(error)})") from error


def _outputs(outputs: Sequence[Any], k: int, path: Path) -> tuple[int | None, int | None]:
    """Places of the scores and of the label among the outputs."""
    scores = label = None
    for place, one in enumerate(outputs):
        shape = getattr(one, "shape", None) or []
        last = shape[-1] if shape else None
        if one.type.startswith("seq(map") or (
            one.type in _TYPES and len(shape) in (1, 2) and (last == k or not isinstance(last, int))
        ):
            scores = place if scores is None else scores
        elif one.type in _LABELS and len(shape) <= 1:
            label = place if label is None else label
    if scores is None and label is None:
        told = ", ".join(f"{one.name} {one.type}{getattr(one, 'shape', '')}" for one in outputs)
        raise SubterfugeError(f"{path}: gives {told}, expected scores of shape (batch, {k}) for {k} labels")
    return scores, label


def _fixed(samples: int, window: float | None, sample_rate: int) -> float:
    """The window, in seconds, of a model that takes so many samples."""
    seconds = samples / sample_rate
    if window is not None and round(window * sample_rate) != samples:
        raise SubterfugeError(
            f"window: got {window} s, but the model takes {samples} samples ({seconds:g} s)"
        )
    return seconds


def _meaning_of(name: str) -> str:
    lowered = name.lower()
    return "probabilities" if "prob" in lowered else "logits" if "logit" in lowered else "scores"


def _labels_in(said: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """Labels in a model's metadata: a JSON list, a mapping by index, or names with commas."""
    text = next((said[key] for key in ("labels", "classes", "names") if said.get(key)), None)
    if text is None:
        raise SubterfugeError(f"{path}: its metadata holds no labels, expected them as an option")
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)  # {0: 'dog', 1: 'cat'}, as some exporters write it
        except (ValueError, SyntaxError):
            found = text
    if isinstance(found, Mapping):
        found = [found[key] for key in sorted(found, key=lambda key: int(key))]
    return checked_labels([str(one) for one in found] if isinstance(found, (list, tuple)) else str(found))


def _rate_in(said: Mapping[str, str], path: Path) -> int:
    text = next((said[key] for key in ("sample_rate", "sampling_rate") if said.get(key)), None)
    if text is None:
        raise SubterfugeError(f"{path}: its metadata holds no sample rate, expected it as an option")
    try:
        return int(float(text))
    except ValueError:
        raise SubterfugeError(f"{path}: its metadata's sample rate is {text!r}, expected a number") from None
