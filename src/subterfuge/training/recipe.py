"""How the embedded victims and clips are made: trained, measured, shipped, each part found again if done."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from subterfuge.corpora import embedded, folder, orchestra
from subterfuge.corpora.corpus import Clip, Corpus
from subterfuge.corpora.manifest import Manifest, number_of
from subterfuge.errors import SubterfugeError
from subterfuge.files import make_folder
from subterfuge.training.cache import Cache
from subterfuge.training.cnn import train_cnn
from subterfuge.training.codec import from_json
from subterfuge.training.evaluate import evaluate
from subterfuge.training.exhibits import SURE, write_exhibits
from subterfuge.training.report import Epoch, TrainingReport
from subterfuge.training.splits import hold_out
from subterfuge.training.train import train
from subterfuge.training.unseen import Real, accuracy_of, measure_real, soundfont_trials
from subterfuge.victims.store import CARD, VictimInfo, load_victim, save_victim, victim_info
from subterfuge.victims.writing import TRAINING

TUNE = 30
# A larger network than `train` teaches by default, for as long as it still learnt.
WIDTHS, EPOCHS = (24, 48, 96, 128), 50
# Of more, the machine would keep too many support vectors to ship (about 230 bytes each).
SVC_CLIPS = 800
MOST_BYTES = 6_000_000
STAGES = ("svc", "cnn", "clips")
PASSED = {
    "held_out_soundfonts": "measured apart, by a victim trained in the same way without the soundfont.",
}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What is made, and how.

    Attributes
    ----------
    corpus : Corpus
    manifest : Manifest
        The corpus's own.
    work : Path
        Folder for what is not shipped: reports, checkpoints, the features' cache.
    seed : int
        Of splits, draws and weights; the orchestra's own is in its manifest.
    tune, epochs : int
        Settings of the SVC's search; most epochs of the network.
    widths : tuple of int
        Of the network.
    workers : int
    device : str
        Where the network is taught.
    tell : callable
        Given a line from time to time.
    """

    corpus: Corpus
    manifest: Manifest
    work: Path
    seed: int = 0
    tune: int = TUNE
    epochs: int = EPOCHS
    widths: tuple[int, ...] = WIDTHS
    workers: int = 1
    device: str = "cpu"
    tell: Tell = lambda _: None

    def command(self, model: str) -> str:
        """What makes a victim of that kind again."""
        own = f"--tune {self.tune}" if model == "svc" else f"--epochs {self.epochs}"
        return (
            f"python -m subterfuge.training.embedded --clips {self.clips} --seed {self.manifest.seed} "
            f"--training-seed {self.seed} {own} --only {model}"
        )

    @property
    def home(self) -> Path:
        """Where in the work folder things lie that were made of this orchestra."""
        return self.work / f"of-{zlib.crc32(repr(self.manifest).encode()):08x}"

    @property
    def clips(self) -> int:
        """Clips a class; the least, where classes differ."""
        return min(sum(clip.label == label for clip in self.corpus.clips) for label in self.corpus.labels)

    def learnt_from(self, model: str, corpus: Corpus | None = None) -> Corpus:
        """What a victim of that kind is given: of very many clips, the SVC takes the first recordings."""
        given = self.corpus if corpus is None else corpus
        if model != "svc":
            return given
        most = SVC_CLIPS // orchestra.CLIPS_PER_RECORDING
        return replace(given, clips=tuple(clip for clip in given.clips if number_of(clip) < most))


def make(
    out: Path,
    recipe: Recipe,
    *,
    only: str | None = None,
    held_out: Sequence[Path] | None = None,
    recordings: Path | None = None,
    passed: Mapping[str, Mapping[str, float]] | None = None,
    sure: float = SURE,
) -> tuple[VictimInfo, ...]:
    """Train, measure and write the embedded victims and clips.

    Parameters
    ----------
    out : Path
        Folder to write ``victims/orchestra-svc``, ``victims/orchestra-cnn`` and ``clips`` into; what is
        there is replaced.
    recipe : Recipe
    only : str, optional
        ``svc``, ``cnn`` or ``clips``: that part alone. Clips are chosen by the victims in ``out``.
    held_out : sequence of Path, optional
        Whether to measure on soundfonts that were not trained on: each of the orchestra's own in its turn,
        and each of these folders of orchestras. None: not at all.
    recordings : Path, optional
        Real recordings, a folder a class, to measure on.
    passed : mapping, optional
        Accuracies that were measured elsewhere, by ``svc`` or ``cnn`` and the name that they go by.
    sure : float
        Least probability with which both victims hear a clip that is to ship.

    Returns
    -------
    tuple of VictimInfo
        Of the victims that were written.

    Raises
    ------
    SubterfugeError
        If something is missing or does not fit, or a label has too few clips that will do.
    """
    if only is not None and only not in STAGES:
        raise SubterfugeError(f"only: got {only!r}, expected {', '.join(STAGES)}")
    written = []
    for model in ("svc", "cnn"):
        if only in (None, model):
            report = _trained(recipe, model)
            accuracy, notes = _measured(recipe, model, report, held_out, recordings)
            for name, value in (passed or {}).get(model, {}).items():
                accuracy[name] = value
                notes.append(f"{name}: {PASSED.get(name, 'measured apart.')}")
            written.append(_ship(out, recipe, model, accuracy, notes))
            recipe.tell(f"{written[-1].name}: {told_in_words(accuracy)}")
    if only in (None, "clips"):
        victims = [load_victim(_shipped(out, recipe, model)) for model in ("svc", "cnn")]
        write_exhibits(
            out / "clips",
            _untouched(recipe),
            victims,
            labels=recipe.corpus.labels,
            sure=sure,
            tell=recipe.tell,
        )
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    recipe.tell(f"{out}: {size / 1e6:.2f} MB in all")
    if out.resolve() == embedded.root().resolve() and size > MOST_BYTES:
        raise SubterfugeError(f"{out}: holds {size / 1e6:.1f} MB, expected at most {MOST_BYTES / 1e6:g} MB")
    return tuple(written)


