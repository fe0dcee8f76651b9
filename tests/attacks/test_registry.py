"""The registry: names as people type them, nothing imported before it is asked for."""

from __future__ import annotations

import inspect
import math
import re
import subprocess
import sys

import pytest

from subterfuge.attacks.registry import ATTACKS, BY_AUDIBILITY, DEFAULT, chosen, find, get_attack
from subterfuge.errors import SubterfugeError


@pytest.mark.parametrize("name", list(ATTACKS))
def test_every_attack_has_the_one_signature_and_a_line_about_it(name: str) -> None:
    attack = get_attack(name)
    signature = inspect.signature(attack)
    assert list(signature.parameters)[:3] == ["victim", "y", "criterion"]
    for option in ("steps", "generator", "watch"):
        assert signature.parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
    assert isinstance(signature.parameters["steps"].default, int)
    assert signature.parameters["generator"].default is None
    assert signature.parameters["watch"].default is None
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
    entry = find(name)
    assert entry.about
    assert "\n" not in entry.about
    assert entry.fixed_budget == ("eps" in signature.parameters)
    assert not entry.hides or {"threshold", "level"} <= set(signature.parameters)
    if "norm" in signature.parameters:
        assert signature.parameters["norm"].default == entry.norm
    else:
        assert entry.norm == 2


def test_the_options_of_a_name_are_applied() -> None:
    assert get_attack("pgd-linf").keywords == {"norm": math.inf}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("typed", "name"),
    [("DDN", "ddn"), (" fmn ", "fmn"), ("carlini_wagner", "carlini-wagner"), ("PGD Linf", "pgd-linf")],
)
def test_names_as_people_type_them(typed: str, name: str) -> None:
    assert find(typed) is ATTACKS[name]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("minimum", "did you mean minimal"),
        ("ddm", "did you mean ddn"),
        ("carlini", "did you mean .*carlini-wagner"),
        ("cw", "did you mean .*multiscale-cw"),
        ("qqqqqq", "expected one of masked, minimal, ddn"),
        ("", "expected one of masked, minimal, ddn"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(typed: str, message: str) -> None:
    with pytest.raises(SubterfugeError, match=message):
        get_attack(typed)


@pytest.mark.parametrize(
    ("attack", "audibility", "name"),
    [
        (None, None, "masked"),
        (None, "masked", "masked"),
        (None, "l2", "minimal"),
        ("minimal", None, "minimal"),
        ("apgd", None, "apgd"),
        ("masked", "masked", "masked"),
        ("minimal", "l2", "minimal"),
    ],
)
def test_the_attack_is_chosen_by_name_or_by_what_it_makes_small(
    attack: str | None, audibility: str | None, name: str
) -> None:
    assert chosen(attack, audibility) == name


@pytest.mark.parametrize(
    ("attack", "audibility", "message"),
    [
        (None, "loudness", "audibility: got 'loudness', expected masked or l2"),
        ("masked", "", "audibility: got '', expected masked or l2"),
        ("ddn", "l2", "audibility: got 'l2' with the attack 'ddn', expected one of the two"),
        ("masked", "l2", "got 'l2' with the attack 'masked'"),
        ("minimal", "masked", "got 'masked' with the attack 'minimal'"),
        ("minimum", None, "did you mean minimal"),
        ("minimum", "l2", "did you mean minimal"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_in_a_sentence(
    attack: str | None, audibility: str | None, message: str
) -> None:
    with pytest.raises(SubterfugeError, match=re.escape(message)):
        chosen(attack, audibility)


def test_every_measure_has_an_attack_and_the_default_is_one_of_them() -> None:
    assert set(BY_AUDIBILITY.values()) <= set(ATTACKS) and DEFAULT in BY_AUDIBILITY.values()


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, subterfuge.attacks.registry as r; r.find('ddn');"
        "assert not [m for m in sys.modules if '.whitebox.' in m], 'an attack was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
