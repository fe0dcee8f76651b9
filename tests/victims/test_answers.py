"""What numbers and labels of any make mean, and clips longer or shorter than what is heard at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subterfuge.errors import SubterfugeError
from subterfuge.victims.answers import Answer, Meaning, in_order, place_of, thresholds_for
from subterfuge.victims.windows import Windows, windows_of

LABELS = ("dog", "cat", "bat")
ROW = torch.tensor([[0.5, 1.5, -1.0]])


def test_the_largest_number_is_heard_unless_the_classifier_says_otherwise() -> None:
    assert Meaning(LABELS).hearing(Answer(ROW), pieces=1).predicted.tolist() == [1]
    own = Meaning(LABELS).hearing(Answer(ROW, torch.tensor([2])), pieces=1, probabilities=True)
    assert own.predicted.tolist() == [2] and own.probabilities is None and torch.equal(own.scores, ROW)


def test_what_the_numbers_are_decides_what_the_probabilities_are() -> None:
    def chances(gives: str, **said: object) -> torch.Tensor | None:
        meaning = Meaning(LABELS, gives, **said)  # type: ignore[arg-type]
        return meaning.hearing(Answer(ROW), pieces=1, probabilities=True).probabilities

    assert chances("scores") is None
    torch.testing.assert_close(chances("logits"), ROW.softmax(1))
    torch.testing.assert_close(chances("logits", thresholds=(0.0, 0.0, 0.0)), ROW.sigmoid())
    assert torch.equal(chances("probabilities"), ROW)  # type: ignore[arg-type]
    said = Meaning(LABELS).hearing(Answer(ROW, probable=True), pieces=1, probabilities=True)
    assert torch.equal(said.probabilities, ROW)  # type: ignore[arg-type]


def test_thresholds_make_each_label_a_question_of_its_own() -> None:
    meaning = Meaning(LABELS, thresholds=(0.5, 2.0, -3.0))
    heard = meaning.hearing(Answer(ROW, torch.tensor([1])), pieces=1)
    assert heard.multilabel and heard.tags.tolist() == [[True, False, True]]
    assert heard.predicted.tolist() == [2]  # the furthest above its own threshold
    torch.testing.assert_close(heard.scores, torch.tensor([[0.0, -0.5, 2.0]]))


def test_a_label_alone_is_told_as_a_score_of_one() -> None:
    heard = Meaning(LABELS).hearing(Answer(predicted=torch.tensor([2, 0])), pieces=1, probabilities=True)
    assert heard.scores.tolist() == [[0, 0, 1], [1, 0, 0]] and heard.probabilities is None


def test_over_windows_scores_are_averaged_and_labels_counted() -> None:
    meaning = Meaning(LABELS, "probabilities")
    scores = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [1.0, 0.0, 0.0], [0.8, 0.2, 0.0]])
    heard = meaning.hearing(Answer(scores, torch.tensor([0, 1, 0, 0])), pieces=2, probabilities=True)
    torch.testing.assert_close(heard.scores, torch.tensor([[0.3, 0.65, 0.05], [0.9, 0.1, 0.0]]))
    assert heard.predicted.tolist() == [1, 0] and torch.equal(heard.probabilities, heard.scores)  # type: ignore[arg-type]
    labels = Meaning(LABELS).hearing(Answer(predicted=torch.tensor([0, 2, 2, 1, 1, 0])), pieces=3)
    assert labels.predicted.tolist() == [2, 1]


def test_infinite_scores_count_as_large_and_nan_is_refused() -> None:
    heard = Meaning(LABELS).hearing(Answer(torch.tensor([[-torch.inf, torch.inf, 0.0]])), pieces=1)
    assert heard.predicted.tolist() == [1] and bool(heard.scores.isfinite().all())
    with pytest.raises(SubterfugeError, match="the victim gave NaN for a score"):
        Meaning(LABELS).hearing(Answer(ROW * torch.nan), pieces=1)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"gives": "opinions"}, "gives: got 'opinions', expected scores, probabilities, logits"),
        ({"thresholds": (0.5, 0.5)}, "thresholds: got 2 for 3 labels"),
        ({"thresholds": (0.5, float("nan"), 0.1)}, "expected finite numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, object], wrong: str) -> None:
    with pytest.raises(SubterfugeError, match=wrong):
        Meaning(LABELS, **said)  # type: ignore[arg-type]


def test_thresholds_come_as_a_number_a_text_or_a_list() -> None:
    assert thresholds_for("0.5", LABELS) == thresholds_for(0.5, LABELS) == (0.5, 0.5, 0.5)
    assert (
        thresholds_for("0.1, 0.2,0.3", LABELS) == thresholds_for([0.1, 0.2, 0.3], LABELS) == (0.1, 0.2, 0.3)
    )
    for wrong in ("much", [0.1, "x"]):
        with pytest.raises(SubterfugeError, match=r"thresholds: got .* expected numbers"):
            thresholds_for(wrong, LABELS)  # type: ignore[arg-type]


def test_labels_that_are_left_out_count_less_than_all_that_are_there() -> None:
    assert in_order({"cat": 3.0, "dog": 1.0}, LABELS) == [1.0, 3.0, 0.0]
    assert in_order({"cat": 0.75}, LABELS, share=True) == [0.125, 0.75, 0.125]
    assert in_order({"cat": 0.5, "dog": 0.25}, LABELS, share=True) == [0.25, 0.5, 0.25]
    for wrong, said in (
        ({}, "gave no scores"),
        ({"cow": 1.0}, "gave the label 'cow', expected one of dog, cat, bat"),
        ({"cat": "high"}, "gave the score 'high', expected a number"),
        ({"cat": True}, "expected a number"),
        ({"cat": 10**400}, "expected a number"),
    ):
        with pytest.raises(SubterfugeError, match=said):
            in_order(wrong, LABELS)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["cow", 3, -1, True, 1.0, None])
def test_a_label_that_is_none_is_told(wrong: object) -> None:
    assert (place_of("cat", LABELS), place_of(2, LABELS)) == (1, 2)
    with pytest.raises(SubterfugeError, match="the victim gave the label"):
        place_of(wrong, LABELS)


@given(samples=st.integers(1, 60), length=st.integers(1, 20), hop=st.integers(1, 25))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_windows_of_one_length_hear_every_sample(samples: int, length: int, hop: int) -> None:
    y = torch.arange(1.0, samples + 1)[None].repeat(2, 1)
    cut = Windows(length, min(hop, length)).cut(y)
    assert cut.shape[0] == 2 and cut.shape[2] == length
    heard = cut[1].flatten()
    assert set(heard[heard > 0].tolist()) == set(y[0].tolist())
    assert bool((heard == 0).any()) == (samples < length)


def test_a_gradient_passes_through_windows() -> None:
    y = torch.randn(1, 10, requires_grad=True)
    Windows(4, 4).cut(y).sum().backward()  # type: ignore[no-untyped-call]
    assert y.grad is not None and y.grad.tolist() == [[1, 1, 1, 1, 1, 1, 2, 2, 1, 1]]


def test_windows_are_named_in_seconds() -> None:
    assert windows_of(None, None, 8000) is None
    assert windows_of(1.5, None, 8000) == Windows(12000, 12000)
    assert windows_of(1.0, 0.25, 8000) == Windows(8000, 2000)
    for window, hop, said in (
        (None, 1.0, "without a window"),
        (0.0, None, "positive"),
        (1.0, -1.0, "hop: got"),
    ):
        with pytest.raises(SubterfugeError, match=said):
            windows_of(window, hop, 8000)
