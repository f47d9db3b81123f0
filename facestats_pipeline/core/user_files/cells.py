"""How cells and header words are compared, and which cells say that there is no value."""

import re

NULL_WORDS = frozenset(
    {"", "-", "?", "na", "n/a", "nan", "nil", "none", "null", "unknown", "undefined", "not known", "unsure"}
)
"""Words that say "no label", in lower case."""


def word_key(text: str) -> str:
    """`text` in lower case with runs of spaces, `_` and `-` made one space: the form in which words are compared."""
    return re.sub(r"[\s_\-]+", " ", text).strip().lower()


def is_null(text: str) -> bool:
    """Whether a cell says that there is no label."""
    return text.strip().lower() in NULL_WORDS
