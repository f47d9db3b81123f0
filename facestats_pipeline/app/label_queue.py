"""Label: the label queue, operated by keyboard. Every key press appends a line to manual_labels.csv; no line is overwritten."""

from typing import Any

import polars as pl
import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.state import ask, faces, queries
from facestats_pipeline.app.words import plain, shown
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.metadata.manual_label_writer import Label, check_annotator

SIDE = 420
DONE, SKIPPED, PROBLEM = "label-done", "label-skipped", "label-problem"


def show() -> None:
    """The page."""
    st.title("Label")
    queue = ask(Queries.label_queue)
    if queue is None or queue.is_empty():
        st.info(
            "There is no photo to label yet: `facestats run` makes the tables, then a queue of the photos most worth a label."
        )
        return
    names = queries().settings.catalogue.names
    left, right = st.columns(2, vertical_alignment="bottom")
    given = left.text_input("Your name or initials", key="label-annotator", help="Saved with every label")
    attribute = right.segmented_control(
        "What to label", names, default=names[0], required=True, format_func=shown, key="label-attribute"
    )
    if not given.strip():
        st.info("Enter your name first: labels of several people are compared, and each person counts once.")
        return
    try:
        annotator = check_annotator(given)
        mine = queries().collection.labels(annotator).filter(pl.col("attribute") == attribute)
    except (ValueError, FaceStatsError) as problem:
        st.error(plain(f"{problem}"))
        return
    if refused := st.session_state.pop(PROBLEM, None):
        st.error(plain(refused))
    _queue(queue, str(attribute), annotator, set(mine["image_id"]))


def _append(label: Label, annotator: str) -> None:
    queries().collection.label(label.image_id, label.attribute, label.value, annotator=annotator)


def _queue(queue: pl.DataFrame, attribute: str, annotator: str, labelled: set[str]) -> None:
    skipped: set[tuple[str, str]] = st.session_state.setdefault(SKIPPED, set())
    waiting = [row for row in queue.iter_rows(named=True) if row["image_id"] not in labelled]
    done = queue.height - len(waiting)
    open_ = [row for row in waiting if (row["image_id"], attribute) not in skipped]
    st.progress(done / queue.height, text=f"{done} of {queue.height} labelled, {len(waiting) - len(open_)} skipped")
    if open_:
        _photo(open_[0], attribute, annotator)
    else:
        st.success("The queue is empty. `facestats run` reads the labels and makes the next queue.")
    with st.container(horizontal=True):
        undoable = bool(st.session_state.get(DONE))
        st.button("Undo", shortcut="U", on_click=_undo, disabled=not undoable, icon=":material/undo:", key="label-undo")
        if skipped and not open_:
            st.button("Show skipped photos again", on_click=skipped.clear)
    st.caption(
        "Labels and undos are appended to labels/manual_labels.csv. They take effect with the next `facestats run`."
    )


def _photo(row: dict[str, Any], attribute: str, annotator: str) -> None:
    image_id = row["image_id"]
    place = ask(Queries.place, image_id)
    picture = faces([place], 2 * SIDE)[0] if place else None
    left, right = st.columns([3, 4])
    with left:
        if picture is None:
            st.warning("This photo is no longer in the collection; skip it.")
        else:
            st.image(picture, width=SIDE, alt="the face to label")
    with right:
        st.caption("The buttons show their keys. If a key does nothing, click outside the fields first.")
        with st.container(horizontal=True):
            for i, value in enumerate(queries().settings.catalogue[attribute].classes, start=1):
                st.button(
                    shown(value),
                    shortcut=str(i) if i < 10 else None,
                    on_click=_give,
                    args=(image_id, attribute, value, annotator),
                    disabled=picture is None,
                    key=f"label-{image_id}-{value}",  # binds the press to the photo that was shown, even if the next press follows at once
                )
        st.button(
            "Skip",
            shortcut="S",
            on_click=_skip,
            args=(image_id, attribute),
            key=f"label-skip-{image_id}",
            icon=":material/skip_next:",
        )
        if st.toggle(
            "Show the model's prediction", help="Off by default, so that it does not influence you.", key="label-hint"
        ):
            about = queries().settings.catalogue[attribute]
            top, p = row.get(about.top_column), row.get(about.p_column)
            st.write("The model has no prediction." if top is None else f"{plain(shown(top))}, {p:.0%}")
            st.caption(f"Why this photo: {plain(row['why'] or '')}")


def _give(image_id: str, attribute: str, value: str, annotator: str) -> None:
    """Save the label, and keep the previous one for an undo."""
    try:
        mine = queries().collection.labels(annotator).filter(image_id=image_id, attribute=attribute)
        before = mine["value"].item() if mine.height else None
        _append(Label(image_id, attribute, value), annotator)
    except FaceStatsError as problem:
        st.session_state[PROBLEM] = str(problem)
        return
    st.session_state.setdefault(DONE, []).append((Label(image_id, attribute, before), annotator))


def _undo() -> None:
    """Restore the value before the last label of this session."""
    label, annotator = st.session_state[DONE].pop()
    try:
        _append(label, annotator)
    except FaceStatsError as problem:
        st.session_state[PROBLEM] = str(problem)


def _skip(image_id: str, attribute: str) -> None:
    st.session_state[SKIPPED].add((image_id, attribute))
