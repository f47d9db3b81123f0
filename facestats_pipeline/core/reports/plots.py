"""Figures about a collection: distributions, correlations with the score, and the cluster map.

Each function returns a matplotlib Figure, to be written with `plot_style.save_figure`.
"""

import math
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.drawing.plot_style import (
    BLUE,
    FAINT,
    INK,
    PALETTE,
    QUIET,
    TICK,
    VERMILLION,
    empty_panel,
    new_figure,
    panel_title,
    style_axes,
)
from facestats_pipeline.core.statistics.calibration import Z95

MEASURES: dict[str, str] = {
    "age": "Age in years",
    "sharpness": "Sharpness",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "face_fraction": "Face share of the photo",
    "yaw": "Head turn, either side",
    "roll": "Head tilt, either side",
    "face_score": "Detector's confidence",
}
"""Numeric column of the master → its name in figures; the defaults of `correlations`."""

MAX_POINTS = 20_000
"""Maximal number of points in a scatter plot, a seeded sample; more would only fill the area."""


def plot_distributions(master: pl.DataFrame, catalogue: Catalogue = BUILT_IN) -> Figure:
    """Counts and shares of each attribute's final values; `unknown` comes last, in grey."""
    n = master.height
    counts = {each.title: _counts(master, each.final_column, each.classes) for each in catalogue}
    figure, axes = new_figure(
        _distribution_title(n, counts),
        "Final values: manual label, else prediction, else unknown. Labels as perceived, not as people identify.",
        height=3.6,
        columns=len(counts),
        width_ratios=(0.8, 1.1, 1, *(0.8 for _ in counts))[: len(counts)],
    )
    for axis, (name, values), colour in zip(axes, counts.items(), cycle(PALETTE), strict=False):
        _count_bars(axis, values, n, colour)
        panel_title(axis, name)
    return figure


