"""Command lines in words: as `shlex` has them, in linear time."""

import shlex

from hypothesis import given
from hypothesis import strategies as st
from support.examples import many

from azure_batch_emulator.nodes.runners.base import split_words


def words(split, text):
    try:
        return split(text)
    except ValueError:
        return None


@many(500)
@given(st.text(st.sampled_from("ab '\"\\\\\t\n#$"), max_size=12))
def test_as_shlex_has_them(text):
    assert words(split_words, text) == words(shlex.split, text)


def test_a_long_line():
    """`shlex` itself takes minutes for it."""
    assert split_words("'" + "a" * 900_000 + "' b") == ["a" * 900_000, "b"]
