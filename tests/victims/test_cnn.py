"""Networks as victims: the fold changes nothing, rows are alone, the folder brings the same one back."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import librosa
import pytest
import soundfile
import torch

from small_network import BUILT, FRONT, LABELS, RATE, SAMPLES, WIDTHS, noises, taught
from subterfuge import attack_file
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network, blank, folded
from subterfuge.victims.store import file_sha256, load_victim, save_victim


def victim(**changed: Any) -> CnnVictim:
    return CnnVictim({**BUILT, **changed}, taught().weights(), labels=LABELS, sample_rate=RATE)


def test_folding_the_norms_changes_nothing() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Network((6, 8, 12), 4, norm=True, dropout=0.5)
        for _ in range(5):  # so that the norms' statistics are not those of the start
            network(torch.randn(8, 24, 40) * 3 + 1)
    network.eval()
    x = torch.randn(4, 24, 40, generator=torch.Generator().manual_seed(0))
    plain = folded(network)
    assert not any("running" in name for name in plain.state_dict())
    torch.testing.assert_close(plain(x), network(x), atol=1e-4, rtol=1e-4)


def test_rows_never_influence_each_other_and_levels_say_nothing() -> None:
    one, y = victim(), noises(3, seed=1)
    together = one.scores(y)
    assert together.argmax(1).tolist() == one.predict(y).tolist() == [0, 1, 2]
    for i in range(3):
        torch.testing.assert_close(one.scores(y[i : i + 1])[0], together[i], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(one.scores(y * 0.1), together, atol=1e-4, rtol=1e-4)


def test_silence_and_a_single_sample_are_heard_as_something() -> None:
    for y in (
        torch.zeros(2, SAMPLES),
        torch.zeros(2, 1),
        torch.ones(2, 1),
        torch.full((2, 3 * SAMPLES), 1e-30),
    ):
        assert bool(victim().scores(y).isfinite().all())


def test_what_is_shorter_is_heard_as_followed_by_silence() -> None:
    one, y = victim(), noises(2, 700)
    padded = torch.nn.functional.pad(y, (0, SAMPLES - 700))
    torch.testing.assert_close(one.scores(y), one.scores(padded))


def test_probabilities_are_the_softmax_at_its_temperature() -> None:
    hearing = victim().hear(noises(3), probabilities=True)
    assert hearing.probabilities is not None
    torch.testing.assert_close(hearing.probabilities, (hearing.scores / BUILT["temperature"]).softmax(1))


def test_gradient_reaches_the_waveform_as_finite_differences_have_it() -> None:
    """Between the kinks of its ReLUs and maxima, along the gradient itself and along noise."""
    one = copy.deepcopy(taught()).double()
    agree, step = [], 1e-7
    for i, y in enumerate(noises(4, seed=3).double()):
        y = y[None].requires_grad_()
        for label in range(3):
            (gradient,) = torch.autograd.grad(one.scores(y)[0, label], y)
            assert float(gradient.norm()) > 1e-3
            direction = gradient / gradient.norm() + noises(1, seed=10 + i).double() / SAMPLES**0.5
            with torch.no_grad():
                up, down = (one.scores(y + sign * step * direction)[0, label] for sign in (1, -1))
            measured = float(up - down) / (2 * step)
            agree.append(float((gradient * direction).sum()) == pytest.approx(measured, rel=1e-5))
    assert sum(agree) >= 11, agree  # of 12: one may have met a kink


def test_doubles_are_heard_as_singles_are() -> None:
    one, y = taught(), noises(3)
    assert one.scores(y.double()).dtype == torch.float32
    torch.testing.assert_close(one.scores(y.double()), one.scores(y), atol=1e-5, rtol=1e-5)


def test_neither_building_nor_loading_draws_from_the_global_state(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    save_victim(victim(), out=tmp_path / "net")
    load_victim(tmp_path / "net")
    folded(blank((4, 8), 2, norm=True))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_folder_brings_it_back(tmp_path: Path) -> None:
    one = victim()
    save_victim(one, out=tmp_path / "net", trained="By hand.")
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["model.safetensors", "victim.json"]
    again = load_victim(tmp_path / "net")
    assert again.labels == LABELS and again.sample_rate == RATE and again.differentiable
    assert torch.equal(again.scores(noises(3)), one.scores(noises(3)))
    assert again.probabilities(noises(3)) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": [6, 9]}, "do not fit the network"),
        ({"widths": []}, "widths"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"seconds": "3"}, "seconds"),
        ({"front_end": {**FRONT, "n_mels": 0}}, "n_mels"),
        ({"front_end": {**FRONT, "window": "hann"}}, "unknown 'window'"),
        ({"front_end": None}, "front_end"),
    ],
)
def test_a_card_that_was_altered_is_refused_in_one_sentence(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = save_victim(victim(), out=tmp_path / "net")
    card = json.loads((folder / "victim.json").read_text())
    card["network"] |= change
    (folder / "victim.json").write_text(json.dumps(card))
    with pytest.raises(SubterfugeError, match=said) as told:
        load_victim(folder)
    assert "\n" not in str(told.value) and str(folder) in str(told.value) and len(str(told.value)) < 400


def test_weights_that_are_no_numbers_or_of_another_network_are_refused() -> None:
    broken = taught().weights() | {"last.bias": torch.tensor([0.0, float("nan"), 0.0])}
    with pytest.raises(SubterfugeError, match="NaN"):
        CnnVictim(BUILT, broken, labels=LABELS, sample_rate=RATE)
    with pytest.raises(SubterfugeError, match="do not fit the network: Missing") as told:
        CnnVictim(BUILT, blank(WIDTHS, 3, norm=True).state_dict(), labels=LABELS, sample_rate=RATE)
    assert "\n" not in str(told.value) and len(str(told.value)) < 300


def test_weights_cut_short_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = save_victim(victim(), out=tmp_path / "net")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SubterfugeError, match="are not those that victim"):
        load_victim(folder)
    card = json.loads((folder / "victim.json").read_text())
    (folder / "victim.json").write_text(json.dumps(card | {"sha256": file_sha256(path)}))
    with pytest.raises(SubterfugeError, match=r"model\.safetensors: cannot be read as safetensors") as told:
        load_victim(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["minimal", "apgd-linf", "deepfool"])
def test_a_file_of_another_rate_is_attacked_and_verified_from_disk(tmp_path: Path, name: str) -> None:
    """44.1 kHz stereo, heard at 22.05 kHz: mixing down and resampling are part of what is differentiated."""
    first, other = noises(2, 8820, sr=44100, seed=5), noises(2, 8820, sr=44100, seed=6)
    left, right = (0.75 * y[0] + 0.25 * y[1] for y in (first, other))
    path = tmp_path / "noise.wav"
    soundfile.write(path, torch.stack([left, 0.5 * right], 1).numpy(), 44100, subtype="PCM_16")
    one, before = taught(), path.read_bytes()
    record = attack_file(
        path, victim=one, criterion=Targeted("flu"), out=tmp_path / "out", attack=name, steps=60
    )
    assert record.success and (record.predicted_before, record.predicted_after) == ("cel", "flu")
    told = soundfile.info(record.output)
    assert (told.samplerate, told.channels, told.frames, told.subtype) == (44100, 2, 8820, "PCM_16")
    assert path.read_bytes() == before
    # Judged again from disk, by librosa and the network alone.
    heard, _ = librosa.load(record.output, sr=RATE)
    probabilities = one.probabilities(torch.from_numpy(heard)[None])
    assert probabilities is not None and LABELS[int(probabilities.argmax())] == "flu"
    assert record.probabilities_after == pytest.approx(
        dict(zip(LABELS, probabilities[0].tolist(), strict=True))
    )
    x, y = (soundfile.read(one_file)[0] for one_file in (path, record.output))
    snr = 10 * math.log10((x**2).sum() / ((y - x) ** 2).sum())
    assert record.snr_db == pytest.approx(snr, abs=0.01) and snr > 15
