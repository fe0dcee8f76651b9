"""Choosing the clips that ship: held-out, heard rightly and surely by every victim, clean and small."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subterfuge.audio import load_plain
from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError
from subterfuge.victims.victim import Victim

PER_LABEL = 2
PEAK_DB = -2.0
SURE = 0.7  # probability from which a clip counts as heard surely
SILENCE = 0.2  # most of a clip that may be silent
EDGE = 0.009  # largest first or last sample: no click at the cuts


def write_exhibits(
    out: Path,
    candidates: Sequence[Clip],
    victims: Sequence[Victim],
    *,
    labels: Sequence[str],
    sure: float = SURE,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Write two clips a label, ``<label>-<n>.flac``, 16 bit, at one level; the folder is replaced whole.

    The smallest files are tried first: what packs well is clean of hiss. Each is heard as it is written,
    along the plain path, by every victim. Most are mono; the first of every fourth label keeps its channels.

    Parameters
    ----------
    out : Path
        Folder of the clips.
    candidates : sequence of Clip
        None of which a victim was trained on.
    victims : sequence of Victim
    labels : sequence of str
    sure : float
        Least probability of the label, by every victim.
    tell : callable, optional
        Given a line for each clip.

    Raises
    ------
    SubterfugeError
        If a label has too few clips that will do; ``out`` is then as it was.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    made.chmod(0o755)
    try:
        for column, label in enumerate(labels):
            mine = [clip for clip in candidates if clip.label == label]
            _one_label(made, label, mine, victims, stereo=column % 4 == 0, sure=sure, tell=tell)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return tuple(sorted(out.glob("*.flac")))


def heard_surely(path: Path, label: str, victims: Sequence[Victim]) -> float:
    """The least probability that a victim gives to the label of a file; 0 if one of them hears another."""
    least = 1.0
    for victim in victims:
        verdict = victim.verdict(load_plain(path, victim.sample_rate))
        column = victim.labels.index(label)
        if int(verdict.predicted[0]) != column:
            return 0.0
        if verdict.probabilities is not None:
            least = min(least, float(verdict.probabilities[0, column]))
    return least


def _one_label(
    folder: Path,
    label: str,
    clips: Sequence[Clip],
    victims: Sequence[Victim],
    *,
    stereo: bool,
    sure: float,
    tell: Callable[[str], None],
) -> None:
    trial = folder / "trial.flac"
    ranked = []
    for clip in clips:
        if _write(trial, clip.path, mono=True):
            ranked.append((trial.stat().st_size, clip))
    taken: list[str] = []
    tried = 0
    for _, clip in sorted(ranked, key=lambda row: (row[0], row[1].path.name)):
        if len(taken) == PER_LABEL:
            break
        if clip.recording in taken:
            continue
        mono = bool(taken) or not stereo
        if not _write(trial, clip.path, mono=mono):
            continue
        tried += 1
        probability = heard_surely(trial, label, victims)
        if probability > 0 and probability >= sure:
            taken.append(clip.recording)
            path = trial.rename(folder / f"{label}-{len(taken)}.flac")
            tell(
                f"{path.stem}: {clip.path.stem}, {path.stat().st_size / 1000:.0f} kB, "
                f"{'mono' if mono else 'as it was'}, p ≥ {probability:.2f} ({tried} heard)"
            )
    trial.unlink(missing_ok=True)
    if len(taken) < PER_LABEL:
        raise SubterfugeError(
            f"{label!r}: {len(taken)} of {len(clips)} held-out clips are clean and heard with a probability "
            f"of at least {sure:g} by {' and '.join(_name(one) for one in victims)}, expected {PER_LABEL} of "
            "different recordings: render more clips"
        )


def _write(path: Path, source: Path, *, mono: bool) -> bool:
    """Write a clip at the common level, unless it is silent for long or would begin or end with a click."""
    import soundfile

    y, sr = soundfile.read(source, dtype="float64", always_2d=True)
    if mono:
        y = y.mean(axis=1, keepdims=True)
    peak = float(np.abs(y).max(initial=0.0))
    if peak == 0:
        return False
    y *= 10 ** (PEAK_DB / 20) / peak
    if max(np.abs(y[0]).max(), np.abs(y[-1]).max()) > EDGE or silence(y, sr) > SILENCE:
        return False
    soundfile.write(path, y, sr, format="FLAC", subtype="PCM_16")
    return True


def silence(y: NDArray[np.float64], sr: int) -> float:
    """Share of the 10 ms frames of ``y``, shape (samples, channels), that lie under -50 dBFS RMS.

    Examples
    --------
    >>> silence(np.repeat([0.0, 0.1], 1000)[:, None], 8000)
    0.48
    """
    hop = sr // 100
    power = np.square(y).mean(axis=1)
    frames = power[: len(power) // hop * hop].reshape(-1, hop)
    return float(np.mean(frames.mean(axis=1) < 1e-5))


def _name(victim: Victim) -> str:
    return str(getattr(victim, "name", "the victim"))
