"""Start pages for a folder without results, or with an unfinished run: the progress and the next step."""

import polars as pl
import streamlit as st

from facestats_pipeline.app.data import Queries

WORDS = {
    "manifest": "Files scanned",
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
    st.write("or try FaceStats on synthetic faces, without photos or internet:")
    st.code("facestats demo\nfacestats dashboard --data-dir facestats-demo", language="bash")
    st.caption("Reload this page to update it.")


def show_begun(here: Queries) -> None:
    """For a folder with an inventory but no tables yet: a run is in progress, or was interrupted."""
    st.title("The first run is not finished")
    files = dict(pl.scan_parquet(here.store.path("raw_photos")).group_by("state").len().collect().iter_rows())
    st.write(f"{sum(files.values()):,} files were found, {files.get('ok', 0):,} of them are usable so far.")
    _progress(here)
    _go_on(here)


def show_partial(here: Queries) -> None:
    """For a folder whose tables lack shards: the pages show the others."""
    made, of = len(here.store.shards("master")), here.shards()
    st.warning(f"The tables hold {made} of {of} shards; the pages show only these.", icon=":material/hourglass_top:")
    with st.expander("Progress of the run"):
        _progress(here)
        _go_on(here)


def _progress(here: Queries) -> None:
    of = max(1, here.shards())
    for table, shards in here.progress().items():
        st.progress(min(1.0, shards / of), text=f"{WORDS[table]}: {shards} of {of} shards")


def _go_on(here: Queries) -> None:
    st.write("If no run is in progress, this command resumes it:")
    st.code(f"facestats run --data-dir {here.settings.data_dir}", language="bash")
