"""Training end to end: the leak is seen, what is said of a victim is true of it, the rest is said plainly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made import RATE, made_corpus

from subterfuge.audio import load_plain
from subterfuge.corpora import folder
from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.errors import SubterfugeError
from subterfuge.training import train as room
from subterfuge.training.cache import Cache
from subterfuge.training.codec import from_json, to_json
from subterfuge.training.extract import features_of
from subterfuge.training.models import MODELS
from subterfuge.training.report import TrainingReport
from subterfuge.training.splits import hold_out
from subterfuge.training.train import train
from subterfuge.victims.store import load_victim, victim_info


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one cache for all of these tests."""
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def corpus(home: Path) -> Corpus:
    """Three labels that can be told, recordings that can be told better."""
    return made_corpus(home / "told", recordings=12, clips=2, told=2.0, own=0.3)


@pytest.fixture
def fit(home: Path, tmp_path: Path):
    """``train`` on a corpus at 8 kHz, with the shared cache, into ``victim``."""

    def call(corpus: Corpus, **options) -> TrainingReport:
        given = {"out": tmp_path / "victim", "sample_rate": RATE, "cache": Cache(home), "tune": 0, "folds": 3}
        return train(corpus, **(given | options))

    return call


def same(report: TrainingReport) -> str:
    """A report without what differs from run to run."""
    trials = tuple(replace(trial, seconds=0.0) for trial in report.trials)
    return to_json(replace(report, seconds={}, peak_mb=0.0, date="", trials=trials))


def test_a_random_split_flatters_where_clips_of_a_recording_are_near_copies(home, fit) -> None:
    leaky = made_corpus(home / "leaky", recordings=10, clips=6, told=0.25, own=1.2, seed=5)
    report = fit(leaky, tune=8)
    assert report.grouped is not None and report.random is not None
    grouped, random = report.grouped.accuracy.value, report.random.accuracy.value
    assert random > 0.9 and grouped < 0.6
    # The search, too, is honest by default, and flattered where it is told to be.
    flattered = fit(leaky, tune=8, split="random", out=home / "flattered")
    assert report.cross_validated is not None and flattered.cross_validated is not None
    assert report.cross_validated.value < 0.6 and flattered.cross_validated.value > 0.9


def test_what_is_said_of_a_victim_is_true_of_it(corpus, fit, tmp_path) -> None:
    report = fit(corpus, tune=3, name="told", command="subterfuge train ...")
    victim = load_victim(tmp_path / "victim")
    labels, recordings = [c.label for c in corpus.clips], [c.recording for c in corpus.clips]
    side = hold_out(labels, recordings)
    right = []
    for index in side.test:
        hearing = victim.verdict(load_plain(corpus.clips[index].path, RATE))
        right.append(victim.labels[int(hearing.predicted[0])] == corpus.clips[index].label)
    assert report.grouped is not None and report.grouped.accuracy.value == pytest.approx(np.mean(right))
    assert report.grouped.clips == len(side.test) and report.grouped.recordings == 6
    info = victim_info(tmp_path / "victim")
    assert (info.name, info.labels, info.sample_rate) == ("told", corpus.labels, RATE)
    assert info.accuracy["held_out_grouped"] == report.grouped.accuracy.value
    assert set(info.accuracy) == {"held_out_grouped", "held_out_random", "cross_validated"}
    assert f"{len(side.train)} of the {len(labels)} clips" in info.trained and "best of 3" in info.trained
    assert info.source["command"] == "subterfuge train ..."
    assert victim.differentiable and victim.info == info
    vectors = features_of(corpus.clips, sample_rate=RATE, cache=Cache(tmp_path)).vectors
    np.testing.assert_allclose(victim.model[0].mean_, vectors[side.train].mean(0))
    # The report: all of it on disk, and of the training part alone.
    written = from_json(TrainingReport, (tmp_path / "victim" / "training.json").read_text())
    assert to_json(written) == to_json(report)
    page = (tmp_path / "victim" / "index.html").read_text()
    assert "told" in page
    assert (report.clips, report.recordings, report.skipped, report.labels) == (72, 36, 0, corpus.labels)
    assert report.components is not None and len(report.components.explained) == 25
    assert len(report.importance) == 25 and max(one.value for one in report.importance.values()) > 0
    assert set(report.seconds) == {"features", "search", "fit", "measure"} and report.peak_mb > 50
    assert report.trials[0].parameters == report.parameters and len(report.trials) == 3
    assert report.grouped.reliability and report.grouped.log_loss is not None


