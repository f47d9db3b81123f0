"""Explore: filters, distributions, the map of embeddings with faces on it, the rows, and a download of them."""

from typing import Any, Literal

import streamlit as st

from facestats_pipeline.app.charts import bars, coloured_by, embedding_map, histogram
from facestats_pipeline.app.data import EXPORT_ROWS, Queries
from facestats_pipeline.app.filter_widgets import choose_filters
from facestats_pipeline.app.filters import Filters
from facestats_pipeline.app.gallery import gallery
from facestats_pipeline.app.overview import titles
from facestats_pipeline.app.pictures import data_uri, spread_out
from facestats_pipeline.app.state import ask, faces, queries
from facestats_pipeline.app.words import plain, shown

FACES_ON_MAP = 7
"""Cells along each side of the map; each cell shows one face."""
CHOSEN, ROWS = 24, 200
SHOWN = (
    "attractiveness_raw",
    "attractiveness",
    "cluster",
    "flagged",
    "reasons",
    "face_count",
    "sharpness",
    "image_id",
    "shard",
)
"""Columns of the rows at first, after the file name and the attributes."""


def show() -> None:
    """The page."""
    st.title("Explore")
    with st.sidebar:
        st.subheader("Filters")
        filters = choose_filters("explore")
    total, counts = ask(Queries.counts, filters)
    st.write(f"**{total:,} photos** match: {plain(filters.describe(queries().settings.catalogue))}")
    if not total:
        st.info("No photo matches. Remove a filter; on a narrow screen, filters are behind the arrow at the top.")
        return
    places, figures, rows = st.tabs(["Map", "Distributions", "Rows and download"])
    with places:
        _map(filters)
    with figures:
        _distributions(filters, counts)
    with rows:
        _rows(filters, total)


def _map(filters: Filters) -> None:
    catalogue, limit = queries().settings.catalogue, queries().settings.dashboard.map_points
    sample, total = ask(Queries.map_sample, filters, limit)
    if sample.is_empty():
        st.info("No matching photo is on the map, which shows photos with an embedding and a cluster.")
        return
    by = st.segmented_control(
        "Colour", list(coloured_by(catalogue)), default="gender", required=True, key="explore-colour"
    )
    apart = spread_out(sample, FACES_ON_MAP).to_dicts()
    pictures = [
        (row["pca_x"], row["pca_y"], data_uri(jpeg)) for row, jpeg in zip(apart, faces(apart, 48), strict=True) if jpeg
    ]
    if sample.height < total:
        st.caption(f"A sample of {sample.height:,} of {total:,} photos. Draw a rectangle to see all faces in it.")
    else:
        st.caption(f"All {total:,} photos. Draw a rectangle to see the faces in it.")
    chart = embedding_map(sample, pictures, by=str(by), catalogue=catalogue)
    event: Any = st.altair_chart(chart, on_select="rerun", key="explore-map", alt="embeddings on their first two axes")
    chosen = event.selection.get("chosen", {})
    if "pca_x" in chosen and "pca_y" in chosen:
        (x, y) = (tuple(sorted(chosen[axis])) for axis in ("pca_x", "pca_y"))
        inside, n = ask(Queries.within, filters, x, y, CHOSEN)
        st.write(
            f"**{n:,} photos** in the rectangle" + (f", {inside.height} of them here:" if n > inside.height else ":")
        )
        if n:
            gallery(inside.to_dicts(), inside["filename"].str.split("/").list.last().to_list())


def _distributions(filters: Filters, counts: dict[str, Any]) -> None:
    columns, headings = st.columns(2), titles(queries().settings.catalogue)
    for i, (column, frame) in enumerate(counts.items()):
        with columns[i % 2]:
            if frame.height:
                st.altair_chart(bars(frame, title=headings[column]), alt=f"{headings[column]}: photos by value")
            else:
                st.caption(f"{headings[column]}: no value among these photos.")
    numbers = ask(Queries.numbers)
    chosen = st.selectbox("Measurement", numbers, index=numbers.index("age"), format_func=shown, key="explore-measure")
    bins = ask(Queries.histogram, filters, chosen)
    if bins.height:
        st.altair_chart(histogram(bins, title=shown(chosen)), alt=f"{chosen}: photos by value")
    else:
        st.caption(f"No photo here has a value of {plain(chosen)}.")


def _rows(filters: Filters, total: int) -> None:
    every = list(queries().store.scan("master").collect_schema())
    catalogue = queries().settings.catalogue
    said = [*(each.final_column for each in catalogue), *(name for each in catalogue for name in each.year_columns)]
    first = ["filename", *said, *SHOWN]
    columns = st.multiselect("Columns", every, default=first, key="explore-columns") or ["filename"]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    sort = left.selectbox("Sorted by", ask(Queries.sortable, columns) or ["filename"], key="explore-sort")
    descending = right.toggle("Largest first", key="explore-descending")
    rows = ask(Queries.rows, filters, columns, sort=sort, descending=descending, n=ROWS)
    st.caption(f"The first {rows.height:,} of {total:,} rows." if total > rows.height else f"All {total:,} rows.")
    st.dataframe(rows, hide_index=True)
    if total > EXPORT_ROWS:
        st.caption(
            f"A download holds the first {EXPORT_ROWS:,} rows. All of them: "
            f"`polars.scan_parquet({str(queries().store.path('master'))!r})`."
        )
    with st.container(horizontal=True):
        _download(
            filters, columns, "csv", "text/csv", "CSV cells that a spreadsheet would run as a formula get a leading '."
        )
        _download(
            filters, columns, "parquet", "application/vnd.apache.parquet", "Keeps types and lists, as in the tables."
        )


def _download(filters: Filters, columns: list[str], kind: Literal["csv", "parquet"], mime: str, note: str) -> None:
    here = queries()
    st.download_button(
        f"Download {'CSV' if kind == 'csv' else 'Parquet'}",
        lambda: here.export(filters, columns, kind),  # made when the button is pressed
        file_name=f"facestats.{kind}",
        mime=mime,
        help=note,
        on_click="ignore",
        icon=":material/download:",
        key=f"explore-{kind}",
    )
