"""Bias audit: compares figures of the models between groups, with intervals."""

import polars as pl
import streamlit as st

from facestats_pipeline.app.charts import intervals
from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.state import ask
from facestats_pipeline.app.words import plain, shown

METRICS = {
    "accuracy": "share of answers that agree with human labels",
    "coverage": "share of labelled photos that the model answers",
    "overconfidence": "mean confidence minus accuracy",
    "mean_error": "mean of estimate minus label",
    "mae": "mean absolute difference of estimate and label",
    "mean_score": "mean score; a difference between groups may come from the raters",
}


def show() -> None:
    """The page."""
    st.title("Bias audit")
    audit, why = ask(Queries.bias_audit)
    if audit is None:
        st.info(f"There is no audit: {plain(why)}")
        return
    st.write("Out-of-fold predictions (by models not trained on the photo) compared with human labels.")
    with st.container(horizontal=True):
        attributes = audit["attribute"].unique(maintain_order=True).to_list()
        attribute = st.segmented_control(
            "Attribute", attributes, default=attributes[0], required=True, format_func=shown
        )
        of_it = audit.filter(pl.col("attribute") == attribute)
        metrics = of_it["metric"].unique(maintain_order=True).to_list()
        metric = st.segmented_control("Figure", metrics, default=metrics[0], required=True, format_func=shown)
    rows = of_it.filter(pl.col("metric") == metric)
    everyone = rows.filter(pl.col("group_kind") == "all").row(0, named=True)
    if everyone["value"] is None:
        st.info(f"No figure for everyone: {plain(everyone['note'])}")
    else:
        st.metric(
            f"{shown(str(metric))}, everyone",
            f"{everyone['value']:.3f}",
            help=f"n = {everyone['n']}, 95% interval {everyone['ci_lo']:.3f} to {everyone['ci_hi']:.3f}",
        )
    st.caption(METRICS.get(str(metric), ""))
    if rows.filter(pl.col("group_kind") != "all", pl.col("value").is_not_null()).height:
        st.altair_chart(
            intervals(rows, title=shown(str(metric))), alt=f"{metric} of {attribute} by group, with intervals"
        )
        st.caption(
            "Dots with 95% intervals; the dashed line is everyone. Orange: differs from the rest after correction for the number of "
            "groups (Holm). Groups are those of human labels."
        )
    else:
        st.info("Every group is too small for a figure of its own.")
    small = rows.filter(pl.col("value").is_null())
    with st.expander(f"All {rows.height} rows; {small.height} groups are too small for a figure"):
        st.dataframe(rows.drop("attribute", "metric"), hide_index=True)
