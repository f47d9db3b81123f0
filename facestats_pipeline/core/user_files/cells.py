"""Normalisation of cells and header words for comparison, and the words that stand for a missing value."""

import re

NULL_WORDS = frozenset(
    {"", "-", "?", "na", "n/a", "nan", "nil", "none", "null", "unknown", "undefined", "not known", "unsure"}
)
"""Lower-case words that mean "no label"."""


def word_key(text: str) -> str:
    """The form in which words are compared: lower case, with runs of spaces, `_` and `-` replaced by one space."""
    return re.sub(r"[\s_\-]+", " ", text).strip().lower()


def is_null(text: str) -> bool:
    """Whether a cell is empty or holds a word for a missing label."""
    return text.strip().lower() in NULL_WORDS
