"""Overview: what the collection holds, what was set aside, and whether the results are current."""

from contextlib import closing
from dataclasses import asdict
from typing import Any

import streamlit as st

from facestats_pipeline.app.charts import bars, histogram
from facestats_pipeline.app.data import Overview, Queries
from facestats_pipeline.app.filters import EVERYTHING
from facestats_pipeline.app.state import ask, queries
from facestats_pipeline.app.words import plain, shown
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.core.attributes.catalogue import Catalogue


def titles(catalogue: Catalogue) -> dict[str, str]:
    """Counted column → heading."""
    perceived = {each.final_column: f"Perceived {each.title.lower()}" for each in catalogue}
    return perceived | {"attractiveness": "Score decile"}


def show() -> None:
    """The page."""
    st.title("Overview")
    about = ask(Queries.overview)
    _figures(about)
    if not about.images:
        st.info("No file in the raw folder is a usable photo; the list of files set aside has the reasons.")
    _distributions(about)
    left, right = st.columns(2)
    with left:
        _set_aside(about)
    with right:
        _reasons(about)
    _health()


def _figures(about: Overview) -> None:
    with st.container(horizontal=True):
        for label, value, note in (
            ("Photos", about.images, f"in {about.shards} shards"),
            ("With a face", about.faces, "found by the detector; all photos if there is no detector"),
            ("Set aside", sum(about.files.values()) - about.files.get("ok", 0), "files that are not usable photos"),
            ("Flagged", about.flagged, "rows with at least one flag"),
            ("Labelled", about.labelled, "photos with a manual label"),
            ("Scored", about.scored, "photos with a score, learned from human ratings"),
        ):
            st.metric(label, f"{value:,}", help=note, border=True, width=118)


def _distributions(about: Overview) -> None:
    st.subheader("People in the collection")
    st.caption(
        "Manual labels, else predictions; unknown where models abstain. Perceived attributes, not self-described."
    )
    columns, headings = st.columns(2), titles(queries().settings.catalogue)
    for i, (column, counts) in enumerate(about.counts.items()):
        with columns[i % 2]:
            if (
                column == "attractiveness" and counts.height
            ):  # deciles of the whole collection have equal counts by definition
                scores = ask(Queries.histogram, EVERYTHING, "attractiveness_raw")
                st.altair_chart(histogram(scores, title="Predicted mean rating"), alt="scores: photos by value")
            elif counts.height:
                st.altair_chart(bars(counts, title=headings[column]), alt=f"{headings[column]}: photos by value")
            else:
                st.caption(f"{headings[column]}: there is none in this collection.")


def _set_aside(about: Overview) -> None:
    st.subheader("Files")
    st.dataframe([{"status": status, "files": n} for status, n in about.files.items()], hide_index=True)
    if sum(about.files.values()) > about.files.get("ok", 0):
        st.caption("Why, file by file: `facestats status --photos`.")


def _reasons(about: Overview) -> None:
    st.subheader("Reasons for flags")
    if about.reasons:
        st.dataframe([{"reason": shown(reason), "photos": n} for reason, n in about.reasons.items()], hide_index=True)
    else:
        st.caption("No row is flagged.")


def _health() -> None:
    """Shown last, because it reads the recipe of every file: the rest of the page appears first."""
    st.subheader("Health")
    here = queries()
    with st.spinner("Comparing every file with its recipe …"):
        states = _states(str(here.settings.data_dir.resolve()), here.collection.version(), here)
    waiting = [state for state in states if state["stale"] or state["missing"]]
    if waiting:
        st.warning(f"{len(waiting)} of {len(states)} artifacts are not current; `facestats run` makes them.")
        st.dataframe(
            [{key: row[key] for key in ("artifact", "done", "stale", "missing", "why")} for row in waiting],
            hide_index=True,
        )
    else:
        st.success(f"All {len(states)} artifacts are up to date.")
    for state in states:
        if state["why"].startswith("skipped"):
            st.caption(f"{plain(state['artifact'])} was {plain(state['why'])}")


@st.cache_data(max_entries=4, ttl=300, show_spinner=False)
def _states(folder: str, version: tuple[int, ...], _here: Queries) -> list[dict[str, Any]]:
    with closing(
        Collection(_here.settings)
    ) as here:  # closed at once: the connection to Dagster's storage is not shared between sessions
        return [asdict(state) for state in here.status()]
