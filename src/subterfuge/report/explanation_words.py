"""What the page of explanations says in sentences, so that it claims no more than was tried."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from subterfuge.explanation.run import Explained
from subterfuge.report.wording import heard

MADE = (
    ". What is heard in a clip and in its parts was asked of the files as written and read back from disk. "
    "Integrated gradients: Sundararajan, Taly and Yan, 2017; critical bands: Zwicker and Terhardt, 1980."
)


def verdict(one: Explained) -> Markup:
    """What is heard in the clip, in its decisive parts and in the rest."""
    told = one.explanation
    share = f"{100 * told.share:g}\N{NO-BREAK SPACE}%"
    text = Markup("{} hears {}.").format(one.victim, heard(one.predicted, "before"))
    what = Markup("that")
    if told.label != one.predicted:
        what = heard(told.label, "wanted")
    return text + Markup(" In the {} of it that matter most for {} it hears {}; in the rest, {}.").format(
        share, what, heard(one.only.predicted, "after"), heard(one.without.predicted, "rest")
    )


def meaning(one: Explained) -> str:
    """What follows: whether the parts suffice, and whether they are needed."""
    label = one.explanation.label
    enough, spared = one.only.predicted == label, one.without.predicted == label
    if enough and not spared:
        return "These parts decide: they are enough, and without them it is lost."
    if enough:
        return "These parts are enough, but so is the rest: what decides is said more than once."
    if spared:
        return "These parts are neither enough nor needed: what decides lies in the rest, or in the whole."
    return "These parts are needed but not enough: what decides is how they stand to the rest."


def summary(explained: Sequence[Explained]) -> str | None:
    """Of several clips, how often the parts suffice and how often they are needed."""
    if len(explained) < 2:
        return None
    n = len(explained)
    enough = sum(one.only.predicted == one.explanation.label for one in explained)
    needed = sum(one.without.predicted != one.explanation.label for one in explained)
    return (
        f"Of {n} clips, {enough} are heard as before by their decisive parts alone, "
        f"and {needed} are heard otherwise without them."
    )


def unit(one: Explained) -> str:
    """What evidence is counted in, for a reader."""
    if one.explanation.unit == "log-odds":
        return (
            "log-odds of the label against all others together, in nats: 0 is even odds, 2.2 is nine to one"
        )
    return "the lead of the label’s score over the best other’s, in the victim’s own unit"
