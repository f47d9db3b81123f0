"""Comparison of two composites: side by side, and a map of their difference in lightness."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.groups import GeneratedComposite
from facestats_pipeline.core.drawing.contact_sheet import contact_sheet
from facestats_pipeline.core.drawing.plot_style import BLUE, ORANGE

LEAST_REACH = 2.0
"""Smallest L* difference shown in full colour, so that a tiny difference does not look large."""


def check_pair(first: GeneratedComposite, second: GeneratedComposite) -> None:
    """Raise CompositeRefused when a composite was refused, or when relaxing the filters made both groups the same."""
    for one in (first, second):
        if one.image is None:
            raise CompositeRefused(f"{one.row['filter']}: {one.row['reason']}")
    if first.row["applied"] == second.row["applied"]:
        relaxed = "; ".join([*first.row["relaxed"], *second.row["relaxed"]])
        after = f" after relaxing ({relaxed})" if relaxed else ""
        raise CompositeRefused(f"both groups are {first.row['applied']}{after}, so there is nothing to compare")


def side_by_side(
    first: GeneratedComposite, second: GeneratedComposite, *, difference: bool = False, thumb: int = 512
) -> Image.Image:
    """Both averages on one page, captioned with filters and number of photos; `difference` adds the `difference_map`.

    Raises:
        CompositeRefused: see `check_pair`.
    """
    check_pair(first, second)
    assert first.image is not None and second.image is not None
    pair = ((first.image, first.row), (second.image, second.row))
    tiles = [(image, f"{row['applied']}\nn = {row['n_used']:,}") for image, row in pair]
    if difference:
        drawn, reach = difference_map(first.image, second.image)
        tiles.append(
            (drawn, f"Lightness, second less first\nblue darker, orange lighter, full colour at ±{reach:.0f} L*")
        )
    return contact_sheet(tiles, columns=len(tiles), thumb=thumb, caption_lines=4)


def difference_map(first: Image.Image, second: Image.Image, *, reach: float | None = None) -> tuple[Image.Image, float]:
    """(map, L* difference of full colour): orange where `second` is lighter than `first`, blue where it is darker, white where equal.

    Lightness is CIE 1976 L*, 0–100, because equal steps look equal. `reach`: the L* difference of full colour; by default the one that one
    pixel in 200 exceeds, and at least `LEAST_REACH`. Raises ValueError when the pictures differ in size.
    """
    if first.size != second.size:
        raise ValueError(f"the pictures are {first.size} and {second.size} pixels; bring them to one size")
    change = _lightness(second) - _lightness(first)
    reach = max(LEAST_REACH, float(np.quantile(np.abs(change), 0.995))) if reach is None else reach
    share = np.clip(np.abs(change) / reach, 0, 1)[..., None]
    full = np.where(change[..., None] > 0, _rgb(ORANGE), _rgb(BLUE))
    return Image.fromarray(np.rint(255 + share * (full - 255)).astype(np.uint8), "RGB"), reach


def _lightness(picture: Image.Image) -> NDArray[np.float32]:
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 0], dtype=np.float32)


def _rgb(colour: str) -> Sequence[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
