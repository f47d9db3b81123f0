"""Contact sheets: many thumbnails on one page, each with a short caption."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from facestats_pipeline.core.drawing.lettering import sheet_font, wrap
from facestats_pipeline.core.images.decoding import ImageProblem, preprocess_image

Source = Image.Image | Path | bytes

INK, QUIET, PAPER, MISSING = (34, 34, 34), (105, 105, 105), (255, 255, 255), (225, 225, 225)
MAX_TILES = 600
"""Default limit of pictures on a sheet, since larger pages are hard to open; the sheet says how many it leaves out."""


@dataclass(frozen=True)
class SheetStyle:
    """Sizes on a sheet, in pixels; `columns` and `caption_lines` are counts."""

    thumb: int = 160
    columns: int = 6
    gap: int = 14
    margin: int = 24
    font: int = 15
    caption_lines: int = 2
    title_font: int = 26


def contact_sheet(
    pictures: Iterable[tuple[Source, str]],
    *,
    columns: int = 6,
    thumb: int = 160,
    title: str = "",
    subtitle: str = "",
    caption_lines: int = 2,
    font: int = 15,
    max_tiles: int = MAX_TILES,
) -> Image.Image:
    """An RGB page of thumbnails, row by row, with captions under them. Pictures are read one at a time.

    A picture that cannot be read becomes a grey tile that says so. Captions are wrapped to `caption_lines` lines; longer ones end in an
    ellipsis. Beyond `max_tiles` pictures the subtitle says how many are not shown.

    Raises:
        ValueError: without pictures, with fewer than 1 column or with thumbnails under 16 pixels.
    """
    if columns < 1 or thumb < 16:
        raise ValueError(f"columns={columns}, thumb={thumb}: use at least 1 column and 16 pixels")
    style = SheetStyle(thumb, columns, caption_lines=caption_lines, font=font)
    tiles: list[Image.Image] = []
    left_out = 0
    for source, caption in pictures:
        if len(tiles) < max_tiles:
            tiles.append(_tile(source, caption, style))
        else:
            left_out += 1
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    if left_out:
        subtitle = " · ".join(filter(None, [subtitle, f"{left_out:,} more are not shown"]))
    # Captions differ in length; the rows align only if all tiles have one height.
    height = max(tile.height for tile in tiles)
    tiles = [tile if tile.height == height else _taller(tile, height) for tile in tiles]
    return _page(tiles, title, subtitle, style)


def _page(tiles: list[Image.Image], title: str, subtitle: str, style: SheetStyle) -> Image.Image:
    columns = min(style.columns, len(tiles))
    width = 2 * style.margin + columns * style.thumb + (columns - 1) * style.gap
    header = []
    if title:
        header += [
            (line, style.title_font, INK)
            for line in wrap(title, sheet_font(style.title_font), width - 2 * style.margin, 2)
        ]
    if subtitle:
        header += [
            (line, style.font, QUIET) for line in wrap(subtitle, sheet_font(style.font), width - 2 * style.margin, 2)
        ]
    top = style.margin + sum(round(size * 1.35) for _, size, _ in header) + (style.gap if header else 0)
    rows = -(-len(tiles) // columns)
    tile_height = tiles[0].height
    height = top + rows * tile_height + (rows - 1) * style.gap + style.margin
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    y = style.margin
    for line, size, colour in header:
        draw.text((style.margin, y), line, font=sheet_font(size), fill=colour)
        y += round(size * 1.35)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        page.paste(tile, (style.margin + column * (style.thumb + style.gap), top + row * (tile_height + style.gap)))
    return page


def _tile(source: Source, caption: str, style: SheetStyle) -> Image.Image:
    """One picture over its caption; the caption's lines decide the height."""
    line_height = round(style.font * 1.3)
    lines = wrap(caption, sheet_font(style.font), style.thumb, style.caption_lines)
    tile = Image.new("RGB", (style.thumb, style.thumb + 6 + line_height * len(lines)), PAPER)
    draw = ImageDraw.Draw(tile)
    try:
        tile.paste(preprocess_image(source, size=style.thumb), (0, 0))
    except (ImageProblem, OSError):
        draw.rectangle((0, 0, style.thumb - 1, style.thumb - 1), fill=MISSING)
        words = wrap("cannot be read", sheet_font(style.font), style.thumb - 8, 2)
        draw.text(
            (style.thumb / 2, style.thumb / 2),
            "\n".join(words),
            font=sheet_font(style.font),
            fill=QUIET,
            anchor="mm",
            align="center",
        )
    for number, line in enumerate(lines):
        draw.text((0, style.thumb + 6 + number * line_height), line, font=sheet_font(style.font), fill=INK)
    return tile


def _taller(tile: Image.Image, height: int) -> Image.Image:
    page = Image.new("RGB", (tile.width, height), PAPER)
    page.paste(tile, (0, 0))
    return page
