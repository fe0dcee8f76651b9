"""The page of a training run: how well the victim hears, what leaks, what it listens to, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subterfuge.report import charts, parts
from subterfuge.report.measured import (
    commonest,
    interval,
    leak,
    number,
    plural,
    points,
    share,
    training_headline,
)
from subterfuge.report.site import level, write_site
from subterfuge.report.wording import count, seconds
from subterfuge.training.measures import Estimate, Measures
from subterfuge.training.report import Components, TrainingReport, Trial

SHOWN_COMPONENTS, SHOWN_TRIALS = 6, 8

MODELS = {
    "svc": "support vector machine",
    "tree": "decision tree",
    "logistic": "logistic regression",
    "forest": "random forest",
    "boosting": "gradient boosting",
    "mlp": "multilayer perceptron",
    "cnn": "convolutional network",
}

View = dict[str, Any]

_IMPORTANCE = (
    "Percentage points of accuracy on the held-out part that are lost when one feature is shuffled among the "
    "clips (Breiman, 2001), the most important first. Features that say the same share it."
)


def write_training_page(report: TrainingReport, folder: Path) -> Path:
    """Write ``folder/index.html``: one page that needs nothing but a browser.

    What was not measured has no part on it: a network no components, a model without a search no trials, one
    without probabilities no reliability diagram. Scores and confusion are those of the held-out part whose
    recordings were not trained on, where there is one.

    Raises
    ------
    SubterfugeError
        If the folder cannot be written in.

    Examples
    --------
    >>> import tempfile
    >>> report = TrainingReport("mine", "svc", "band", ("a", "b"), 9, 3, 0, {}, "grouped", None, None)
    >>> write_training_page(report, Path(tempfile.mkdtemp())).name
    'index.html'
    """
    best = report.grouped or report.random
    content: View = {
        "scores": parts.scores(best) if best else None,
        "confusion": parts.confusion(best) if best else None,
        "reliability": parts.reliability(best) if best else None,
        "components": _components(report.components) if report.components else None,
        "importance": _importance(report.importance) if report.importance else None,
        "learning": _learning(report) if report.epochs else None,
        "search": _search(report.trials) if report.trials else None,
    }
    names = {
        "scores": ("labels", "Label by label"),
        "confusion": ("confusion", "Confusion"),
        "reliability": ("reliability", "Probabilities"),
        "components": ("components", "Components"),
        "importance": ("importance", "Importance"),
        "learning": ("learning", "Learning"),
        "search": ("search", "Search"),
    }
    contents = [names[key] for key, part in content.items() if part]
    return write_site(
        "training.html",
        folder,
        title=f"Training of {report.name}",
        command=report.command,
        made=_made(report),
        headline=training_headline(report),
        leak=leak(report),
        splits=_splits(report),
        facts=_facts(report, best),
        contents=[*contents, ("costs", "Costs"), ("reproduce", "Reproduce")],
        costs=_costs(report),
        **content,
    )


def _splits(report: TrainingReport) -> list[View]:
    rows = []
    kept = "; the victim on disk was fitted by this split"
    if report.grouped is not None:
        about = "no recording on both sides" + (kept if report.split == "grouped" else "")
        rows.append(parts.split("New recordings", about, report.grouped.accuracy))
    if report.random is not None:
        about = "drawn clip by clip, recordings on both sides" + (kept if report.split == "random" else "")
        rows.append(parts.split("Known recordings", about, report.random.accuracy, style="against"))
    if report.cross_validated is not None:
        about = "mean and standard deviation over the folds of the search"
        rows.append(parts.split("Cross-validated", about, report.cross_validated, style="aside", spread=True))
    best = report.grouped or report.random
    if best is not None:
        rows.append(parts.constant("Guessing", "always the commonest label", commonest(best)))
    return rows


def _facts(report: TrainingReport, best: Measures | None) -> list[tuple[str, str]]:
    rows = [
        ("Model", MODELS.get(report.model, report.model)),
        ("Corpus", report.corpus),
        ("Labels", count(len(report.labels))),
        ("Clips", count(report.clips)),
        ("Recordings", count(report.recordings)),
    ]
    if report.skipped:
        rows.append(("Files of no use", count(report.skipped)))
    if best is not None:
        rows.append(("Held out", plural(best.clips, "clip")))
        rows.append(("Macro F1", share(best.macro_f1.value)))
        if best.calibration_error is not None:
            rows.append(("Calibration error", share(best.calibration_error)))
            rows.append(("Log loss", f"{number(best.log_loss)} nat"))
        else:
            rows.append(("Probabilities", "none"))
    rows += [(name, charts.written(value)) for name, value in report.parameters.items()]
    return rows


def _components(components: Components) -> View:
    shown = min(SHOWN_COMPONENTS, len(components.loadings))
    rows = components.loadings[:shown]
    most = max((abs(x) for row in rows for x in row), default=1.0) or 1.0
    return {
        "about": "Of the standardised features of the training part. A loading says how much of a feature is "
        "in a component; its sign only sets features against each other.",
        "drawing": charts.explained(components.explained),
        "says": charts.enough(components.explained),
        "heads": [(i + 1, f"{100 * components.explained[i]:.0f}\N{NO-BREAK SPACE}%") for i in range(shown)],
        "rows": [
            (name, [_loading(row[j], most) for row in rows]) for j, name in enumerate(components.features)
        ],
        "least": number(-most),
        "most": f"+{number(most)}",
    }


def _loading(value: float, most: float) -> tuple[str, str]:
    """A cell's style, orange where positive and blue where negative, and its text."""
    text = number(value)
    return f"{'g' if value > 0 else 'h'}{level(abs(value) / most)}", text


