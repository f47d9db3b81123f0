"""Text that fits: the font of sheets and figures, and lines broken by their measured width."""

import re
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import ImageFont


@lru_cache(maxsize=32)
def sheet_font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at `size` pixels; it comes with matplotlib and covers Greek, Cyrillic, Arabic and more, so captions are not boxes."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float, max_lines: int) -> list[str]:
    """`text` in at most `max_lines` lines of at most `width` pixels, broken at spaces and at its own line breaks.

    Words that are too long are cut, and what is left out is an ellipsis.
    """
    lines: list[str] = []
    glued = text.replace(" = ", "\u00a0=\u00a0")  # "n = 10" is one word
    paragraphs = [re.split(r"[ \t]+", part.strip()) for part in glued.splitlines() if part.strip()]
    while paragraphs and len(lines) < max_lines:
        words = paragraphs[0]
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        if not words:
            paragraphs.pop(0)
        if len(lines) == max_lines - 1 and paragraphs:
            line = f"{line} …"
        lines.append(_shorten(line, font, width))
    return lines


def _shorten(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(line) <= width:
        return line
    line = line.removesuffix("…").rstrip()
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1].rstrip()
    return f"{line}…"
