"""Composites: the average face of a chosen group, with every filter that was relaxed to find enough faces."""

from typing import Any

import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.filter_widgets import choose_group
from facestats_pipeline.app.state import ask, queries
from facestats_pipeline.app.words import plain
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.composites.composite_specs import METHODS, CompositeSpec
from facestats_pipeline.core.ingest.identity import PhotosUnavailable

WORDS = {
    "mean": "mean: no alignment",
    "aligned": "aligned: rotated and scaled by five points",
    "warped": "warped: by all face landmarks, sharpest and slowest",
}


def show() -> None:
    """The page."""
    st.title("Composites")
    settings = queries().settings.composites
    with st.form("composite"):
        left, right = st.columns(2)
        with left:
            group = choose_group("composite")
        with right:
            method = st.radio(
                "Method", METHODS, index=METHODS.index(settings.method), format_func=lambda m: WORDS.get(m, m)
            )
            strict = st.toggle("Refuse rather than relax a filter", value=settings.strict)
            st.caption(f"A composite has at least {settings.min_n} faces, so that no person can be recognised in it.")
            asked = st.form_submit_button("Make the composite", type="primary")
    if asked:
        spec = CompositeSpec(
            "composite",
            filters=group,
            method=method,
            strict=strict,
            floor=settings.min_n,
            catalogue=queries().settings.catalogue,
        )
        try:
            with st.spinner("Averaging faces …"):
                st.session_state["composite-made"] = ask(Queries.composite, spec)
        except (FaceStatsError, PhotosUnavailable) as problem:
            st.error(plain(str(problem)))
            return
    if made := st.session_state.get("composite-made"):
        _result(*made)


def _result(picture: bytes | None, row: dict[str, Any]) -> None:
    if picture is None:
        st.error(f"Not made: {plain(row['reason'])}", icon=":material/block:")
        return
    image, words = st.columns(2)
    image.image(picture, width="stretch", alt=f"average face of {row['n_used']} photos: {row['applied']}")
    with words:
        st.subheader(f"{row['n_used']:,} faces")
        st.write(f"Asked for: {plain(row['filter'])} ({row['n_asked']:,} match). Shown: **{plain(row['applied'])}**.")
        for sentence in row["relaxed"]:
            st.warning(f"Relaxed: {plain(sentence)}", icon=":material/filter_alt_off:")
        if not row["relaxed"]:
            st.success("Every filter was kept.")
        if row["reason"]:
            st.info(plain(row["reason"]))
        st.caption(
            f"Method: {WORDS.get(row['method'], row['method'])}. An average shows no real person and does not represent the group."
        )
        st.download_button(
            "Download PNG",
            picture,
            file_name="composite.png",
            mime="image/png",
            on_click="ignore",
            icon=":material/download:",
        )
