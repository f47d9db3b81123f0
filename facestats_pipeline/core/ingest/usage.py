"""Which photos may be used, by where they come from: the one filter on source, licence and consent.

A condition is a text: `consent!=no`, `licence=CC BY 4.0|public domain`, `source=*london*`. The value is compared as a whole without
regard to case; `|` separates alternatives, `*` stands for any text, and nothing after the sign means "not stated".
"""

import re
from collections.abc import Iterable

import polars as pl

COLUMNS = ("source", "licence", "consent")
DEFAULT_USE = ("consent!=no|none|refused|withdrawn",)
_BLANK = " \t\r\n"
_CONDITION = re.compile(r"\s*(\w+)\s*(!?=)(.*)", re.DOTALL)


class UsageError(ValueError):
    """A condition that cannot be read; the message says what one looks like."""


def usable(conditions: Iterable[str]) -> pl.Expr:
    """True for rows that satisfy every condition, never null; the frame needs the columns of COLUMNS that are named.

    A value that is not stated satisfies `!=` and no `=` but the empty one. Raises UsageError.
    """
    tests = [_test(condition) for condition in conditions]
    return pl.all_horizontal(tests) if tests else pl.lit(True)


def check_conditions(conditions: Iterable[str]) -> tuple[str, ...]:
    """The conditions themselves; raises UsageError for the first that cannot be read."""
    kept = tuple(conditions)
    usable(kept)
    return kept


def _test(condition: str) -> pl.Expr:
    match = _CONDITION.fullmatch(condition)
    column = {"license": "licence"}.get(match[1].lower(), match[1].lower()) if match else ""
    if match is None or column not in COLUMNS:
        raise UsageError(
            f"{condition!r} is no condition on photos; write {', '.join(COLUMNS)} with = or !=, for example "
            "'consent!=no' or 'licence=CC BY 4.0|public domain'"
        )
    patterns = [_pattern(part) for part in match[3].split("|")]
    found = (
        pl.col(column)
        .cast(pl.String)
        .fill_null("")
        .str.strip_chars(_BLANK)
        .str.contains("(?is)^(?:" + "|".join(patterns) + ")$")
    )
    return found if match[2] == "=" else ~found


def _pattern(text: str) -> str:
    return ".*".join(re.escape(part) for part in text.strip(_BLANK).split("*"))
