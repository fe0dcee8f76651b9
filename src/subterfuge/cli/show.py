"""What the commands print: results on standard output, progress on standard error, all of it plain text."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subterfuge.files import strict_json
from subterfuge.labels import full_name

if TYPE_CHECKING:
    from subterfuge.attacks.record import Record
    from subterfuge.predictions import Prediction
    from subterfuge.runs import Results
    from subterfuge.victims.store import VictimInfo

_BAR = 30


def as_json(value: Any) -> None:
    """Strict JSON, indented; numbers that JSON has no word for (an infinite ratio) become null."""
    print(strict_json(value))


def prediction(seen: Prediction) -> None:
    """One file: what is heard, then every label with its probability (or score) and a bar."""
    print(f"{seen.input}: {', '.join(map(_named, seen.tags or [seen.predicted]))}")
    if seen.noticed is not None:
        print(f"  {'NOTICED by the guard, and refused' if seen.noticed else 'not noticed by the guard'}")
    values = seen.probabilities or seen.scores
    for label, value in sorted(values.items(), key=lambda item: -item[1]):
        width = max(len(full_name(x)) for x in values)
        short = max(len(x) for x in values)
        bar = _bar(value) if seen.probabilities else ""
        print(f"  {label:<{short}}  {full_name(label):<{width}}  {value:8.4f}  {bar}".rstrip())


def result(record: Record) -> None:
    """One file's attack in one line, and what else must be known of it in lines under that."""
    print(sentence(record))
    if record.audibility.get("verdict"):
        print(f"  audibility: {record.audibility['verdict']}")
    for name, strengths in record.survives.items():
        told = ", ".join(f"{strength} {100 * share:.0f} %" for strength, share in strengths.items())
        print(f"  survives {name}: {told}")
    for note in record.notes:
        print(f"  {note}")


def sentence(record: Record) -> str:
    """What came of an attack, in one line; success is only ever said of the file read back from disk.

    Parameters
    ----------
    record : Record

    Returns
    -------
    str
        Such as ``flute.wav: heard as flute, now trumpet (verified from disk), SNR 51.2 dB, 1,840 queries,
        31 s -> out/flute-to-tru.wav``.
    """
    before, after = full_name(record.predicted_before), full_name(record.predicted_after)
    wanted = record.target.removeprefix("not-")
    goal = f"not {full_name(wanted)}" if wanted != record.target else full_name(wanted)
    if record.success:
        heard = f"heard as {before}, now {after} (verified from disk)"
        if math.isinf(record.snr_db) and record.snr_db > 0:
            heard = f"heard as {before} already, so nothing was changed (verified from disk)"
    elif record.noticed:
        heard = f"FAILED, heard as {before}, now {after}, but noticed by the victim's guard"
    elif record.predicted_after == record.target:
        heard = f"FAILED, heard as {before}, now {after}, but not as surely as asked"
    else:
        still = "still" if before == after else "now"
        heard = f"FAILED, heard as {before}, {still} {after}, wanted {goal}"
    queries = f"{record.queries.get('forward', 0):,} queries"
    return (
        f"{Path(record.input).name}: {heard}, {_snr(record.snr_db)}, {queries}, "
        f"{_seconds(record.seconds)} -> {record.output}"
    )


def results(done: Results, *, total: int, json: bool) -> int:
    """The end of a run: JSON or the page's path; the exit code."""
    if json:
        as_json([record.as_json() for record in done.records])
    elif done.page is not None:
        print(f"Listen: {done.page}")
    if done.interrupted:
        kept = f"{len(done.records)} of {total} files attacked"
        print(f"subterfuge: interrupted, {kept}, what was found is kept", file=sys.stderr)
        return 130
    return 0 if done.success else 1


@contextmanager
def progress(number: int, total: int, path: Path) -> Iterator[Callable[[str], None]]:
    """A line on standard error while a file is attacked: kept up to date on a terminal, else only begun."""
    count = f"[{number}/{total}] " if total > 1 else ""
    if not sys.stderr.isatty():
        print(f"{count}{path.name} ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    began = time.monotonic()
    # As Text, never as markup: file names may hold [brackets].
    with Console(stderr=True).status(Text(f"{count}{path.name}")) as status:

        def update(news: str) -> None:
            status.update(Text(f"{count}{path.name}: {news}, {_seconds(time.monotonic() - began)}"))

        yield update


def imported(folder: Path) -> None:
    """Where a new victim is, and what to type to use it."""
    print(f"{folder}: made; try: subterfuge victim info {folder}")


def victims(known: Iterable[VictimInfo], *, json: bool) -> None:
    """One line a victim; of a broken one, what is wrong with it."""
    known = list(known)
    if json:
        as_json([info.as_json() for info in known])
        return
    width = max((len(info.name) for info in known), default=0)
    for info in known:
        about = (
            info.problem or f"{info.kind}, {len(info.labels)} labels, {info.sample_rate} Hz, {info.features}"
        )
        print(f"{info.name:<{width}}  {about}")
    if not known:
        print("none; bring one in with: subterfuge victim import", file=sys.stderr)


def facts(info: VictimInfo, *, json: bool) -> None:
    """Everything known of one victim, a fact a line."""
    known = info.as_json()
    if json:
        as_json(known)
        return
    rows = [(key, value) for key, value in _flat(known) if value]
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {value}")


def _flat(known: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in known.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, (list, tuple)):
            yield name, ", ".join(map(str, value))
        elif isinstance(value, float):
            yield name, f"{value:.4g}"
        else:
            yield name, str(value)


def _named(label: str) -> str:
    name = full_name(label)
    return name if name == label else f"{name} ({label})"


def _bar(p: float) -> str:
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * round(_BAR * p)
    return "█" * round(_BAR * p)


def _snr(value: float) -> str:
    if math.isnan(value):
        return "SNR undefined"
    if math.isinf(value):
        return "no change" if value > 0 else "the original is silent (SNR -inf dB)"
    return f"SNR {value:.1f} dB"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
