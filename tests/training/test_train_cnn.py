"""Networks from a corpus to a victim: true to the report, the same from a seed, broken off or not."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from made import RATE, made_corpus

from subterfuge.audio import load_plain
from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.training import cnn as room
from subterfuge.training.cnn import fitted_temperature, train_cnn
from subterfuge.training.codec import from_json, to_json
from subterfuge.training.report import Epoch, TrainingReport
from subterfuge.training.splits import hold_out
from subterfuge.victims.store import load_victim, victim_info

WIDTHS = (4, 8)
FILES = ["index.html", "model.safetensors", "training.json", "victim.json"]


@pytest.fixture(autouse=True)
def small_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front end with which an epoch takes hundredths of a second."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SAMPLE_RATE", RATE)
    monkeypatch.setattr(room, "SECONDS", 0.3)
    small = {"n_fft": 256, "hop_length": 128, "n_mels": 16, "fmax": 4000.0}
    monkeypatch.setattr(room, "FRONT_END", room.FRONT_END | small)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three labels that can be told, of ten recordings each."""
    return made_corpus(tmp_path_factory.mktemp("made") / "told", recordings=10, clips=4, told=2.0, own=0.3)


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., TrainingReport]:
    """``train_cnn`` of a small network for two epochs into ``victim``."""

    def call(corpus: Corpus, **options: Any) -> TrainingReport:
        return train_cnn(corpus, **({"out": tmp_path / "victim", "widths": WIDTHS, "epochs": 2} | options))

    return call


def same(report: TrainingReport) -> str:
    """A report without what differs from run to run."""
    epochs = tuple(replace(epoch, seconds=0.0) for epoch in report.epochs)
    return to_json(replace(report, seconds={}, peak_mb=0.0, date="", epochs=epochs))


def weights(victim: Path) -> bytes:
    return (victim / "model.safetensors").read_bytes()


def pressing(which: str, number: int) -> Callable[[str, int, int], None]:
    """Ctrl-C once that epoch of that split is over."""

    def report(what: str, done: int, total: int) -> None:
        if what.startswith("epochs") and which in what and done == number:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("split", ["grouped", "random"])
