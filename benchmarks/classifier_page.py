"""The classifiers' page, made of whatever results are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import common
from subterfuge.labels import full_name
from subterfuge.training.measures import Estimate

MODELS = ("svc", "tree", "logistic", "forest", "boosting", "mlp", "cnn")
# What is aimed at: accuracy on real recordings among all classes, and on a soundfont held out.
AIMS = {"svc": (0.45, 0.75), "cnn": (0.60, 0.85)}
TITLES = {
    "fluid": "FluidR3 GM",
    "muse": "MuseScore General",
    "timgm": "TimGM6mb",
    "both": "both MIT fonts",
    "shipped": "both, as the victims that ship",
}

INTRODUCTION = """
Every model is trained on one orchestra: {orchestra}. Three-second clips in recordings of two, which share
player, room and microphone. The models on the 25 features: the best of {tune} settings of a search, by
cross-validation over recordings. The network: {epochs} epochs at most, from the waveform's log-mel
spectrogram. In brackets 95 % intervals of the bootstrap over recordings. Seed {seed} throughout.
"""
SPLITS = """
A fifth of the recordings held out, and with the same setting (of the network: taught anew) a fifth of the
clips drawn at random, so that most of them have a sibling that was trained on. The gap is what a random split
flatters.
"""
REAL = """
{clips} real recordings of {known} of the {labels} classes ({names}), never trained on: whole files along the
plain path, every model's own `predict`. "Looked at" are the {looked} at even positions in each class folder,
which were seen while recipes were made; nobody had looked at the other {unseen}. "Among the {known}" lets a
model answer with these only.
"""
SOUNDFONT = """
Trained on one soundfont's clips (the training part of a grouped split of them), heard on another's, every
clip of it. {how}
"""
HALVES = (
    "Both orchestras were drawn from one seed, so the even recordings are trained on and the odd ones heard: "
    "equal numbers share phrases and rooms."
)


@dataclass(frozen=True)
class Results:
    """What the stages left, as their JSON has it.

    Attributes
    ----------
    models, heard : dict
        Results by the job's name.
    orchestras : dict
        ``clips``, ``seed`` and ``soundfonts`` of each by its option's name.
    halves : bool
        Whether equal seeds forced each soundfont's orchestra into halves.
    tune, epochs, seed : int
    """

    models: dict[str, Any]
    heard: dict[str, Any]
    orchestras: dict[str, Any] = field(default_factory=dict)
    halves: bool = False
    tune: int = 0
    epochs: int = 0
    seed: int = 0


def page(results: Results, command: str) -> str:
    """All sections of which there is something to tell."""
    text = common.header("Classifiers", packages=["scipy"], command=command)
    made = results.orchestras["corpus"]
    text += INTRODUCTION.format(
        orchestra=f"{made['clips']} clips a class from {' and '.join(made['soundfonts'])}",
        tune=results.tune,
        epochs=results.epochs,
        seed=results.seed,
    )
    for section in (_splits, _real, _recalls, _soundfonts, _aims, _cost):
        text += section(results)
    return text


def _splits(results: Results) -> str:
    rows, gaps = [], []
    for model in MODELS:
        told = results.models.get(model)
        if told is None:
            continue
        grouped = told["sides"]["grouped"]
        alone = results.models.get(f"{model}-random")  # of a network, which is taught anew
        random = told["sides"]["random"] or (alone and alone["sides"]["random"])
        row = [model, told["settings_tried"] or "", _cell(grouped["accuracy"])]
        if random:
            gaps.append(100 * (random["accuracy"]["value"] - grouped["accuracy"]["value"]))
            row += [_cell(random["accuracy"]), _points(gaps[-1])]
        else:
            row += ["", ""]
        rows.append([*row, _cell(grouped["macro_f1"])])
    if not rows:
        return ""
    head = ["model", "settings tried", "held-out recordings", "held-out clips", "gap, points"]
    text = "\n## By recording and at random\n" + SPLITS + "\n"
    text += common.table([*head, "macro F1, recordings"], rows)
    if gaps:
        text += f"\nA random split changes accuracy by {_points(min(gaps))} to {_points(max(gaps))} points.\n"
    return text


def _real_rows(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """Models as trained here, then victims from elsewhere, with what they heard in real recordings."""
    found = []
    for name, told in results.heard.items():
        if name.startswith("real-") and told is not None:
            title = name.removeprefix("real-")
            title = f"`{title.removeprefix('shipped-')}`" if title.startswith("shipped-") else title
            found.append((title, told["measured"]))
    order = {model: place for place, model in enumerate(MODELS)}
    return sorted(found, key=lambda one: order.get(one[0], len(order)))


def _real(results: Results) -> str:
    rows = _real_rows(results)
    if not rows:
        return ""
    _, first = rows[0]
    known = first["all"]["known"]
    head = ["model", f"all {first['all']['clips']}", f"looked at ({first['looked_at']['clips']})"]
    head += [f"unseen ({first['unseen']['clips']})", f"among the {len(known)}, all", "unseen"]
    cells = [
        [
            title,
            *(_cell(heard[half]["accuracy"]) for half in ("all", "looked_at", "unseen")),
            *(_cell(heard[half]["among_known"]) for half in ("all", "unseen")),
        ]
        for title, heard in rows
    ]
    text = REAL.format(
        clips=first["all"]["clips"],
        known=len(known),
        labels=len(first["all"]["labels"]),
        names=", ".join(full_name(label) for label in known),
        looked=first["looked_at"]["clips"],
        unseen=first["unseen"]["clips"],
    )
    if any(title.startswith("`") for title, _ in rows):
        text += "\nIn `code`: the victims that ship, trained by their own recipe.\n"
    return "\n## Real recordings\n" + text + "\n" + common.table(head, cells)


def _recalls(results: Results) -> str:
    """Of each class, how many of its real recordings are heard rightly, and what the others are taken for."""
    rows = _real_rows(results)
    if not rows:
        return ""
    first = rows[0][1]["all"]
    cells = []
    for title, heard in rows:
        row: list[object] = [title]
        for label in first["known"]:
            labels = heard["all"]["labels"]
            counts = heard["all"]["confusion"][labels.index(label)]
            row.append(_mistaken(label, labels, counts))
        cells.append(row)
    text = "\nRightly heard of each class, and what it was most often taken for instead:\n\n"
    return text + common.table(["model", *map(full_name, first["known"])], cells)


def _mistaken(label: str, labels: list[str], counts: list[int]) -> str:
    right = counts[labels.index(label)]
    others = sorted(
        ((n, other) for n, other in zip(counts, labels, strict=True) if other != label and n),
        key=lambda one: (-one[0], one[1]),
    )
    instead = f" ({others[0][1]} {others[0][0]})" if others else ""
    return f"{right} of {sum(counts)}{instead}"


def _soundfont_cells(results: Results) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for name, told in results.heard.items():
        if name.startswith("soundfont-") and told is not None:
            _, model, train, test = name.split("-")
            found.setdefault((train, test), {})[model] = told["measured"]["all"]
    return found


def _soundfonts(results: Results) -> str:
    found = _soundfont_cells(results)
    if not found:
        return ""
    rows = [
        [
            f"{TITLES[train]} → {TITLES[test]}",
            next(iter(heard.values()))["clips"],
            *(_cell(heard[model]["accuracy"]) if model in heard else "" for model in ("svc", "cnn")),
        ]
        for (train, test), heard in sorted(found.items(), key=lambda one: list(TITLES).index(one[0][0]))
    ]
    apart = {"fluid", "muse"} <= set(results.orchestras)
    how = (
        "Each MIT soundfont has an orchestra of its own."
        if apart
        else "The two MIT soundfonts are the two halves of the orchestra, which share no recording."
    )
    if results.halves:
        how = HALVES
    if "timgm" in results.orchestras:
        how += " The third soundfont was neither trained on nor looked at."
    head = ["trained on → heard", "clips heard", "svc", "cnn"]
    return "\n## A soundfont held out\n" + SOUNDFONT.format(how=how) + "\n" + common.table(head, rows)


def _aims(results: Results) -> str:
    """What is aimed at, and what the models trained here came to."""
    rows = []
    real = dict(_real_rows(results))
    fonts = _soundfont_cells(results)
    for model, (on_real, on_fonts) in AIMS.items():
        for title in (model, f"`orchestra-{model}`"):
            if title in real:
                rows.append(_aim(f"{title} on real recordings", on_real, [real[title]["all"]]))
        both = [
            heard[model]
            for (train, _), heard in fonts.items()
            if train in ("fluid", "muse") and model in heard
        ]
        if len(both) == 2:
            rows.append(_aim(f"{model} on a soundfont held out, mean of both ways", on_fonts, both))
    if not rows:
        return ""
    return "\n## Aims\n\n" + common.table(["", "aim", "measured", "met"], rows)


def _aim(what: str, aim: float, heard: Iterable[dict[str, Any]]) -> list[object]:
    values = [one["accuracy"]["value"] for one in heard]
    value = sum(values) / len(values)
    return [what, f"≥ {aim:.0%}", f"{value:.1%}", "yes" if value >= aim else "**no**"]


def _cost(results: Results) -> str:
    rows = []
    for name, told in results.models.items():
        if told is not None:
            best = f"{told['epochs']} ({told['best_epoch']})" if told["epochs"] else ""
            minutes = f"{told['core_seconds'] / 60:.1f}"
            rows.append([name, f"{told['clips']:,}", best, minutes])
    if not rows:
        return ""
    head = ["training", "clips", "epochs (best)", "core-minutes"]
    text = "\n## What it took\n\nTo train and measure; features of the 25 were known already.\n\n"
    return text + common.table(head, rows)


def _cell(told: dict[str, Any]) -> str:
    """An estimate as JSON has it, for a table."""
    numbers = (float("nan") if told[key] is None else told[key] for key in ("value", "low", "high"))
    return common.estimate(Estimate(*numbers))


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
