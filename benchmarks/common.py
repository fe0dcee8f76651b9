"""What the benchmarks share: the page's header and tables, the seed's clips and pairs, work that is kept."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from subterfuge.training.measures import Estimate

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "benchmarks"
LABELS = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")
SAMPLE_RATE = 44100
STRIDE = 11  # no divisor in common with the 40 pairs


# ---------------------------------------------------------------- the page


def cpu() -> str:
    """The CPU's model as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or platform.machine()


def version(distribution: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def header(title: str, *, packages: Iterable[str] = (), command: str | None = None) -> str:
    """Title, then one paragraph of machine, versions and date, then how to run it again."""
    names = dict.fromkeys(("sonic-subterfuge", "torch", "numpy", "librosa", "scikit-learn", *packages))
    versions = ", ".join(f"{name} {version(name)}" for name in names if version(name))
    machine = f"{cpu()}, {os.cpu_count()} cores"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        f"# {title}",
        "",
        f"Measured on {today}: {machine}; Python {platform.python_version()}, {versions}.",
    ]
    if command:
        lines += ["", f"Run it again: `{command}`."]
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; every column but the first is right-aligned."""
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    return "\n".join(lines + [_row(row) for row in rows]) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def write_page(name: str, text: str, *, folder: Path = DOCS) -> Path:
    """Write ``<folder>/<name>.md`` and say where; the text is printed too."""
    path = folder / f"{name}.md"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    print(text)
    print(f"written: {os.path.relpath(path)}")
    return path


# ---------------------------------------------------------------- numbers


def snr_db(clean: np.ndarray, changed: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of ``changed`` against ``clean``, over everything in the arrays."""
    clean64 = np.asarray(clean, dtype=np.float64)
    noise = float(np.sum((np.asarray(changed, dtype=np.float64) - clean64) ** 2))
    return float("inf") if noise == 0 else 10 * float(np.log10(np.sum(clean64**2) / noise))


def db(value: float | None) -> str:
    """A level in dB for a table; failures are minus infinity."""
    if value is None or value == float("-inf"):
        return "−∞"
    return f"{value:.1f}".replace("-", "−")


def share(value: float | None) -> str:
    """A share in percent for a table."""
    return "" if value is None or value != value else f"{value:.1%}"


def estimate(one: Estimate | None) -> str:
    """A share with its 95 % interval, where it has one."""
    if one is None:
        return ""
    known = one.low == one.low and one.high == one.high
    return share(one.value) + (f" [{100 * one.low:.1f}, {100 * one.high:.1f}]" if known else "")


def quantile_with_failures(values: Sequence[float], q: float) -> float:
    """The value that a share ``q`` of all lies at or under, one of them; a failure is minus infinity."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, int(np.ceil(q * len(ordered))) - 1))]


def median_with_failures(values: Sequence[float]) -> float:
    """Median of SNRs where a failure is minus infinity; no interpolation between a failure and a number."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1], ordered[middle]
    return low if low == float("-inf") else (low + high) / 2


# ---------------------------------------------------------------- the seed


@dataclass(frozen=True)
class Pair:
    """One clip to be heard as one label."""

    clip: str
    path: str
    target: int

    @property
    def key(self) -> str:
        """A name for files: ``<clip>-to-<label>`` with nothing that a file system dislikes."""
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.clip).strip('-')}-to-{LABELS[self.target]}"


def clips(folder: Path) -> list[Path]:
    """The seed's four real clips, in name order."""
    found = sorted((folder / "clips").glob("*.wav"))
    if not found:
        raise SystemExit(f"{folder}: no clips/*.wav there, expected the folder of the seed's data")
    return found


