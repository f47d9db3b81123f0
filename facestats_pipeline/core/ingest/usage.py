"""The usage filter: conditions on source, licence and consent decide which photos may be used.

A condition is a text such as `consent!=no`, `licence=CC BY 4.0|public domain` or `source=*london*`. The whole value is compared, ignoring
case; `|` separates alternatives, `*` matches any text, and an empty value means "not stated".
"""

import re
from collections.abc import Iterable

import polars as pl

COLUMNS = ("source", "licence", "consent")
DEFAULT_USE = ("consent!=no|none|refused|withdrawn",)
_BLANK = " \t\r\n"
_CONDITION = re.compile(r"\s*(\w+)\s*(!?=)(.*)", re.DOTALL)


class UsageError(ValueError):
    """A condition cannot be parsed. The message shows valid ones."""


def usable(conditions: Iterable[str]) -> pl.Expr:
    """Expression: true for rows that satisfy every condition, never null. The frame needs the columns named in the conditions.

    A missing value satisfies every `!=` with a value, and only the empty `=`. Raises UsageError.
    """
    tests = [_test(condition) for condition in conditions]
    return pl.all_horizontal(tests) if tests else pl.lit(True)


def check_conditions(conditions: Iterable[str]) -> tuple[str, ...]:
    """Return the conditions unchanged. Raises UsageError for the first that cannot be parsed."""
    kept = tuple(conditions)
    usable(kept)
    return kept


def _test(condition: str) -> pl.Expr:
    match = _CONDITION.fullmatch(condition)
    column = {"license": "licence"}.get(match[1].lower(), match[1].lower()) if match else ""
    if match is None or column not in COLUMNS:
        raise UsageError(
            f"{condition!r} is not a condition on photos; write {', '.join(COLUMNS)} with = or !=, for example "
            "'consent!=no' or 'licence=CC BY 4.0|public domain'"
        )
    patterns = [_pattern(part) for part in match[3].split("|")]
    matches = (
        pl.col(column)
        .cast(pl.String)
        .fill_null("")
        .str.strip_chars(_BLANK)
        .str.contains("(?is)^(?:" + "|".join(patterns) + ")$")
    )
    return matches if match[2] == "=" else ~matches


def _pattern(text: str) -> str:
    return ".*".join(re.escape(part) for part in text.strip(_BLANK).split("*"))
