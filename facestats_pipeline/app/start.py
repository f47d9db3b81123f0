"""What is shown where a run has not made anything yet, or not everything: how far it is, and the next step."""

import polars as pl
import streamlit as st

from facestats_pipeline.app.data import Queries

WORDS = {
    "manifest": "Files looked at",
    "preproc": "Photos prepared",
    "embeddings_clip": "Photos embedded",
    "attributes": "Attributes inferred",
    "master": "Tables joined",
}


def show_empty(here: Queries) -> None:
    """Nothing was made in this folder."""
    st.title("Nothing here yet")
    st.write("This data folder has no results. Put photos into it with")
    st.code(f"facestats run --raw YOUR_PHOTOS --data-dir {here.settings.data_dir}", language="bash")
    st.write("or see what FaceStats does with drawn faces, without photos and without internet:")
    st.code("facestats demo\nfacestats dashboard --data-dir facestats-demo", language="bash")
    st.caption("This page looks again when it is loaded anew.")


def show_begun(here: Queries) -> None:
    """Files are known, tables are not there: a run is under way, or was ended."""
    st.title("The first run is not finished")
    files = dict(pl.scan_parquet(here.store.path("raw_photos")).group_by("state").len().collect().iter_rows())
    st.write(f"{sum(files.values()):,} files were found, {files.get('ok', 0):,} of them can be used so far.")
    _progress(here)
    _go_on(here)


def show_partial(here: Queries) -> None:
    """Some shards are in the tables: the pages show those."""
    made, of = len(here.store.shards("master")), here.shards()
    st.warning(f"The tables hold {made} of {of} shards; the pages show what is there.", icon=":material/hourglass_top:")
    with st.expander("How far the run is"):
        _progress(here)
        _go_on(here)


def _progress(here: Queries) -> None:
    of = max(1, here.shards())
    for table, shards in here.progress().items():
        st.progress(min(1.0, shards / of), text=f"{WORDS[table]}: {shards} of {of} shards")


def _go_on(here: Queries) -> None:
    st.write("If no run is under way, this goes on where it stopped:")
    st.code(f"facestats run --data-dir {here.settings.data_dir}", language="bash")