@pytest.mark.parametrize("model", [name for name in MODELS if name != "svc"])
def test_every_model_becomes_a_victim(model, corpus, fit, tmp_path) -> None:
    report = fit(corpus, model=model)
    victim = load_victim(tmp_path / "victim")
    assert victim_info(tmp_path / "victim").kind == "sklearn" and not victim.differentiable
    assert report.grouped is not None and report.grouped.accuracy.value > 0.5
    assert report.parameters and not report.trials and report.cross_validated is None
    heard = victim.verdict(load_plain(corpus.clips[0].path, RATE))
    assert heard.probabilities is not None and heard.probabilities.sum().item() == pytest.approx(1)


def test_from_the_same_seed_the_same(corpus, fit, home, tmp_path) -> None:
    one = fit(corpus, tune=4, seed=7)
    two = fit(corpus, tune=4, seed=7, workers=2, cache=Cache(tmp_path), out=tmp_path / "two", name="victim")
    assert same(one) == same(two)
    x = np.random.default_rng(0).normal(size=(50, 25))
    models = [load_victim(tmp_path / name).model for name in ("victim", "two")]
    np.testing.assert_array_equal(models[0].predict_proba(x), models[1].predict_proba(x))
    other = fit(corpus, tune=4, seed=8, out=tmp_path / "other", name="victim")
    assert same(other) != same(one)


def test_what_was_ended_goes_on_where_it_was_and_ends_the_same(corpus, fit, tmp_path, monkeypatch) -> None:
    def press(what: str, done: int, total: int) -> None:
        if what == "search" and done == 3:
            raise KeyboardInterrupt

    options = {"tune": 5, "cache": Cache(tmp_path)}
    with pytest.raises(KeyboardInterrupt):
        fit(corpus, report=press, **options)
    assert not (tmp_path / "victim").exists()
    begun: list[tuple[str, int]] = []
    resumed = fit(corpus, report=lambda what, done, total: begun.append((what, done)), **options)
    assert ("search", 3) in begun and ("search", 2) not in begun
    assert not any(what == "features" for what, _ in begun)
    whole = fit(corpus, tune=5, out=tmp_path / "whole", name="victim", cache=Cache(tmp_path / "none"))
    assert same(resumed) == same(whole)


def test_fitted_on_all_it_is_measured_on_what_was_held_out(corpus, fit, tmp_path) -> None:
    part = fit(corpus)
    whole = fit(corpus, final="all", out=tmp_path / "all", name="victim")
    assert to_json(whole.grouped) == to_json(part.grouped)
    vectors = features_of(corpus.clips, sample_rate=RATE, cache=Cache(tmp_path)).vectors
    np.testing.assert_allclose(load_victim(tmp_path / "all").model[0].mean_, vectors.mean(0))
    info = victim_info(tmp_path / "all")
    assert "all of them" in info.trained and "fitted on all clips" in info.notes


def test_some_of_the_labels(corpus, fit, tmp_path) -> None:
    report = fit(corpus, labels=["trumpet", "cel"])
    assert report.labels == ("cel", "tru") == load_victim(tmp_path / "victim").labels
    assert report.clips == 48


