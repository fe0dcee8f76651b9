"""Labels as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.errors import SubterfugeError
from subterfuge.labels import FULL_NAMES, full_name, index_of

IRMAS = tuple(FULL_NAMES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tru", "tru"),
        ("TRU", "tru"),
        ("trumpet", "tru"),
        ("Trumpet ", "tru"),
        ("t", "tru"),
        ("acoustic guitar", "gac"),
        ("acoustic_guitar", "gac"),
        ("electric  guitar", "gel"),
        ("e", "gel"),
        ("cello", "cel"),
        ("vio", "vio"),
        ("violi", "vio"),
        ("voic", "voi"),
    ],
)
def test_found(text: str, code: str) -> None:
    assert IRMAS[index_of(text, IRMAS)] == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v", "ambiguous: it could be vio \\(violin\\) or voi \\(voice\\)"),
        ("g", "ambiguous: it could be gac"),
        ("trumpt", "did you mean tru \\(trumpet\\)"),
        ("violine", "did you mean vio \\(violin\\)"),
        ("guitar", "did you mean g"),
        ("xyzzy", "expected one of cel, cla"),
        ("", "expected one of cel, cla"),
        ("  ", "expected one of cel, cla"),
    ],
)
def test_refused_with_the_nearest_right_ones(text: str, message: str) -> None:
    with pytest.raises(SubterfugeError, match=message):
        index_of(text, IRMAS)


def test_an_exact_label_wins_over_a_longer_one_that_it_begins() -> None:
    assert index_of("a", ("ab", "a", "abc")) == 1
    with pytest.raises(SubterfugeError, match="ambiguous"):
        index_of("ab", ("abc", "abd"))


def test_labels_without_a_full_name_stand_for_themselves() -> None:
    assert full_name("kazoo") == "kazoo"
    assert index_of("KAZ", ("kazoo", "lute")) == 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(IRMAS), st.integers(1, 20), st.booleans())
def test_every_prefix_finds_its_label_or_is_called_ambiguous(code: str, length: int, upper: bool) -> None:
    for form in (code, full_name(code)):
        text = form[:length].upper() if upper else form[:length]
        fits = {c for c in IRMAS for f in (c, full_name(c)) if f.startswith(text.casefold())}
        exact = {c for c in IRMAS if text.casefold() in (c, full_name(c))}
        if exact or len(fits) == 1:
            assert IRMAS[index_of(text, IRMAS)] in (exact or fits)
        else:
            with pytest.raises(SubterfugeError, match="ambiguous"):
                index_of(text, IRMAS)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_any_text_gives_an_index_or_a_sentence(text: str) -> None:
    try:
        assert 0 <= index_of(text, IRMAS) < len(IRMAS)
    except SubterfugeError as error:
        assert "\n" not in str(error)
