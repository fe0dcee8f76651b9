"""Audio classifiers of transformers as victims: any that can be loaded offline, from safetensors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.extractors import Inputs, least_samples, plain, twin
from subterfuge.victims.victim import Hearing, TorchVictim

# Of a configuration, what says nothing of how the network is built, or would fetch code for it.
_LEFT_OUT = ("id2label", "label2id", "num_labels", "auto_map", "quantization_config")


class HuggingFaceVictim(TorchVictim):
    """A classifier of transformers, heard through its own feature extractor.

    White-box where the extractor is one of those that :func:`subterfuge.victims.extractors.twin` has in torch
    (raw waveforms, the log-mel spectrograms of AST, Whisper and wav2vec-BERT); else only for attacks that do
    without gradients. ``verdict`` always runs the library's own extractor. A clip that is too short to be
    heard at all is followed by silence. A network trained to give several labels at once hears those whose
    probability is one half or more.

    Parameters
    ----------
    network : mapping
        ``config`` and ``extractor``: what ``config.json`` and ``preprocessor_config.json`` say.
    weights : mapping of str to Tensor
        By the names of the network's parameters.
    labels : sequence of str
    sample_rate : int
        The extractor's, in Hz.
    name : str

    Raises
    ------
    SubterfugeError
        If transformers is not installed, or network, weights, labels and sample rate do not fit together.

    Examples
    --------
    >>> victim = load_victim("victims/ast")  # doctest: +SKIP
    >>> victim.labels[victim.predict(y)]  # doctest: +SKIP
    'Violin, fiddle'
    """

    kind = "huggingface"

    def __init__(
        self,
        network: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        *,
        labels: Sequence[str],
        sample_rate: int,
        name: str = "huggingface",
    ) -> None:
        super().__init__()
        for key in ("config", "extractor"):
            if not isinstance(network.get(key), Mapping):
                raise SubterfugeError(f"network: {key!r} is {network.get(key)!r}, expected a JSON object")
        self.network, self.name = dict(network), name
        self.labels, self.sample_rate = tuple(labels), int(sample_rate)
        config = _config(network["config"], self.labels)
        self.extractor = _extractor(network["extractor"])
        if self.extractor.sampling_rate != self.sample_rate:
            raise SubterfugeError(
                f"sample rate: got {self.sample_rate} Hz, "
                f"expected {self.extractor.sampling_rate}, the extractor's"
            )
        self.body = _body(config, weights)
        self.requires_grad_(False).eval()
        self.twin = twin(self.extractor)
        self.differentiable = self.twin is not None
        self.multilabel = config.problem_type == "multi_label_classification"
        self.least = max(least_samples(self.extractor), _least_samples(config))

    def weights(self) -> dict[str, Tensor]:
        """What it has learnt, by the names of the network's parameters."""
        return {name: one.detach() for name, one in self.body.state_dict().items()}

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Logits, the largest of which is heard (or all that are not negative), and probabilities."""
        y = self._long_enough(y)
        inputs = plain(self.extractor, y) if self.twin is None else self.twin(y)
        return self._heard(inputs, probabilities)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The plain path: the library's own extractor of each row, then the network."""
        return self._heard(plain(self.extractor, self._long_enough(y)), True)

    def _long_enough(self, y: Tensor) -> Tensor:
        return torch.nn.functional.pad(y, (0, max(0, self.least - y.shape[-1])))

    def _heard(self, inputs: Inputs, probabilities: bool) -> Hearing:
        dtype = next(self.body.parameters()).dtype
        given = {name: one.to(dtype) if one.is_floating_point() else one for name, one in inputs.items()}
        logits: Tensor = self.body(**given).logits
        p = None
        if probabilities:
            p = logits.sigmoid() if self.multilabel else logits.softmax(1)
        return Hearing(logits, logits.argmax(1), p, multilabel=self.multilabel)


