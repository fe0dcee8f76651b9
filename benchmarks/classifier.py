"""Every model on one orchestra: held out by recording and at random, on real recordings, on other soundfonts.

    .venv/bin/python benchmarks/classifier.py --corpus ORCHESTRA --timgm TIMGM --recordings RECORDINGS \\
        [--fluid FLUID] [--muse MUSE] [--work out/classifier] [--workers 2] [--only STAGE]

Orchestras that are not there are rendered there first. Without ``--fluid`` and ``--muse`` the soundfonts'
own halves of ``--corpus`` take their places. Stages: ``corpora`` (rendering), ``features``, ``models`` (all
that is trained), ``heard`` (real recordings and soundfonts), ``page``. All results are kept in ``--work``,
and only what is not there yet is done: a run that was ended goes on where it was, and stages may be run one
at a time (``--only``).
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import common
from classifier_page import MODELS, Results, page

STAGES = ("corpora", "features", "models", "heard", "page")
CLIPS, TUNE, EPOCHS = 300, 10, 12
SOUNDFONT_MODELS = ("svc", "cnn")
# Of what is rendered here: not alike, since equal ones draw the same phrases and rooms.
SEEDS = {"corpus": 0, "fluid": 1, "muse": 2, "timgm": 3}
FONTS = {"fluid": "FluidR3_GM.sf2", "muse": "MuseScore_General_Full.sf2", "timgm": "TimGM6mb.sf2"}


@dataclass(frozen=True)
class Part:
    """Some clips of an orchestra: of all soundfonts or one, and of all recordings, even or odd ones."""

    folder: str
    soundfont: str = ""
    half: str = ""

    def clips(self) -> Any:
        """The corpus of them."""
        from subterfuge.corpora import folder
        from subterfuge.corpora.manifest import number_of, read_manifest

        made = read_manifest(Path(self.folder))
        corpus = replace(folder.read(Path(self.folder)), skipped=())
        kept = [
            clip
            for clip in corpus.clips
            if self.soundfont in ("", made.soundfont_of(clip))
            and (not self.half or number_of(clip) % 2 == ("even", "odd").index(self.half))
        ]
        return replace(corpus, clips=tuple(kept), name=self.name)

    @property
    def name(self) -> str:
        """For the reports."""
        return " ".join(one for one in ("the orchestra", self.soundfont, self.half) if one)


@dataclass(frozen=True)
class Trial:
    """Training on one soundfont and hearing another."""

    name: str
    train: Part
    test: Part


@dataclass(frozen=True)
class Training:
    """One model to be trained: on what, by which split, with what effort."""

    name: str
    model: str
    part: Part
    split: str
    tune: int
    epochs: int
    seed: int
    device: str
    work: str

    @property
    def victim(self) -> Path:
        """Its folder."""
        return Path(self.work) / "victims" / self.name

    @property
    def result(self) -> Path:
        """What came of it."""
        return Path(self.work) / "models" / f"{self.name}.json"


@dataclass(frozen=True)
class Hearing:
    """One trained model on clips that it was not trained on."""

    name: str
    victim: str
    part: Part | None
    recordings: str
    work: str

    @property
    def result(self) -> Path:
        """What came of it."""
        return Path(self.work) / "heard" / f"{self.name}.json"


# ---------------------------------------------------------------- jobs, in workers


def train_one(job: Training) -> dict[str, Any]:
    """Train one model by the project's own training code; what it measured."""
    from subterfuge.training.cache import Cache
    from subterfuge.training.cnn import train_cnn
    from subterfuge.training.codec import plain
    from subterfuge.training.train import train

    common.one_thread()
    corpus = job.part.clips()
    began, wall = time.process_time(), time.monotonic()
    if job.model == "cnn":
        options: dict[str, Any] = {"split": job.split, "epochs": job.epochs, "both": False, "seed": job.seed}
        options |= {"device": job.device, "force": True, "epoch": functools.partial(_tell, job)}
        told = _taught(functools.partial(train_cnn, corpus, out=job.victim, **options))
    else:
        told = train(
            corpus,
            out=job.victim,
            model=job.model,
            tune=job.tune,
            split=job.split,
            seed=job.seed,
            force=True,
            cache=Cache(Path(job.work) / "cache"),
        )
    sides = {name: plain(getattr(told, name)) for name in ("grouped", "random")}
    return {
        "settings": settings_of(job),
        "model": job.model,
        "sides": {
            name: side and {key: side[key] for key in ("accuracy", "macro_f1", "clips", "recordings")}
            for name, side in sides.items()
        },
        "cross_validated": plain(told.cross_validated),
        "parameters": plain(told.parameters),
        "clips": told.clips,
        "settings_tried": len(told.trials),
        "epochs": len(told.epochs),
        "best_epoch": told.parameters.get("best_epoch"),
        "core_seconds": round(time.process_time() - began, 1),
        "seconds": round(time.monotonic() - wall, 1),
        "stages": told.seconds,
        "peak_mb": told.peak_mb,
    }


