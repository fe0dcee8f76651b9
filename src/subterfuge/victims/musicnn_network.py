"""musicnn's network in torch: filters of musical shapes, three dense layers of time, pooling, 50 tags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from subterfuge.errors import SubterfugeError

BANDS, TAGS = 96, 50
# Frames of one window: three seconds at 16 kHz, a frame every 256 samples.
FRAMES = 187
_TIMBRAL, _TEMPORAL, _MIDDLE, _LAST = 204, 51, 64, 200
# Bands that a timbral filter spans, and frames that a temporal one does.
_SPANS, _LENGTHS = (38, 67), (128, 64, 32)
_FRONT = len(_SPANS) * _TIMBRAL + len(_LENGTHS) * _TEMPORAL
# What TensorFlow's layers add to a variance.
_EPSILON = 1e-3


class Shapes(nn.Module):
    """Convolutions of some shapes over the spectrogram, each followed by its maximum over the bands."""

    def __init__(self) -> None:
        super().__init__()
        timbral = [nn.Conv2d(1, _TIMBRAL, (7, span)) for span in _SPANS]
        temporal = [nn.Conv2d(1, _TEMPORAL, (length, 1)) for length in _LENGTHS]
        self.filters = nn.ModuleList([*timbral, *temporal])
        counts = [_TIMBRAL] * len(timbral) + [_TEMPORAL] * len(temporal)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count, eps=_EPSILON) for count in counts)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, 1, frames, bands) to (batch, 561, frames)."""
        heard = []
        for one, norm in zip(self.filters, self.norms, strict=True):
            assert isinstance(one, nn.Conv2d)
            heard.append(norm(functional.relu(_along_time(x, one))).amax(3))
        return torch.cat(heard, 1)


def _along_time(x: Tensor, one: nn.Conv2d) -> Tensor:
    """The convolution, with silence before and after so that as many frames come out as went in."""
    length, span = one.kernel_size
    before = (length - 1) // 2
    padded = functional.pad(x, (0, 0, before, length - 1 - before))
    if span > 1:
        wide: Tensor = one(padded)
        return wide
    # A filter of one band is one of time alone: its gradient then takes a quarter of the time.
    rows, _, frames, bands = padded.shape
    alone = padded[:, 0].transpose(1, 2).reshape(rows * bands, 1, frames)
    heard = functional.conv1d(alone, one.weight[..., 0], one.bias)
    return heard.reshape(rows, bands, one.out_channels, -1).permute(0, 2, 3, 1)


class Musicnn(nn.Module):
    """Log-mel spectrograms in, one logit a tag out.

    Timbral filters (7 frames by 40 and 70 % of the bands) and temporal ones (32 to 128 frames of one band),
    each at its loudest band; three convolutions over time with ways past them; the maximum and the mean over
    time of all that; two dense layers.

    References
    ----------
    Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR
    late-breaking demo, 2019. Pons et al., "End-to-end learning for music audio tagging at scale", ISMIR 2018.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(1, eps=_EPSILON)
        self.shapes = Shapes()
        inputs = (_FRONT, _MIDDLE, _MIDDLE)
        self.middle = nn.ModuleList(nn.Conv1d(count, _MIDDLE, 7, padding=3) for count in inputs)
        self.middle_norms = nn.ModuleList(nn.BatchNorm1d(_MIDDLE, eps=_EPSILON) for _ in inputs)
        pooled = 2 * (_FRONT + 3 * _MIDDLE)
        self.pooled_norm = nn.BatchNorm1d(pooled, eps=_EPSILON)
        self.dense = nn.Linear(pooled, _LAST)
        self.dense_norm = nn.BatchNorm1d(_LAST, eps=_EPSILON)
        self.last = nn.Linear(_LAST, TAGS)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Shape (batch, bands, frames) to (batch, tags)."""
        front = self.shapes(self.first(spectrogram.transpose(1, 2)[:, None]))
        layers, x = [front], front
        for number, (one, norm) in enumerate(zip(self.middle, self.middle_norms, strict=True)):
            y = norm(functional.relu(one(x)))
            x = y + x if number else y
            layers.append(x)
        deep = torch.cat(layers, 1)
        # Maximum and mean of each feature side by side, as they were flattened in training.
        pooled = torch.stack([deep.amax(2), deep.mean(2)], 2).flatten(1)
        y = self.dense_norm(functional.relu(self.dense(self.pooled_norm(pooled))))
        logits: Tensor = self.last(y)
        return logits


def blank() -> Musicnn:
    """The network in evaluation, its weights yet to be loaded; no random number is drawn for them."""
    with torch.device("meta"):
        network = Musicnn()
    return network.to_empty(device="cpu").eval()


def from_checkpoint(variables: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """The network's weights, by torch's names, of the checkpoint's variables.

    TensorFlow numbers layers in the order in which they were made, and keeps a kernel as (height, width,
    inputs, outputs).

    Raises
    ------
    SubterfugeError
        If a variable is missing or of another shape.
    """
    mine = blank()
    weights: dict[str, Tensor] = {}

    def take(name: str, into: str, turn: tuple[int, ...] | None = None) -> None:
        if name not in variables:
            raise SubterfugeError(f"the checkpoint holds no {name!r}, expected musicnn's")
        array = np.asarray(variables[name], dtype=np.float32)
        if turn is not None and array.ndim == len(turn):
            array = array.transpose(turn)
        wanted = tuple(mine.state_dict()[into].shape)
        if array.size != int(np.prod(wanted)):
            raise SubterfugeError(f"the checkpoint's {name!r} has shape {array.shape}, expected {wanted}")
        weights[into] = torch.from_numpy(np.array(array.reshape(wanted)))

    def number(name: str, i: int) -> str:
        return f"{name}_{i}" if i else name

    front = len(mine.shapes.filters)
    layers = [f"shapes.filters.{i}" for i in range(front)] + [f"middle.{i}" for i in range(3)]
    for i, layer in enumerate(layers):
        # To (outputs, inputs, height, width); the middle ones span all features, which become the inputs.
        turn = (3, 2, 0, 1) if i < front else (3, 1, 0, 2)
        take(f"{number('conv2d', i)}/kernel", f"{layer}.weight", turn)
        take(f"{number('conv2d', i)}/bias", f"{layer}.bias")
    for i, layer in enumerate(("dense", "last")):
        take(f"{number('dense', i)}/kernel", f"{layer}.weight", (1, 0))
        take(f"{number('dense', i)}/bias", f"{layer}.bias")
    norms = ["first", *(f"shapes.norms.{i}" for i in range(front))]
    norms += [*(f"middle_norms.{i}" for i in range(3)), "pooled_norm", "dense_norm"]
    parts = {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    for i, layer in enumerate(norms):
        for part, into in parts.items():
            take(f"{number('batch_normalization', i)}/{part}", f"{layer}.{into}")
    return weights
