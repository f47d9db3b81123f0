"""The table of the bias audit: one row per attribute, metric and group."""

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.tables import Column, Table

METRICS = ("accuracy", "coverage", "overconfidence", "mean_error", "mae", "interval_coverage", "mean_score")


def bias_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of bias_audit."""
    years = tuple(one.stem for one in catalogue if one.years is not None)
    return Table(
        "bias_audit",
        "reports/bias_audit.parquet",
        (
            Column(
                "attribute", pl.String(), f"what is audited: {', '.join((*catalogue.names, *years))} or attractiveness"
            ),
            Column("metric", pl.String(), f"{', '.join(METRICS[:-1])} or {METRICS[-1]}"),
            Column("group_kind", pl.String(), f"all, {', '.join(catalogue.names)} or gender × ethnicity"),
            Column("group", pl.String(), "the group, by human labels"),
            Column("n", pl.Int64(), "photos on which the value is computed"),
            Column("coverage", pl.Float64(), "share of the group's labelled photos that were answered"),
            Column("value", pl.Float64(), "value of the metric; null below the minimum n"),
            Column("ci_lo", pl.Float64(), "lower end of its confidence interval"),
            Column("ci_hi", pl.Float64(), "upper end of its confidence interval"),
            Column("gap", pl.Float64(), "value minus the value of all photos outside the group"),
            Column("gap_lo", pl.Float64(), "lower end of the confidence interval of the gap"),
            Column("gap_hi", pl.Float64(), "upper end of the confidence interval of the gap"),
            Column(
                "gap_size",
                pl.Float64(),
                "absolute gap; for errors and scores in standard deviations of the truth, or of the score without a truth",
            ),
            Column("p", pl.Float64(), "p-value of the gap"),
            Column("p_adjusted", pl.Float64(), "p after correction for the number of comparisons"),
            Column("note", pl.String(), "why there is no value; empty otherwise"),
        ),
        kind="file",
    )


TABLES = (bias_table,)
