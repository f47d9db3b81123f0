"""Contact sheets: layout, captions that fit, pictures that cannot be read."""

import numpy as np
import pytest
from PIL import Image

from facestats_pipeline.core.composites.composite_sheet import composite_sheet
from facestats_pipeline.core.composites.generate import GeneratedComposite
from facestats_pipeline.core.drawing.contact_sheet import contact_sheet
from facestats_pipeline.core.drawing.lettering import sheet_font, wrap

RED = Image.new("RGB", (50, 50), (250, 0, 0))


def red_pixels(sheet: Image.Image) -> int:
    pixels = np.asarray(sheet).astype(int)
    return int(((pixels[..., 0] > 200) & (pixels[..., 1] < 30)).sum())


def test_every_picture_is_on_the_page() -> None:
    sheet = contact_sheet([(RED, "one")] * 7, columns=3, thumb=40, title="Seven")
    assert red_pixels(sheet) == 7 * 40 * 40
    assert sheet.width == 2 * 24 + 3 * 40 + 2 * 14


def test_fewer_pictures_than_columns_make_a_narrow_page() -> None:
    assert contact_sheet([(RED, "")], columns=6, thumb=40).width == 2 * 24 + 40


def test_an_unreadable_picture_is_a_grey_tile() -> None:
    sheet = contact_sheet([(RED, ""), (b"not a picture", "broken")], columns=2, thumb=100)
    assert red_pixels(sheet) == 100 * 100
    assert (np.asarray(sheet) == 225).all(axis=-1).sum() > 5_000


def test_pictures_beyond_the_limit_are_counted_not_hidden() -> None:
    short = contact_sheet([(RED, "")] * 9, columns=3, thumb=40, max_tiles=3)
    silent = contact_sheet([(RED, "")] * 3, columns=3, thumb=40)
    assert red_pixels(short) == red_pixels(silent)
    assert short.height > silent.height  # the line that says how many are not shown


def test_impossible_sheets_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])
    with pytest.raises(ValueError, match="columns=0"):
        contact_sheet([(RED, "")], columns=0)


@pytest.mark.parametrize(
    "text", ["a few short words here", "Überlängenwortungetümmonstrosität", "one\ntwo\nthree", "", "Ωλ Привет"]
)
@pytest.mark.parametrize("width", [40, 120])
def test_wrapped_lines_fit(text: str, width: int) -> None:
    font = sheet_font(15)
    lines = wrap(text, font, width, 2)
    assert len(lines) <= 2
    assert all(font.getlength(line) <= width for line in lines)


def test_what_is_cut_off_ends_in_an_ellipsis_and_nothing_else_does() -> None:
    font = sheet_font(15)
    assert wrap("one two", font, 500, 2) == ["one two"]
    assert wrap("n = 10", font, 500, 1) == ["n\u00a0=\u00a010"]
    assert wrap("alpha beta gamma delta", font, font.getlength("alpha beta …"), 1) == ["alpha beta …"]
    assert wrap("first\nsecond\nthird", font, 500, 2) == ["first", "second …"]


def test_composite_sheet_shows_made_ones_and_counts_refused_ones() -> None:
    row = {"name": "x", "caption": "Group", "n_used": 12, "method": "mean", "relaxed": [], "applied": "all"}
    made = [GeneratedComposite(RED, row), GeneratedComposite(None, row | {"n_used": 0})]
    assert red_pixels(composite_sheet(made, thumb=60)) == 60 * 60
    with pytest.raises(ValueError, match="every composite was refused"):
        composite_sheet(made[1:])
