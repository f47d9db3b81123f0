"""Text layout for sheets and figures: the font, and line breaks by measured width."""

import re
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import ImageFont


@lru_cache(maxsize=32)
def sheet_font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at `size` pixels. It comes with matplotlib and covers Greek, Cyrillic, Arabic and more, so file names are readable."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float, max_lines: int) -> list[str]:
    """Break `text` at spaces and at its own line breaks into at most `max_lines` lines of at most `width` pixels.

    Words that are too long are cut; an ellipsis marks whatever is left out.
    """
    lines: list[str] = []
    glued = text.replace(" = ", "\u00a0=\u00a0")  # "n = 10" must not be split between lines
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
