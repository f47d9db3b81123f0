"""Figures of the bias audit: an overview, and one metric of one attribute in detail."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.drawing.palette import QUIET
from facestats_pipeline.core.drawing.plot_style import TICK, new_figure, panel_title
from facestats_pipeline.core.reports.bias import SHARES, SHORT_WORDS
from facestats_pipeline.core.reports.model_plots import nothing_to_show
from facestats_pipeline.core.reports.plots import dot_rows

METRIC_WORDS = {
    "accuracy": "Share answered correctly",
    "coverage": "Share answered",
    "overconfidence": "Mean confidence less accuracy",
    "mean_error": "Mean error",
    "mae": "Mean absolute error",
    "interval_coverage": "Truth within the interval",
    "mean_score": "Mean score",
}
"""Metric of a bias audit → its name in figures and cards."""

MOST_PANELS = 5


def panels_of(catalogue: Catalogue = BUILT_IN) -> list[tuple[str, str, str]]:
    """(attribute, metric, heading) of the overview's possible panels; those that were not audited are left out."""
    return [
        *((each.name, "accuracy", each.noun.capitalize()) for each in catalogue),
        *((each.stem, "mae", "Years, error") for each in catalogue if each.years),
        ("attractiveness", "mae", "Score, error"),
        ("attractiveness", "mean_score", "Score, mean"),
    ]


def plot_bias_overview(audit: pl.DataFrame, catalogue: Catalogue = BUILT_IN) -> Figure:
    """The overview: a row per group and intersection, a column per attribute and score, compared with all photos.

    audit: the result of `bias.bias_audit`.
    """
    rows = audit.filter(pl.col("group_kind") != "all")
    shown = rows.filter(pl.col("value").is_not_null())
    panels = [p for p in panels_of(catalogue) if not _of(shown, *p[:2]).is_empty()][:MOST_PANELS]
    if not panels:
        return nothing_to_show("Bias audit: too few labelled photos to compare groups")
    drawn = pl.concat([_of(shown, *panel[:2]) for panel in panels])
    groups = rows.select("group_kind", "group").unique(maintain_order=True)
    groups = groups.join(
        drawn.select("group_kind", "group"), on=["group_kind", "group"], how="semi", maintain_order="left"
    )
    hidden = rows.select("group_kind", "group").unique().height - groups.height
    sure = drawn.filter(pl.col("p_adjusted") < 0.05).height
    title = f"Bias audit: {sure} of {drawn.height} figures of groups differ from the rest of the photos"
    errors = (
        "; of years and the score as their heading says" if any(metric != "accuracy" for _, metric, _ in panels) else ""
    )
    notes = f"Share that is right of the photos answered{errors}. Dots with 95% intervals; dashed: all photos. "
    notes += "Diamonds: different after Holm's correction (p < 0.05). In brackets: labelled photos. "
    notes += f"Not shown for too few photos: {hidden} {'group' if hidden == 1 else 'groups'}." if hidden else ""
    figure, axes = new_figure(title, notes, height=max(2.4, 0.23 * groups.height + 0.7), columns=len(panels))
    order = groups.reverse()
    for index, (axis, (attribute, metric, heading)) in enumerate(zip(axes, panels, strict=True)):
        _column(axis, _of(audit, attribute, metric), order, metric)
        panel_title(axis, heading)
        if index:
            axis.tick_params(labelleft=False)
    first = audit.filter(pl.col("attribute") == panels[0][0], pl.col("metric") == "coverage")
    counts = {
        (r["group_kind"], r["group"]): r["n"]
        for r in (first if first.height else _of(audit, *panels[0][:2])).to_dicts()
    }
    labels = [
        f"{r['group'].replace('_', ' / ')} ({counts.get((r['group_kind'], r['group']), 0):,})" for r in order.to_dicts()
    ]
    axes[0].set_yticklabels(labels)
    return figure


def _of(audit: pl.DataFrame, attribute: str, metric: str) -> pl.DataFrame:
    return audit.filter(pl.col("attribute") == attribute, pl.col("metric") == metric)