def _importance(importance: dict[str, Estimate]) -> View:
    order = sorted(importance.items(), key=lambda item: -item[1].value)
    ends = [x for one in importance.values() for x in (one.low, one.value, one.high) if x == x]
    low, high = min(0.0, *ends), max(0.01, *ends)
    return {
        "about": _IMPORTANCE,
        "rows": [
            {
                "name": name,
                "whisk": parts.whisk(one, low=low, high=high, zero=0.0),
                "value": points(one.value),
                "range": f"({points(one.low)} to {points(one.high)})" if interval(one) else "",
            }
            for name, one in order
        ],
    }


def _learning(report: TrainingReport) -> View:
    return {
        "about": f"{plural(len(report.epochs), 'epoch')}, "
        f"{seconds(sum(one.seconds for one in report.epochs))} in all. "
        "Validation is on clips set aside from training, by which it is decided when to stop.",
        "charts": charts.learning(report.epochs),
    }


def _search(trials: tuple[Trial, ...]) -> View:
    rows = [
        {
            "number": i,
            "parameters": [(name, charts.written(value)) for name, value in trial.parameters.items()],
            "accuracy": share(trial.accuracy),
            "spread": f"± {points(trial.spread)}",
            "seconds": seconds(trial.seconds),
        }
        for i, trial in enumerate(sorted(trials, key=lambda one: -one.accuracy), 1)
    ]
    rest = rows[SHOWN_TRIALS:]
    return {
        "about": f"{plural(len(trials), 'setting')}, each by the mean accuracy over the folds, ± its "
        "standard deviation. The best of many is a little flattered: the held-out part decides.",
        "charts": charts.trials(trials),
        "first": rows[:SHOWN_TRIALS],
        "rest": rest,
        "rest_title": f"The other {len(rest)}",
    }


def _costs(report: TrainingReport) -> list[tuple[str, str]]:
    rows = [(name.capitalize(), seconds(value)) for name, value in report.seconds.items()]
    if report.seconds:
        rows.append(("In all", seconds(sum(report.seconds.values()))))
    if report.peak_mb:
        rows.append(("Memory at most", f"{count(round(report.peak_mb))}\N{NO-BREAK SPACE}MB"))
    return rows or [("Not recorded", "–")]


def _made(report: TrainingReport) -> str:
    parts_ = [f"Sonic Subterfuge {report.version}".strip(), f"seed {report.seed}", report.date]
    return " · ".join(part for part in parts_ if part) + "."
