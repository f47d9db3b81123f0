"""Search: finds the faces of the collection that are nearest to a text or to the face in a picture."""

import streamlit as st

from facestats_pipeline.app.gallery import hits
from facestats_pipeline.app.state import models, queries
from facestats_pipeline.app.uploads import choose_photo
from facestats_pipeline.app.words import plain
from facestats_pipeline.collection.errors import FaceStatsError

FOUND = "search-found"


def show() -> None:
    """The page."""
    st.title("Search")
    k = st.sidebar.slider("Number of faces", 4, 60, 12, key="search-k")
    text, picture = st.tabs(["By text", "By picture"])
    with text, st.form("search-text", border=False):
        query = st.text_input("Describe a face", placeholder="an elderly man with glasses", max_chars=200)
        if st.form_submit_button("Search", type="primary", icon=":material/search:"):
            _find(query, k)
    with picture:
        if not queries().settings.dashboard.match_photos:
            st.info("Searching this collection with a photo is switched off (`dashboard.match_photos`).")
        elif (photo := choose_photo("search")) is not None:
            _find(photo, k)
            st.rerun()  # from here on, the photo is no longer in the page's memory
    if FOUND in st.session_state:
        _result()


def _find(query: str | bytes, k: int) -> None:
    by = "the picture" if isinstance(query, bytes) else f"“{query}”"
    try:
        with models() as here, st.spinner("Searching …"):
            found = here.search(query, k).to_dicts()
            st.session_state[FOUND] = {"by": by, "hits": found, "error": "", "notes": here.notes}
    except FaceStatsError as problem:
        st.session_state[FOUND] = {"by": by, "hits": [], "error": str(problem), "notes": []}


def _result() -> None:
    found = st.session_state[FOUND]
    if found["error"]:
        st.error(plain(found["error"]))
        return
    st.subheader(f"Nearest to {plain(found['by'])}")
    if not found["hits"]:
        st.info("The collection has no face to compare with.")
        return
    hits(found["hits"])
    st.caption(
        "The figure is the cosine similarity of two embeddings. Similar to the encoder does not mean the same person."
    )
    for note in found["notes"]:
        st.warning(plain(note))
