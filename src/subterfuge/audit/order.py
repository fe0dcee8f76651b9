"""An audit as it is ordered on the command line: labels, corpus and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subterfuge.audit.plan import Plan
from subterfuge.audit.run import Progress, Told, audit
from subterfuge.corpora import embedded
from subterfuge.corpora.open import open_corpus
from subterfuge.labels import index_of
from subterfuge.workers import available_cores


def audit_on(
    victim: str,
    *,
    corpus: Path | None,
    count: int | None,
    to: str | None,
    columns: str,
    out: Path,
    workers: int,
    command: str,
    progress: Progress | None = None,
    **budgets: Any,
) -> tuple[Told, Path]:
    """Carry out an audit and write its page: what was found, and the page's path.

    Raises
    ------
    SubterfugeError
        If a victim, corpus, label or setting is none.
    """
    from subterfuge.report.audit_page import write_audit
    from subterfuge.runs import load_on

    clips = embedded.clips() if corpus is None else open_corpus(corpus).clips
    labels = load_on(victim, "cpu").labels
    label = None if to is None else labels[index_of(to, labels)]
    plan = Plan(columns=tuple(one.strip() for one in columns.split(",")), to=label, **budgets)
    told = audit(
        victim,
        clips,
        out=out,
        plan=plan,
        count=count,
        workers=workers or available_cores(),
        progress=progress,
    )
    return told, write_audit(told, out, command=command)
