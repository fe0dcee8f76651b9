"""The kinds of victims on disk: which a model is, and how its weights are written and read again."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subterfuge.errors import SubterfugeError
from subterfuge.victims.card import KINDS, NETWORKS, OUTSIDE, WRAPPED, VictimInfo
from subterfuge.victims.own_code import is_reference
from subterfuge.victims.trust import read_skops

if TYPE_CHECKING:
    from subterfuge.victims.victim import TorchVictim


def is_network(model: Any) -> bool:
    """Whether it says how it is built (``network``) and what it learnt (``weights()``), as networks do."""
    return isinstance(getattr(model, "network", None), Mapping) and callable(getattr(model, "weights", None))


def is_outside(model: Any) -> bool:
    """Whether it is a victim that is neither trained nor computed by us."""
    return getattr(model, "kind", None) in OUTSIDE and isinstance(getattr(model, "options", None), dict)


def is_wrapped(model: Any) -> bool:
    """Whether it is another victim with a defence before it."""
    return getattr(model, "kind", None) in WRAPPED and hasattr(model, "inner")


def kind_of(
    model: Any, *, labels: Sequence[str], features: str, sample_rate: int = 44100, wanted: str | None = None
) -> str:
    """Which kind a fitted model is, and that labels and features fit it.

    What can be differentiated is an ``svm``; any other classifier of scikit-learn, one on the user's own
    features, or where that is ``wanted``, is ``sklearn``.

    Raises
    ------
    SubterfugeError
        If it is none, or labels or features do not fit it.
    """
    if is_outside(model) or is_wrapped(model):
        return str(model.kind)
    if is_network(model):
        if len(labels) != len(model.labels):
            raise SubterfugeError(f"labels: got {len(labels)}, expected {len(model.labels)}, the network's")
        return str(getattr(model, "kind", "cnn"))
    from subterfuge.victims.sklearn import check_model
    from subterfuge.victims.svm import check_fit, svm_head

    try:
        if wanted == "sklearn" or is_reference(features):
            raise SubterfugeError("no gradients are wanted")
        head = svm_head(model)
    except SubterfugeError:
        check_model(model, labels=labels, features=features, sample_rate=sample_rate)
        return "sklearn"
    check_fit(head, labels=labels, features=features)
    return "svm"


def write_weights(model: Any, kind: str, path: Path, *, copy_of: Path | None = None) -> None:
    """Write what a model has learnt, and make sure that it can be read again."""
    if copy_of is not None or kind == "onnx":
        shutil.copyfile(copy_of or model.path, path)
    elif kind in (*NETWORKS, "guarded"):
        from safetensors.torch import save

        # Not save_file, whose files nobody but their owner may read, whatever the umask says.
        path.write_bytes(
            save({name: one.detach().cpu().contiguous() for name, one in model.weights().items()})
        )
    else:
        import skops.io

        skops.io.dump(model, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        read_skops(path)


def read_victim(info: VictimInfo) -> TorchVictim:
    """The victim that a card describes, of the weights beside it.

    Raises
    ------
    SubterfugeError
        If the weights cannot be read or do not fit what is said of them.
    """
    if info.kind in OUTSIDE:
        from subterfuge.victims.bringing import read_outside

        return read_outside(info)
    if info.kind in WRAPPED:
        from subterfuge.defences.keeping import read_wrapped

        return read_wrapped(info)
    path = info.weights
    said: dict[str, Any] = {"labels": info.labels, "sample_rate": info.sample_rate, "name": info.name}
    if info.kind in NETWORKS:
        return _network(info.kind)(info.network, read_safetensors(path), **said)
    model = read_skops(path)
    said["features"] = info.features
    if info.kind == "svm":
        from subterfuge.victims.svm import SvmVictim

        return SvmVictim(model, **said)
    if info.kind == "sklearn":
        from subterfuge.victims.sklearn import SklearnVictim

        return SklearnVictim(model, **said)
    raise SubterfugeError(f"got kind {info.kind!r}, expected {', '.join(KINDS)}")


def _network(kind: str) -> Callable[..., TorchVictim]:
    if kind == "cnn":
        from subterfuge.victims.cnn import CnnVictim

        return CnnVictim
    if kind == "musicnn":
        from subterfuge.victims.musicnn import MusicnnVictim

        return MusicnnVictim
    from subterfuge.victims.huggingface import HuggingFaceVictim

    return HuggingFaceVictim


def read_safetensors(path: Path) -> dict[str, Any]:
    """Tensors by name.

    Raises
    ------
    SubterfugeError
        If the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise SubterfugeError(f"{path}: cannot be read as safetensors ({reason})") from error
