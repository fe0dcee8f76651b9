"""How far certificates reach: against the best attack in feature space, and at the waveform in dB.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/certificates.py ../shared/seed ../shared/recordings

What was measured is kept beside the page's draft (``--work``), so that a run that is cut short goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import common

STEPS = 80
KINDS = ("rkhs", "interval", "tightened")


@dataclass(frozen=True)
class Job:
    """One clip before one victim."""

    victim: str
    clip: str
    path: str
    waveform: bool
    largest_sample: bool

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return f"{self.victim}/{self.clip}"


def jobs(seed: Path, recordings: Path, others: Sequence[Path] = ()) -> list[Job]:
    """The seed's machine on its own clips and real recordings, all others on the embedded clips."""
    from subterfuge.corpora.embedded import clips

    out = [Job("seed", path.stem, str(path), True, True) for path in common.clips(seed)]
    found = sorted(recordings.glob("*/*.flac"))
    out += [
        Job("seed", f"{path.parent.name}/{path.stem}", str(path), n % 3 == 0, False)
        for n, path in enumerate(found[::5])
    ]
    embedded = clips()
    out += [
        Job(name, clip.path.stem, str(clip.path), n % 2 == 0, False)
        for name in ("orchestra-svc", *(folder.name for folder in others))
        for n, clip in enumerate(embedded)
    ]
    return out


def measured(job: Job, victim: Any, duels: Any) -> dict[str, Any]:
    """Radii in feature space, and where it is asked for the bracket at the waveform."""
    import torch

    from subterfuge.attacks.whitebox.minimal import minimal
    from subterfuge.criteria import Untargeted
    from subterfuge.defences.certificates.bracket import certify_clip
    from subterfuge.defences.certificates.feature_attack import nearest_flip
    from subterfuge.defences.certificates.point import certify_point

    y = common.load_waveform(job.path)
    x = duels.place(victim.features.plain(y, victim.sample_rate))
    out: dict[str, Any] = {"key": job.key, **asdict(job), "radii": {}, "seconds": {}}
    for kind in KINDS:
        began = time.process_time()
        found = certify_point(duels, x, bound=kind, every=False)
        out["radii"][kind], out["seconds"][kind] = found.radius, time.process_time() - began
    out["label"], out["silent"] = victim.labels[found.label], float((y == 0).mean())
    flip = nearest_flip(duels, x)
    out["radii"]["attack"] = flip.distance
    if job.waveform:
        began = time.process_time()
        certificate = certify_clip(victim, y, duels=duels)
        out["seconds"]["clip"] = time.process_time() - began
        out["certified"] = certificate.snr_db
        row = torch.from_numpy(y)[None]
        generator = torch.Generator().manual_seed(0)
        outcome = minimal(victim, row, Untargeted(), steps=STEPS, generator=generator)
        # An example counts if librosa and the model's own votes hear it so.
        turned = bool(outcome.success) and int(victim.verdict(outcome.audio).predicted) != certificate.label
        out["attacked"] = common.snr_db(y, outcome.audio[0].numpy()) if turned else None
    if job.largest_sample:
        began = time.process_time()
        out["largest_sample"] = certify_clip(victim, y, norm="linf", duels=duels).epsilon
        out["seconds"]["largest_sample"] = time.process_time() - began
    return out


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--work", type=Path, default=common.ROOT / "build" / "certificates")
    parser.add_argument("--victim", type=Path, action="append", default=[], help="another victim's folder")
    options = parser.parse_args(argv)
    import subterfuge
    from subterfuge.defences.certificates.duelling import duels_of

    common.one_thread()
    kept = options.work / "measured.jsonl"
    known = {one["key"]: one for one in common.read_lines(kept)}
    todo, clock = jobs(options.seed, options.recordings, options.victim), common.Clock()
    folders = {"orchestra-svc": "orchestra-svc", **{one.name: str(one) for one in options.victim}}
    for name in dict.fromkeys(job.victim for job in todo):
        left = [job for job in todo if job.victim == name and job.key not in known]
        if not left:
            continue
        folder = folders.get(name) or common.import_seed(options.seed, options.work / "irmas-svc")
        victim = subterfuge.load_victim(str(folder))
        duels = duels_of(victim)
        for job in left:
            known[job.key] = measured(job, victim, duels)
            common.append_line(kept, known[job.key])
            clock.say(job.key)
    common.write_page("certificates", page([known[job.key] for job in todo]))
    return 0


# ---------------------------------------------------------------- the page