def correlations(
    frame: pl.DataFrame, target: str = "attractiveness_raw", measures: Sequence[str] = tuple(MEASURES), min_n: int = 30
) -> pl.DataFrame:
    """Spearman's ρ of each measure with `target`: measure, n, rho, ci_lo, ci_hi; null below `min_n` or without spread.

    Head turn and tilt enter as absolute values. The intervals are those of `correlation_of`.
    """
    rows = []
    for measure in measures:
        if measure not in frame.columns:
            continue
        pair = frame.select(pl.col(measure).cast(pl.Float64).alias("x"), pl.col(target).cast(pl.Float64).alias("y"))
        pair = pair.filter(pl.all_horizontal(pl.all().is_finite()))
        x, y = pair["x"].to_numpy(), pair["y"].to_numpy()
        if measure in ("yaw", "roll"):
            x = np.abs(x)
        cell = correlation_of(x, y, min_n)
        rho, low, high = cell if cell is not None else (None, None, None)
        rows.append({"measure": measure, "n": len(x), "rho": rho, "ci_lo": low, "ci_hi": high})
    schema = {"measure": pl.String, "n": pl.Int64, "rho": pl.Float64, "ci_lo": pl.Float64, "ci_hi": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def correlation_of(
    x: NDArray[np.float64], y: NDArray[np.float64], min_n: int = 30
) -> tuple[float, float, float] | None:
    """(Spearman's ρ, lower, upper end of its 95% interval) over the photos that have both values; None below `min_n` or without spread.

    The interval uses Fisher's z with Bonett & Wright's (2000) standard error.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    rho = _spearman(x, y) if len(x) >= max(min_n, 4) else math.nan
    if not math.isfinite(rho):
        return None
    half = Z95 * math.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    z = math.atanh(max(-0.999999, min(0.999999, rho)))
    return rho, math.tanh(z - half), math.tanh(z + half)


def plot_score_associations(
    correlation: pl.DataFrame, gaps: pl.DataFrame | None = None, *, target: str = "score"
) -> Figure:
    """Associations of the score: `correlations` on the left, group differences on the right.

    gaps: the rows of a bias audit with metric `mean_score`, whose `gap` is a group's mean minus that of the rest.
    """
    shown = correlation.drop_nulls("rho").sort("rho")
    groups = None if gaps is None else gaps.filter(pl.col("gap").is_not_null(), ~pl.col("group_kind").str.contains("×"))
    figure, (left, right) = new_figure(
        _association_title(shown, target),
        "Dots with 95% intervals. What goes together need not cause each other; measures of the photo are not of the person.",
        height=max(2.6, 0.32 * max(shown.height, 0 if groups is None else groups.height) + 1.0),
        columns=2,
        width_ratios=(1.15, 1),
    )
    if shown.height:
        labels = [f"{MEASURES.get(m, m)} (n = {n:,})" for m, n in shown.select("measure", "n").iter_rows()]
        dot_rows(
            left, labels, shown["rho"].to_list(), shown["ci_lo"].to_list(), shown["ci_hi"].to_list(), reference=0.0
        )
        left.set_xlabel(f"Spearman's ρ with the {target}")
        panel_title(left, "Measures")
    else:
        empty_panel(left, "No measure has enough photos\nwith a score to show")
    if groups is not None and groups.height:
        groups = groups.reverse()  # rows are drawn from the bottom
        labels = [f"{group.replace('_', ' / ')} (n = {n:,})" for group, n in groups.select("group", "n").iter_rows()]
        dot_rows(right, labels, *(groups[c].to_list() for c in ("gap", "gap_lo", "gap_hi")), reference=0.0)
        right.set_xlabel(f"Mean {target}, less the rest's")
        panel_title(right, "Groups")
    else:
        empty_panel(right, "No group has enough photos\nwith a score to show")
    return figure


def plot_clusters(frame: pl.DataFrame, *, seed: int = 0) -> Figure:
    """Embeddings on their first two principal axes, coloured by cluster, with the cluster numbers at the medians.

    frame: pca_x, pca_y, cluster; rows with null are left out and counted.
    """
    points = frame.select("pca_x", "pca_y", "cluster").drop_nulls()
    n, clusters = points.height, points["cluster"].n_unique()
    left_out = frame.height - n
    sample = points.sample(MAX_POINTS, seed=seed) if n > MAX_POINTS else points
    notes = [
        f"{MAX_POINTS:,} of them shown" if n > MAX_POINTS else "",
        f"{left_out:,} have no embedding" if left_out else "",
    ]
    notes += [
        "numbers stand at cluster medians",
        "clusters were made in more dimensions than these two",
    ]
    title = f"{n:,} photos in {clusters} clusters; {_largest_cluster(points)}" if n else "No photo has an embedding yet"
    subtitle = "; ".join(filter(None, notes))
    figure, (axis,) = new_figure(title, subtitle[:1].upper() + subtitle[1:] + ".", height=5.4)
    if not n:
        empty_panel(axis, "Nothing to show")
        return figure
    size = float(np.clip(12000 / max(len(sample), 1), 4, 36))
    markers = "osD^vP"  # when the colours run out, the shape changes
    for index, cluster in enumerate(sorted(points["cluster"].unique().to_list())):
        rows = sample.filter(pl.col("cluster") == cluster)
        colour, marker = PALETTE[index % len(PALETTE)], markers[index // len(PALETTE) % len(markers)]
        axis.scatter(rows["pca_x"], rows["pca_y"], s=size, c=colour, marker=marker, alpha=0.6, lw=0, rasterized=True)
    for cluster, x, y in points.group_by("cluster").agg(pl.col("pca_x", "pca_y").median()).sort("cluster").iter_rows():
        box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": INK, "lw": 0.8, "alpha": 0.9}
        axis.text(x, y, str(cluster), ha="center", va="center", fontsize=TICK, color=INK, bbox=box)
    axis.set_xlabel("First principal axis")
    axis.set_ylabel("Second principal axis")
    return figure


def dot_rows(
    axis: Axes,
    labels: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    reference: float | None = None,
    marked: Sequence[bool] | None = None,
) -> None:
    """Draw one dot with its interval per row, the first at the bottom.

    `marked` rows, or by default intervals that do not contain `reference`, get the second colour and a diamond.
    """
    style_axes(axis, grid="x")
    for y, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
        off = marked[y] if marked is not None else reference is not None and not low <= reference <= high
        colour = VERMILLION if off else BLUE
        axis.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="round")
        axis.plot([value], [y], "D" if off else "o", color=colour, markersize=6)
    if reference is not None:
        axis.axvline(reference, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(-0.7, len(labels) - 0.3)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _count_bars(axis: Axes, values: dict[str, int], n: int, colour: str) -> None:
    names = list(values)[::-1]
    numbers = [values[name] for name in names]
    colours = [FAINT if name == UNKNOWN else colour for name in names]
    axis.barh(range(len(names)), numbers, color=colours, height=0.72)
    axis.set_yticks(range(len(names)), [name.replace("_", " / ") for name in names])
    longest = max([*numbers, 1])
    for y, number in enumerate(numbers):
        text = f"{number:,} ({number / n:.0%})" if n else "0"
        axis.text(number + longest * 0.03, y, text, va="center", fontsize=TICK - 1, color=INK)
    axis.set_xlim(0, longest * 1.62)  # room for the longest number beside the longest bar
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _counts(master: pl.DataFrame, column: str, classes: Sequence[str]) -> dict[str, int]:
    found = dict(master[column].fill_null(UNKNOWN).value_counts().iter_rows())
    counts = {name: int(found.get(name, 0)) for name in classes}
    return counts | ({UNKNOWN: int(found[UNKNOWN])} if found.get(UNKNOWN) else {})


def _distribution_title(n: int, counts: dict[str, dict[str, int]]) -> str:
    if not n:
        return "No photos yet"
    parts = []
    for attribute, values in counts.items():
        name, number = max(values.items(), key=lambda item: item[1])
        share = f"{number / n:.0%}"
        most = f"{UNKNOWN} for {share}" if name == UNKNOWN else f"most often {name.replace('_', ' / ')} ({share})"
        parts.append(f"{attribute.lower()} {most}")
    return f"{n:,} photos: {'; '.join(parts)}"


def _association_title(shown: pl.DataFrame, target: str) -> str:
    if not shown.height:
        return f"What goes with the {target}: too few photos to say"
    row = shown.sort(pl.col("rho").abs(), descending=True).row(0, named=True)
    name = MEASURES.get(row["measure"], row["measure"]).lower()
    return f"Of {shown.height} measures, {name} goes most with the {target}: ρ = {row['rho']:+.2f}, n = {row['n']:,}".replace(
        "-", "−"
    )


def _largest_cluster(points: pl.DataFrame) -> str:
    counts = points["cluster"].value_counts().sort("count", "cluster", descending=[True, False])
    cluster, count = counts.row(0)
    return f"the largest, {cluster}, holds {count / points.height:.0%}"


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    a, b = rankdata(x), rankdata(y)
    if a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
