"""What the 25 features cost, forward and backward, against librosa and against the transform alone.

OMP_NUM_THREADS=1 python benchmarks/features.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping

import librosa
import numpy as np
import torch

from common import SAMPLE_RATE, header, table, write_page
from subterfuge.features.summary import librosa25

SECONDS = 3
BATCHES = (1, 8, 32)
LENGTHS = (1, 2, 5, 10, 20, 60, 120, 300, 600)
CALLS = 3  # timed calls in a row of each contestant, after one that is not, to find its own memory warm
LIBROSA_CLIPS = 4  # librosa takes clips one by one, so that a few of a batch tell what all cost

MEMORY = """
import re
import torch
from subterfuge.features.summary import librosa25
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
torch.set_num_threads(1)
librosa25(torch.zeros(1, 5000, requires_grad=True), sr=44100).sum().backward()
before = peak()
y = torch.arange(600 * 44100, dtype=torch.float32).mul_(0.01).sin_().view(1, -1).requires_grad_()
torch.autograd.grad(librosa25(y, sr=44100).sum(), y)
print((peak() - before) / 1e6)
"""

Call = Callable[[], object]


def notes(clips: int, seconds: float) -> torch.Tensor:
    """Harmonic notes with the noise of 16 bits, float32, shape (clips, samples)."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    rows = np.zeros((clips, len(t)))
    for row in rows:
        pitch = rng.uniform(110, 880)
        for k in range(1, 13):
            row += np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) * np.exp(-0.5 * k * (t % 3)) / k
        row += 0.003 * rng.standard_normal(len(t))
    return torch.from_numpy(np.round(rows / np.abs(rows).max() * 2**14) / 2**15).float()


def as_the_seed_does(y: np.ndarray) -> np.ndarray:
    """Six calls of librosa, each with its own transform."""
    feature = librosa.feature
    parts = (
        feature.rms(y=y),
        feature.spectral_centroid(y=y, sr=SAMPLE_RATE),
        feature.spectral_bandwidth(y=y, sr=SAMPLE_RATE),
        feature.spectral_rolloff(y=y, sr=SAMPLE_RATE),
        feature.zero_crossing_rate(y),
        feature.mfcc(y=y, sr=SAMPLE_RATE),
    )
    return np.concatenate([part.mean(-1) for part in parts])


def with_one_transform(y: np.ndarray) -> np.ndarray:
    """librosa as fast as it goes: everything that can be is computed from one transform."""
    feature = librosa.feature
    S = np.abs(librosa.stft(y))
    centroid = feature.spectral_centroid(S=S, sr=SAMPLE_RATE)
    mel = feature.melspectrogram(S=S**2, sr=SAMPLE_RATE)
    parts = (
        feature.rms(y=y),
        centroid,
        feature.spectral_bandwidth(S=S, sr=SAMPLE_RATE, centroid=centroid),
        feature.spectral_rolloff(S=S, sr=SAMPLE_RATE),
        feature.zero_crossing_rate(y),
        feature.mfcc(S=librosa.power_to_db(mel), sr=SAMPLE_RATE),
    )
    return np.concatenate([part.mean(-1) for part in parts])


def forward(y: torch.Tensor) -> Call:
    def call() -> torch.Tensor:
        with torch.no_grad():
            return librosa25(y, sr=SAMPLE_RATE)

    return call


def forward_and_backward(y: torch.Tensor) -> Call:
    weights = torch.ones(len(y), 25)
    leaf = y.clone().requires_grad_()
    return lambda: torch.autograd.grad(librosa25(leaf, sr=SAMPLE_RATE), leaf, weights)


def bare_transform(y: torch.Tensor) -> Call:
    window = torch.hann_window(2048)
    return lambda: torch.stft(y, 2048, 512, window=window, pad_mode="constant", return_complex=True)


