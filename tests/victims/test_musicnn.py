"""musicnn: what TensorFlow makes of the authors' own graph, made again; its windows; attacks; its wheel."""

from __future__ import annotations

import copy
import json
import math
import os
import zipfile
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from made_checkpoint import LABELS, spectrogram, wheel

from subterfuge.attacks.registry import get_attack
from subterfuge.cli.main import run
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.musicnn import SAMPLE_RATE, MusicnnVictim, import_musicnn, read_musicnn
from subterfuge.victims.musicnn_network import FRAMES
from subterfuge.victims.store import load_victim, victim_info

# Logits of TensorFlow 2.21 for ``spectrogram()``: of the graph in MTT_musicnn's ``.meta``, with the weights
# of ``weights()`` and with its own, and of that of MSD_musicnn with its own.
TENSORFLOW = json.loads(Path(__file__).with_name("musicnn_by_tensorflow.json").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("wheel") / "musicnn-0.1.0-py3-none-any.whl")


@pytest.fixture(scope="module")
def victim(made: Path) -> MusicnnVictim:
    return read_musicnn(made)


@pytest.fixture(scope="session")
def published() -> Path:
    """The published wheel; nothing is downloaded."""
    path = Path(os.environ.get("SUBTERFUGE_MUSICNN", ""))
    if not path.is_file():
        pytest.skip("SUBTERFUGE_MUSICNN names no wheel of musicnn 0.1.0 (pip download --no-deps musicnn)")
    return path


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise under a falling tone."""
    t = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(seed))
    return (0.2 * torch.sin(2 * math.pi * (900 * t - 100 * t**2)) + 0.02 * noise)[None]


def test_the_network_is_tensorflows(victim: MusicnnVictim) -> None:
    x = torch.from_numpy(spectrogram()).transpose(1, 2)
    wanted = torch.tensor(TENSORFLOW["made"])
    assert float(wanted.std()) > 3
    torch.testing.assert_close(victim.body(x), wanted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("tags", ["mtt", "msd"])
def test_the_published_weights_are_tensorflows(published: Path, tags: str) -> None:
    x = torch.from_numpy(spectrogram()).transpose(1, 2)
    wanted = torch.tensor(TENSORFLOW[f"{tags.upper()}_musicnn"])
    torch.testing.assert_close(read_musicnn(published, tags=tags).body(x), wanted, atol=1e-4, rtol=1e-5)


def test_the_published_tagger_hears_what_there_is(published: Path, seed: Path) -> None:
    victim = read_musicnn(published)
    for path, tag in (("008__[[]flu*", "flute"), ("*[[]voi*", "vocal"), ("*[[]cel*", "strings")):
        (clip,) = (seed / "clips").glob(path)
        y = torch.from_numpy(librosa.load(clip, sr=SAMPLE_RATE)[0])[None]
        ranked = victim.verdict(y).scores[0].argsort(descending=True)[:5]
        assert tag in [victim.labels[i] for i in ranked]


@pytest.mark.filterwarnings("ignore:n_fft")
def test_the_front_end_is_librosas_and_nothing_is_lost_when_it_is_loud(victim: MusicnnVictim) -> None:
    for y in (sound(3), sound(3) * 4.4, torch.zeros(1, 48000), sound(0.2), torch.ones(1, 1)):
        plain, ours = victim.verdict(y), victim.hear(y, probabilities=True)
        assert bool(plain.scores.isfinite().all())
        torch.testing.assert_close(ours.scores, plain.scores, atol=1e-4, rtol=1e-5)
        assert ours.predicted.tolist() == plain.predicted.tolist()


def test_windows_are_as_the_authors_cut_them(victim: MusicnnVictim) -> None:
    """187 frames each, none over another, what is left over not heard; a tag's mean probability counts."""
    y = sound(8)
    mel = librosa.feature.melspectrogram(y=y[0].numpy(), sr=16000, n_fft=512, hop_length=256, n_mels=96)
    mel = np.log10(10000 * mel + 1)
    assert mel.shape[1] // FRAMES == 2
    windows = torch.from_numpy(np.stack([mel[:, :FRAMES], mel[:, FRAMES : 2 * FRAMES]]))
    p = victim.body(windows).double().sigmoid().mean(0)
    heard = victim.hear(y, probabilities=True)
    assert heard.probabilities is not None
    torch.testing.assert_close(heard.probabilities[0].double(), p, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(heard.scores[0].double(), torch.logit(p), atol=1e-3, rtol=1e-4)
    deaf = y.clone()
    deaf[:, (2 * FRAMES + 2) * 256 :] = 0
    torch.testing.assert_close(victim.scores(deaf), heard.scores)


def test_a_short_clip_is_repeated_frame_by_frame(victim: MusicnnVictim) -> None:
    y = sound(1)
    mel = librosa.feature.melspectrogram(y=y[0].numpy(), sr=16000, n_fft=512, hop_length=256, n_mels=96)
    mel = np.log10(10000 * np.tile(mel, 4)[:, :FRAMES] + 1)
    torch.testing.assert_close(
        victim.scores(y), victim.body(torch.from_numpy(mel)[None]), atol=1e-4, rtol=1e-4
    )


def test_rows_never_influence_each_other(victim: MusicnnVictim) -> None:
    y = torch.cat([sound(3), sound(3, seed=1) * 0.1])
    together = victim.scores(y)
    torch.testing.assert_close(victim.scores(y[1:])[0], together[1], atol=1e-5, rtol=1e-5)


def test_the_gradient_is_that_of_finite_differences(victim: MusicnnVictim) -> None:
    one = copy.deepcopy(victim).double()
    y = sound(0.5).double().requires_grad_()
    (gradient,) = torch.autograd.grad(one.scores(y)[0, 5], y)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        up, down = (float(one.scores(y + step * direction)[0, 5]) for step in (1e-7, -1e-7))
    assert float(gradient.norm()) > 1e-2
    assert (up - down) / 2e-7 == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_a_threshold_makes_it_hear_several_tags_or_none(made: Path, victim: MusicnnVictim) -> None:
    y = sound(3)
    p = victim.probabilities(y)
    assert p is not None
    several = read_musicnn(made, threshold=0.9)
    heard = several.hear(y, probabilities=True)
    assert heard.multilabel and torch.equal(heard.tags, p >= 0.9) and 1 < int(heard.tags.sum()) < 50
    torch.testing.assert_close(heard.probabilities, p)
    for threshold in (0.0, 1.0, 7.0):
        with pytest.raises(SubterfugeError, match=r"threshold: got .* expected a number between 0 and 1"):
            read_musicnn(made, threshold=threshold)


def test_an_attack_reaches_a_tag(victim: MusicnnVictim) -> None:
    y = sound(1)
    second = int(victim.scores(y)[0].argsort(descending=True)[1])
    outcome = get_attack("minimal")(victim, y, Targeted(second), steps=12)
    assert bool(outcome.success[0]) and int(victim.predict(outcome.audio)[0]) == second
    assert float(outcome.distance[0]) < 0.5 * float(y.norm())


def test_the_wheel_becomes_a_folder_and_its_code_is_not_run(made: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    folder = import_musicnn(made, out=tmp_path / "musicnn")
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "victim.json"]
    info = victim_info(folder)
    assert (info.kind, info.sample_rate, info.labels) == ("musicnn", 16000, tuple(LABELS))
    assert info.source["model"] == "MTT_musicnn" and "ISC" in info.notes
    again = load_victim(folder)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(again.scores(sound(1)), read_musicnn(made).scores(sound(1)))
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert import_musicnn(made, out=folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    other = import_musicnn(made, out=tmp_path / "msd", tags="msd", threshold=0.4)
    assert load_victim(other).labels == tuple(LABELS[::-1]) and load_victim(other).threshold == 0.4


def test_an_unpacked_wheel_will_do(made: Path, victim: MusicnnVictim, tmp_path: Path) -> None:
    with zipfile.ZipFile(made) as file:
        file.extractall(tmp_path)
    for name, one in read_musicnn(tmp_path).weights().items():
        assert torch.equal(one, victim.weights()[name])


def test_what_is_no_wheel_of_musicnn_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.whl").write_text("no wheel")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.whl").write_bytes(wheel(tmp_path / "good.whl").read_bytes()[:-100])
    cases = {
        "none.whl": "no such file",
        "text.whl": "is no wheel",
        "cut.whl": "is no wheel",
        "empty": r"holds no \.index of MTT_musicnn",
        "no-tags.whl": "has not|holds no configuration",
        "few-tags.whl": "got 3 labels at 16000 Hz, expected 50",
    }
    wheel(tmp_path / "no-tags.whl", leave_out="configuration")
    wheel(tmp_path / "few-tags.whl", labels=["a", "b", "c"])
    for name, said in cases.items():
        with pytest.raises(SubterfugeError, match=said) as error:
            read_musicnn(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)
    with pytest.raises(SubterfugeError, match="tags: got 'all', expected mtt or msd"):
        read_musicnn(tmp_path / "good.whl", tags="all")


def test_from_the_command_line_from_end_to_end(
    made: Path, victim: MusicnnVictim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["victim", "import", "--musicnn", str(made), "--out", "victims/musicnn"]) == 0
    soundfile.write("clip.wav", sound(1)[0].numpy(), SAMPLE_RATE, subtype="PCM_16")
    y = torch.from_numpy(librosa.load("clip.wav", sr=SAMPLE_RATE)[0])[None]
    tag = victim.labels[int(victim.scores(y)[0].argsort(descending=True)[1])]
    asked = ["attack", "clip.wav", "--to", tag, "--victim", "musicnn", "--attack", "ddn", "--steps", "15"]
    assert run([*asked, "--out", "out"]) == 0
    (record,) = (json.loads(path.read_text()) for path in Path("out").glob("*.json"))
    assert record["success"] and record["predicted_after"] == tag and record["snr_db"] > 6
    heard = victim.verdict(torch.from_numpy(librosa.load(record["output"], sr=SAMPLE_RATE)[0])[None])
    assert victim.labels[int(heard.predicted[0])] == tag
