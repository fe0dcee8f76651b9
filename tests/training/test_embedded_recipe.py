"""The recipe of the embedded data, in miniature, on a made-up orchestra."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_orchestra import made_orchestra

from subterfuge.audio import load_plain
from subterfuge.corpora import embedded as shipped
from subterfuge.corpora import folder
from subterfuge.corpora.manifest import read_manifest
from subterfuge.errors import SubterfugeError
from subterfuge.training import cnn, embedded, learning, recipe, unseen
from subterfuge.training.exhibits import write_exhibits
from subterfuge.training.recipe import Recipe, make
from subterfuge.training.splits import hold_out
from subterfuge.victims.store import load_victim


@pytest.fixture(scope="module", autouse=True)
def hasty():
    """A network that is taught on little, in many small steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "SECONDS", 0.6)
        patch.setattr(learning, "_BATCH", 8)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return made_orchestra(tmp_path_factory.mktemp("made") / "orchestra")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Recordings of other notes: six of one class, five of the other."""
    root = made_orchestra(tmp_path_factory.mktemp("real") / "r", clips=6, seed=9)
    (root / "corpus.json").unlink()
    (root / "gac" / "gac0002__2.flac").unlink()
    return root


def ordered(corpus: Path, work: Path, told: list[str], **options) -> Recipe:
    found, manifest = embedded.orchestra_in(corpus, work=work, clips=None, seed=None)
    options = {"tune": 3, "epochs": 30, "widths": (6, 8)} | options
    return Recipe(corpus=found, manifest=manifest, work=work, tell=told.append, **options)


@pytest.fixture(scope="module")
def made(corpus, real, tmp_path_factory):
    root = tmp_path_factory.mktemp("recipe")
    told: list[str] = []
    infos = make(
        root / "out",
        ordered(corpus, root / "work", told),
        held_out=(),
        recordings=real,
        passed={"svc": {"elsewhere": 0.5}},
        sure=0.3,
    )
    return root, infos, told


def test_two_victims_and_two_clips_a_label_are_written_and_nothing_else(made):
    root, infos, _ = made
    assert [info.name for info in infos] == ["orchestra-svc", "orchestra-cnn"]
    assert [info.kind for info in infos] == ["svm", "cnn"]
    files = sorted(path.relative_to(root / "out").as_posix() for path in (root / "out").rglob("*.*"))
    assert files == [
        *(f"clips/{label}-{n}.flac" for label in ("cla", "gac") for n in (1, 2)),
        "victims/orchestra-cnn/model.safetensors",
        "victims/orchestra-cnn/victim.json",
        "victims/orchestra-svc/model.skops",
        "victims/orchestra-svc/victim.json",
    ]


def test_clips_are_of_recordings_that_neither_was_trained_on_and_heard_by_both(made, corpus):
    root, _, told = made
    chosen = [line.split(": ")[1].split(",")[0] for line in told if line.startswith(("cla-", "gac-"))]
    assert len(chosen) == 4 and len({name.partition("__")[0] for name in chosen}) == 4
    clips = folder.read(corpus).clips
    side = hold_out([clip.label for clip in clips], [clip.recording for clip in clips], seed=0)
    held = {clips[i].path.stem for i in side.test}
    assert set(chosen) <= held
    for path in (root / "out" / "clips").iterdir():
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_16", 44100)
        assert np.abs(soundfile.read(path)[0]).max() == pytest.approx(10 ** (-2 / 20), abs=1e-4)
        for name in ("orchestra-svc", "orchestra-cnn"):
            victim = load_victim(root / "out" / "victims" / name)
            heard = victim.verdict(load_plain(path, victim.sample_rate))
            assert victim.labels[int(heard.predicted[0])] == path.stem[:3]
            assert heard.probabilities[0].max() >= 0.3
    channels = {path.stem: soundfile.info(path).channels for path in (root / "out" / "clips").iterdir()}
    assert channels == {"cla-1": 2, "cla-2": 1, "gac-1": 1, "gac-2": 1}


def test_the_cards_say_what_was_measured_and_on_what(made):
    _, (svc, cnn), _ = made
    for info in (svc, cnn):
        assert info.source["orchestra"] == "40 clips a class, seed 0, version 2"
        assert info.source["soundfont one.sf2"] == "on" * 32
        assert "--clips 40 --seed 0" in info.source["recipe"]
        assert {"held_out_grouped", "held_out_soundfonts", "real_recordings"} <= set(info.accuracy)
        for name in info.accuracy:
            assert f"{name}: " in info.notes or f"; {name} is" in info.notes
        # The halves make the whole: 6 of 11 recordings are at even positions.
        whole, odd = info.accuracy["real_recordings"], info.accuracy["real_recordings_unseen_half"]
        assert "6 of the 11" in info.notes and "on the other 5" in info.notes
        assert (11 * whole) % 1 == pytest.approx(0, abs=1e-9) or (11 * whole) % 1 == pytest.approx(1)
        assert 11 * whole - 5 * odd <= 6 + 1e-9
        assert "80 clips of soundfonts that were not trained on" in info.notes
        assert "rendered from one and two, MIT-licensed" in info.trained
    assert svc.accuracy["elsewhere"] == 0.5 and "elsewhere" not in cnn.accuracy
    assert "held_out_random" in svc.accuracy and "held_out_random" not in cnn.accuracy
    assert svc.accuracy["held_out_grouped"] >= 0.8


def test_the_card_is_right_about_the_recordings(made, real):
    root, infos, _ = made
    corpus = folder.read(real)
    for info in infos:
        victim = load_victim(root / "out" / "victims" / info.name)
        right = {}
        for clip in corpus.clips:
            heard = victim.verdict(load_plain(clip.path, victim.sample_rate))
            right[clip.path.stem] = victim.labels[int(heard.predicted)] == clip.label
        assert np.mean(list(right.values())) == pytest.approx(info.accuracy["real_recordings"])
        odd = [name for label in ("cla", "gac") for name in sorted(n for n in right if n[:3] == label)[1::2]]
        assert len(odd) == 5
        expected = np.mean([right[name] for name in odd])
        assert expected == pytest.approx(info.accuracy["real_recordings_unseen_half"])


def test_a_second_run_finds_what_is_done_and_ships_the_same(made, corpus, real, tmp_path):
    root, infos, _ = made
    told: list[str] = []
    again = make(
        tmp_path,
        ordered(corpus, root / "work", told),
        held_out=(),
        recordings=real,
        passed={"svc": {"elsewhere": 0.5}},
        sure=0.3,
    )
    assert sum("finished by an earlier run" in line for line in told) == 6
    assert not any("trained on" in line for line in told)
    for one, two in zip(infos, again, strict=True):
        assert (one.accuracy, one.trained, one.source, one.notes) == (
            two.accuracy,
            two.trained,
            two.source,
            two.notes,
        )
    clips = [{p.name: p.read_bytes() for p in (at / "clips").iterdir()} for at in (root / "out", tmp_path)]
    assert clips[0] == clips[1]


def test_one_part_alone(made, corpus, tmp_path):
    root, _, _ = made
    order = ordered(corpus, root / "work", [])
    (svc,) = make(tmp_path, order, only="svc")
    assert svc.name == "orchestra-svc" and not (tmp_path / "victims" / "orchestra-cnn").exists()
    assert set(svc.accuracy) == {"held_out_grouped", "held_out_random"}
    with pytest.raises(SubterfugeError, match="orchestra-cnn: holds no victim"):
        make(tmp_path, order, only="clips")
    make(tmp_path, order, only="cnn")
    assert make(tmp_path, order, only="clips", sure=0.3) == ()
    assert len(list((tmp_path / "clips").iterdir())) == 4


def test_victims_of_another_orchestra_choose_no_clips(made, tmp_path):
    root, _, _ = made
    other = ordered(made_orchestra(tmp_path / "other", seed=3), tmp_path / "work", [], seed=3)
    with pytest.raises(SubterfugeError, match="was made of another orchestra"):
        make(root / "out", other, only="clips")


def test_a_label_without_sure_clips_leaves_the_old_ones(made, corpus, tmp_path):
    root, _, _ = made
    victims = [load_victim(root / "out" / "victims" / name) for name in ("orchestra-svc", "orchestra-cnn")]
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "old.flac").touch()
    clips = folder.read(corpus).clips
    with pytest.raises(SubterfugeError, match=r"'cla': 0 of 40 held-out clips .* at least 1.01"):
        write_exhibits(tmp_path / "clips", clips, victims, labels=("cla", "gac"), sure=1.01)
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["old.flac"]
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_of_very_many_clips_the_svc_takes_the_first_recordings(corpus, tmp_path, monkeypatch):
    order = ordered(corpus, tmp_path, [])
    monkeypatch.setattr(recipe, "SVC_CLIPS", 20)
    few = order.learnt_from("svc").clips
    assert len(few) == 40 and max(clip.path.stem for clip in few) == "gac0009__2"
    assert order.learnt_from("cnn").clips == order.corpus.clips
    free = recipe._untouched(order)
    side = hold_out([clip.label for clip in few], [clip.recording for clip in few], seed=0)
    assert {clip.recording for clip in free}.isdisjoint(few[i].recording for i in side.train)
    # Of the recordings that the SVC was never given, those may be taken that the network was kept from.
    assert any(clip not in few for clip in free) and len(free) < 0.25 * len(order.corpus.clips)


def test_each_soundfont_is_held_out_in_turn(corpus):
    found, manifest = folder.read(corpus), read_manifest(corpus)
    first, second = unseen.soundfont_trials(found, manifest)
    assert (first.soundfonts, second.soundfonts) == (("one.sf2",), ("two.sf2",))
    assert set(first.train.clips) == set(second.test.clips)
    assert len(first.test.clips) == len(second.test.clips) == 40 and not first.whole


def test_an_orchestra_of_a_third_soundfont_is_heard_by_the_whole_one(corpus, tmp_path):
    found, manifest = folder.read(corpus), read_manifest(corpus)
    third = made_orchestra(tmp_path / "third", fonts=("three.sf2",), seed=1, clips=8)
    trial = unseen.soundfont_trials(found, manifest, [third])[-1]
    assert trial.whole and trial.name == "three" and len(trial.test.clips) == 16
    alone = replace(manifest, soundfonts=manifest.soundfonts[:1])
    with pytest.raises(SubterfugeError, match="one soundfont only"):
        unseen.soundfont_trials(found, alone)


def test_ctrl_c_while_recordings_are_heard_gives_no_half_measure(made, real, monkeypatch):
    root, _, _ = made
    whole = unseen.evaluate
    monkeypatch.setattr(unseen, "evaluate", lambda *a, **k: replace(whole(*a, **k), partial=True))
    with pytest.raises(KeyboardInterrupt):
        unseen.measure_real(load_victim(root / "out" / "victims" / "orchestra-cnn"), folder.read(real))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--clips", "12"], "at least 40"),
        (["--soundfont", "NONE"], "none.sf2"),
        (["--corpus", "NONE"], "expected an orchestra"),
        (["--corpus", "CORPUS", "--clips", "60"], "holds 40 clips a class, expected at least 60"),
        (["--corpus", "CORPUS", "--seed", "4"], "was rendered from seed 0, expected 4"),
        (["--corpus", "CORPUS", "--soundfont", "NONE"], "soundfont: got it with a corpus"),
        (["--accuracy", "svc:held_out"], "expected one like svc:held_out_soundfonts=0.78"),
        (["--accuracy", "svm:a=0.5"], "expected one like"),
        (["--accuracy", "cnn:a=1.5"], "expected one like"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(tmp_path, corpus, capsys, options, said):
    pytest.importorskip("midirenderer", reason="the extra 'orchestra' is not installed")
    names = {"NONE": str(tmp_path / "none.sf2"), "CORPUS": str(corpus)}
    assert embedded.main(["--out", str(tmp_path / "out"), *(names.get(one, one) for one in options)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("[0:")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0]


def test_the_package_takes_only_what_its_notice_names(corpus, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "root", lambda: tmp_path / "package")
    assert embedded.main(["--out", str(tmp_path / "package"), "--corpus", str(corpus)]) == 2
    assert "licences its notice names" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()
