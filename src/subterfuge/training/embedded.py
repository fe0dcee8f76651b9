"""The recipe of the embedded victims and clips: ``python -m subterfuge.training.embedded``.

Needs the extra ``orchestra`` and the soundfonts that
:data:`subterfuge.corpora.soundfonts.SOUNDFONTS` names (Debian: ``apt-get install fluid-soundfont-gm
musescore-general-soundfont-lossless``), or with ``--corpus`` an orchestra that is rendered already. It
tunes and fits ``orchestra-svc``, teaches ``orchestra-cnn``, measures both, and writes ``victims/`` and
``clips/`` under ``--out``. Training reports and their pages stay in ``--work``, where a second run finds
what the first has finished. From the same soundfonts, seed and versions it makes the same again. On
``--recordings``, a folder of class folders, the victims are measured; nothing is fitted on them.

    python -m subterfuge.training.embedded --work out/embedded --clips 300 --workers 2 \\
        --held-out --recordings ../shared/recordings
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from subterfuge.corpora import embedded, folder, orchestra
from subterfuge.corpora.corpus import Corpus
from subterfuge.corpora.manifest import Manifest, number_of, read_manifest
from subterfuge.corpora.soundfonts import SOUNDFONTS
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder
from subterfuge.labels import FULL_NAMES
from subterfuge.training.exhibits import SURE
from subterfuge.training.recipe import EPOCHS, STAGES, TUNE, Progress, Recipe, Tell, make, told_in_words

CLIPS = 300


def orchestra_in(
    path: Path | None,
    *,
    work: Path,
    clips: int | None,
    seed: int | None,
    soundfonts: Sequence[Path] | None = None,
    labels: Sequence[str] = tuple(FULL_NAMES),
    workers: int = 1,
    tell: Tell = lambda _: None,
) -> tuple[Corpus, Manifest]:
    """An orchestra that is there already, or the first clips of it; or one rendered into the work folder.

    Raises
    ------
    SubterfugeError
        If there is none, it has fewer clips than wanted, or there are too few to split and tune on.
    """
    if clips is not None and clips < 40:
        raise SubterfugeError(f"clips: got {clips}, expected at least 40 a label to split and tune on")
    if path is None:
        path = work / "orchestra"
        tell(f"rendering {clips or CLIPS} clips a class into {path}")
        progress = Progress(tell, "orchestra")
        orchestra.build(
            path,
            clips=clips or CLIPS,
            soundfonts=soundfonts,
            labels=labels,
            seed=seed or 0,
            workers=workers,
            report=lambda done, total: progress("clips", done, total),
        )
    elif soundfonts:
        raise SubterfugeError("soundfont: got it with a corpus, expected it only where one is to be rendered")
    manifest = read_manifest(path)
    if seed is not None and seed != manifest.seed:
        raise SubterfugeError(f"{path}: was rendered from seed {manifest.seed}, expected {seed}")
    if clips is not None and clips > manifest.clips:
        raise SubterfugeError(f"{path}: holds {manifest.clips} clips a class, expected at least {clips}")
    corpus = replace(folder.read(path), name="the orchestra")
    if clips is not None and clips < manifest.clips:
        most = clips // orchestra.CLIPS_PER_RECORDING
        corpus = replace(corpus, clips=tuple(clip for clip in corpus.clips if number_of(clip) < most))
    return corpus, manifest


def _check_licences(out: Path, manifest: Manifest) -> None:
    """What ships with the package is of soundfonts that its notice names."""
    known = {path.name for path in SOUNDFONTS}
    other = [name for name, _ in manifest.soundfonts if name not in known]
    if out.resolve() == embedded.root().resolve() and other:
        raise SubterfugeError(
            f"{other[0]}: the package's own folder takes only what was rendered from "
            f"{' and '.join(sorted(known))}, whose licences its notice names; expected another --out"
        )


def _passed(given: Sequence[str]) -> dict[str, dict[str, float]]:
    """``svc:held_out_soundfonts=0.78`` by model and name."""
    found: dict[str, dict[str, float]] = {}
    for one in given:
        model, colon, rest = one.partition(":")
        name, equals, value = rest.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not (colon and equals and name and model in ("svc", "cnn") and 0 <= number <= 1):
            raise SubterfugeError(f"accuracy: got {one!r}, expected one like svc:held_out_soundfonts=0.78")
        found.setdefault(model, {})[name] = number
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m subterfuge.training.embedded",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=embedded.root(), help="default: the package's own folder")
    add("--work", type=Path, help="folder for reports and what a second run may go on from; default: none")
    add("--corpus", type=Path, help="an orchestra that is rendered already")
    add("--clips", type=int, help=f"clips a class (default: {CLIPS}, or all of --corpus)")
    add("--seed", type=int, help="of the orchestra (default: 0, or that of --corpus)")
    add("--training-seed", type=int, help="of splits and weights (default: the orchestra's)")
    add("--soundfont", type=Path, action="append", help="SF2; default: those found installed")
    add("--recordings", type=Path, help="real recordings to measure on, a folder a class")
    add(
        "--held-out",
        type=Path,
        nargs="*",
        metavar="DIR",
        help="measure on soundfonts not trained on: each of the orchestra's own, and orchestras in folders",
    )
    add("--accuracy", action="append", default=[], metavar="svc|cnn:NAME=VALUE", help="measured elsewhere")
    add("--only", choices=STAGES, help="that part alone")
    add("--tune", type=int, default=TUNE, help=f"settings to try for the SVC (default: {TUNE})")
    add("--epochs", type=int, default=EPOCHS, help=f"of the network, at most (default: {EPOCHS})")
    add("--device", default="cpu", help="where the network is taught")
    add("--sure", type=float, default=SURE, help=f"least probability of a clip (default: {SURE})")
    add("--workers", type=int, default=1)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Run the recipe from the command line; 2 where something was missing, said in one line."""
    told = arguments(given)
    began = time.monotonic()

    def tell(line: str) -> None:
        seconds = round(time.monotonic() - began)
        print(f"[{seconds // 60}:{seconds % 60:02d}] {line}", file=sys.stderr, flush=True)

    try:
        passed = _passed(told.accuracy)
        with tempfile.TemporaryDirectory() as scratch:
            work = make_folder(told.work or Path(scratch))
            corpus, manifest = orchestra_in(
                told.corpus,
                work=work,
                clips=told.clips,
                seed=told.seed,
                soundfonts=told.soundfont,
                workers=told.workers,
                tell=tell,
            )
            _check_licences(told.out, manifest)
            recipe = Recipe(
                corpus=corpus,
                manifest=manifest,
                work=work,
                seed=manifest.seed if told.training_seed is None else told.training_seed,
                tune=told.tune,
                epochs=told.epochs,
                workers=told.workers,
                device=told.device,
                tell=tell,
            )
            made = make(
                told.out,
                recipe,
                only=told.only,
                held_out=told.held_out,
                recordings=told.recordings,
                passed=passed,
                sure=told.sure,
            )
    except SubterfugeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command with the same --work goes on from here", file=sys.stderr)
        return 130
    for info in made:
        print(f"{info.name}: {info.trained}", f"  {told_in_words(info.accuracy)}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
