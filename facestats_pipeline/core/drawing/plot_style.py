"""The style of every figure: colours for colour-blind readers, large type, and a title that states the finding.

It uses only matplotlib's object-oriented interface: no pyplot, no global figure list, no change to `rcParams`. Figures can therefore be
drawn from several threads and leave no global state.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facestats_pipeline.core.drawing.lettering import sheet_font, wrap
from facestats_pipeline.core.drawing.palette import BLUE as BLUE
from facestats_pipeline.core.drawing.palette import FAINT as FAINT
from facestats_pipeline.core.drawing.palette import GREEN as GREEN
from facestats_pipeline.core.drawing.palette import INK as INK
from facestats_pipeline.core.drawing.palette import ORANGE as ORANGE
from facestats_pipeline.core.drawing.palette import PALETTE as PALETTE
from facestats_pipeline.core.drawing.palette import PURPLE as PURPLE
from facestats_pipeline.core.drawing.palette import QUIET as QUIET
from facestats_pipeline.core.drawing.palette import SKY as SKY
from facestats_pipeline.core.drawing.palette import VERMILLION as VERMILLION
from facestats_pipeline.core.drawing.palette import YELLOW as YELLOW

DPI = 150
WIDTH = 8.0
"""Width of a figure in inches: 1,200 pixels at DPI, the width at which figures must be readable."""

TITLE, SUBTITLE, LABEL, TICK = 14.0, 10.0, 10.5, 9.5

_TEXT_WIDTH = 0.97 * WIDTH * DPI  # pixels


def new_figure(
    title: str,
    subtitle: str = "",
    *,
    height: float = 4.5,
    columns: int = 1,
    rows: int = 1,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A styled figure with title and subtitle at its top left, and its axes, row by row.

    `height` is the height of the plots in inches; title and subtitle are added to it.
    """
    title_lines = wrap(title, sheet_font(TITLE * DPI / 72, bold=True), _TEXT_WIDTH, 3)
    subtitle_lines = wrap(subtitle, sheet_font(SUBTITLE * DPI / 72), _TEXT_WIDTH, 4)
    head = 0.18 + 0.27 * len(title_lines) + 0.2 * len(subtitle_lines) + 0.1
    total = height + head
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)  # without pyplot, a figure gets its canvas explicitly
    figure.set_layout_engine("constrained", rect=(0.01, 0.01, 0.98, 1 - head / total - 0.01), wspace=0.06, hspace=0.06)
    y = 1 - 0.15 / total
    if title_lines:
        text = "\n".join(title_lines)
        figure.text(0.015, y, text, ha="left", va="top", fontsize=TITLE, fontweight="bold", color=INK, in_layout=False)
    y -= 0.27 * len(title_lines) / total
    if subtitle_lines:
        text = "\n".join(subtitle_lines)
        figure.text(0.015, y, text, ha="left", va="top", fontsize=SUBTITLE, color=QUIET, in_layout=False)
    axes = figure.subplots(rows, columns, squeeze=False, width_ratios=width_ratios, height_ratios=height_ratios)
    flat = [axis for row in axes for axis in row]
    for axis in flat:
        style_axes(axis)
    return figure, flat


def style_axes(axes: Axes, *, grid: str = "") -> None:
    """Give axes a grey frame and readable ticks; `grid` is `x`, `y`, `both` or empty."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(labelsize=TICK, colors=INK, length=3, color=QUIET)
    axes.xaxis.label.set_fontsize(LABEL)
    axes.yaxis.label.set_fontsize(LABEL)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, axis=grid, color=FAINT, linewidth=0.8)  # type: ignore[arg-type]


def panel_title(axes: Axes, text: str) -> None:
    """A small heading at the left of one panel."""
    axes.set_title(text, loc="left", fontsize=LABEL, fontweight="bold", color=INK)


def empty_panel(axes: Axes, text: str) -> None:
    """Replace a panel without data by a sentence that says why."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, text, ha="center", va="center", fontsize=LABEL, color=QUIET, transform=axes.transAxes, wrap=True
    )


def render(figure: Figure, kind: str) -> bytes:
    """The figure as `png` (1,200 pixels wide) or `svg` (text stays text). The same figure gives the same bytes.

    Raises ValueError for another `kind`.
    """
    _settle(figure)
    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    elif kind == "svg":
        # A fixed salt and no date make the SVG reproducible; `none` keeps text selectable and searchable.
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "facestats"}):
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    else:
        raise ValueError(f"kind={kind!r}: use 'png' or 'svg'")
    return buffer.getvalue()


def _settle(figure: Figure) -> None:
    """Run the layout once and fix the positions, rounded to four digits (about 0.1 pixels).

    The solver's last digits differ from run to run and SVG ids are hashes of positions: without rounding, equal figures get unequal bytes.
    """
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position((round(left, 4), round(bottom, 4), round(width, 4), round(height, 4)))


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg and return both paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in ("png", "svg"):
        path = stem.parent / f"{stem.name}.{kind}"
        path.write_bytes(render(figure, kind))
        written.append(path)
    return written