def test_the_only_split_there_is(home, fit, tmp_path) -> None:
    """One recording a label: it can only be parted, and there is no honest figure."""
    short = made_corpus(home / "short", recordings=1, clips=10)
    report = fit(short, split="random")
    assert report.grouped is None and report.random is not None and report.split == "random"
    assert set(victim_info(tmp_path / "victim").accuracy) == {"held_out_random"}
    with pytest.raises(SubterfugeError, match="has 1 recording, expected at least 2"):
        fit(short, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_bad_files_are_skipped_named_and_counted(corpus, fit, tmp_path) -> None:
    silent, nan = tmp_path / "silent.wav", tmp_path / "nan.wav"
    soundfile.write(silent, np.zeros(2400), RATE)
    soundfile.write(nan, np.full(2400, np.nan), RATE, subtype="FLOAT")
    bad = (Clip(silent, "cel", "x"), Clip(nan, "flu", "y"))
    said: list[Skipped] = []
    known = Skipped(tmp_path / "cut.wav", "is cut short")
    report = fit(replace(corpus, clips=corpus.clips + bad, skipped=(known,)), skip=said.append)
    assert [one.path for one in said] == [silent, nan] and report.skipped == 3 and report.clips == 72


def test_a_label_without_a_usable_clip_is_said(corpus, fit, tmp_path) -> None:
    extra = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.zeros(800), RATE)
        extra.append(Clip(path, "org", str(number)))
    longer = replace(corpus, labels=(*corpus.labels, "org"), clips=(*corpus.clips, *extra))
    with pytest.raises(SubterfugeError, match=r"'org' has no clips that can be used: 6 .*\(is silent\)"):
        fit(longer)
    assert not (tmp_path / "victim").exists()


def test_an_empty_class_folder_and_one_class_only_are_said(home, fit, tmp_path) -> None:
    made_corpus(tmp_path / "some", labels=("cel", "flu"), recordings=3)
    (tmp_path / "some" / "gac").mkdir()
    some = folder.read(tmp_path / "some")
    if "gac" in some.labels:
        with pytest.raises(SubterfugeError, match="label 'gac' has no clips in some"):
            fit(some)
    else:
        assert fit(some).labels == ("cel", "flu")
    one = Corpus("one", ("cel",), tuple(clip for clip in some.clips if clip.label == "cel"))
    with pytest.raises(SubterfugeError, match=r"one only \(cel\), expected at least two"):
        fit(one, out=tmp_path / "one")


def test_a_class_without_clips_is_said(corpus, fit) -> None:
    with pytest.raises(SubterfugeError, match="label 'gac' has no clips in told, expected some, or --labels"):
        fit(replace(corpus, labels=(*corpus.labels, "gac")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "xgboost"}, "model: got 'xgboost', expected svc"),
        ({"tune": -1}, "tune: got -1"),
        ({"tune": 2, "space": "seed", "model": "tree"}, "search: got seed with model tree"),
        ({"tune": 2, "folds": 11}, r"fewer than there are folds \(11\)"),
        ({"folds": 1}, "folds: got 1"),
        ({"split": "odd"}, "split: got 'odd'"),
        ({"final": "best"}, "final: got 'best', expected train or all"),
        ({"seed": -1}, "seed: got -1"),
        ({"workers": 0}, "workers: got 0"),
        ({"sample_rate": 3}, "got 3 Hz"),
        ({"labels": ["oboe", "cel"]}, "unknown label 'oboe'"),
        ({"labels": ["cel"]}, r"labels: got one only \(cel\)"),
    ],
)
def test_wrong_wishes_are_told_before_anything_is_done(
    options, said, corpus, fit, tmp_path, monkeypatch
) -> None:
    def taken(*_: object, **__: object) -> None:
        raise AssertionError("features were taken")

    monkeypatch.setattr(room, "features_of", taken)
    with pytest.raises(SubterfugeError, match=said):
        fit(corpus, **options)
    assert not (tmp_path / "victim").exists()


def test_clips_of_several_labels_are_no_training_data(corpus, fit) -> None:
    several = replace(corpus.clips[0], others=("flu",))
    with pytest.raises(SubterfugeError, match=r"has several labels \(cel, flu\), expected one a clip"):
        fit(replace(corpus, clips=(several, *corpus.clips[1:])))


def test_a_victim_is_replaced_only_by_force_and_never_by_half(corpus, fit, tmp_path, monkeypatch) -> None:
    fit(corpus, name="first")
    before = {path.name: path.read_bytes() for path in (tmp_path / "victim").iterdir()}
    assert set(before) == {"victim.json", "model.skops", "training.json", "index.html"}
    with pytest.raises(SubterfugeError, match="a different victim is there"):
        fit(corpus, name="second")
    from subterfuge.report import training_page

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(training_page, "write_training_page", full)
        with pytest.raises(SubterfugeError, match="No space left"):
            fit(corpus, name="second", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "victim").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    fit(corpus, name="second", force=True, model="tree")
    assert victim_info(tmp_path / "victim").name == "second"