# ---------------------------------------------------------------- training


def _trained(recipe: Recipe, model: str, corpus: Corpus | None = None, name: str = "") -> TrainingReport:
    """Train a victim in the work folder, or find the one that an earlier run has finished there."""
    given = recipe.learnt_from(model, corpus)
    name = name or f"orchestra-{model}"
    out = recipe.home / "victims" / name
    command = recipe.command(model)
    found = _finished(out, given, command)
    if found is not None:
        recipe.tell(f"{name}: finished by an earlier run ({out})")
        return found
    recipe.tell(f"{name}: trained on {len(given.clips)} clips")
    told = _train(recipe, model, given, out, command)
    if told.skipped:
        # What is held out hangs on which clips there are: it must be known again when clips are chosen.
        raise SubterfugeError(
            f"{name}: {told.skipped} clips of the orchestra are of no use, expected it whole: render it anew"
        )
    return told


def _train(recipe: Recipe, model: str, given: Corpus, out: Path, command: str) -> TrainingReport:
    name = out.name
    report = Progress(recipe.tell, name)
    if model == "svc":
        return train(
            given,
            out=out,
            model="svc",
            tune=recipe.tune,
            seed=recipe.seed,
            workers=recipe.workers,
            force=True,
            cache=Cache(make_folder(recipe.home / "cache")),
            command=command,
            report=report,
        )
    taught = partial(
        train_cnn,
        given,
        out=out,
        epochs=recipe.epochs,
        widths=recipe.widths,
        seed=recipe.seed,
        both=False,
        device=recipe.device,
        workers=recipe.workers,
        force=True,
        command=command,
        report=lambda what, done, total: None if what.startswith("epochs") else report(what, done, total),
        epoch=lambda one: _tell_epoch(recipe.tell, name, one),
    )
    try:
        return taught(resume=True)
    except SubterfugeError as error:
        if "checkpoint" not in str(error):
            raise
        recipe.tell(f"{name}: begun anew, what an earlier run left behind does not fit ({error})")
        return taught(resume=False)


def _finished(out: Path, corpus: Corpus, command: str) -> TrainingReport | None:
    path = out / TRAINING
    if not path.is_file() or not (out / CARD).is_file():
        return None
    told = from_json(TrainingReport, path.read_text(encoding="utf-8"))
    same = (told.command, told.clips, told.labels, told.corpus) == (
        command,
        len(corpus.clips),
        tuple(label for label in corpus.labels if any(clip.label == label for clip in corpus.clips)),
        corpus.name,
    )
    return told if same else None


