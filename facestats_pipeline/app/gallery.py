"""Rows of faces that wrap on narrow screens."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from facestats_pipeline.app.state import faces
from facestats_pipeline.app.words import plain

SIDE = 108
"""Width of a face in pixels: three fit side by side on a phone, seven next to the menu on a small screen."""


def gallery(rows: Sequence[dict[str, Any]], captions: Sequence[str], *, side: int = SIDE) -> None:
    """Show the faces of rows (image_id, shard, filename) with captions, and report how many have no picture."""
    found = [
        (jpeg, row, text) for jpeg, row, text in zip(faces(list(rows), 2 * side), rows, captions, strict=True) if jpeg
    ]
    if found:
        with st.container(horizontal=True, gap="xsmall"):
            for jpeg, row, text in found:
                st.image(jpeg, caption=plain(text), width=side, alt=f"face from {row['filename']}")
    if missing := len(rows) - len(found):
        st.caption(f"{missing} preprocessed photos are missing; `facestats run` makes them again.")


def hits(found: Sequence[dict[str, Any]]) -> None:
    """Show the results of a search, nearest first, with their cosine similarities."""
    gallery(found, [f"{hit['rank']} · {hit['cosine']:.3f}" for hit in found])
    with st.expander("Their files"):
        st.dataframe(
            [
                {"rank": hit["rank"], "cosine": hit["cosine"], "file": hit["filename"], "image id": hit["image_id"]}
                for hit in found
            ],
            hide_index=True,
        )
