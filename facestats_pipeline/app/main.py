"""The script that Streamlit runs: the pages, and a start page while there is nothing to show."""

import streamlit as st

from facestats_pipeline.app import bias, composites, explore, label_queue, lineage, overview, score, search
from facestats_pipeline.app.pictures import icon
from facestats_pipeline.app.start import show_begun, show_empty, show_partial
from facestats_pipeline.app.state import queries
from facestats_pipeline.config import SettingsError


def main() -> None:
    """Run the script once."""
    st.set_page_config(page_title="FaceStats", page_icon=icon(), layout="wide")
    page = st.navigation(
        [
            st.Page(overview.show, title="Overview", icon=":material/dashboard:", default=True),
            st.Page(explore.show, title="Explore", icon=":material/explore:", url_path="explore"),
            st.Page(composites.show, title="Composites", icon=":material/filter:", url_path="composites"),
            st.Page(search.show, title="Search", icon=":material/search:", url_path="search"),
            st.Page(score.show, title="Score a photo", icon=":material/add_a_photo:", url_path="score"),
            st.Page(label_queue.show, title="Label", icon=":material/label:", url_path="label"),
            st.Page(bias.show, title="Bias audit", icon=":material/balance:", url_path="bias"),
            st.Page(lineage.show, title="Lineage", icon=":material/account_tree:", url_path="lineage"),
        ]
    )
    try:
        here = queries()
        stage = here.stage()
    except SettingsError as problem:
        st.error(str(problem))
        return
    if stage == "empty":
        show_empty(here)
    elif stage == "begun":
        show_begun(here)
    else:
        if stage == "partial":
            show_partial(here)
        page.run()


if __name__ == "__main__":
    main()
