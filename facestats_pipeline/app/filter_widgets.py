"""The filters of a page as widgets."""

from typing import Any

import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.filters import FLAGGED, NOT_FLAGGED, Filters
from facestats_pipeline.app.state import ask, queries
from facestats_pipeline.app.words import shown
from facestats_pipeline.core.attributes.attribute import MAX_AGE, Attribute
from facestats_pipeline.core.metadata.flag_table import reasons_of

OLDEST = 100


def choose_group(page: str) -> dict[str, Any]:
    """Attributes and decile as `filter_images` takes them; what is not chosen is left out."""
    chosen: dict[str, Any] = {}
    for attribute in queries().settings.catalogue:
        if attribute.years is None:
            classes = [None, *attribute.classes]
            value: Any = st.selectbox(attribute.title, classes, format_func=_any, key=f"{page}-{attribute.name}")
        else:
            value = _years(attribute, page)
        chosen[attribute.stem if attribute.years else attribute.name] = value
    deciles = st.slider("Score decile", 1, 10, (1, 10), key=f"{page}-decile")
    chosen["decile"] = None if deciles == (1, 10) else deciles
    return {name: value for name, value in chosen.items() if value is not None}


def _years(attribute: Attribute, page: str) -> tuple[float, float] | None:
    oldest = f"{OLDEST} is {OLDEST} and more"
    title = f"{attribute.title} in years"
    low, high = st.slider(title, 0, OLDEST, (0, OLDEST), key=f"{page}-{attribute.stem}", help=oldest)
    return None if (low, high) == (0, OLDEST) else (low, MAX_AGE if high == OLDEST else high)


def choose_filters(page: str) -> Filters:
    """Widgets for all filters."""
    group = choose_group(page)
    flags = [None, FLAGGED, NOT_FLAGGED, *reasons_of(queries().settings.catalogue)]
    flag = st.selectbox("Flags", flags, format_func=_any, key=f"{page}-flag")
    clusters = ask(Queries.clusters)
    cluster = st.selectbox("Cluster", [None, *clusters], format_func=_any, key=f"{page}-cluster")
    name = st.text_input("File name contains", key=f"{page}-name")
    return Filters(group, flag=flag, cluster=cluster, name=name.strip())


def _any(value: object) -> str:
    return "any" if value is None else shown(str(value))
