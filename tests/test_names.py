"""Names as people type them: found whatever their case and dashes, and the nearest named on a miss."""

from __future__ import annotations

import pytest

from subterfuge.errors import SubterfugeError
from subterfuge.names import did_you_mean, known_name

KNOWN = ("fmn", "fmn-linf", "carlini-wagner", "multiscale-cw")


@pytest.mark.parametrize("typed", ["fmn-linf", " FMN_Linf ", "fmn linf"])
def test_case_and_dashes_do_not_matter(typed: str) -> None:
    assert known_name("attack", typed, KNOWN) == "fmn-linf"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("fnm", "unknown attack 'fnm': did you mean fmn?"),
        ("CW", "unknown attack 'CW': did you mean multiscale-cw?"),  # a part of one, and spelt like none
        ("zzz", "unknown attack 'zzz': expected one of fmn, fmn-linf, carlini-wagner, multiscale-cw"),
        ("", "unknown attack '': expected one of fmn, fmn-linf, carlini-wagner, multiscale-cw"),
    ],
)
def test_a_miss_names_the_nearest(typed: str, told: str) -> None:
    with pytest.raises(SubterfugeError) as caught:
        known_name("attack", typed, KNOWN)
    assert str(caught.value) == told


def test_as_many_are_named_as_are_wanted() -> None:
    assert did_you_mean("mp", ["mp1", "mp2", "mp3"], count=2) == "did you mean mp3 or mp2?"
    assert did_you_mean("mp", ["mp1"], cutoff=0.9) == ""
