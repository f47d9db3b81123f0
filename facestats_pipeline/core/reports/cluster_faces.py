"""The cluster map with faces: shows what the encoder finds alike."""

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from facestats_pipeline.core.drawing.contact_sheet import Source
from facestats_pipeline.core.drawing.plot_style import (
    INK,
    PALETTE,
    QUIET,
    TICK,
    WIDTH,
    empty_panel,
    new_figure,
)
from facestats_pipeline.core.images.decoding import ImageProblem, preprocess_image

ACROSS, DOWN = 16, 11
"""Columns and rows of the grid of faces."""
THUMB = 72
"""Side of a face in pixels, about its size in a figure of 1,200 pixels."""
OUTSIDE = 0.01
"""Share of photos beyond each edge of the map; they are drawn at the edge, so that a few outliers do not squeeze all others."""


def plot_cluster_faces(frame: pl.DataFrame, load: Callable[[str], Source]) -> Figure:
    """Faces on the first two principal axes: one face per occupied grid cell, framed in the colour of its cluster.

    frame: image_id, pca_x, pca_y, cluster; rows with null are left out. load: image id → preprocessed photo; an unreadable one leaves a
    grey cell.
    """
    points = frame.select("image_id", "pca_x", "pca_y", "cluster").drop_nulls()
    if points.is_empty():
        figure, (axis,) = new_figure("No photo has an embedding yet", height=2.0)
        empty_panel(axis, "Nothing to show")
        return figure
    placed = _placed(points)
    chosen = placed.sort("off", "image_id").group_by("column", "row", maintain_order=True).first()
    figure, (axis,) = new_figure(
        f"{chosen.height} of {points.height:,} photos on the map of {points['cluster'].n_unique()} clusters",
        "Neighbours look alike to the encoder. Each face is the photo nearest to its place; frame and number are its cluster. Clusters "
        "were made in more dimensions than these two.",
        height=0.97 * WIDTH * DOWN / ACROSS + 0.35,
    )
    colours = {cluster: PALETTE[i % len(PALETTE)] for i, cluster in enumerate(sorted(points["cluster"].unique()))}
    for image_id, cluster, x, y in chosen.select("image_id", "cluster", "column", "row").iter_rows():
        axis.add_patch(Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, fc=colours[cluster], ec="none"))
        box = (x + 0.08, x + 0.92, y + 0.08, y + 0.92)
        try:
            face = np.asarray(preprocess_image(load(image_id), size=THUMB))
        except (ImageProblem, OSError):
            face = np.full((1, 1, 3), 225, dtype=np.uint8)
        axis.imshow(face, extent=box, interpolation="bilinear", zorder=2)
        _badge(axis, x, y, str(cluster), colours[cluster])
    axis.set_xlim(0, ACROSS)
    axis.set_ylim(0, DOWN)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.set_xlabel("First principal axis →", color=QUIET)
    axis.set_ylabel("Second principal axis →", color=QUIET)
    return figure


def _badge(axis: Axes, x: float, y: float, text: str, colour: str) -> None:
    """Draw the cluster's number in the corner of a face, because with more clusters than colours the frame alone is ambiguous."""
    width = 0.22 + 0.13 * len(text)
    axis.add_patch(Rectangle((x + 0.02, y + 0.02), width, 0.3, fc=colour, ec="none", zorder=3))
    light = sum(int(colour[i : i + 2], 16) * w for i, w in ((1, 0.299), (3, 0.587), (5, 0.114))) > 130
    words = axis.text(x + 0.02 + width / 2, y + 0.16, text, ha="center", va="center", fontsize=TICK - 2, zorder=4)
    words.set(color=INK if light else "white", fontweight="bold")


def _placed(points: pl.DataFrame) -> pl.DataFrame:
    """`points` with x, y in grid units, their grid cell (column, row), and `off`, the squared distance from the cell's centre."""
    scaled = points.with_columns(_scaled("pca_x", ACROSS).alias("x"), _scaled("pca_y", DOWN).alias("y"))
    placed = scaled.with_columns(column=pl.col("x").floor(), row=pl.col("y").floor())
    return placed.with_columns(
        off=(pl.col("x") - pl.col("column") - 0.5) ** 2 + (pl.col("y") - pl.col("row") - 0.5) ** 2
    )


def _scaled(column: str, places: int) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64)  # in float32, 1 - 1e-9 would round to 1 and leave the grid
    low, high = value.quantile(OUTSIDE), value.quantile(1 - OUTSIDE)
    share = pl.when(high > low).then((value - low) / (high - low)).otherwise(0.5)
    return share.clip(0, 1 - 1e-9) * places
