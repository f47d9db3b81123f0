"""Texts that come from files, made safe to show."""

import re

_MARKED = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """`text` so that Markdown shows it letter by letter: a photo called `![](http://…).jpg` fetches nothing and links nowhere."""
    return _MARKED.sub(r"\\\1", re.sub(r"\s+", " ", text))


def shown(value: str) -> str:
    """A label as people read it."""
    return value.replace("_", " ")


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"