class Progress:
    """A line every ten seconds, and at the end of what is counted.

    Examples
    --------
    >>> Progress(print, "orchestra-svc")("fits", 2, 2)
    orchestra-svc: fits 2 of 2
    """

    def __init__(self, tell: Tell, name: str) -> None:
        self.tell, self.name, self.last = tell, name, time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Be told how much of what is done."""
        if done == total or time.monotonic() - self.last >= 10:
            self.last = time.monotonic()
            self.tell(f"{self.name}: {what} {done} of {total}")


def _tell_epoch(tell: Tell, name: str, one: Epoch) -> None:
    tell(
        f"{name}: epoch {one.number}, loss {one.training_loss:.3f}, set aside {one.validation_loss:.3f} "
        f"({one.validation_accuracy:.1%} right), {one.seconds:.0f} s"
    )


# ---------------------------------------------------------------- measuring


def _measured(
    recipe: Recipe,
    model: str,
    report: TrainingReport,
    held_out: Sequence[Path] | None,
    recordings: Path | None,
) -> tuple[dict[str, float], list[str]]:
    """Accuracies by name, and what each of them is, in words."""
    accuracy: dict[str, float] = {}
    notes: list[str] = []
    if report.grouped is not None:
        accuracy["held_out_grouped"] = report.grouped.accuracy.value
        notes.append(
            f"held_out_grouped: {report.grouped.clips} rendered clips whose recordings were not trained on."
        )
    if report.random is not None:
        accuracy["held_out_random"] = report.random.accuracy.value
        notes.append(
            "held_out_random: with the same setting on clips whose recordings were trained on in part, which "
            "flatters."
        )
    if held_out is not None:
        value, told = _on_soundfonts(recipe, model, held_out)
        accuracy["held_out_soundfonts"] = value
        notes.append(told)
    if recordings is not None:
        recipe.tell(f"orchestra-{model}: real recordings")
        victim = load_victim(recipe.home / "victims" / f"orchestra-{model}")
        real = measure_real(victim, folder.read(recordings), workers=recipe.workers)
        accuracy["real_recordings"] = accuracy_of(real.all)
        accuracy["real_recordings_unseen_half"] = accuracy_of(real.unseen)
        notes.append(_about_real(real))
    return accuracy, notes


def _on_soundfonts(recipe: Recipe, model: str, folders: Sequence[Path]) -> tuple[float, str]:
    """Accuracy over all clips of soundfonts that were not trained on, and in words by soundfont."""
    right = clips = 0
    told = []
    for trial in soundfont_trials(recipe.corpus, recipe.manifest, folders):
        name = f"orchestra-{model}"
        if not trial.whole:
            name = f"{name}-without-{trial.name}"
            _trained(recipe, model, trial.train, name)
        recipe.tell(f"{name}: {len(trial.test.clips)} clips of {' and '.join(trial.soundfonts)}")
        victim = load_victim(recipe.home / "victims" / name)
        heard = evaluate(victim, trial.test, workers=recipe.workers)
        if heard.partial or heard.single is None:
            raise KeyboardInterrupt
        right += sum(row[i] for i, row in enumerate(heard.single.confusion))
        clips += heard.clips
        told.append(f"{' and '.join(trial.soundfonts)} {accuracy_of(heard):.1%}")
    return right / clips, (
        f"held_out_soundfonts: {clips} clips of soundfonts that were not trained on, each heard by a victim "
        f"trained in the same way on the other soundfonts ({', '.join(told)})."
    )


def _about_real(real: Real) -> str:
    labels = len(real.all.known)
    return (
        f"real_recordings: {real.all.clips} real recordings of {labels} of the classes, never trained on, "
        f"heard among all classes. While the recipe was made, {real.looked_at.clips} of the {real.all.clips} "
        "(those at even positions in each class folder) were looked at; real_recordings_unseen_half is the "
        f"accuracy on the other {real.unseen.clips}. A victim that has learnt from soundfonts alone is no "
        "judge of real players."
    )


def told_in_words(accuracy: Mapping[str, float]) -> str:
    """Accuracies in one line.

    Examples
    --------
    >>> told_in_words({"real_recordings": 0.5})
    'real_recordings 50.0%'
    """
    return ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items())


# ---------------------------------------------------------------- shipping


def _ship(
    out: Path, recipe: Recipe, model: str, accuracy: Mapping[str, float], notes: Sequence[str]
) -> VictimInfo:
    """Write the victim with what it scores into the package's folder, without its report and page."""
    name = f"orchestra-{model}"
    there = recipe.home / "victims" / name
    fonts = " and ".join(Path(font).stem for font, _ in recipe.manifest.soundfonts)
    save_victim(
        load_victim(there),
        out=out / "victims" / name,
        trained=f"{victim_info(there).trained} The orchestra was rendered from {fonts}, MIT-licensed.",
        accuracy=accuracy,
        source=_source(recipe, model),
        notes=" ".join(notes),
        force=True,
    )
    return victim_info(out / "victims" / name)


def _source(recipe: Recipe, model: str) -> dict[str, str]:
    made = recipe.manifest
    return {
        "recipe": recipe.command(model),
        "orchestra": f"{recipe.clips} clips a class, seed {made.seed}, version {made.version}",
        **{f"soundfont {name}": digest for name, digest in made.soundfonts},
    }


def _shipped(out: Path, recipe: Recipe, model: str) -> Path:
    """The victim in ``out``, which must be of this very orchestra, or nobody knows what it was trained on."""
    path = out / "victims" / f"orchestra-{model}"
    if not (path / CARD).is_file():
        raise SubterfugeError(f"{path}: holds no victim, expected it made before clips are chosen by it")
    there = victim_info(path).source
    wanted = _source(recipe, model)
    for key in ("orchestra", *(key for key in wanted if key.startswith("soundfont "))):
        if there.get(key) != wanted[key]:
            raise SubterfugeError(
                f"{path}: was made of another orchestra ({key}: {there.get(key)}), expected {wanted[key]}"
            )
    if f"--training-seed {recipe.seed} " not in there.get("recipe", ""):
        raise SubterfugeError(f"{path}: was made with another seed, expected --training-seed {recipe.seed}")
    return path


def _untouched(recipe: Recipe) -> list[Clip]:
    """Clips of recordings that both victims were kept from."""
    touched: set[str] = set()
    for model in ("svc", "cnn"):
        clips = recipe.learnt_from(model).clips
        side = hold_out([one.label for one in clips], [one.recording for one in clips], seed=recipe.seed)
        touched |= {clips[i].recording for i in side.train}
    return [clip for clip in recipe.corpus.clips if clip.recording not in touched]
