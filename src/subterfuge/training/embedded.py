"""The recipe of the embedded victim and clips: ``python -m subterfuge.training.embedded``.

Needs the extra ``orchestra`` and at least one of the soundfonts that
:data:`subterfuge.corpora.orchestra.SOUNDFONTS` names (Debian: ``apt-get install fluid-soundfont-gm
musescore-general-soundfont-lossless``). It renders the orchestra into a temporary folder, takes the
features, tunes and fits the SVC, measures it, and writes ``victims/orchestra-svc/`` and ``clips/``
under ``--out``. From the same soundfonts and seed it makes the same again. With ``--recordings``, a
folder of class folders, the victim's accuracy on these is measured and noted; nothing is fitted on them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from subterfuge.corpora import embedded, folder, orchestra
from subterfuge.corpora.corpus import Clip
from subterfuge.errors import SubterfugeError
from subterfuge.labels import FULL_NAMES
from subterfuge.training.extract import librosa25_of
from subterfuge.training.fit import Fit, fit_svc
from subterfuge.victims.store import VictimInfo, file_sha256, save_victim, victim_info

NAME = "orchestra-svc"
CLIPS_PER_LABEL = 2
PEAK_DB = -2.0
SURE = 0.7  # probability from which a clip counts as heard surely


def make(
    out: Path,
    *,
    clips: int = 100,
    seed: int = 0,
    soundfonts: Sequence[Path] | None = None,
    labels: Sequence[str] = tuple(FULL_NAMES),
    recordings: Path | None = None,
    workers: int = 1,
) -> VictimInfo:
    """Render, fit, measure and write the embedded victim and its clips.

    Parameters
    ----------
    out : Path
        Folder to write ``victims/orchestra-svc`` and ``clips`` into; what is there is replaced.
    clips : int
        Clips a label to render; at least 40, or there are too few recordings to split and tune on.
    seed, soundfonts, labels, workers
        As for :func:`subterfuge.corpora.orchestra.build`.
    recordings : Path, optional
        Real recordings, a folder a class, to measure on.

    Raises
    ------
    SubterfugeError
        If something is missing, or a label has too few held-out clips that are heard rightly.
    """
    if clips < 40:
        raise SubterfugeError(f"clips: got {clips}, expected at least 40 a label to split and tune on")
    fonts = tuple(orchestra.installed_soundfonts() if soundfonts is None else soundfonts)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = orchestra.build(
            Path(scratch), clips=clips, soundfonts=fonts, labels=labels, seed=seed, workers=workers
        )
        features = librosa25_of([clip.path for clip in corpus.clips], workers=workers)
        fit = fit_svc(
            features,
            [clip.label for clip in corpus.clips],
            [clip.recording for clip in corpus.clips],
            seed=seed,
            workers=workers,
        )
        _write_clips(out / "clips", fit.model, [corpus.clips[i] for i in fit.test])
    accuracy = {"orchestra_held_out": fit.held_out, "orchestra_cross_validated": fit.cross_validated}
    if recordings is not None:
        accuracy["real_recordings"] = _accuracy(fit.model, recordings, workers)
    save_victim(
        fit.model,
        labels=[str(label) for label in fit.model.classes_],
        sample_rate=orchestra.SAMPLE_RATE,
        out=out / "victims" / NAME,
        trained=(
            f"StandardScaler and RBF SVC (C={fit.parameters['C']:g}, gamma={fit.parameters['gamma']:g}, "
            f"tuned by grouped cross-validation) on {len(corpus.clips) - len(fit.test)} three-second phrases "
            f"of {len(corpus.labels)} instruments, rendered from {len(fonts)} MIT-licensed soundfonts."
        ),
        accuracy=accuracy,
        source={
            "recipe": f"python -m subterfuge.training.embedded --clips {clips} --seed {seed}",
            **{f"soundfont {path.name}": file_sha256(path) for path in fonts},
        },
        notes=_notes(fit, recordings),
        force=True,
    )
    return victim_info(out / "victims" / NAME)


def _notes(fit: Fit, recordings: Path | None) -> str:
    notes = (
        f"orchestra_held_out: {len(fit.test)} rendered clips whose recordings were not trained on. "
        "orchestra_cross_validated: on the training part, grouped by recording, with the parameters it chose."
    )
    if recordings is None:
        return notes
    real = folder.read(recordings)
    return notes + (
        f" real_recordings: {len(real.clips)} recordings of {len(real.labels)} of the classes, never trained "
        "on: a victim that has learnt from soundfonts alone is no judge of real players."
    )


def _accuracy(model: Any, recordings: Path, workers: int) -> float:
    clips = folder.read(recordings).clips
    heard = model.predict(librosa25_of([clip.path for clip in clips], workers=workers))
    return float(np.mean(heard == np.array([clip.label for clip in clips])))


def _write_clips(out: Path, model: Any, candidates: Sequence[Clip]) -> None:
    """Of each label, clips of different recordings heard surely, without long gaps, small (so without hiss).

    They are brought to one level first, which changes how they are heard, and heard again as written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.flac"):
        old.unlink()
    for column, label in enumerate(model.classes_):
        ranked = []
        for clip in (clip for clip in candidates if clip.label == label):
            trial = out / "trial.flac"
            _write_clip(trial, clip.path, mono=True)
            features = librosa25_of([trial])
            if model.predict(features)[0] == label:
                unsure = model.predict_proba(features)[0, column] < SURE
                ranked.append((unsure, _silence(trial) > 0.2, trial.stat().st_size, clip))
            trial.unlink()
        taken: list[str] = []
        for *_, clip in sorted(ranked, key=lambda row: row[:3]):
            if clip.recording not in taken and len(taken) < CLIPS_PER_LABEL:
                taken.append(clip.recording)
                path = out / f"{label}-{len(taken)}.flac"
                _write_clip(path, clip.path, mono=len(taken) > 1 or column % 4 > 0)
        if len(taken) < CLIPS_PER_LABEL:
            raise SubterfugeError(f"only {len(taken)} held-out recordings of {label!r} are heard rightly")
    written = sorted(out.glob("*.flac"))
    for path, heard in zip(written, model.predict(librosa25_of(written)), strict=True):
        if not path.name.startswith(f"{heard}-"):
            raise SubterfugeError(f"{path.name} is heard as {heard!r}: choose another seed")


