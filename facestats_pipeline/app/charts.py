"""The dashboard's charts. The colours are distinguishable for colour-blind readers; the text follows the page's theme."""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from facestats_pipeline.app.words import shown
from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.drawing.palette import BLUE, GREEN, PALETTE, VERMILLION

if TYPE_CHECKING:
    from facestats_pipeline.core.attributes.inference import Answer

GREY = "#7B7B7B"
"""Equal contrast on the white and the dark page (4.2 to 1): for figures at the end of bars, and for `unknown`."""


def coloured_by(catalogue: Catalogue) -> dict[str, str]:
    """Choice of colour for the map's points → column of the sample."""
    return {
        **{each.noun: f"{each.final_column}:N" for each in catalogue if not each.years},
        **{f"{each.stem} in years": f"{each.stem}:Q" for each in catalogue if each.years},
        "score decile": "attractiveness:Q",
        "cluster": "cluster:Q",
        "flagged": "flagged:N",
    }


def bars(counts: pl.DataFrame, *, title: str) -> alt.LayerChart:
    """One horizontal bar per row (value, n), labelled with n and its share; `unknown` is grey."""
    total = max(1, int(counts["n"].sum()))
    rows = counts.select(
        value=pl.col("value").cast(pl.String).str.replace_all("_", " "),
        n="n",
        label=pl.format("{} ({}%)", pl.col("n"), (pl.col("n") * 100 / total).round(0).cast(pl.Int64)),
    )
    base = alt.Chart(rows, title=title).encode(
        y=alt.Y("value:N", sort=None, title=None, axis=alt.Axis(labelLimit=140)),
        x=alt.X("n:Q", title=None, axis=None, scale=alt.Scale(domainMax=1.35 * max(1, int(counts["n"].max() or 1)))),  # type: ignore[arg-type]
        tooltip=["value:N", "n:Q"],
    )
    colour = alt.condition(alt.datum.value == UNKNOWN, alt.value(GREY), alt.value(BLUE))
    marks = base.mark_bar().encode(color=colour)
    text = base.mark_text(align="left", dx=4, color=GREY).encode(text="label:N")
    made: alt.LayerChart = (marks + text).properties(height=alt.Step(22))
    return made


def histogram(bins: pl.DataFrame, *, title: str) -> alt.Chart:
    """A histogram from rows of low, high, n."""
    made: alt.Chart = (
        alt.Chart(bins)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title=title),
            x2="high:Q",
            y=alt.Y("n:Q", title="photos"),
            tooltip=["low:Q", "high:Q", "n:Q"],
        )
        .properties(height=220)
    )
    return made


def embedding_map(
    sample: pl.DataFrame,
    pictures: Sequence[tuple[float, float, str]],
    *,
    by: str,
    catalogue: Catalogue = BUILT_IN,
) -> alt.LayerChart:
    """Points at pca_x, pca_y coloured `by` (a key of `coloured_by`), with some faces (x, y, data URI) on them.

    A rectangle that the user draws is the selection `chosen`.
    """
    field, _, kind = coloured_by(catalogue)[by].partition(":")
    if kind == "Q":
        scale = alt.Scale(scheme="viridis")
    else:
        values = [
            value for value in sample[field].cast(pl.String).unique().drop_nulls().sort().to_list() if value != UNKNOWN
        ]
        scale = alt.Scale(domain=[*values, UNKNOWN], range=[*islice(cycle(PALETTE), len(values)), GREY])
    legend = alt.Legend(orient="bottom", columns=3, title=by, symbolOpacity=1)
    told = [f"{each.stem}:Q" if each.years else f"{each.final_column}:N" for each in catalogue]
    brush = alt.selection_interval(name="chosen", encodings=["x", "y"])
    axis = alt.Axis(labels=False, ticks=False, grid=False)
    points = (
        alt.Chart(sample.with_columns(pl.col(field).cast(pl.String) if kind == "N" else pl.col(field)))
        .mark_circle(size=26, opacity=0.75)
        .encode(
            x=alt.X("pca_x:Q", title="first principal axis", axis=axis, scale=alt.Scale(zero=False)),
            y=alt.Y("pca_y:Q", title="second principal axis", axis=axis, scale=alt.Scale(zero=False)),
            color=alt.Color(f"{field}:{kind}", scale=scale, legend=legend),
            tooltip=["filename:N", *told, "cluster:O", "attractiveness:O"],
        )
        .add_params(brush)
    )
    on_it = pl.DataFrame(pictures, schema={"x": pl.Float64, "y": pl.Float64, "url": pl.String}, orient="row")
    images = alt.Chart(on_it).mark_image(width=34, height=34).encode(x="x:Q", y="y:Q", url="url:N")
    made: alt.LayerChart = (points + images).properties(height=520)
    return made


def probabilities(answer: "Answer") -> alt.LayerChart:
    """The calibrated probability of every class. The line is the threshold below which the model abstains; its answer is green."""
    rows = pl.DataFrame({"class": [shown(name) for name in answer.classes], "p": answer.probabilities}).with_columns(
        said=(pl.col("p") == pl.col("p").max()) & (pl.col("p") >= answer.threshold)
    )
    base = alt.Chart(rows).encode(
        y=alt.Y("class:N", sort=None, title=None, axis=alt.Axis(labelLimit=140)),
        x=alt.X("p:Q", title=None, scale=alt.Scale(domain=[0, 1.12]), axis=alt.Axis(format="%", values=[0, 0.5, 1])),
        tooltip=["class:N", alt.Tooltip("p:Q", format=".1%")],
    )
    marks = base.mark_bar().encode(color=alt.condition(alt.datum.said, alt.value(GREEN), alt.value(GREY)))
    text = base.mark_text(align="left", dx=4, color=GREY).encode(text=alt.Text("p:Q", format=".0%"))
    line = alt.Chart(pl.DataFrame({"p": [answer.threshold]})).mark_rule(color=VERMILLION, strokeDash=[4, 3])
    made: alt.LayerChart = (marks + text + line.encode(x="p:Q")).properties(height=alt.Step(22))
    return made


def intervals(audit: pl.DataFrame, *, title: str) -> alt.LayerChart:
    """The figure of each group (group, value, ci_lo, ci_hi, n) with its interval. The line is the figure of everyone."""
    groups = audit.filter(pl.col("group_kind") != "all", pl.col("value").is_not_null())
    everyone = audit.filter(pl.col("group_kind") == "all").select("value")
    rows = groups.with_columns(label=pl.format("{} (n = {})", pl.col("group").str.replace_all("_", " "), pl.col("n")))
    base = alt.Chart(rows).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=220, labelFlush=False)),
        tooltip=["group:N", "n:Q", alt.Tooltip("value:Q", format=".3f"), "ci_lo:Q", "ci_hi:Q", "p_adjusted:Q"],
    )
    colour = alt.condition(alt.datum.p_adjusted < 0.05, alt.value(VERMILLION), alt.value(BLUE))
    ticks = alt.Axis(tickCount=6, labelFlush=False)
    span = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("ci_lo:Q", title=title, scale=alt.Scale(zero=False), axis=ticks), x2="ci_hi:Q", color=colour
    )
    dots = base.mark_circle(size=70, opacity=1).encode(x="value:Q", color=colour)
    line = alt.Chart(everyone).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="value:Q")
    made: alt.LayerChart = (line + span + dots).properties(height=alt.Step(24))
    return made