def read_huggingface(
    source: str | Path, *, labels: Sequence[str] | None = None, name: str = "huggingface"
) -> HuggingFaceVictim:
    """The classifier in a folder, or one that transformers has downloaded before; nothing is fetched.

    Parameters
    ----------
    source : str or Path
        A folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, as
        ``save_pretrained`` writes it; or the id of one on the hub (``owner/model``) that is in the cache.
    labels : sequence of str, optional
        Instead of its own.
    name : str

    Raises
    ------
    SubterfugeError
        If transformers is not installed; or there is no such folder, it holds no audio classifier, its
        weights are no safetensors or incomplete, or it wants code of its own to be run.
    """
    transformers = _transformers()
    folder = _folder(source)
    names = sorted(path.name for path in folder.iterdir())
    if "config.json" not in names:
        raise SubterfugeError(f"{source}: holds no config.json, expected a model of transformers")
    if not any(name.endswith(".safetensors") for name in names):
        pickled = next((name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))), None)
        if pickled:
            raise SubterfugeError(
                f"{source}: its weights are in {pickled}, a pickle, which can run any code when it is "
                "loaded; expected model.safetensors"
            )
        raise SubterfugeError(f"{source}: holds no weights, expected model.safetensors")
    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with _quietly(), _telling(source):
        config = transformers.AutoConfig.from_pretrained(str(folder), **here)
        _model_class(config)
        extractor = transformers.AutoFeatureExtractor.from_pretrained(str(folder), **here)
        body, report = transformers.AutoModelForAudioClassification.from_pretrained(
            str(folder),
            **here,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
        _check_complete(report)
    own = _labels(source, config)
    if labels is not None and len(labels) != len(own):
        raise SubterfugeError(f"labels: got {len(labels)}, expected {len(own)}, the network's")
    settings = {key: value for key, value in _plain(config.to_diff_dict()).items() if key not in _LEFT_OUT}
    network = {"config": settings, "extractor": _plain(json.loads(extractor.to_json_string()))}
    rate = int(extractor.sampling_rate)
    try:
        return HuggingFaceVictim(
            network, body.state_dict(), labels=labels or own, sample_rate=rate, name=name
        )
    except SubterfugeError as error:
        raise SubterfugeError(f"{source}: {error}") from error


def _labels(source: str | Path, config: Any) -> list[str]:
    count = config.num_labels
    if count < 2:
        raise SubterfugeError(
            f"{source}: gives {count} number a clip, expected a classifier of two labels up"
        )
    try:
        return [str(config.id2label[i]) for i in range(count)]
    except KeyError as error:
        raise SubterfugeError(f"{source}: its config.json names no label {error}") from error


def import_huggingface(
    source: str | Path,
    *,
    out: str | Path,
    labels: Sequence[str] | None = None,
    name: str | None = None,
    force: bool = False,
) -> Path:
    """Make a victim's folder of a classifier of transformers; its weights are copied as safetensors.

    Parameters
    ----------
    source, labels
        As for :func:`read_huggingface`.
    out : str or Path
        Folder to make.
    name : str, optional
        By default the name of ``out``.
    force : bool
        Whether a different victim in ``out`` may be replaced.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    SubterfugeError
        As :func:`read_huggingface`, or if ``out`` is taken.
    """
    from subterfuge.victims.writing import check_free, save_victim

    check_free(out, force=force)
    victim = read_huggingface(source, labels=labels)
    model = str(victim.network["config"].get("model_type", ""))
    said = str(source) if not Path(source).is_dir() else Path(source).resolve().name
    return save_victim(victim, out=out, name=name, source={"model": said, "type": model}, force=force)


def _folder(source: str | Path) -> Path:
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise SubterfugeError(f"{source}: got a file, expected a folder of transformers or a model's id")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(source)):
        raise SubterfugeError(
            f"{source}: no such folder, expected one with config.json and model.safetensors"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(source), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise SubterfugeError(
            f"{source}: no such folder, and no model of that id has been downloaded here; expected a folder "
            f"with config.json and model.safetensors (hf download {source} fetches one)"
        ) from error


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise SubterfugeError(
            "transformers is not installed, which this victim needs; expected it after: "
            "pip install 'sonic-subterfuge[huggingface]'"
        ) from error
    return transformers


def _config(settings: Mapping[str, Any], labels: Sequence[str]) -> Any:
    transformers = _transformers()
    kind = settings.get("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise SubterfugeError(f"network: got the model type {kind!r}, which transformers does not know")
    kept = {key: value for key, value in settings.items() if key not in _LEFT_OUT}
    named = {"id2label": dict(enumerate(labels)), "label2id": {one: i for i, one in enumerate(labels)}}
    with _telling("network"):
        config = transformers.CONFIG_MAPPING[kind].from_dict(kept | named)
    _model_class(config)
    return config


def _extractor(settings: Mapping[str, Any]) -> Any:
    transformers = _transformers()
    kind = str(settings.get("feature_extractor_type"))
    make = getattr(transformers, kind, None) if kind.endswith("FeatureExtractor") else None
    if make is None or not isinstance(getattr(make, "model_input_names", None), list):
        raise SubterfugeError(f"network: got the extractor {kind!r}, which transformers does not have")
    with _telling("network"):
        extractor = make.from_dict(dict(settings))
    if getattr(extractor, "dither", 0.0):
        extractor.dither = 0.0  # noise of its own: no two hearings would be alike
    return extractor


def _model_class(config: Any) -> Any:
    known = _transformers().MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
    if type(config) not in known:
        raise SubterfugeError(f"got a model of type {config.model_type!r}, expected an audio classifier")
    return known[type(config)]


def _body(config: Any, weights: Mapping[str, Tensor]) -> torch.nn.Module:
    make = _model_class(config)
    with _quietly(), _telling("the weights do not fit the network"):
        body, report = make.from_pretrained(
            None,
            config=config,
            state_dict=dict(weights),
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
        _check_complete(report)
    if not all(bool(one.isfinite().all()) for one in body.parameters()):
        raise SubterfugeError("the network's weights hold NaN or infinity, expected finite numbers")
    loaded: torch.nn.Module = body.eval()
    return loaded


def _check_complete(report: Mapping[str, Any]) -> None:
    """An error where weights are missing, as they are of a model that was never taught to classify."""
    missing, odd = sorted(report.get("missing_keys", ())), sorted(map(str, report.get("mismatched_keys", ())))
    if missing or odd:
        raise SubterfugeError(
            f"the weights lack {(missing + odd)[0]}, expected those of a trained classifier"
        )


def _least_samples(config: Any) -> int:
    """How many samples the convolutions of a network on raw waveforms need for one frame (or two)."""
    kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
    if not isinstance(kernels, (list, tuple)) or not isinstance(strides, (list, tuple)):
        return 1
    samples = 2 * int(getattr(config, "squeeze_factor", 1))
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * int(stride) + int(kernel)
    return samples


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it, without the paths that transformers notes by the way."""
    kept = json.loads(json.dumps(settings, default=str))
    return {key: value for key, value in kept.items() if not key.startswith("_")}


@contextmanager
def _telling(what: str | Path) -> Iterator[None]:
    """Whatever transformers raises, in one sentence that names the source."""
    try:
        yield
    except SubterfugeError as error:
        raise SubterfugeError(f"{what}: {error}") from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SubterfugeError(
            f"{what}: transformers cannot load it ({lines[0].rstrip('.')[:200]})"
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """No bars, no warnings and no random numbers of transformers meanwhile: all is as before afterwards.

    It fills a network with random numbers before the weights are loaded, from torch's global state.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
