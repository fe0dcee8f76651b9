"""Classifiers of transformers: tiny ones of random weights, heard as the library hears them, and attacked."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import pytest
import soundfile
import torch

from subterfuge.attacks.registry import get_attack
from subterfuge.cli.main import run
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims import huggingface
from subterfuge.victims.extractors import plain
from subterfuge.victims.huggingface import HuggingFaceVictim, import_huggingface, read_huggingface
from subterfuge.victims.store import load_victim, victim_info

transformers = pytest.importorskip("transformers", reason="transformers, an extra, is not installed")

LABELS = ("cel", "flu", "tru")
NAMES = {"id2label": dict(enumerate(LABELS)), "label2id": {one: i for i, one in enumerate(LABELS)}}
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONVOLUTIONS = {
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 16,
}


def ast() -> tuple[Any, Any]:
    config = transformers.ASTConfig(**SIZE, **NAMES, max_length=64, num_mel_bins=32)
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64)
    return transformers.ASTForAudioClassification(config), extractor


def ast_plain() -> tuple[Any, Any]:
    """Not normalised, at half the rate, for several labels at once."""
    config = transformers.ASTConfig(**SIZE, **NAMES, max_length=40, num_mel_bins=16)
    config.problem_type = "multi_label_classification"
    extractor = transformers.ASTFeatureExtractor(
        num_mel_bins=16, max_length=40, do_normalize=False, sampling_rate=8000
    )
    return transformers.ASTForAudioClassification(config), extractor


def wav2vec2() -> tuple[Any, Any]:
    config = transformers.Wav2Vec2Config(**SIZE, **NAMES, **CONVOLUTIONS)
    return transformers.Wav2Vec2ForSequenceClassification(config), transformers.Wav2Vec2FeatureExtractor()


def hubert() -> tuple[Any, Any]:
    """With an attention mask, at 8 kHz."""
    config = transformers.HubertConfig(**SIZE, **NAMES, **CONVOLUTIONS, feat_extract_norm="layer")
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True, sampling_rate=8000)
    return transformers.HubertForSequenceClassification(config), extractor


def wavlm() -> tuple[Any, Any]:
    """Of the samples as they are."""
    config = transformers.WavLMConfig(**SIZE, **NAMES, **CONVOLUTIONS)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    return transformers.WavLMForSequenceClassification(config), extractor


def whisper() -> tuple[Any, Any]:
    config = transformers.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        num_mel_bins=16,
        max_source_positions=50,
        classifier_proj_size=16,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        **NAMES,
    )
    extractor = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    return transformers.WhisperForAudioClassification(config), extractor


def wav2vec2_bert() -> tuple[Any, Any]:
    config = transformers.Wav2Vec2BertConfig(
        **SIZE,
        **NAMES,
        feature_projection_input_dim=32,
        classifier_proj_size=16,
        position_embeddings_type=None,
        conv_depthwise_kernel_size=5,
    )
    extractor = transformers.SeamlessM4TFeatureExtractor(feature_size=16, num_mel_bins=16)
    return transformers.Wav2Vec2BertForSequenceClassification(config), extractor


MADE: dict[str, Callable[[], tuple[Any, Any]]] = {
    one.__name__: one for one in (ast, ast_plain, wav2vec2, hubert, wavlm, whisper, wav2vec2_bert)
}


@torch.no_grad()
def _balance(model: Any, extractor: Any) -> None:
    """Make the last layer steep, and no label win whatever is played: what is played must matter."""
    last = [one for one in model.modules() if isinstance(one, torch.nn.Linear)][-1]
    assert last.out_features == len(LABELS)
    rate = extractor.sampling_rate
    rows = [sound(rate, 0.5, seed=one)[0].numpy() for one in (7, 8)]
    heard = [model(**extractor(row, sampling_rate=rate, return_tensors="pt")).logits for row in rows]
    last.weight *= 0.1 / max(float((heard[0] - heard[1]).abs().max()), 1e-4)
    last.bias.zero_()
    last.bias -= model(**extractor(rows[0], sampling_rate=rate, return_tensors="pt")).logits[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each kind, as ``save_pretrained`` writes it."""
    root = tmp_path_factory.mktemp("hub")
    for name, make in MADE.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            model, extractor = make()
        _balance(model.eval(), extractor)
        with huggingface._quietly():
            model.save_pretrained(root / name)
            extractor.save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def victims(folders: Path) -> dict[str, HuggingFaceVictim]:
    return {name: read_huggingface(folders / name) for name in MADE}