def over(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> Call:
    return lambda: [function(row) for row in rows]


def race(contestants: Mapping[str, Call], rounds: int) -> dict[str, np.ndarray]:
    """Seconds a call, shape (rounds,) each: in every round each contestant in turn, its calls' median."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            call()
            times = []
            for _ in range(CALLS):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            taken[name].append(float(np.median(times)))
    return {name: np.array(times) for name, times in taken.items()}


def by_batch(rounds: int) -> tuple[str, dict[str, float]]:
    """Milliseconds a clip by batch size, and the ratios at a batch of 8."""
    rows, ratios = [], {}
    for batch in BATCHES:
        y = notes(batch, SECONDS)
        few = y.numpy()[:LIBROSA_CLIPS]
        taken = race(
            {
                "six": over(as_the_seed_does, few),
                "one": over(with_one_transform, few),
                "bare": bare_transform(y),
                "forward": forward(y),
                "both": forward_and_backward(y),
            },
            rounds,
        )
        clip = {
            name: times / (len(few) if name in ("six", "one") else batch) for name, times in taken.items()
        }
        ratio = {
            "librosa, six calls / forward": clip["six"] / clip["forward"],
            "librosa, one transform / forward": clip["one"] / clip["forward"],
            "forward / bare transform": clip["forward"] / clip["bare"],
            "forward + backward / forward": clip["both"] / clip["forward"],
        }
        middle = {name: float(np.median(values)) for name, values in ratio.items()}
        if batch == 8:
            ratios = middle
        rows.append(
            [batch, *(f"{np.median(times) * 1e3:.2f}" for times in clip.values())]
            + [f"{value:.2f}" for value in middle.values()]
        )
    head = ["clips a batch", "librosa, six calls", "librosa, one transform", "bare `torch.stft`"]
    head += ["**forward**", "**forward + backward**"]
    return table([*head, "six / fwd", "one / fwd", "fwd / bare", "fwd + bwd / fwd"], rows), ratios


def hard_cases(rounds: int) -> str:
    """Audio that float32 is too coarse for, and so is transformed twice."""
    t = torch.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    pitch = torch.linspace(200, 2000, 8)[:, None]
    cases = {
        "notes": notes(8, SECONDS),
        "pure tones": torch.sin(2 * torch.pi * pitch * t) / 2,
        "silence": torch.zeros(8, len(t)),
        "notes in float64": notes(8, SECONDS).double(),
    }
    taken = race({name: forward(y) for name, y in cases.items()}, rounds)
    return table(["audio", "ms a clip"], [[n, f"{np.median(x) / 8 * 1e3:.2f}"] for n, x in taken.items()])


def by_length(rounds: int) -> tuple[str, float]:
    """Seconds by length, and the worst departure from a straight line through them, in parts of the line."""
    whole = notes(1, LENGTHS[-1])
    cuts = {seconds: whole[:, : seconds * SAMPLE_RATE] for seconds in LENGTHS}
    directions = {"forward": forward, "forward + backward": forward_and_backward}
    rows, worst = [], 0.0
    columns = {}
    for name, make in directions.items():
        taken = race({str(seconds): make(y) for seconds, y in cuts.items()}, rounds)
        cost = np.array([np.median(taken[str(seconds)]) for seconds in LENGTHS])
        x = np.array(LENGTHS, dtype=float)
        # Each length weighs the same, whatever it costs: a line that fits in proportion.
        slope, start = np.polyfit(x, cost, 1, w=1 / cost)
        off = cost / (start + slope * x) - 1
        worst = max(worst, float(np.abs(off).max()))
        columns[name] = cost, off, slope, start
    for i, seconds in enumerate(LENGTHS):
        row: list[object] = [seconds]
        for cost, off, _, _ in columns.values():
            row += [f"{cost[i] * 1e3:.1f}", f"{cost[i] / seconds * 1e3:.2f}", f"{off[i] * 100:+.0f} %"]
        rows.append(row)
    head = ["seconds of audio"]
    lines = []
    for name, (_, _, slope, start) in columns.items():
        head += [f"{name}, ms", "ms a second", "off the line"]
        lines.append(f"{name}: {start * 1e3:.2f} ms + {slope * 1e3:.3f} ms a second of audio")
    return table(head, rows) + "\nThe lines: " + "; ".join(lines) + ".\n", worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    batches, ratios = by_batch(rounds)
    hard = hard_cases(rounds)
    lengths, worst = by_length(max(3, rounds // 3))
    memory = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    bars = [
        ("librosa, six calls / forward", "≥ 6", ratios["librosa, six calls / forward"] >= 6),
        ("librosa, one transform / forward", "≥ 2.5", ratios["librosa, one transform / forward"] >= 2.5),
        ("forward / bare transform", "≤ 2.5", ratios["forward / bare transform"] <= 2.5),
        ("forward + backward / forward", "≤ 3", ratios["forward + backward / forward"] <= 3),
    ]
    verdicts = [[name, bar, f"{ratios[name]:.2f}", "yes" if met else "**no**"] for name, bar, met in bars]
    page = [
        header("The 25 features: cost a clip", command="OMP_NUM_THREADS=1 python benchmarks/features.py"),
        f"One thread; clips of {SECONDS} s at 44.1 kHz in float32. Contestants take turns, {rounds} rounds "
        f"of {CALLS} calls each after one to warm up; figures are medians of rounds, ratios medians of "
        "those within a round. librosa takes one clip at a time, whatever the batch.\n",
        "## At a batch of 8\n",
        table(["ratio", "wanted", "measured", "met"], verdicts),
        "## Milliseconds a clip\n",
        batches,
        "## Audio by kind, forward, batch of 8\n",
        "Frames whose bandwidth float32 would blur, those of pure tones, are transformed again in double "
        "precision.\n",
        hard,
        "## Cost by length, one clip\n",
        lengths,
        f"Worst departure from the line: {worst * 100:.0f} %.\n",
        f"Ten minutes with gradient raise the peak memory of a process by {float(memory):.0f} MB, the audio "
        "(106 MB) and its gradient (106 MB) included.\n",
    ]
    write_page("features", "\n".join(page))


if __name__ == "__main__":
    main()
