"""Formats values for pages, and escapes text that comes from files."""

import re

_MARKED = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """`text` escaped for Markdown, so that a photo named `![](http://…).jpg` makes no request and no link."""
    return _MARKED.sub(r"\\\1", re.sub(r"\s+", " ", text))


def shown(value: str) -> str:
    """A label for display."""
    return value.replace("_", " ")


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """A number for display; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"
