"""Convolutional networks on the waveform as differentiable victims: log-mel front end, then the network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.logmel import logmel
from subterfuge.victims.network import blank
from subterfuge.victims.victim import Hearing, TorchVictim

if TYPE_CHECKING:
    from subterfuge.victims.card import VictimInfo

# What a victim's card says of its network.
_FRONT_END: dict[str, type] = {
    "n_fft": int,
    "hop_length": int,
    "n_mels": int,
    "fmin": float,
    "fmax": float,
    "floor_db": float,
}


class CnnVictim(TorchVictim):
    """A network that hears waveforms; its front end is part of it, and of the gradient.

    Parameters
    ----------
    network : mapping
        How it is built: ``front_end`` (the options of :func:`subterfuge.features.logmel.logmel`), ``widths``
        (see :class:`subterfuge.victims.network.Network`), ``temperature`` (probabilities are the softmax
        of the logits divided by it: Guo et al. 2017) and ``seconds`` (length that it was trained on).
    weights : mapping of str to Tensor
        By the names of the network's parameters.
    labels : sequence of str
    sample_rate : int
        In Hz.
    name : str

    Raises
    ------
    SubterfugeError
        If something is missing, or the weights do not fit the network or are not finite.

    Examples
    --------
    >>> from subterfuge.victims.network import Network
    >>> front = {"n_fft": 512, "hop_length": 256, "n_mels": 32, "fmin": 30.0, "fmax": 4000.0}
    >>> front["floor_db"] = -40.0
    >>> built = {"front_end": front, "widths": [4, 8], "temperature": 1.0, "seconds": 1.0}
    >>> weights = Network((4, 8), 2).state_dict()
    >>> victim = CnnVictim(built, weights, labels=("flu", "tru"), sample_rate=8000)
    >>> tuple(victim.scores(torch.zeros(3, 8000)).shape)
    (3, 2)
    """

    info: VictimInfo

    def __init__(
        self,
        network: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        *,
        labels: Sequence[str],
        sample_rate: int,
        name: str = "cnn",
    ) -> None:
        super().__init__()
        self.labels, self.sample_rate, self.name = tuple(labels), int(sample_rate), name
        self.network = _checked(network)
        self.front_end: dict[str, Any] = dict(self.network["front_end"])
        self.length = round(self.network["seconds"] * self.sample_rate)
        self.temperature = float(self.network["temperature"])
        self.body = blank(self.network["widths"], len(self.labels))
        try:
            self.body.load_state_dict(dict(weights))
        except RuntimeError as error:
            reason = next(iter(str(error).splitlines()[1:]), str(error)).strip().rstrip(".")
            raise SubterfugeError(f"the weights do not fit the network: {_short(reason)}") from error
        if not all(bool(one.isfinite().all()) for one in self.body.parameters()):
            raise SubterfugeError("the network's weights hold NaN or infinity, expected finite numbers")
        self.requires_grad_(False)

    def weights(self) -> dict[str, Tensor]:
        """What it has learnt, by the names of the network's parameters."""
        return {name: one.detach() for name, one in self.body.state_dict().items()}

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Logits, the largest of which is heard, and the calibrated probabilities where asked for."""
        short = self.length - y.shape[-1]
        if short > 0:  # as it was trained: what is shorter is followed by silence
            y = torch.nn.functional.pad(y, (0, short))
        spectrogram = logmel(y, sr=self.sample_rate, **self.front_end)
        logits = self.body(spectrogram.to(self.body.last.weight.dtype))
        p = (logits / self.temperature).softmax(dim=1) if probabilities else None
        return Hearing(logits, logits.argmax(dim=1), p)


def _checked(network: Mapping[str, Any]) -> dict[str, Any]:
    """``network``, if all is there and of the right kind."""
    front_end = network.get("front_end")
    if not isinstance(front_end, Mapping):
        raise SubterfugeError(f"network: 'front_end' is {front_end!r}, expected a JSON object")
    for key, kind in _FRONT_END.items():
        value = front_end.get(key)
        fits = isinstance(value, int) if kind is int else isinstance(value, (int, float))
        if value is None or not fits or isinstance(value, bool) or (kind is int and value < 1):
            raise SubterfugeError(f"network: front_end's {key!r} is {value!r}, expected a number")
    unknown = sorted(set(front_end) - set(_FRONT_END))
    if unknown:
        raise SubterfugeError(
            f"network: unknown {unknown[0]!r} in front_end, expected {', '.join(_FRONT_END)}"
        )
    widths = network.get("widths")
    if not isinstance(widths, (list, tuple)) or not widths or not all(_is_count(one) for one in widths):
        raise SubterfugeError(f"network: 'widths' is {widths!r}, expected a list of whole numbers")
    for key in ("temperature", "seconds"):
        value = network.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
            raise SubterfugeError(f"network: {key!r} is {value!r}, expected a positive number")
    return {**network, "front_end": dict(front_end), "widths": [int(one) for one in widths]}


def _short(sentence: str, most: int = 200) -> str:
    return sentence if len(sentence) <= most else sentence[:most] + " …"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
