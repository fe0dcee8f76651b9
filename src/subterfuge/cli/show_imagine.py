"""What ``subterfuge imagine`` prints: a line a sound on standard output, a bar on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from subterfuge.cli.bar import naming_bar as progress
from subterfuge.cli.show import as_json
from subterfuge.labels import full_name

if TYPE_CHECKING:
    from subterfuge.synthesis.run import Results

__all__ = ["progress", "results", "sound", "told"]

# A transform is survived if the label keeps this probability.
_KEPT = 0.5


def sound(record: dict[str, Any]) -> None:
    """One sound in one line."""
    print(told(record), flush=True)


def told(record: dict[str, Any]) -> str:
    """What came of a search, in one line; the probability is that of the file read back from disk.

    Parameters
    ----------
    record : dict
        Of :func:`subterfuge.synthesis.run.carry_out`.

    Returns
    -------
    str
        Such as ``tru-free.wav: trumpet 99.9 % (ceiling 100.0 %), survives 6 of 6, 12 s``.
    """
    name, p = full_name(record["label"]), record["probability"]
    if not record["reached"]:
        name = f"FAILED, heard as {full_name(record['predicted'])}, {name}"
    ceiling = "" if record["ceiling"] is None else f" (ceiling {_percent(record['ceiling'])})"
    others = [value for key, value in record["survives"].items() if key != "wav"]
    survived = f"survives {sum(value >= _KEPT for value in others)} of {len(others)}"
    snr = "" if record["snr_db"] is None else f", SNR {record['snr_db']:.1f} dB"
    cut = ", interrupted" if record["interrupted"] else ""
    return (
        f"{record['output']}: {name} {_percent(p)}{ceiling}{snr}, {survived}, {record['seconds']:.0f} s{cut}"
    )


def results(done: Results, *, total: int, json: bool) -> int:
    """The end of a run: JSON or the page's path; the exit code."""
    if json:
        as_json(list(done.records))
    elif done.page is not None:
        print(f"Listen: {done.page}")
    if done.interrupted:
        kept = len({(one["label"], one["style"]) for one in done.records})
        print(f"subterfuge: interrupted, {kept} of {total} sounds made, which are kept", file=sys.stderr)
        return 130
    return 0 if done.success else 1


def _percent(p: float) -> str:
    """A probability in percent, with enough digits to tell it from certainty."""
    return f"{100 * p:.1f} %" if p < 0.999 else f"{100 * p:.4f} %"