def _write_clip(path: Path, source: Path, *, mono: bool) -> None:
    import soundfile

    y, sr = soundfile.read(source, dtype="float64", always_2d=True)
    if mono:
        y = y.mean(axis=1, keepdims=True)
    y *= 10 ** (PEAK_DB / 20) / np.abs(y).max()
    soundfile.write(path, y, sr, subtype="PCM_16")


def _silence(path: Path) -> float:
    """Fraction of a file's 10 ms frames that lie under -50 dBFS RMS."""
    import soundfile

    y, sr = soundfile.read(path)
    frames = y[: len(y) // (sr // 100) * (sr // 100)].reshape(-1, sr // 100)
    return float(np.mean(np.mean(np.square(frames), axis=1) < 1e-5))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe from the command line; 2 where something was missing, said in one line."""
    parser = argparse.ArgumentParser(prog="python -m subterfuge.training.embedded", description=__doc__)
    parser.add_argument("--out", type=Path, default=embedded.root(), help="default: the package's own folder")
    parser.add_argument("--clips", type=int, default=100, help="clips a class (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--soundfont", type=Path, action="append", help="SF2; default: those found installed")
    parser.add_argument("--recordings", type=Path, help="real recordings to measure on, a folder a class")
    given = parser.parse_args(arguments)
    try:
        info = make(
            given.out,
            clips=given.clips,
            seed=given.seed,
            soundfonts=given.soundfont,
            recordings=given.recordings,
            workers=given.workers,
        )
    except SubterfugeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(info.trained, *(f"{name}: {value:.1%}" for name, value in info.accuracy.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
