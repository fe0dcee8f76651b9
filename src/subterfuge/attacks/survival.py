"""What a written file survives: changed as on its way to a listener, written, read back, heard again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from subterfuge.audio import AudioFile, load_plain, read_audio, save_audio, to_lattice
from subterfuge.criteria import Goal
from subterfuge.resampling import resample
from subterfuge.transforms.mp3 import Mp3, encode, mp3_rate
from subterfuge.transforms.named import STRENGTHS
from subterfuge.transforms.transform import Frozen, Transform, freeze
from subterfuge.victims.victim import Victim

Survival = dict[str, dict[str, float]]


def survival(
    path: Path,
    *,
    victim: Victim,
    goal: Goal,
    transforms: Sequence[Transform],
    draws: int = 4,
    seed: int = 0,
    device: str = "cpu",
    report: Callable[[str], None] | None = None,
) -> tuple[Survival, int]:
    """How often the goal is still reached after each transform, at each of its strengths.

    Nothing is taken from memory: the file is read, changed over all its channels, written in its own subtype
    (or as an MP3), and heard through the victim's plain path. What is drawn has not been drawn before.

    Parameters
    ----------
    path : Path
        The adversarial file.
    victim : Victim
    goal : Goal
        Of one row.
    transforms : sequence of Transform
        Only their names matter: the strengths are those of :data:`subterfuge.transforms.named.STRENGTHS`.
    draws : int
        At each strength, where draws differ.
    seed : int
    device : str
    report : callable, optional
        Told what is being done.

    Returns
    -------
    survives : dict of str to dict of str to float
        ``{"gain": {"3 dB": 0.5}}``: shares of the draws. Ctrl-C leaves out what was not measured.
    queries : int
        Waveforms that the victim heard.
    """
    generator = torch.Generator().manual_seed((seed + 0x5EED) % 2**63)
    file = read_audio(path)
    survives: Survival = {}
    queries = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            for transform in transforms:
                for strength, stronger in STRENGTHS[transform.name].items():
                    if report is not None:
                        report(f"measuring what it survives: {transform.name}, {strength}")
                    reached = []
                    for drawn in _different(stronger, draws, generator):
                        there = _written(file, drawn, Path(folder))
                        y = load_plain(there, victim.sample_rate).to(device)
                        reached.append(bool(goal.reached(victim.verdict(y))))
                        queries += int(getattr(victim, "cost", 1))
                    survives.setdefault(transform.name, {})[strength] = sum(reached) / len(reached)
    except KeyboardInterrupt:
        pass
    return survives, queries


def _different(transform: Transform, draws: int, generator: torch.Generator) -> list[Frozen]:
    """As many draws, but each only once: of some transforms there is only one at a strength."""
    drawn: list[Frozen] = []
    for _ in range(draws):
        one = freeze(transform, generator)
        if one not in drawn:
            drawn.append(one)
    return drawn


def _written(file: AudioFile, drawn: Frozen, folder: Path) -> Path:
    """The file, changed and written anew."""
    if isinstance(drawn.transform, Mp3):
        return _as_mp3(file, drawn.drawn["kbps"], folder / "changed.mp3")
    data = drawn(file.data, sr=file.sr)
    low, high = file.bounds
    data = to_lattice(data.clamp(low, high), file.subtype)
    return save_audio(
        folder / f"changed{file.path.suffix}",
        data,
        sr=file.sr,
        container=file.container,
        subtype=file.subtype,
        endian=file.endian,
    )


def _as_mp3(file: AudioFile, kbps: float, path: Path) -> Path:
    """An MP3 of the file; of more than two channels, which it cannot hold, their mean."""
    data: Tensor = file.data.float()
    data = data.mean(0, keepdim=True) if file.channels > 2 else data
    rate = mp3_rate(file.sr)
    there = resample(data, orig_sr=file.sr, target_sr=rate)
    path.write_bytes(encode(there.numpy().T, sr=rate, kbps=kbps))
    return path