def page(found: Sequence[dict[str, Any]]) -> str:
    """Header, both tables by victim, then clip by clip."""
    text = common.header(
        "Certificates: what provably cannot change the label",
        packages=("scipy",),
        command="OMP_NUM_THREADS=1 .venv/bin/python benchmarks/certificates.py SEED RECORDINGS "
        "[--victim FOLDER]",
    )
    by_victim = {
        name: [one for one in found if one["victim"] == name]
        for name in dict.fromkeys(one["victim"] for one in found)
    }
    text += (
        "\nThe seed's SVC on its four clips and on real recordings (which it often mistakes: what stands is "
        "what it hears, right or wrong), `orchestra-svc` on the embedded clips, and so any other victim: "
        "`hardened` is a machine fitted on the hardened features of the orchestra corpus (`defend --train "
        "hardened-features`). Any other label counts.\n\n"
        "## In feature space\n\n"
        "Distances among standardised features, medians. The attack is the nearest flip that sequential "
        "quadratic programming finds for each duel of the label, polished within the cell of duels that it "
        "lies in. RKHS is the closed form from the norm of each duel, interval bounds every support vector "
        "by itself, tightened expands each duel about the point order by order. The ratio is the attack's "
        "distance over the certified one, clip by clip; 1 would leave nothing undecided. Aim: at most 5.\n\n"
    )
    text += common.table(
        ["victim", "clips", *KINDS, "attack", *(f"ratio, {kind}" for kind in KINDS), "worst", "CPU s a clip"],
        [feature_row(name, rows) for name, rows in by_victim.items()],
    )
    waves = {name: [one for one in rows if one["waveform"]] for name, rows in by_victim.items()}
    text += (
        "\n## At the waveform\n\n"
        "SNR in dB: no perturbation quieter than *certified* changes the label, whatever it is made of; "
        f"*attacked* is what `minimal` found in {STEPS} queries, heard so by librosa and the model's own "
        "votes. Between them nothing is known. Medians.\n\n"
    )
    text += common.table(
        ["victim", "clips", "certified", "attacked", "undecided, dB", "CPU s a clip"],
        [wave_row(name, rows) for name, rows in waves.items()],
    )
    text += (
        "\nClip by clip. *Silent* is the share of samples that are zero. There librosa's features are moved "
        "by a change of any size: it makes any number of zero crossings and puts the centroid, bandwidth and "
        "rolloff of a silent "
        "frame anywhere; hence most of the certificates of `orchestra-svc` beyond 90 dB.\n\n"
    )
    text += common.table(
        ["clip", "heard", "distance certified", "attack's", "certified, dB", "attacked, dB", "silent"],
        [clip_row(one) for rows in waves.values() for one in rows],
    )
    largest = [one for one in found if one["largest_sample"]]
    text += (
        "\nAgainst changes of every sample by up to one size, of the seed's clips, in steps of 16 bits: "
        + "; ".join(f"{one['clip']} {one['largest_sample'] * 32768:.2f}" for one in largest)
        + ".\n"
    )
    return text


def feature_row(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Medians of one victim in feature space."""
    radii = {kind: np.array([one["radii"][kind] for one in rows]) for kind in (*KINDS, "attack")}
    ratios = {kind: radii["attack"] / np.maximum(radii[kind], 1e-12) for kind in KINDS}
    seconds = float(np.median([one["seconds"]["tightened"] for one in rows]))
    return [
        name,
        str(len(rows)),
        *(f"{np.median(radii[kind]):.4f}" for kind in (*KINDS, "attack")),
        *(f"{np.median(ratios[kind]):.2f}" for kind in KINDS),
        f"{ratios['tightened'].max():.2f}",
        f"{seconds:.1f}",
    ]


def wave_row(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Medians of one victim at the waveform."""
    attacked = [float("-inf") if one["attacked"] is None else one["attacked"] for one in rows]
    gaps = [one["certified"] - hit for one, hit in zip(rows, attacked, strict=True)]
    return [
        name,
        str(len(rows)),
        common.db(float(np.median([one["certified"] for one in rows]))),
        common.db(common.median_with_failures(attacked)),
        common.db(float(np.median(gaps))),
        f"{np.median([one['seconds']['clip'] for one in rows]):.1f}",
    ]


def clip_row(one: dict[str, Any]) -> list[str]:
    """One clip with both brackets."""
    return [
        one["key"],
        one["label"],
        f"{one['radii']['tightened']:.4f}",
        f"{one['radii']['attack']:.4f}",
        common.db(one["certified"]) if np.isfinite(one["certified"]) else "none",
        common.db(one["attacked"]),
        common.share(one["silent"]),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
