"""What ``subterfuge audit`` prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def show(told: Mapping[str, Any], page: Path, *, json: bool) -> int:
    """Print an audit, as JSON or in a few lines; the exit code."""
    from subterfuge.files import strict_json
    from subterfuge.report.audit_page import headline

    failed = [one for one in told["sanity"] if one["passed"] is False]
    if json:
        print(strict_json(dict(told)))
    else:
        print(headline(told))
        for task, one in told["attacks"].items():
            snr = "–" if one["median_snr_db"] is None else f"median SNR {one['median_snr_db']:.1f} dB"
            print(
                f"  {task}: {one['fooled']} of {one['attacked']} fooled, {snr}, {one['inaudible']} inaudible"
            )
        if told["certified_snr_db"]:
            print(f"  certified: no change above {told['certified_snr_db']['median']:.1f} dB SNR (median)")
        for one in told["sanity"]:
            sign = {True: "passed", False: "FAILED", None: "not asked"}[one["passed"]]
            print(f"  {sign}: {one['name']} ({one['words']})")
        print(f"Page: {page}")
    if told["interrupted"]:
        print("interrupted: the same command goes on from here", file=sys.stderr)
    return 1 if failed or told["interrupted"] else 0