def test_what_is_said_of_a_victim_is_true_of_it(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path, split: str
) -> None:
    told: list[Epoch] = []
    report = fit(
        corpus, epochs=30, split=split, name="told", command="subterfuge train ...", epoch=told.append
    )
    assert sorted(path.name for path in (tmp_path / "victim").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    victim = load_victim(tmp_path / "victim")
    labels, recordings = [c.label for c in corpus.clips], [c.recording for c in corpus.clips]
    side = hold_out(labels, recordings, split=split, seed=0)
    right, chances = [], []
    for index in side.test:
        hearing = victim.verdict(load_plain(corpus.clips[index].path, RATE))
        right.append(victim.labels[int(hearing.predicted[0])] == labels[index])
        assert hearing.probabilities is not None
        chances.append(float(hearing.probabilities[0, victim.labels.index(labels[index])]))
    measured = report.grouped if split == "grouped" else report.random
    assert measured is not None and measured.clips == len(side.test) and measured.reliability
    assert measured.accuracy.value == pytest.approx(np.mean(right)) and np.mean(right) > 0.6
    assert measured.log_loss == pytest.approx(-np.mean(np.log(chances)), abs=0.01)
    assert report.grouped is not None and report.random is not None and report.split == split
    # The report, the card and the page.
    assert (report.clips, report.recordings, report.skipped, report.labels) == (120, 30, 0, corpus.labels)
    assert set(report.seconds) == {"features", "fit", "measure"} and report.peak_mb > 50
    kept = report.epochs
    assert [one.number for one in kept] == list(range(1, len(kept) + 1)) and kept == tuple(told[: len(kept)])
    best = min(kept, key=lambda one: one.validation_loss)
    assert report.parameters["best_epoch"] == best.number and report.parameters["epochs"] == len(kept)
    assert report.parameters["weights"] == sum(one.numel() for one in victim.parameters())
    info = victim_info(tmp_path / "victim")
    assert (info.name, info.kind, info.labels, info.sample_rate) == ("told", "cnn", corpus.labels, RATE)
    assert set(info.accuracy) == {"held_out_grouped", "held_out_random"}
    assert info.accuracy[f"held_out_{split}"] == measured.accuracy.value
    assert f"{len(side.train)} of the 120 clips of told" in info.trained and split in info.trained
    assert info.source["command"] == "subterfuge train ..."
    assert info.network["temperature"] == pytest.approx(report.parameters["temperature"], abs=1e-6)
    written = from_json(TrainingReport, (tmp_path / "victim" / "training.json").read_text())
    assert to_json(written) == to_json(report)
    page = (tmp_path / "victim" / "index.html").read_text()
    assert "told" in page and "subterfuge train ..." in page


def test_from_the_same_seed_the_same_and_nothing_global_touched(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one = fit(corpus, seed=7)
    assert torch.equal(state, torch.random.get_rng_state()) and torch.get_num_threads() == threads
    torch.rand(3)
    two = fit(corpus, seed=7, out=tmp_path / "two", name="victim")
    assert same(one) == same(two) and weights(tmp_path / "victim") == weights(tmp_path / "two")
    other = fit(corpus, seed=8, out=tmp_path / "other", name="victim")
    assert same(other) != same(one) and weights(tmp_path / "other") != weights(tmp_path / "two")
    # The largest seed there is.
    fit(corpus, seed=2**32 - 1, split="random", epochs=1, out=tmp_path / "last")


@pytest.fixture(scope="module")
def unbroken(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Three epochs of each split without a break: the victim's folder and its report."""
    with pytest.MonkeyPatch.context() as patched:
        shrink(patched)
        out = tmp_path_factory.mktemp("unbroken") / "victim"
        yield out, same(train_cnn(corpus, out=out, widths=WIDTHS, epochs=3))


@pytest.mark.parametrize(
    ("which", "number", "left"),
    [("grouped", 1, ["grouped.pt"]), ("random", 2, ["grouped.pt", "random.pt"])],
)
def test_what_was_ended_goes_on_where_it_was_and_ends_the_same(
    corpus: Corpus,
    fit: Callable[..., TrainingReport],
    unbroken: tuple[Path, str],
    tmp_path: Path,
    which: str,
    number: int,
    left: list[str],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, epochs=3, report=pressing(which, number))
    assert [path.name for path in tmp_path.iterdir()] == [".victim.training"]
    assert sorted(path.name for path in (tmp_path / ".victim.training").iterdir()) == left
    told: list[Epoch] = []
    resumed = fit(corpus, epochs=3, resume=True, epoch=told.append)
    done = number if which == "grouped" else 3 + number
    assert [one.number for one in told] == [1, 2, 3, 1, 2, 3][done:]
    assert same(resumed) == unbroken[1] and weights(tmp_path / "victim") == weights(unbroken[0])
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_checkpoint_of_another_run_is_refused_in_one_sentence(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, report=pressing("grouped", 1))
    kept = (tmp_path / ".victim.training" / "grouped.pt").read_bytes()
    # The same names, labels and recordings, other sounds.
    other = made_corpus(tmp_path / "told", recordings=10, clips=4, told=2.0, own=0.3, seed=1)
    fewer = replace(corpus, clips=corpus.clips[:-1])
    for options, said in (
        ({"corpus": other}, r"is of a run with clips '120 \(\w+\)', expected '120 \(\w+\)'"),
        ({"corpus": fewer}, r"is of a run with clips '120 \(\w+\)', expected '119 \(\w+\)'"),
        ({"seed": 3}, "is of a run with seed 0, expected 3"),
        ({"epochs": 5}, "is of a run with epochs 2, expected 5"),
        ({"widths": (4, 6)}, r"is of a run with widths \[4, 8\], expected \[4, 6\]"),
    ):
        with pytest.raises(SubterfugeError, match=said + r" \(or no --resume\)$") as told:
            fit(**({"corpus": corpus} | options), resume=True)
        assert "\n" not in str(told.value) and str(tmp_path) in str(told.value)
        assert (tmp_path / ".victim.training" / "grouped.pt").read_bytes() == kept
    assert not (tmp_path / "victim").exists()


def test_a_run_that_does_not_go_on_begins_anew(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, seed=1, report=pressing("random", 1))
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, report=pressing("grouped", 1))
    # Of the first run nothing is left that could be taken for a part of the second.
    assert [path.name for path in (tmp_path / ".victim.training").iterdir()] == ["grouped.pt"]
    fit(corpus, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_ctrl_c_before_the_first_epoch_is_over_leaves_nothing(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    for number, which in ((0, "grouped"), (0, "epochs")):
        with pytest.raises(KeyboardInterrupt):
            fit(corpus, report=pressing(which, number))
        assert not list(tmp_path.iterdir())


def test_one_split_alone_and_the_only_split_there_is(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    said: list[str] = []
    report = fit(corpus, both=False, report=lambda what, *_: said.append(what))
    assert report.random is None and report.grouped is not None
    assert set(said) == {"spectrograms", "epochs"}
    assert set(victim_info(tmp_path / "victim").accuracy) == {"held_out_grouped"}
    short = made_corpus(tmp_path / "short", recordings=1, clips=10)
    report = fit(short, split="random", out=tmp_path / "parted")
    assert report.grouped is None and report.random is not None and report.split == "random"


def test_it_stops_when_nothing_more_is_gained(
    fit: Callable[..., TrainingReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch's patience, and nothing to learn: the first that brings nothing is the last."""
    monkeypatch.setattr(room, "PATIENCE", 1)
    senseless = made_corpus(tmp_path / "senseless", recordings=10, clips=4, told=0.0, own=1.0)
    report = fit(senseless, both=False, epochs=60)
    losses = [one.validation_loss for one in report.epochs]
    assert len(losses) < 60 and report.parameters["best_epoch"] == len(losses) - 1
    assert losses[-1] >= losses[-2] and losses[:-1] == sorted(losses[:-1], reverse=True)


def test_bad_files_are_skipped_named_and_counted(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(2400), RATE)
    bad = (Clip(silent, "cel", "x"), Clip(tmp_path / "gone.wav", "flu", "y"))
    said: list[Skipped] = []
    known = Skipped(tmp_path / "cut.wav", "is cut short")
    with_bad = replace(corpus, clips=corpus.clips + bad, skipped=(known,))
    report = fit(with_bad, both=False, workers=2, skip=said.append)
    assert [one.path.name for one in said] == ["silent.wav", "gone.wav"]
    assert report.skipped == 3 and report.clips == 120


def test_corpora_that_cannot_be_learnt_from_are_said(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    made_corpus(tmp_path / "some", labels=("cel", "flu"), recordings=2)
    some = folder.read(tmp_path / "some")
    silent = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.zeros(800), RATE)
        silent.append(Clip(path, "org", str(number)))
    mute = replace(corpus, labels=(*corpus.labels, "org"), clips=(*corpus.clips, *silent))
    empty = replace(corpus, labels=(*corpus.labels, "gac"))
    for case, options, said in (
        (empty, {}, "label 'gac' has no clips in told, expected some"),
        (corpus, {"labels": ["flute"]}, r"labels: got one only \(flu\)"),
        (Corpus("one", ("cel",), corpus.clips[:40]), {}, r"one only \(cel\), expected at least two"),
        (mute, {}, r"'org' has no clips that can be used: 6 .*\(is silent\)"),
        (replace(corpus, clips=()), {}, "label 'cel' has no clips"),
        # One recording to learn from and one to hold out, but none to tell when to stop.
        (some, {}, "once a fifth is held out, label 'cel' has 1 recording, .*when to stop"),
    ):
        with pytest.raises(SubterfugeError, match=said) as told:
            fit(case, **options)
        assert "\n" not in str(told.value) and not list(tmp_path.glob("*victim*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "banana"}, "device: got 'banana', expected cpu"),
        ({"device": "cuda:99"}, "device: got 'cuda:99', expected cpu"),
        ({"device": "meta"}, "device: got 'meta', expected cpu"),
        ({"device": ""}, "device: got '', expected cpu"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"widths": ()}, r"widths: got \[\]"),
        ({"widths": (4, 0)}, r"widths: got \[4, 0\]"),
        ({"split": "odd"}, "split: got 'odd'"),
        ({"seed": -1}, "seed: got -1"),
        ({"workers": 0}, "workers: got 0"),
        ({"labels": ["oboe", "cel"]}, "unknown label 'oboe'"),
        ({"out": Path("file") / "victim"}, "file: is a file, expected a folder to write in"),
        ({"out": Path("file")}, "a file is there"),
        ({"out": Path("full")}, "the folder holds other things"),
    ],
)
def test_wrong_wishes_are_told_before_anything_is_done(
    options: dict[str, Any],
    said: str,
    corpus: Corpus,
    fit: Callable[..., TrainingReport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def taken(*_: object, **__: object) -> None:
        raise AssertionError("spectrograms were taken")

    monkeypatch.setattr(room, "spectrograms_of", taken)
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("full").mkdir()
    Path("full", "thesis.txt").touch()
    with pytest.raises(SubterfugeError, match=said):
        fit(corpus, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def test_a_victim_is_replaced_only_by_force_and_never_by_half(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(corpus, name="first", both=False)
    before = {path.name: path.read_bytes() for path in (tmp_path / "victim").iterdir()}
    with pytest.raises(SubterfugeError, match="a different victim is there"):
        fit(corpus, name="second")
    from subterfuge.report import training_page

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    again = {"name": "second", "both": False, "force": True, "seed": 4}
    with monkeypatch.context() as patched:
        patched.setattr(training_page, "write_training_page", full)
        with pytest.raises(SubterfugeError, match="No space left"):
            fit(corpus, **again)
    assert {path.name: path.read_bytes() for path in (tmp_path / "victim").iterdir()} == before
    # What was learnt is not lost with the page: once there is room, no epoch is run again.
    told: list[Epoch] = []
    fit(corpus, **again, resume=True, epoch=told.append)
    assert not told and victim_info(tmp_path / "victim").name == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_full_disk_is_said_plainly_and_the_last_checkpoint_kept(
    corpus: Corpus, fit: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(epoch: Epoch) -> None:  # from now on no file may be longer than this
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        with pytest.raises(SubterfugeError, match=r"grouped\.pt: cannot be written \(file too large\)"):
            fit(corpus, epoch=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / ".victim.training").iterdir()] == ["grouped.pt"]
    told: list[Epoch] = []
    fit(corpus, resume=True, epoch=told.append)
    assert [one.number for one in told] == [2, 1, 2]


def test_clips_of_several_labels_are_no_training_data(
    corpus: Corpus, fit: Callable[..., TrainingReport]
) -> None:
    several = replace(corpus.clips[0], others=("flu",))
    with pytest.raises(SubterfugeError, match=r"has several labels \(cel, flu\), expected one a clip"):
        fit(replace(corpus, clips=(several, *corpus.clips[1:])))


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0])
def test_the_temperature_is_the_one_that_the_labels_were_drawn_at(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20000, 4, generator=generator)
    truth = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert fitted_temperature(logits * sharpness, truth) == pytest.approx(sharpness, rel=0.05)
