"""The filters of a page as widgets."""

from typing import Any

import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.filters import FLAGGED, NOT_FLAGGED, Filters
from facestats_pipeline.app.state import ask
from facestats_pipeline.app.words import shown
from facestats_pipeline.core.labels.vocabulary import ETHNICITIES, GENDERS
from facestats_pipeline.core.metadata.flag_table import reasons_of

OLDEST = 100


def choose_group(page: str) -> dict[str, Any]:
    """gender, ethnicity, age, decile as the filters of a composite take them; None is no filter."""
    gender = st.selectbox("Gender", [None, *GENDERS], format_func=_any, key=f"{page}-gender")
    ethnicity = st.selectbox("Ethnicity", [None, *ETHNICITIES], format_func=_any, key=f"{page}-ethnicity")
    low, high = st.slider(
        "Age in years", 0, OLDEST, (0, OLDEST), key=f"{page}-age", help=f"{OLDEST} is {OLDEST} and more"
    )
    deciles = st.slider("Score decile", 1, 10, (1, 10), key=f"{page}-decile")
    return {
        "gender": gender,
        "ethnicity": ethnicity,
        "age": None if (low, high) == (0, OLDEST) else (low, 120 if high == OLDEST else high),
        "decile": None if deciles == (1, 10) else deciles,
    }


def choose_filters(page: str) -> Filters:
    """Everything that can be filtered by."""
    group = choose_group(page)
    flags = [None, FLAGGED, NOT_FLAGGED, *reasons_of()]
    flag = st.selectbox("Flags", flags, format_func=_any, key=f"{page}-flag")
    clusters = ask(Queries.clusters)
    cluster = st.selectbox("Cluster", [None, *clusters], format_func=_any, key=f"{page}-cluster")
    name = st.text_input("File name contains", key=f"{page}-name")
    return Filters(**group, flag=flag, cluster=cluster, name=name.strip())


def _any(value: object) -> str:
    return "any" if value is None else shown(str(value))
