"""The charts of a training's and an evaluation's page; each also says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from subterfuge.report.measured import number, plural, share
from subterfuge.report.scales import Axis, linear, logarithmic, shares
from subterfuge.report.svg import Frame, drawing, tag
from subterfuge.training.measures import ReliabilityBin
from subterfuge.training.protocol import CurvePoint
from subterfuge.training.report import Epoch, Trial

ENOUGH = (0.9, 0.95)  # shares of the variance that one asks after


def explained(shares_of: Sequence[float]) -> Markup:
    """Variance that each component explains as bars, and their running sum as a line."""
    n = len(shares_of)
    sums = [sum(shares_of[: i + 1]) for i in range(n)]
    every = max(1, 5 * math.ceil(n / 30))
    ticks = sorted({1, *range(every, n + 1, every)})
    x = Axis("Components, in order", 0.4, n + 0.6, tuple((float(i), str(i)) for i in ticks))
    frame = Frame(x, shares("Variance explained, %", (0.0, 1.0)))
    wide = 0.62 * (frame.x(2) - frame.x(1))
    parts = frame.axes()
    for i, value in enumerate(shares_of, 1):
        top = frame.y(value)
        parts.append(
            tag("rect", class_="bar", x=frame.x(i) - wide / 2, y=top, width=wide, height=frame.bottom - top)
        )
    points = [(float(i), value) for i, value in enumerate(sums, 1)]
    parts.append(frame.line(points, class_="line a"))
    parts += [tag("circle", class_="dot a", cx=frame.x(a), cy=frame.y(b), r=2.2) for a, b in points]
    return drawing(parts, height=230, says=f"Cumulative explained variance. {enough(shares_of)}")


def enough(shares_of: Sequence[float]) -> str:
    """How many components hold most of the variance, in a sentence.

    Examples
    --------
    >>> enough([0.75, 0.17, 0.08]).replace("\\xa0", " ")
    'The first of 3 components explains 75.0 % of the variance; 2 are needed for 90 %, 3 for 95 %.'
    """
    said: list[str] = []
    for wanted in ENOUGH:
        sums = [sum(shares_of[:i]) for i in range(1, len(shares_of) + 1)]
        if sums[-1] >= wanted - 1e-9:
            n = next(i for i, reached in enumerate(sums, 1) if reached >= wanted - 1e-9)
            need = ("is" if n == 1 else "are") + " needed " if not said else ""
            said.append(f"{n} {need}for {100 * wanted:.0f}\N{NO-BREAK SPACE}%")
    tail = f"; {', '.join(said)}" if said else ""
    first = f"The first of {plural(len(shares_of), 'component')} explains {share(shares_of[0])}"
    return f"{first} of the variance{tail}."


def reliability(bins: Sequence[ReliabilityBin]) -> Markup:
    """How often a probability kept its word: dots against the diagonal, and how many clips beneath."""
    x = shares("Largest probability, %")
    frame = Frame(x, shares("Heard rightly, %"), height=266, bottom=38)
    parts = frame.axes()
    parts.append(frame.line([(0.0, 0.0), (1.0, 1.0)], class_="line ideal"))
    for one in bins:
        at, says = frame.x(one.confidence), _bin_says(one)
        parts.append(
            tag("line", class_="gap", x1=at, x2=at, y1=frame.y(one.confidence), y2=frame.y(one.accuracy))
        )
    parts.append(frame.line([(one.confidence, one.accuracy) for one in bins], class_="line a thin"))
    for one in bins:
        parts.append(
            tag(
                "circle",
                tag("title", _bin_says(one)),
                class_="dot a",
                cx=frame.x(one.confidence),
                cy=frame.y(one.accuracy),
                r=4.0,
            )
        )
    most = max((one.clips for one in bins), default=1)
    counts = Frame(
        Axis("", 0.0, 1.0, ()), Axis("Clips", 0.0, float(most), ()), height=346, top=292, bottom=10
    )
    counts.left = frame.left
    parts.append(tag("text", "Clips", class_="axis-label", x=0, y=300.0))
    parts.append(
        tag("line", class_="base", x1=counts.left, x2=counts.right, y1=counts.bottom, y2=counts.bottom)
    )
    for one in bins:
        left, right = counts.x(one.low) + 1, counts.x(one.high) - 1
        top = min(counts.y(one.clips), counts.bottom - 1)
        parts.append(
            tag(
                "rect",
                tag("title", _bin_says(one)),
                class_="bar a",
                x=left,
                y=top,
                width=right - left,
                height=counts.bottom - top,
            )
        )
        parts.append(
            tag(
                "text",
                str(one.clips),
                class_="count",
                x=(left + right) / 2,
                y=top - 3,
                text_anchor="middle",
            )
        )
    says = "Reliability of the probabilities. " + " ".join(_bin_says(one) for one in bins)
    return drawing(parts, height=346, says=says)


def _bin_says(one: ReliabilityBin) -> str:
    return (
        f"{plural(one.clips, 'clip')} at {share(one.confidence)} on average: "
        f"{share(one.accuracy)} heard rightly."
    )


def curves(
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    *,
    x: Axis,
    y: Axis,
    mark: tuple[float, float] | None = None,
    at: float | None = None,
    says: str,
) -> Markup:
    """Lines over one another: each a name, a class of style and points; one point or place may be marked."""
    frame = Frame(x, y)
    parts = frame.axes()
    if at is not None:
        here = frame.x(at)
        parts.append(tag("line", class_="here", x1=here, x2=here, y1=frame.top, y2=frame.bottom))
    for name, style, points in lines:
        known = [(a, b) for a, b in points if math.isfinite(b)]
        parts.append(tag("g", tag("title", name), frame.line(known, class_="inner"), class_=f"line {style}"))
        if len(known) == 1:
            parts.append(
                tag("circle", class_=f"dot {style}", cx=frame.x(known[0][0]), cy=frame.y(known[0][1]), r=3.0)
            )
    if mark is not None:
        parts.append(tag("circle", class_="best", cx=frame.x(mark[0]), cy=frame.y(mark[1]), r=4.5))
    return drawing(parts, height=230, says=says)


def learning(epochs: Sequence[Epoch]) -> list[dict[str, Any]]:
    """A network's learning curves: losses, and accuracy; each a title, a drawing and a sentence."""
    x = linear([float(e.number) for e in epochs], "Epoch", whole=True)
    x = Axis(x.label, min(float(e.number) for e in epochs) - 0.5, float(epochs[-1].number) + 0.5, x.ticks)
    x = Axis(x.label, x.low, x.high, tuple(t for t in x.ticks if x.low <= t[0] <= x.high))
    losses = [e.training_loss for e in epochs] + [e.validation_loss for e in epochs]
    least = min(epochs, key=lambda e: _or(e.validation_loss, math.inf))
    most = max(epochs, key=lambda e: _or(e.validation_accuracy, -math.inf))
    said = f"Validation loss is least at epoch {least.number}: {number(least.validation_loss, 3)}."
    heard = f"Validation accuracy is highest at epoch {most.number}: {share(most.validation_accuracy)}."
    return [
        {
            "title": "Loss",
            "keys": [("training", "a"), ("validation", "b")],
            "drawing": curves(
                [
                    ("training", "a", [(float(e.number), e.training_loss) for e in epochs]),
                    ("validation", "b", [(float(e.number), e.validation_loss) for e in epochs]),
                ],
                x=x,
                y=linear([0.0, *losses], "Loss, nat"),
                mark=(float(least.number), least.validation_loss),
                says=f"Loss over {plural(len(epochs), 'epoch')}. {said}",
            ),
            "says": said,
        },
        {
            "title": "Accuracy",
            "keys": [("validation", "b")],
            "drawing": curves(
                [("validation", "b", [(float(e.number), e.validation_accuracy) for e in epochs])],
                x=x,
                y=shares("Accuracy, %", [0.0, *(e.validation_accuracy for e in epochs)]),
                mark=(float(most.number), most.validation_accuracy),
                says=f"Validation accuracy over {plural(len(epochs), 'epoch')}. {heard}",
            ),
            "says": heard,
        },
    ]