def _column(axis: Axes, rows: pl.DataFrame, order: pl.DataFrame, metric: str) -> None:
    table = order.join(rows, on=["group_kind", "group"], how="left", maintain_order="left")
    values, lows, highs = (table[c].fill_null(float("nan")).to_list() for c in ("value", "ci_lo", "ci_hi"))
    overall = rows.filter(pl.col("group_kind") == "all")["value"][0]
    dot_rows(axis, [""] * table.height, values, lows, highs, reference=overall, marked=_sure(table))
    _divide(axis, table)
    _axis_of(axis, metric)


def _sure(rows: pl.DataFrame) -> list[bool]:
    return [p is not None and p < 0.05 for p in rows["p_adjusted"]]


def _divide(axis: Axes, rows: pl.DataFrame) -> None:
    """Draw a thin line between kinds of groups."""
    kinds = rows["group_kind"].to_list()
    for y in range(1, len(kinds)):
        if kinds[y] != kinds[y - 1]:
            axis.axhline(y - 0.5, color=QUIET, linewidth=0.6)


def _axis_of(axis: Axes, metric: str) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 4, 5, 10]))
    axis.tick_params(axis="x", labelsize=TICK - 1)
    if metric in SHARES:
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def plot_bias(audit: pl.DataFrame, *, attribute: str, metric: str = "accuracy") -> Figure:
    """Dot plot of one metric of one attribute, per group and intersection, with the overall value as reference.

    audit: the result of `bias.bias_audit`. Groups whose difference to the rest is significant after Holm's correction have another colour
    and shape; groups below the minimum n are only counted.
    """
    rows = audit.filter(pl.col("attribute") == attribute, pl.col("metric") == metric)
    everyone = rows.filter(pl.col("group_kind") == "all")
    groups = rows.filter(pl.col("group_kind") != "all")
    shown = groups.filter(pl.col("value").is_not_null())
    words = METRIC_WORDS.get(metric, metric)
    if everyone.is_empty() or everyone["value"][0] is None or shown.is_empty():
        return nothing_to_show(f"{attribute.replace('_', ' ').capitalize()}: too few labelled photos to compare groups")
    overall = everyone.row(0, named=True)
    ordered = shown.reverse()  # rows are drawn from the bottom
    labels = [f"{row['group'].replace('_', ' / ')} (n = {row['n']:,})" for row in ordered.iter_rows(named=True)]
    marked = _sure(ordered)
    hidden = groups.height - shown.height
    notes = f"{words}; dots with 95% intervals; dashed: all photos. "
    notes += "Diamonds differ from the rest of the photos (Holm-adjusted p < 0.05). " if any(marked) else ""
    notes += f"Not shown for too few photos: {hidden} {'group' if hidden == 1 else 'groups'}." if hidden else ""
    figure, (axis,) = new_figure(
        _bias_title(attribute, metric, overall, shown), notes, height=max(2.4, 0.27 * len(labels) + 0.8)
    )
    dot_rows(
        axis,
        labels,
        *(ordered[c].to_list() for c in ("value", "ci_lo", "ci_hi")),
        reference=overall["value"],
        marked=marked,
    )
    _divide(axis, ordered)
    axis.set_xlabel(words)
    if metric in SHARES:
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _bias_title(attribute: str, metric: str, overall: Mapping[str, Any], shown: pl.DataFrame) -> str:
    ends = shown.sort("value")
    low, high = ends.row(0, named=True), ends.row(-1, named=True)
    form = "{:.1%}" if metric in SHARES else "{:.2f}"
    span = f"lowest for {low['group']} ({form.format(low['value'])}), highest for {high['group']} ({form.format(high['value'])})"
    name = attribute.replace("_", " ").capitalize()
    title = f"{name}: {SHORT_WORDS.get(metric, metric)} {form.format(overall['value'])}, {span}, n = {overall['n']:,}"
    return title.replace("_", " / ").replace("-0", "−0")