def _tell(job: Training, epoch: Any) -> None:
    print(
        f"    {job.name}: epoch {epoch.number} of {job.epochs}, {epoch.validation_accuracy:.1%} of what is "
        f"set aside, {epoch.seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _taught(train: Any) -> Any:
    """Gone on with where an earlier run was broken off, if that was the same one."""
    from subterfuge.errors import SubterfugeError

    try:
        return train(resume=True)
    except SubterfugeError as error:
        if "checkpoint" not in str(error):
            raise
        return train(resume=False)


def hear_one(job: Hearing) -> dict[str, Any]:
    """What one victim hears: real recordings by halves, or the clips of an orchestra."""
    from subterfuge.corpora import folder
    from subterfuge.training.codec import plain
    from subterfuge.training.evaluate import evaluate
    from subterfuge.training.unseen import measure_real
    from subterfuge.victims.store import load_victim

    common.one_thread()
    began = time.process_time()
    victim = load_victim(job.victim)
    if job.part is not None and victim.info.kind != "cnn":
        measured = {"all": plain(_by_features(victim, job.part.clips(), job.work))}
    elif job.part is not None:
        measured = {"all": _short(evaluate(victim, job.part.clips()))}
    else:
        real = measure_real(victim, folder.read(Path(job.recordings)))
        measured = {name: _short(getattr(real, name)) for name in ("all", "looked_at", "unseen")}
    return {
        "settings": settings_of(job),
        "measured": measured,
        "core_seconds": round(time.process_time() - began, 1),
    }


def _short(evaluation: Any) -> dict[str, Any]:
    """Of an evaluation what the page tells."""
    from subterfuge.training.codec import plain

    if evaluation.partial:
        raise KeyboardInterrupt
    single = evaluation.single
    return {
        "clips": evaluation.clips,
        "labels": list(evaluation.labels),
        "known": list(evaluation.known),
        "accuracy": plain(single.accuracy),
        "among_known": plain(evaluation.restricted or single.accuracy),
        "confusion": plain(single.confusion),
    }


def _by_features(victim: Any, corpus: Any, work: str) -> dict[str, Any]:
    """The same of a model on features, by scikit-learn on those that are remembered from training."""
    from subterfuge.training.cache import Cache
    from subterfuge.training.codec import plain
    from subterfuge.training.extract import features_of
    from subterfuge.training.measure import measure

    clips = [clip for clip in corpus.clips if clip.label in victim.labels]
    features = features_of(clips, sample_rate=victim.sample_rate, cache=Cache(Path(work) / "cache"))
    heard = measure(
        victim.labels,
        [clip.label for clip in features.clips],
        [str(one) for one in victim.model.predict(features.vectors)],
        recordings=[clip.recording for clip in features.clips],
    )
    known = [one for one in victim.labels if one in {clip.label for clip in features.clips}]
    return {
        "clips": len(features.clips),
        "labels": list(victim.labels),
        "known": known,
        "accuracy": plain(heard.accuracy),
        "among_known": plain(heard.accuracy),
        "confusion": plain(heard.confusion),
    }


def settings_of(job: Training | Hearing) -> dict[str, Any]:
    """All that a result hangs on, so that one of other settings is never taken for it."""
    told = {key: value for key, value in asdict(job).items() if key not in ("work", "device")}
    if isinstance(job, Training):
        del told["epochs" if job.model != "cnn" else "tune"]
        return told | {"content": common.fingerprint(job.part.folder)}
    from subterfuge.victims.store import victim_info

    content = job.recordings if job.part is None else job.part.folder
    return told | {"victim": victim_info(Path(job.victim)).sha256, "content": common.fingerprint(content)}


# ---------------------------------------------------------------- what is to be done


def soundfont_trials(args: argparse.Namespace) -> list[Trial]:
    """Each of the two soundfonts heard by what was trained on the other.

    Orchestras of one seed share phrases and rooms: then one is trained on by its even recordings, the other
    heard by its odd ones.
    """
    from subterfuge.corpora.manifest import read_manifest

    trials = []
    sides: dict[str, Part] = {}
    for name in ("fluid", "muse"):
        given = getattr(args, name)
        sides[name] = Part(str(given)) if given else Part(str(args.corpus), soundfont=FONTS[name])
    for train, test in (("fluid", "muse"), ("muse", "fluid")):
        one, two = sides[train], sides[test]
        alike = one.folder != two.folder and read_manifest(Path(one.folder)).is_like(
            read_manifest(Path(two.folder))
        )
        if alike:
            one, two = replace(one, half="even"), replace(two, half="odd")
        trials.append(Trial(f"{train}-{test}", one, two))
    return trials


def trainings(args: argparse.Namespace) -> list[Training]:
    """Everything that is trained, the longest first."""
    common_: dict[str, Any] = {"tune": args.tune, "epochs": args.epochs, "seed": args.seed}
    common_ |= {"device": args.device, "work": str(args.work)}
    whole = Part(str(args.corpus))
    jobs = [
        Training("cnn", "cnn", whole, "grouped", **common_),
        Training("cnn-random", "cnn", whole, "random", **common_),
    ]
    found = soundfont_trials(args) if args.two_soundfonts else []
    for model in reversed(SOUNDFONT_MODELS):
        jobs += [Training(f"{model}-{one.name}", model, one.train, "grouped", **common_) for one in found]
    slowest = ("boosting", "forest", "mlp", "svc", "tree", "logistic")
    jobs += [Training(model, model, whole, "grouped", **common_) for model in slowest]
    return [job for job in jobs if job.model in args.models]


def hearings(args: argparse.Namespace) -> list[Hearing]:
    """Everything that is heard: what is not trained yet is left out."""
    from subterfuge.corpora import embedded

    work, real = str(args.work), str(args.recordings or "")
    jobs = []
    if args.recordings:
        for model in args.models:
            jobs.append(Hearing(f"real-{model}", str(args.work / "victims" / model), None, real, work))
        for path in args.victim or map(embedded.victim_folder, embedded.VICTIMS):
            jobs.append(Hearing(f"real-shipped-{path.name}", str(path.resolve()), None, real, work))
    for model in (one for one in SOUNDFONT_MODELS if one in args.models):
        for trial in soundfont_trials(args) if args.two_soundfonts else ():
            victim = str(args.work / "victims" / f"{model}-{trial.name}")
            jobs.append(Hearing(f"soundfont-{model}-{trial.name}", victim, trial.test, "", work))
        if args.timgm:
            victim = str(args.work / "victims" / model)
            third = Part(str(args.timgm))
            jobs.append(Hearing(f"soundfont-{model}-both-timgm", victim, third, "", work))
            shipped = str(embedded.victim_folder(f"orchestra-{model}").resolve())
            jobs.append(Hearing(f"soundfont-{model}-shipped-timgm", shipped, third, "", work))
    return [job for job in jobs if (Path(job.victim) / "victim.json").is_file()]


def left(jobs: Sequence[Any]) -> list[Any]:
    """Those of which there is no result of the same settings."""
    return [job for job in jobs if (common.read_json(job.result) or {}).get("settings") != settings_of(job)]


# ---------------------------------------------------------------- stages


def render(args: argparse.Namespace, clock: common.Clock) -> None:
    """Render the orchestras that are not there, or not whole."""
    from subterfuge.corpora import orchestra

    installed = {path.name: path for path in orchestra.installed_soundfonts()}
    if timgm() is not None:
        installed[FONTS["timgm"]] = timgm()
    for name, seed in SEEDS.items():
        folder = getattr(args, name)
        if folder is None or (any(folder.glob("*/*.flac")) and not (folder / ".rendering").exists()):
            continue
        wanted = [FONTS[name]] if name in FONTS else [FONTS["fluid"], FONTS["muse"]]
        fonts = [installed.get(font) for font in wanted]
        if None in fonts:
            raise SystemExit(f"--{name}: {folder} is not there, and its soundfont is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".rendering").touch()
        clock.say(f"rendering {args.clips} clips a class into {folder}")
        last = [clock.seconds]

        def told(done: int, total: int, last: list[float] = last, name: str = name) -> None:
            if clock.seconds - last[0] > 20 or done == total:
                last[0] = clock.seconds
                clock.say(f"{name}: {done} of {total} clips")

        orchestra.build(
            folder, clips=args.clips, soundfonts=fonts, seed=seed, workers=args.workers, report=told
        )
        (folder / ".rendering").unlink()


def timgm() -> Path | None:
    """The third soundfont, where the package that ships it is installed."""
    import importlib.util

    found = importlib.util.find_spec("pretty_midi")
    path = Path(found.origin).with_name(FONTS["timgm"]) if found and found.origin else None
    return path if path and path.is_file() else None


def take_features(args: argparse.Namespace, clock: common.Clock) -> None:
    """The 25 features of every clip, remembered for the models; how long it took, if nothing was known."""
    from subterfuge.training.cache import Cache
    from subterfuge.training.extract import features_of

    cache = args.work / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in SEEDS:
        folder = getattr(args, name)
        if folder is None:
            continue
        clips, began = Part(str(folder)).clips().clips, time.monotonic()
        found = features_of(clips, workers=args.workers, cache=Cache(cache))
        seconds = time.monotonic() - began
        clock.say(f"{name}: features of {len(found.clips)} clips ({found.cached} known), {seconds:.0f} s")


def run(args: argparse.Namespace, jobs: Sequence[Any], do: Any, clock: common.Clock) -> None:
    """Do the jobs that are left, each result into its file at once."""
    todo = left(jobs)
    clock.say(f"{len(todo)} of {len(jobs)} to do")

    def told(number: int, job: Any, result: dict[str, Any]) -> None:
        common.write_json(job.result, result)
        spent = f"{result['core_seconds']:.0f} core-s"
        clock.say(f"{number} of {len(todo)}: {job.name}, {spent}, {_figure(result)}")

    common.carry_out(todo, do, workers_=args.workers, done=told)


def _figure(result: dict[str, Any]) -> str:
    if "measured" in result:
        return f"{result['measured']['all']['accuracy']['value']:.1%}"
    sides = {name: side for name, side in result["sides"].items() if side}
    return ", ".join(f"{name} {side['accuracy']['value']:.1%}" for name, side in sides.items())


def results(args: argparse.Namespace) -> Results:
    """What is there of the results, whatever is missing."""
    from subterfuge.corpora.manifest import read_manifest

    models = {job.name: common.read_json(job.result) for job in trainings(args) if job not in left([job])}
    heard = {job.name: common.read_json(job.result) for job in hearings(args) if job not in left([job])}
    folders = {name: getattr(args, name) for name in SEEDS}
    manifests = {name: read_manifest(folder) for name, folder in folders.items() if folder is not None}
    trials = soundfont_trials(args) if args.two_soundfonts else []
    return Results(
        models=models,
        heard=heard,
        orchestras={
            name: {
                "clips": made.clips,
                "seed": made.seed,
                "soundfonts": [font for font, _ in made.soundfonts],
            }
            for name, made in manifests.items()
        },
        halves=any(trial.train.half for trial in trials),
        tune=args.tune,
        epochs=args.epochs,
        seed=args.seed,
    )


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="orchestra of both soundfonts")
    add("--fluid", type=Path, help="orchestra of FluidR3 GM alone (default: its half of --corpus)")
    add("--muse", type=Path, help="orchestra of MuseScore General alone (default: its half of --corpus)")
    add("--timgm", type=Path, help="orchestra of TimGM6mb, a third soundfont; default: none")
    add("--recordings", type=Path, help="real recordings, a folder a class; default: none")
    add(
        "--victim",
        type=Path,
        action="append",
        help="to measure on --recordings too (default: the embedded)",
    )
    add("--clips", type=int, default=CLIPS, help=f"a class, of what is rendered (default: {CLIPS})")
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), help="only these")
    add("--tune", type=int, default=TUNE, help=f"settings to try a model (default: {TUNE})")
    add("--epochs", type=int, default=EPOCHS, help=f"of each network (default: {EPOCHS})")
    add("--seed", type=int, default=0, help="of splits, draws and models")
    add("--device", default="cpu", help="where networks are taught")
    add("--workers", type=int, default=2, help="processes, one thread each")
    add("--work", type=Path, default=common.ROOT / "out" / "classifier", help="where results are kept")
    add("--only", choices=STAGES, action="append", help="that stage alone, as often as there are")
    add("--docs", type=Path, default=common.DOCS, help="where the page goes")
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> argparse.Namespace:
    """Resolve what the stages share, once the orchestras are there."""
    from subterfuge.corpora.manifest import read_manifest

    fonts = {font for font, _ in read_manifest(args.corpus).soundfonts}
    args.two_soundfonts = bool((args.fluid and args.muse) or {FONTS["fluid"], FONTS["muse"]} <= fonts)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """The stages asked for, one after the other."""
    args, clock = arguments(argv), common.Clock()
    args.work = args.work.resolve()
    for name in (*SEEDS, "recordings"):
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).resolve())
    if args.recordings is not None and not args.recordings.is_dir():
        raise SystemExit(f"--recordings: no such folder: {args.recordings}")
    stages = args.only or STAGES
    if "corpora" in stages:
        render(args, clock)
    prepare(args)
    if "features" in stages:
        take_features(args, clock)
    if "models" in stages:
        run(args, trainings(args), train_one, clock)
    if "heard" in stages:
        run(args, hearings(args), hear_one, clock)
    if "page" in stages:
        command = ".venv/bin/python benchmarks/classifier.py --corpus ORCHESTRA --recordings RECORDINGS"
        command += "".join(
            f" --{name} {name.upper()}" for name in ("fluid", "muse", "timgm") if getattr(args, name)
        )
        command += f" --tune {args.tune} --epochs {args.epochs}"
        common.write_page("classifier", page(results(args), command), folder=args.docs)
        clock.say("done")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