def sound(rate: int, seconds: float, rows: int = 1, *, seed: int = 0) -> torch.Tensor:
    """Noise that swells, each row louder than the last."""
    samples = round(rate * seconds)
    noise = torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))
    return (0.02 * noise * torch.linspace(0.2, 1, samples) * 3 ** torch.arange(rows)[:, None]).clamp(-1, 1)


@pytest.mark.parametrize("name", MADE)
def test_the_front_end_is_the_librarys(victims: dict[str, HuggingFaceVictim], name: str) -> None:
    victim, rate = victims[name], victims[name].sample_rate
    assert victim.twin is not None
    silent_end = torch.cat([sound(rate, 0.2), torch.zeros(1, rate // 5)], 1)
    for y in (sound(rate, 0.5, 2), sound(rate, 1.7), silent_end, torch.zeros(1, 1000), sound(rate, 0.0871)):
        theirs, ours = plain(victim.extractor, y), victim.twin(y)
        assert set(ours) == set(theirs)
        for key, one in theirs.items():
            torch.testing.assert_close(ours[key], one, atol=1e-4, rtol=1e-5)
        assert bool(victim.scores(y).isfinite().all())


@pytest.mark.parametrize("name", MADE)
def test_it_is_heard_as_the_library_alone_hears_it(
    folders: Path, victims: dict[str, HuggingFaceVictim], name: str
) -> None:
    victim = victims[name]
    with huggingface._quietly():
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folders / name)
        model = transformers.AutoModelForAudioClassification.from_pretrained(folders / name)
    y = sound(victim.sample_rate, 0.5, 3)
    rows = [extractor(row, sampling_rate=victim.sample_rate, return_tensors="pt") for row in y.numpy()]
    with torch.no_grad():
        wanted = torch.cat([model(**row).logits for row in rows])
    assert float((wanted[0] - wanted[2]).abs().max()) > 1e-3
    for heard in (victim.verdict(y), victim.hear(y, probabilities=True)):
        torch.testing.assert_close(heard.scores, wanted, atol=1e-4, rtol=1e-4)
        assert heard.predicted.tolist() == wanted.argmax(1).tolist()
        assert heard.probabilities is not None
        p = wanted.sigmoid() if name == "ast_plain" else wanted.softmax(1)
        torch.testing.assert_close(heard.probabilities, p, atol=1e-4, rtol=1e-4)
        assert heard.multilabel == (name == "ast_plain")
    assert victim.labels == LABELS and victim.sample_rate == extractor.sampling_rate
    assert victim.differentiable and not victim.training


@pytest.mark.parametrize("name", MADE)
def test_the_gradient_is_that_of_finite_differences(
    victims: dict[str, HuggingFaceVictim], folders: Path, name: str
) -> None:
    victim = read_huggingface(folders / name).double()
    y = sound(victim.sample_rate, 0.3).double().requires_grad_()
    (gradient,) = torch.autograd.grad(victim.scores(y)[0, 1], y)
    size, step = float(gradient.norm()), 3e-5  # the library's softmaxes are of single precision throughout
    assert size > 1e-2
    direction = gradient / size
    with torch.no_grad():
        up, down = (float(victim.scores(y + sign * step * direction)[0, 1]) for sign in (1, -1))
    assert (up - down) / (2 * step) == pytest.approx(size, rel=3e-3)


@pytest.mark.parametrize("name", ["ast", "hubert", "whisper"])
def test_an_attack_reaches_every_label(victims: dict[str, HuggingFaceVictim], name: str) -> None:
    victim = victims[name]
    y = sound(victim.sample_rate, 0.5)
    own = int(victim.predict(y)[0])
    for label in range(3):
        if label != own:
            outcome = get_attack("minimal")(victim, y, Targeted(label), steps=60)
            assert bool(outcome.success[0]), (name, label)
            assert int(victim.predict(outcome.audio)[0]) == label
            # On the very boundary: the plain path may be a rounding beyond it (a file is settled by that).
            plain_scores = victim.verdict(outcome.audio).scores[0]
            assert float(plain_scores[label]) > float(plain_scores.max()) - 1e-4


def test_a_clip_too_short_to_be_heard_is_followed_by_silence(victims: dict[str, HuggingFaceVictim]) -> None:
    for victim in victims.values():
        for y in (torch.full((1, 1), 0.1), sound(victim.sample_rate, 0.004, seed=3)):
            padded = torch.nn.functional.pad(y, (0, max(0, victim.least - y.shape[1])))
            torch.testing.assert_close(victim.scores(y), victim.verdict(padded).scores, atol=1e-4, rtol=1e-4)


def test_the_folder_brings_it_back_and_nothing_global_is_touched(folders: Path, tmp_path: Path) -> None:
    logging = transformers.utils.logging
    before = torch.random.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    folder = import_huggingface(folders / "wav2vec2", out=tmp_path / "victim")
    again = load_victim(folder)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (logging.get_verbosity(), logging.is_progress_bar_enabled())
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "victim.json"]
    info = victim_info(folder)
    assert (info.kind, info.labels, info.sample_rate) == ("huggingface", LABELS, 16000)
    assert info.source == {"model": "wav2vec2", "type": "wav2vec2"} and "transformers" in info.versions
    assert str(tmp_path.parent) not in (folder / "victim.json").read_text()
    y = sound(16000, 0.4)
    assert torch.equal(again.scores(y), read_huggingface(folders / "wav2vec2").scores(y))
    renamed = import_huggingface(folders / "ast", out=tmp_path / "other", labels=["a", "b", "c"])
    assert load_victim(renamed).labels == ("a", "b", "c")


def copy(folder: Path, to: Path, **config: Any) -> Path:
    shutil.copytree(folder, to)
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return to


def test_a_pickle_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = copy(folders / "ast", tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(SubterfugeError, match=r"pytorch_model\.bin, a pickle.*expected model\.safetensors"):
        read_huggingface(folder)


def test_a_model_that_never_learnt_to_classify_is_refused(folders: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(folders / "ast", tmp_path / "base")
    path = folder / "model.safetensors"
    kept = {name: one for name, one in load_file(path).items() if not name.startswith("classifier")}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(SubterfugeError, match="the weights lack classifier"):
        read_huggingface(folder)


def test_what_is_no_classifier_of_transformers_is_told(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    cases: dict[str | Path, str] = {
        tmp_path / "none": "no such folder",
        tmp_path / "empty": r"holds no config\.json",
        tmp_path / "file": "got a file",
        "nobody/nothing-of-that-name": "no model of that id has been downloaded",
        copy(folders / "ast", tmp_path / "bert", model_type="bert"): "got a model of type 'bert'",
        copy(folders / "ast", tmp_path / "odd", model_type="odd"): "transformers cannot load it",
        copy(folders / "ast", tmp_path / "one", id2label={"0": "x"}, label2id={"x": 0}): "lack|cannot load",
    }
    bare = copy(folders / "ast", tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    cases[bare] = "holds no weights"
    deaf = copy(folders / "ast", tmp_path / "deaf")
    (deaf / "preprocessor_config.json").unlink()
    cases[deaf] = "transformers cannot load it"
    for source, said in cases.items():
        with pytest.raises(SubterfugeError, match=said) as error:
            read_huggingface(source)
        assert str(error.value).startswith(str(source)) and "\n" not in str(error.value)
    with pytest.raises(SubterfugeError, match="labels: got 2, expected 3, the network's"):
        read_huggingface(folders / "ast", labels=["a", "b"])


def test_code_that_a_model_brings_is_not_run(folders: Path, tmp_path: Path) -> None:
    maps = {"AutoConfig": "evil.Config", "AutoModelForAudioClassification": "evil.Model"}
    folder = copy(folders / "ast", tmp_path / "evil", auto_map=maps)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    read_huggingface(folder)  # the library's own class is what is known by the type
    strange = copy(folders / "ast", tmp_path / "strange", auto_map=maps, model_type="strange")
    (strange / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(SubterfugeError, match="transformers cannot load it"):
        read_huggingface(strange)
    assert not (tmp_path / "ran").exists()


def test_a_card_that_was_tampered_with_is_told(folders: Path, tmp_path: Path) -> None:
    folder = import_huggingface(folders / "hubert", out=tmp_path / "victim")
    card = folder / "victim.json"
    good = json.loads(card.read_text())
    for change, said in (
        ({"config": {"model_type": "no-such"}}, "which transformers does not know"),
        ({"config": {"model_type": "bert"}}, "expected an audio classifier"),
        ({"config": {**good["network"]["config"], "hidden_size": 64}}, "do not fit the network|lack"),
        ({"config": 3}, "expected a JSON object"),
        (
            {"extractor": {"feature_extractor_type": "AutoFeatureExtractor"}},
            "which transformers does not have",
        ),
        ({"extractor": {"feature_extractor_type": "pipeline"}}, "which transformers does not have"),
        (
            {"extractor": {**good["network"]["extractor"], "sampling_rate": 44100}},
            "got 8000 Hz, expected 44100",
        ),
    ):
        card.write_text(json.dumps(good | {"network": good["network"] | change}))
        with pytest.raises(SubterfugeError, match=said) as error:
            load_victim(folder)
        assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)


def test_an_extractor_that_is_not_known_leaves_a_black_box(
    folders: Path, victims: dict[str, HuggingFaceVictim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "twin", lambda extractor: None)
    victim = read_huggingface(folders / "whisper")
    y = sound(16000, 0.4, 2)
    assert not victim.differentiable
    torch.testing.assert_close(victim.scores(y), victims["whisper"].verdict(y).scores)


def test_without_transformers_a_sentence_says_how_to_get_it(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        SubterfugeError, match=r"not installed.*pip install 'sonic-subterfuge\[huggingface\]'"
    ):
        read_huggingface(folders / "ast")


@pytest.mark.parametrize("name", ["ast", "wav2vec2", "whisper"])
def test_from_the_command_line_from_end_to_end(
    folders: Path,
    victims: dict[str, HuggingFaceVictim],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    imported = ["victim", "import", "--huggingface", str(folders / name), "--out", f"victims/{name}"]
    assert run(imported) == 0
    soundfile.write("clip.wav", sound(22050, 0.4)[0].numpy(), 22050, subtype="PCM_16")
    y = torch.from_numpy(librosa.load("clip.wav", sr=16000)[0])[None]
    label = LABELS[int(victims[name].scores(y)[0].argsort(descending=True)[1])]
    asked = ["attack", "clip.wav", "--to", label, "--victim", name, "--attack", "minimal", "--steps", "40"]
    assert run([*asked, "--out", "out"]) == 0
    (record,) = (json.loads(path.read_text()) for path in Path("out").glob("*.json"))
    assert record["success"] and record["predicted_after"] == label and record["snr_db"] > 0
    back = torch.from_numpy(librosa.load(record["output"], sr=16000)[0])[None]
    assert LABELS[int(victims[name].verdict(back).predicted[0])] == label
