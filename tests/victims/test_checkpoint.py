"""TensorFlow's checkpoints: whatever is written comes back, whatever is broken is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_checkpoint import TYPES, checkpoint, message, varint

from subterfuge.errors import SubterfugeError
from subterfuge.victims.checkpoint import read_checkpoint

NAMES = st.text(st.sampled_from("abcdé/_12"), min_size=1, max_size=12)
ARRAYS = st.tuples(
    st.sampled_from(sorted(TYPES)), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 99)
)


def array(dtype: str, shape: list[int], seed: int) -> np.ndarray:
    return (50 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.dictionaries(NAMES, ARRAYS, max_size=20), st.integers(1, 9))
def test_whatever_is_written_comes_back(made: dict[str, tuple[str, list[int], int]], a_block: int) -> None:
    variables = {name: array(*how) for name, how in made.items()}
    back = read_checkpoint(*checkpoint(variables, a_block=a_block))
    assert set(back) == set(variables)
    for name, one in variables.items():
        assert back[name].dtype == one.dtype
        np.testing.assert_array_equal(back[name], one, strict=True)


def test_only_what_is_wanted_is_read() -> None:
    index, data = checkpoint({"w": np.float32([1, 2]), "w/Adam": np.float32([3, 4])})
    assert list(read_checkpoint(index, data, wanted=lambda name: "Adam" not in name)) == ["w"]


def test_what_is_broken_is_told() -> None:
    variables = {f"layer_{i}/kernel": np.full((3, i + 1), i, np.float32) for i in range(9)}
    index, data = checkpoint(variables)
    for bad, said in (
        (b"", "does not end as one"),
        (index[:-1], "does not end as one"),
        (index[60:], "cannot be read"),
        (checkpoint(variables, compression=1)[0], "compressed"),
        (checkpoint(variables, shards=2)[0], "several pieces"),
    ):
        with pytest.raises(SubterfugeError, match=said):
            read_checkpoint(bad, data)
    with pytest.raises(SubterfugeError, match=r"does not hold all of 'layer_8/kernel'"):
        read_checkpoint(index, data[:-1])


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.binary(max_size=40), st.integers(0, 400))
def test_no_index_does_worse_than_be_refused(noise: bytes, at: int) -> None:
    index, data = checkpoint({f"layer_{i}/kernel": np.ones((3, 2), np.float32) for i in range(5)})
    at = at % (len(index) - 8)
    spoilt = index[:at] + noise + index[at + len(noise) :]
    try:
        read_checkpoint(spoilt[:-8] + index[-8:], data)
    except SubterfugeError as error:
        assert "\n" not in str(error)


def test_the_writer_is_like_the_format() -> None:
    """By hand: the varint of 300 is AC 02, and field 1 = 150 is 08 96 01 (Google's own examples)."""
    assert varint(300) == b"\xac\x02" and message((1, 150)) == b"\x08\x96\x01"