def thresholds(by_strategy: dict[str, tuple[CurvePoint, ...]], threshold: float) -> dict[str, Any]:
    """Micro and macro F1 over the threshold, one line each for either strategy."""
    styles = {
        ("S2", "micro"): "a",
        ("S2", "macro"): "b",
        ("S1", "micro"): "a dashed",
        ("S1", "macro"): "b dashed",
    }
    lines = [
        (
            f"{strategy}, {kind}",
            styles[strategy, kind],
            [(p.threshold, p.micro_f1 if kind == "micro" else p.macro_f1) for p in points],
        )
        for strategy, points in sorted(by_strategy.items(), reverse=True)
        for kind in ("micro", "macro")
    ]
    highest = [value for _, _, points in lines for _, value in points if math.isfinite(value)]
    return {
        "keys": [(name, style) for name, style, _ in lines],
        "drawing": curves(
            lines,
            x=Axis("Threshold", 0.0, 1.0, tuple((i / 5, f"{i / 5:g}") for i in range(6))),
            y=shares("F1, %", [0.0, *highest]),
            at=threshold,
            says=f"F1 over the threshold; measured at {threshold:g}.",
        ),
    }


def trials(tried: Sequence[Trial]) -> list[dict[str, Any]]:
    """Accuracy of a search's trials over each parameter that varied: the parameter's name and a drawing."""
    names = list(dict.fromkeys(name for trial in tried for name in trial.parameters))
    out = []
    for name in names:
        values = [trial.parameters.get(name) for trial in tried]
        if len({str(value) for value in values}) > 1:
            out.append({"name": name, "drawing": _scatter(name, values, tried)})
    return out


