"""The contact sheet of all composites of a run."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from facestats_pipeline.core.composites.groups import GeneratedComposite
from facestats_pipeline.core.drawing.contact_sheet import contact_sheet


def composite_sheet(made: Sequence[GeneratedComposite], *, columns: int = 6, thumb: int = 200) -> Image.Image:
    """All composites of a run on one labelled page; the subtitle counts those that were refused.

    Raises:
        ValueError: when all composites were refused.
    """
    shown = [(one.image, _composite_caption(one.row)) for one in made if one.image is not None]
    if not shown:
        raise ValueError("every composite was refused, so there is nothing to show; the table of composites says why")
    methods = " and ".join(sorted({str(one.row["method"]) for one in made if one.image is not None}))
    refused = len(made) - len(shown)
    subtitle = f"Method: {methods}. n = photos averaged."
    if refused:
        subtitle += (
            f" {refused} more {'was' if refused == 1 else 'were'} refused, most often because the group is too small."
        )
    title = f"{len(shown)} average faces"
    return contact_sheet(shown, columns=columns, thumb=thumb, title=title, subtitle=subtitle, caption_lines=6)


def _composite_caption(row: dict[str, Any]) -> str:
    lines = [row["caption"] or row["name"], f"n = {row['n_used']:,}"]
    return "\n".join([*lines, f"relaxed to {row['applied']}"] if row["relaxed"] else lines)
