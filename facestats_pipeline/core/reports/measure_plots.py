"""Figures of a collection's measures: histograms of all measures, and their correlations."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.drawing.plot_style import (
    BLUE,
    INK,
    ORANGE,
    QUIET,
    TICK,
    empty_panel,
    new_figure,
    panel_title,
    style_axes,
)
from facestats_pipeline.core.reports.plots import MEASURES, correlation_of

SCORE = "attractiveness_raw"
_SHORT = {"yaw": "Head turn, degrees", "roll": "Head tilt, degrees", "face_fraction": "Face share"}
SPREADS: dict[str, str] = {"age": "Age in years", SCORE: "Score"} | {
    name: _SHORT.get(name, words) for name, words in MEASURES.items() if name != "age"
}
"""Column → name of the measures with a histogram; head turn and tilt are signed here."""

BINS = 28
MIN_N = 30
"""Smallest number of photos for a correlation, the same as the audit's default."""


def plot_measures(master: pl.DataFrame) -> Figure:
    """Histograms of all measures with their medians; the outermost bars also hold the outer 0.5% on each side."""
    columns = {name: _finite(master[name]) for name in SPREADS if name in master.columns}
    shown = {name: values for name, values in columns.items() if len(values)}
    if not shown:
        figure, (axis,) = new_figure("Nothing was measured yet", height=2.0)
        empty_panel(axis, "No photo has been preprocessed")
        return figure
    across = min(3, len(shown))
    rows = -(-len(shown) // across)
    figure, axes = new_figure(
        _spread_title(master.height, shown),
        "Photos by measure; the figure and the line are the median. The outermost bars hold what lies beyond them.",
        height=1.75 * rows,
        columns=across,
        rows=rows,
    )
    for axis, (name, values) in zip(axes, shown.items(), strict=False):
        _histogram(axis, values, ORANGE if name == SCORE else BLUE)
        panel_title(axis, f"{SPREADS[name]}: {_brief(float(np.median(values)))}")
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    return figure


def plot_correlations(master: pl.DataFrame, *, min_n: int = MIN_N, catalogue: Catalogue = BUILT_IN) -> Figure:
    """A matrix of Spearman's ρ between score, attributes and measures; classes are coded as 0 and 1.

    Cells with fewer than `min_n` photos are empty; a value whose 95% interval contains 0 is grey on white.
    """
    named = _variables(master, min_n, catalogue)
    down = set(_classes_of_many(catalogue))
    across = [name for name in named if name not in down]
    if len(across) < 2:
        figure, (axis,) = new_figure("Too few photos to say what goes with what", height=2.0)
        empty_panel(axis, f"At least {min_n} photos with two measures are needed")
        return figure
    cells = {(a, b): correlation_of(named[a][1], named[b][1], min_n) for a in named for b in across if a != b}
    figure, (axis,) = new_figure(
        _matrix_title(cells, named),
        "Spearman's ρ. Blue: one falls as the other rises; orange: they rise together. Grey figures on white may be chance "
        "(95% interval). What goes together need not cause each other.",
        height=0.34 * len(named) + 1.4,
    )
    _matrix(axis, list(named), across, {name: words for name, (words, _) in named.items()}, cells)
    return figure


def _finite(column: pl.Series) -> NDArray[np.float64]:
    values = column.cast(pl.Float64).drop_nulls().to_numpy()
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def _histogram(axis: Axes, values: NDArray[np.float64], colour: str) -> None:
    low, high = np.quantile(values, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(
        np.clip(values, low, high), bins=min(BINS, max(6, len(values) // 3)), range=(low, high)
    )
    style_axes(axis, grid="y")
    axis.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colour, edgecolor="white", linewidth=0.4)
    axis.axvline(float(np.median(values)), color=INK, linewidth=1.2)
    axis.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axis.xaxis.set_major_locator(MaxNLocator(5))


def _brief(value: float) -> str:
    """A number with about two significant digits."""
    digits = 0 if abs(value) >= 10 else 1 if abs(value) >= 1 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _spread_title(n: int, shown: Mapping[str, NDArray[np.float64]]) -> str:
    if "age" in shown:
        low, high = np.quantile(shown["age"], [0.25, 0.75])
        return f"{n:,} photos; half of the ages lie between {low:.0f} and {high:.0f} years"
    return f"{n:,} photos as measured"


def _variables(master: pl.DataFrame, min_n: int, catalogue: Catalogue) -> dict[str, tuple[str, NDArray[np.float64]]]:
    """Variable → (name, value per photo, NaN if unknown), without variables that have too few values or no spread."""
    numbers = {SCORE: "Score", "age": "Age in years", **{k: v for k, v in MEASURES.items() if k != "age"}}
    found: dict[str, tuple[str, NDArray[np.float64]]] = {}
    for name, words in numbers.items():
        if name in master.columns:
            values = master[name].cast(pl.Float64).fill_null(math.nan).to_numpy()
            found[name] = words, np.abs(values) if name in ("yaw", "roll") else values
    two, many = _one_of_two(catalogue), _classes_of_many(catalogue)
    for key, (column, name, words) in {**two, **many}.items():
        if column in master.columns:
            known = master.select(pl.when(pl.col(column) != UNKNOWN).then(pl.col(column)))[column]
            found[key] = words, (known == name).cast(pl.Float64).fill_null(math.nan).to_numpy()
    order = [name for name in (SCORE, "age", *two, *MEASURES, *many) if name in found]
    kept = {name: found[name] for name in dict.fromkeys(order)}
    return {name: (words, values) for name, (words, values) in kept.items() if _spreads(values, min_n)}


def _one_of_two(catalogue: Catalogue) -> dict[str, tuple[str, str, str]]:
    """Of attributes with two classes the first: key → final column, class, words."""
    return _indicators((each, each.classes[:1]) for each in catalogue if len(each.classes) == 2)


def _classes_of_many(catalogue: Catalogue) -> dict[str, tuple[str, str, str]]:
    """Of attributes with more classes all, but for those with years, which stand there as a number."""
    return _indicators((each, each.classes) for each in catalogue if len(each.classes) > 2 and not each.years)


def _indicators(chosen: Iterable[tuple[Attribute, tuple[str, ...]]]) -> dict[str, tuple[str, str, str]]:
    return {
        f"{each.name}={name}": (
            each.final_column,
            name,
            ("" if each.standalone else f"{each.title}: ") + name.replace("_", " / "),
        )
        for each, classes in chosen
        for name in classes
    }


def _spreads(values: NDArray[np.float64], min_n: int) -> bool:
    known = values[np.isfinite(values)]
    if len(known) < min_n or not np.ptp(known):
        return False
    classes, counts = np.unique(known, return_counts=True)
    return len(classes) > 2 or int(counts.min()) >= min_n // 3


Cell = tuple[float, float, float] | None


def _matrix(
    axis: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    words: Mapping[str, str],
    cells: Mapping[tuple[str, str], Cell],
) -> None:
    colours = LinearSegmentedColormap.from_list("signed", [BLUE, "white", ORANGE])
    values = np.full((len(rows), len(columns)), math.nan)
    for y, a in enumerate(rows):
        for x, b in enumerate(columns):
            cell = cells.get((a, b))
            if cell is None:
                continue
            rho, low, high = cell
            sure = low > 0 or high < 0
            values[y, x] = rho if sure else 0.0
            text = f"{rho:+.2f}".replace("-", "−").replace("0.", ".") if abs(rho) >= 0.005 else "0"
            axis.text(x, y, text, ha="center", va="center", fontsize=TICK - 1, color=INK if sure else "#8A8A8A")
    axis.pcolormesh(
        np.arange(len(columns) + 1) - 0.5,
        np.arange(len(rows) + 1) - 0.5,
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=-0.8,
        vmax=0.8,
        edgecolors="white",
        linewidth=1.5,
    )
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [words[name] for name in rows])
    axis.set_xticks(range(len(columns)), [words[name] for name in columns], rotation=38, ha="right")
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    first = next((y for y, name in enumerate(rows) if name not in columns), None)
    if first:
        axis.axhline(first - 0.5, color=QUIET, linewidth=0.8)


def _matrix_title(cells: Mapping[tuple[str, str], Cell], named: Mapping[str, tuple[str, NDArray[np.float64]]]) -> str:
    of_score = {a: cell for (a, b), cell in cells.items() if b == SCORE and cell is not None}
    if of_score:
        name, cell = max(of_score.items(), key=lambda item: abs(item[1][0]))
        return f"Of all, “{named[name][0]}” goes most with the score: ρ = {cell[0]:+.2f}".replace("-", "−")
    known = {pair: cell for pair, cell in cells.items() if cell is not None}
    if not known:
        return "Too few photos to say what goes with what"
    (a, b), cell = max(known.items(), key=lambda item: abs(item[1][0]))
    return f"“{named[a][0]}” and “{named[b][0]}” go together most: ρ = {cell[0]:+.2f}".replace("-", "−")