def _scatter(name: str, values: Sequence[Any], tried: Sequence[Trial]) -> Markup:
    axis, places = _parameter_axis(name, values)
    frame = Frame(axis, shares("Accuracy, %", _reach(tried)), height=210)
    parts = frame.axes()
    best = max(range(len(tried)), key=lambda i: tried[i].accuracy)
    for i in sorted(range(len(tried)), key=lambda i: i == best):  # the best last, so that nothing covers it
        trial, x = tried[i], frame.x(places[i])
        title = tag("title", f"{name} {written(values[i])}: {share(trial.accuracy)}")
        if i == best:
            low, high = frame.y(trial.accuracy - trial.spread), frame.y(trial.accuracy + trial.spread)
            parts.append(tag("line", class_="spread", x1=x, x2=x, y1=low, y2=high))
        style = "trial best-trial" if i == best else "trial"
        parts.append(
            tag("circle", title, class_=style, cx=x, cy=frame.y(trial.accuracy), r=4.5 if i == best else 3.2)
        )
    says = (
        f"Accuracy of {plural(len(tried), 'trial')} over {name}; the best, {share(tried[best].accuracy)}, "
        f"at {written(values[best])}."
    )
    return drawing(parts, height=210, says=says)


def _reach(tried: Sequence[Trial]) -> list[float]:
    """Accuracies, and how far the spread of the best reaches."""
    best = max(tried, key=lambda one: one.accuracy)
    return [*(one.accuracy for one in tried), best.accuracy - best.spread, best.accuracy + best.spread]


def _parameter_axis(name: str, values: Sequence[Any]) -> tuple[Axis, list[float]]:
    """An axis that fits a parameter: logarithmic, linear, or one place for each thing that is no number."""
    numeric = all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not numeric:
        kinds = list(dict.fromkeys(map(written, values)))
        kinds.sort()
        ticks = tuple((float(i), kind if len(kind) < 14 else kind[:12] + "…") for i, kind in enumerate(kinds))
        return Axis(name, -0.5, len(kinds) - 0.5, ticks), [float(kinds.index(written(v))) for v in values]
    places = [float(v) for v in values]
    if min(places) > 0 and max(places) / min(places) >= 50:
        return logarithmic(places, name), places
    axis = linear(places, name, whole=all(isinstance(v, int) for v in values))
    room = 0.03 * (axis.high - axis.low)
    return Axis(name, axis.low - room, axis.high + room, axis.ticks), places


def written(value: Any) -> str:
    """A parameter's value, short: ``10.8``, ``0.01``, ``rbf``, ``none``.

    Examples
    --------
    >>> written(10.7831), written(None), written(True), written((100, 50))
    ('10.78', 'none', 'yes', '100, 50')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(written, value))
    return str(value)


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
