"""The page of an evaluation: how well a victim hears a corpus that it may never have heard before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subterfuge.files import make_folder, write_text
from subterfuge.labels import full_name
from subterfuge.report import charts, parts
from subterfuge.report.measured import (
    commonest,
    evaluation_headline,
    evaluation_notes,
    listed,
    number,
    share,
)
from subterfuge.report.site import write_site
from subterfuge.report.wording import count, seconds
from subterfuge.training.codec import to_json
from subterfuge.training.evaluate import Evaluation
from subterfuge.training.measures import Measures
from subterfuge.training.protocol import CurvePoint, ExcerptMeasures

SHOWN_SKIPPED = 50

View = dict[str, Any]

_STRATEGIES = (
    "S1 holds the mean over the windows against the threshold, S2 divides it by the strongest label's first "
    "(Han, Kim and Lee, 2017). Micro pools all decisions, macro is the mean over labels."
)


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``folder/evaluation.json`` and the page beside it; the page's path.

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in.
    """
    folder = make_folder(Path(folder))
    write_text(folder / "evaluation.json", to_json(evaluation))
    return write_evaluation_page(evaluation, folder)


def write_evaluation_page(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``folder/index.html``: one page that needs nothing but a browser.

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in.
    """
    content: View = dict.fromkeys(("splits", "scores", "confusion", "reliability", "thresholds", "skipped"))
    contents = [("labels", "Label by label")]
    if evaluation.single is not None:
        content |= _single(evaluation, evaluation.single)
        contents += [("confusion", "Confusion")]
        contents += [("reliability", "Probabilities")] if content["reliability"] else []
    elif evaluation.excerpts is not None:
        content |= _excerpts(evaluation, evaluation.excerpts)
        contents += [("thresholds", "Thresholds")]
    if evaluation.skipped:
        content["skipped"] = _skipped(evaluation)
        contents += [("skipped", "Files of no use")]
    return write_site(
        "evaluation.html",
        folder,
        title=f"{evaluation.victim} on {evaluation.corpus}",
        command=evaluation.command,
        made=_made(evaluation),
        headline=evaluation_headline(evaluation),
        notes=evaluation_notes(evaluation),
        facts=_facts(evaluation),
        contents=[*contents, ("reproduce", "Reproduce")],
        **content,
    )


def _single(evaluation: Evaluation, heard: Measures) -> View:
    rows = [
        parts.split("Accuracy", f"among all {len(evaluation.labels)} labels of the victim", heard.accuracy)
    ]
    if evaluation.restricted is not None:
        about = f"only {listed([full_name(label) for label in evaluation.known])} allowed as answers"
        rows.append(parts.split("Among those that occur", about, evaluation.restricted, style="aside"))
    rows.append(parts.constant("Guessing", "always the commonest label", commonest(heard)))
    return {
        "splits": rows,
        "scores": parts.scores(heard),
        "confusion": parts.confusion(heard),
        "reliability": parts.reliability(heard),
    }


def _excerpts(evaluation: Evaluation, heard: ExcerptMeasures) -> View:
    drawn = charts.thresholds(heard.curves, heard.threshold)
    best = _best(heard.curves[heard.strategy])
    return {
        "scores": parts.excerpt_scores(heard),
        "thresholds": drawn
        | {
            "about": _STRATEGIES,
            "says": f"Measured at {heard.threshold:g} (the upright line) with {heard.strategy}. Its micro F1 "
            f"would be highest, {share(best.micro_f1)}, at {best.threshold:g}; but that is chosen by "
            "these very excerpts.",
        },
    }


def _best(curve: tuple[CurvePoint, ...]) -> CurvePoint:
    return max(curve, key=lambda point: -1.0 if point.micro_f1 != point.micro_f1 else point.micro_f1)


def _skipped(evaluation: Evaluation) -> View:
    rows = [(one.path.name, one.why) for one in evaluation.skipped[:SHOWN_SKIPPED]]
    return {"rows": rows, "more": count(max(0, len(evaluation.skipped) - SHOWN_SKIPPED)).lstrip("0")}


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    rows = [("Victim", evaluation.victim), ("Corpus", evaluation.corpus), ("Kind", evaluation.kind)]
    if evaluation.single is not None:
        single = evaluation.single
        rows += [
            ("Clips", count(single.clips)),
            ("Recordings", count(single.recordings)),
            ("Macro F1", share(single.macro_f1.value)),
        ]
        if single.calibration_error is not None:
            rows += [
                ("Calibration error", share(single.calibration_error)),
                ("Log loss", f"{number(single.log_loss)} nat"),
            ]
    if evaluation.excerpts is not None:
        heard = evaluation.excerpts
        rows += [
            ("Excerpts", count(heard.excerpts)),
            ("Recordings", count(heard.recordings)),
            ("Window", f"{evaluation.window:g} s, one every {evaluation.hop:g} s"),
            ("Put together by", heard.strategy),
            ("Threshold", f"{heard.threshold:g}"),
            ("Nothing heard in", count(heard.unheard)),
        ]
    return [*rows, ("Time", seconds(evaluation.seconds))]


def _made(evaluation: Evaluation) -> str:
    made = [f"Sonic Subterfuge {evaluation.version}", f"seed {evaluation.seed}", evaluation.date]
    return (
        " · ".join(part for part in made if part)
        + ". Every clip was read along the plain path, and judged by the victim itself."
    )
