"""The convolutional network that hears log-mel spectrograms: residual blocks, pooled over time."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


def _convolution(before: int, after: int, size: int, stride: int, *, norm: bool) -> nn.Module:
    """A convolution with, while it is trained, batch normalisation; folded, the two are one."""
    conv = nn.Conv2d(before, after, size, stride, size // 2, bias=not norm)
    return nn.Sequential(conv, nn.BatchNorm2d(after)) if norm else conv


# Of the logarithm of a band's energy in a clip whose RMS is one. Constants, and not each clip's own mean:
# that falls with the silence around a note, and single notes are then heard wrongly.
_CENTRE, _SPREAD = 4.0, 3.0


class Block(nn.Module):
    """Two convolutions of 3 by 3 and a way past them (He et al. 2016), halving both axes."""

    def __init__(self, before: int, after: int, *, norm: bool) -> None:
        super().__init__()
        self.first = _convolution(before, after, 3, 2, norm=norm)
        self.second = _convolution(after, after, 3, 1, norm=norm)
        self.shrink = nn.AvgPool2d(2, ceil_mode=True)
        self.past = _convolution(before, after, 1, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, before, bands, frames) to (batch, after, half the bands, half the frames)."""
        deep = self.second(functional.relu(self.first(x)))
        return functional.relu(deep + self.past(self.shrink(x)))


class Network(nn.Module):
    """Log-mel spectrograms in, one logit a class out.

    The logarithms are first brought near zero and one by constants. A stem of 5 by 5 and one residual block
    for each further width follow, each halving both axes; then the mean over the bands, the mean and the
    maximum over time, and one linear layer. Any number of frames will do.

    Parameters
    ----------
    widths : sequence of int
        Channels after the stem and after each block.
    classes : int
    norm : bool
        With batch normalisation (Ioffe & Szegedy 2015), for training; without, as it is kept and run: see
        :func:`folded`.
    dropout : float
        Before the last layer, while it is trained.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", ICML 2015.
    """

    def __init__(
        self, widths: Sequence[int], classes: int, *, norm: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.widths, self.classes, self.dropout = tuple(widths), classes, dropout
        self.stem = _convolution(1, self.widths[0], 5, 2, norm=norm)
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.blocks = nn.ModuleList(Block(before, after, norm=norm) for before, after in pairs)
        self.last = nn.Linear(2 * self.widths[-1], classes)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Shape (batch, bands, frames) to (batch, classes)."""
        x = (spectrogram + _CENTRE) / _SPREAD
        x = functional.relu(self.stem(x[:, None].contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            x = block(x)
        x = x.mean(2)
        x = torch.cat([x.mean(-1), x.amax(-1)], dim=1)
        logits: Tensor = self.last(functional.dropout(x, self.dropout, self.training))
        return logits


def blank(widths: Sequence[int], classes: int, *, norm: bool = False) -> Network:
    """A network in evaluation whose weights are yet to be loaded; no random number is drawn for them.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> sum(one.numel() for one in blank((4, 8), 3).parameters())
    1075
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    with torch.device("meta"):
        network = Network(widths, classes, norm=norm)
    return network.to_empty(device="cpu").eval()


def folded(network: Network) -> Network:
    """The same function as ``network`` in evaluation, without batch normalisation: faster, and fewer numbers.

    Examples
    --------
    >>> trained = Network((4, 8), 3, norm=True).eval()
    >>> x = torch.ones(1, 32, 40).cumsum(1)
    >>> torch.allclose(trained(x), folded(trained)(x), atol=1e-5)
    True
    """
    plain = blank(network.widths, network.classes)
    source = copy.deepcopy(network).cpu().eval()
    with torch.no_grad():
        for name, module in source.named_modules():
            if isinstance(module, nn.Sequential) and len(module) == 2:
                conv, norm = module[0], module[1]
                assert isinstance(conv, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                plain.get_submodule(name).load_state_dict(fuse_conv_bn_eval(conv, norm).state_dict())
        plain.last.load_state_dict(source.last.state_dict())
    return plain
