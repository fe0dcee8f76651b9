"""musicnn, the published music tagger, as a differentiable victim: its windows, its front end, its wheel."""

from __future__ import annotations

import ast
import math
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from subterfuge.errors import SubterfugeError
from subterfuge.features.cepstral import melspectrogram
from subterfuge.victims.checkpoint import read_checkpoint
from subterfuge.victims.musicnn_network import BANDS, FRAMES, blank, from_checkpoint
from subterfuge.victims.victim import Hearing, TorchVictim

SAMPLE_RATE = 16000
_N_FFT, _HOP = 512, 256
# Windows that go through the network at once.
_CHUNK = 8
# The data that each was trained on; the names that its tags and weights go by in the wheel.
TRAINED_ON = {"mtt": "MagnaTagATune", "msd": "Million Song Dataset"}


class MusicnnVictim(TorchVictim):
    """Hears which of 50 tags a recording deserves: the likeliest one, or all from a threshold on.

    The mel spectrogram (16 kHz, 96 bands, a frame every 256 samples) is cut into windows of 187 frames, three
    seconds, without overlap, and what is left over at the end is not heard; a shorter clip is repeated until
    it fills a window, as in its training. A tag's probability is the mean over the windows of the network's
    sigmoids, its score that mean's log-odds.

    The published script rounds the mel spectrogram to 16 bits first, which leaves loud music infinite and its
    tags without a value; here nothing is rounded. Where the script has an answer, the two differ by about
    0.002 in a score.

    Parameters
    ----------
    network : mapping
        ``tags``: ``mtt`` or ``msd``. ``threshold``, between 0 and 1: from which probability on a tag is
        heard, several at once or none (:class:`subterfuge.victims.victim.Hearing`); without one the likeliest
        is.
    weights : mapping of str to Tensor
        By the names of the network's parameters.
    labels : sequence of str
        The 50 tags.
    sample_rate : int
        16000.
    name : str

    Raises
    ------
    SubterfugeError
        If the weights do not fit, or labels or sample rate are not the network's.

    References
    ----------
    Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR
    late-breaking demo, 2019.

    Examples
    --------
    >>> victim = load_victim("victims/musicnn")  # doctest: +SKIP
    >>> victim.labels[victim.predict(y)]  # doctest: +SKIP
    'classical'
    """

    kind = "musicnn"

    def __init__(
        self,
        network: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        *,
        labels: Sequence[str],
        sample_rate: int = SAMPLE_RATE,
        name: str = "musicnn",
    ) -> None:
        super().__init__()
        self.network, self.name = dict(network), name
        self.labels, self.sample_rate = tuple(labels), int(sample_rate)
        self.threshold: float | None = self.network.get("threshold")
        if self.threshold is not None and not (isinstance(self.threshold, float) and 0 < self.threshold < 1):
            raise SubterfugeError(f"threshold: got {self.threshold!r}, expected a number between 0 and 1")
        self.body = blank()
        tags = self.body.last.out_features
        if len(self.labels) != tags or self.sample_rate != SAMPLE_RATE:
            raise SubterfugeError(
                f"musicnn: got {len(self.labels)} labels at {self.sample_rate} Hz, "
                f"expected {tags} at {SAMPLE_RATE}"
            )
        learnt = {name for name in self.body.state_dict() if not name.endswith("num_batches_tracked")}
        if set(weights) != learnt:
            odd = sorted(set(weights) ^ learnt)[0]
            raise SubterfugeError(f"the weights do not fit the network: {odd} is in one of them only")
        try:
            self.body.load_state_dict(dict(weights), strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip().rstrip(".")
            raise SubterfugeError(f"the weights do not fit the network: {reason}") from error
        if not all(bool(one.isfinite().all()) for one in self.weights().values()):
            raise SubterfugeError("the network's weights hold NaN or infinity, expected finite numbers")
        self.requires_grad_(False).eval()

    def weights(self) -> dict[str, Tensor]:
        """What it has learnt, by the names of the network's parameters."""
        state = self.body.state_dict().items()
        return {name: one.detach() for name, one in state if not name.endswith("num_batches_tracked")}

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Scores of the tags, the highest of which is heard, and probabilities where asked for."""
        mel = melspectrogram(y=y, sr=self.sample_rate, n_fft=_N_FFT, hop_length=_HOP, n_mels=BANDS)
        return self._heard(mel, probabilities)

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The plain path: librosa's own mel spectrogram of each row, then the network."""
        import librosa

        taken = partial(librosa.feature.melspectrogram, sr=self.sample_rate, n_mels=BANDS)
        rows = [taken(y=row, n_fft=_N_FFT, hop_length=_HOP) for row in y.detach().cpu().numpy()]
        return self._heard(torch.stack([torch.from_numpy(row) for row in rows]).to(y), True)

    def _heard(self, mel: Tensor, probabilities: bool) -> Hearing:
        spectrogram = torch.log10(10000 * mel + 1).to(self.body.last.weight.dtype)
        frames = spectrogram.shape[-1]
        if frames < FRAMES:
            spectrogram = spectrogram.repeat(1, 1, -(-FRAMES // frames))[..., :FRAMES]
        windows = spectrogram.unfold(2, FRAMES, FRAMES).permute(0, 2, 1, 3)
        rows, count = windows.shape[:2]
        logits = torch.cat([self.body(part) for part in torch.split(windows.flatten(0, 1), _CHUNK)])
        scores = _log_odds_of_mean(logits.reshape(rows, count, -1))
        predicted, p = scores.argmax(1), scores.sigmoid() if probabilities else None
        if self.threshold is None:
            return Hearing(scores, predicted, p)
        return Hearing(
            scores - math.log(self.threshold / (1 - self.threshold)), predicted, p, multilabel=True
        )


def _log_odds_of_mean(logits: Tensor) -> Tensor:
    """Log-odds of the mean over windows of the logits' sigmoids, shape (batch, windows, tags)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    return functional.logsigmoid(logits).logsumexp(1) - functional.logsigmoid(-logits).logsumexp(1)


def read_musicnn(
    path: str | Path, *, tags: str = "mtt", threshold: float | None = None, name: str = "musicnn"
) -> MusicnnVictim:
    """The tagger out of musicnn's wheel (or the folder that it was unpacked into); no code of it is run.

    Parameters
    ----------
    path : str or Path
        ``musicnn-0.1.0-py2.py3-none-any.whl``, or a folder that holds the ``musicnn`` package.
    tags : str
        ``mtt``: trained on MagnaTagATune; ``msd``: on the Million Song Dataset. Each has tags of its own.
    threshold : float, optional
        From which probability on a tag is heard; without one the likeliest is, and only that.
    name : str

    Raises
    ------
    SubterfugeError
        If there is no such file, or it holds no such tagger.
    """
    path = Path(path)
    if tags not in TRAINED_ON:
        raise SubterfugeError(f"tags: got {tags!r}, expected {' or '.join(TRAINED_ON)}")
    if not path.exists():
        raise SubterfugeError(f"{path}: no such file, expected musicnn's wheel")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise SubterfugeError(f"{path}: is no wheel, expected musicnn's (pip download --no-deps musicnn)")
    try:
        if path.is_dir():
            return _read(path, tags, threshold, name)
        with zipfile.ZipFile(path) as wheel:
            return _read(zipfile.Path(wheel), tags, threshold, name)
    except SubterfugeError as error:
        raise SubterfugeError(f"{path}: {error}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SubterfugeError(f"{path}: cannot be read ({error})") from error


def _read(root: Traversable, tags: str, threshold: float | None, name: str) -> MusicnnVictim:
    package = root / "musicnn"
    folder = package / f"{tags.upper()}_musicnn"
    index, data, words = folder / ".index", folder / ".data-00000-of-00001", package / "configuration.py"
    for one in (index, data, words):
        if not one.is_file():
            raise SubterfugeError(f"holds no {one.name} of {tags.upper()}_musicnn, expected musicnn 0.1.0's")
    variables = read_checkpoint(
        index.read_bytes(), data.read_bytes(), wanted=lambda variable: "/Adam" not in variable
    )
    labels = _list_named(words.read_text(encoding="utf-8"), f"{tags.upper()}_LABELS")
    network = {"tags": tags} | ({} if threshold is None else {"threshold": float(threshold)})
    return MusicnnVictim(network, from_checkpoint(variables), labels=labels, name=name)


def _list_named(source: str, name: str) -> list[str]:
    """The list of strings that a module of plain assignments gives a name; the module is not run."""
    try:
        for one in ast.parse(source).body:
            if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", None) == name:
                return [str(label) for label in ast.literal_eval(one.value)]
    except (SyntaxError, ValueError, TypeError) as error:
        raise SubterfugeError("its configuration.py cannot be read, expected musicnn 0.1.0's") from error
    raise SubterfugeError(f"its configuration.py holds no {name}, expected musicnn 0.1.0's")


def import_musicnn(
    path: str | Path,
    *,
    out: str | Path,
    tags: str = "mtt",
    threshold: float | None = None,
    name: str | None = None,
    force: bool = False,
) -> Path:
    """Make a victim's folder of the tagger in musicnn's wheel.

    Parameters
    ----------
    path, tags, threshold
        As for :func:`read_musicnn`.
    out : str or Path
        Folder to make; one that holds the very same victim is left as it is.
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
        As :func:`read_musicnn`, or if ``out`` is taken.
    """
    from subterfuge.files import file_sha256
    from subterfuge.victims.writing import save_victim

    victim = read_musicnn(path, tags=tags, threshold=threshold)
    source = {"file": Path(path).name, "model": f"{tags.upper()}_musicnn"}
    if Path(path).is_file():
        source["sha256"] = file_sha256(Path(path))
    return save_victim(
        victim,
        out=out,
        name=name,
        source=source,
        trained=f"By its authors on the {TRAINED_ON[tags]}, to give 50 tags of their own choice.",
        notes="Weights of musicnn, copyright Music Technology Group, Universitat Pompeu Fabra 2019 (ISC).",
        force=force,
    )