def pairs(folder: Path, *, heard: Sequence[int], count: int | None = None) -> list[Pair]:
    """Every clip toward every label but the one it is heard as, in name and label order.

    ``heard`` is what the victim hears in each clip: a target that is heard already would be met by
    changing nothing. ``count`` takes a fixed subset: every 11th pair, round and round, which goes through
    the clips and the labels alike; a smaller subset is part of a larger one.
    """
    paths = clips(folder)
    everything = [
        Pair(path.stem, str(path), target)
        for path, known in zip(paths, heard, strict=True)
        for target in range(len(LABELS))
        if target != known
    ]
    if count is None or count >= len(everything):
        return everything
    if count < 1:
        raise SystemExit(f"--pairs: got {count}, expected at least 1")
    return [everything[STRIDE * i % len(everything)] for i in range(count)]


def load_waveform(path: str | Path) -> np.ndarray:
    """The plain path's waveform: mono float32 at the seed's rate, by librosa."""
    import librosa

    y, _ = librosa.load(path, sr=SAMPLE_RATE)
    return np.asarray(y, dtype=np.float32)


def plain_features(y: np.ndarray) -> np.ndarray:
    """The seed's 25 features by librosa alone, shape (25,): the judge that owes nothing to our code."""
    import librosa

    means = [
        librosa.feature.rms(y=y),
        librosa.feature.spectral_centroid(y=y, sr=SAMPLE_RATE),
        librosa.feature.spectral_bandwidth(y=y, sr=SAMPLE_RATE),
        librosa.feature.spectral_rolloff(y=y, sr=SAMPLE_RATE),
        librosa.feature.zero_crossing_rate(y),
    ]
    mfcc = librosa.feature.mfcc(y=y, sr=SAMPLE_RATE)
    return np.array([float(np.mean(m)) for m in means] + [float(np.mean(row)) for row in mfcc])


def plain_pipeline(folder: Path):  # type: ignore[no-untyped-def]
    """The seed's own scikit-learn pipeline, read by skops with nothing trusted."""
    import skops.io

    return skops.io.load(folder / "svc_irmas.skops", trusted=[])


def import_seed(folder: Path, out: Path) -> Path:
    """Import the seed's classifier into the folder ``out`` with the project's own store, if not yet there."""
    from subterfuge.victims.store import import_victim

    if not (out / "victim.json").is_file():
        import_victim(
            folder / "svc_irmas.skops",
            labels=LABELS,
            sample_rate=SAMPLE_RATE,
            features="librosa25",
            out=out,
        )
    return out


# ---------------------------------------------------------------- work


def one_thread() -> None:
    """One thread a worker process, in torch and in every BLAS."""
    import torch

    torch.set_num_threads(1)


def workers(jobs: int) -> ProcessPoolExecutor:
    """Fresh processes of one thread each."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread)


def write_json(path: Path, data: object) -> None:
    """Write JSON whole or not at all, so that an interrupted run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as part:
        json.dump(data, part, indent=1)
    Path(part.name).replace(path)


@functools.cache
def fingerprint(folder: str) -> str:
    """What tells a folder's content from another's: names and sizes of its files."""
    inner = sorted(one for one in Path(folder).rglob("*") if one.is_file())
    told = "\n".join(f"{one.relative_to(folder)} {one.stat().st_size}" for one in inner)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote, or None where there is nothing."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def append_line(path: Path, data: object) -> None:
    """Add one line of JSON to a file, all of it on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(data) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[Any]:
    """The lines of JSON in a file, but for one that was cut short; none where there is no file."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Clock:
    """Says lines with the minutes and seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self.began

    def say(self, line: str) -> None:
        """Print a line on standard error, at once."""
        seconds = round(self.seconds)
        print(f"[{seconds // 60}:{seconds % 60:02d}] {line}", file=sys.stderr, flush=True)


def carry_out(
    jobs: Sequence[Any],
    do: Callable[[Any], Any],
    *,
    workers_: int,
    done: Callable[[int, Any, Any], None],
) -> None:
    """Do jobs in fresh processes of one thread each; ``done`` is told number, job and result of each.

    Ctrl-C ends the run; what ``done`` was told is kept by it.
    """
    if not jobs:
        return
    with workers(min(workers_, len(jobs))) as pool:
        futures = {pool.submit(do, job): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                done(number, futures[future], future.result())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise SystemExit("stopped: what is finished is kept, run again to go on") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
