"""Lineage: every file and row that holds an image, and erasing the image from all of them."""

import json
import subprocess
import sys
from contextlib import closing
from typing import Any

import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.gallery import gallery
from facestats_pipeline.app.state import ask, forget, queries
from facestats_pipeline.app.words import plain
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.io.addresses import is_loopback

COLUMNS = ("artifact", "shard", "note", "path", "made_at", "code_version", "fingerprint", "run_id")
ERASED = "lineage-erased"


def show() -> None:
    """The page."""
    st.title("Lineage")
    if receipt := st.session_state.pop(ERASED, None):
        _receipt(receipt)
    text = st.text_input("Image id, or file name as in the tables", key="lineage-image").strip()
    if not text:
        st.caption("Ids and names are in the table on the page Explore and in the results of a search.")
        return
    image = ask(Queries.named, text)
    if image is None:
        st.error(f"The collection has no image {plain(text)}.")
        return
    try:
        with st.spinner("Searching every table and file …"):
            _found(image)
    except FaceStatsError as problem:
        st.error(plain(str(problem)))


def _found(image: str) -> None:
    with closing(
        Collection(queries().settings)
    ) as here:  # closed at once: the connection to Dagster's storage is not shared between sessions
        found = here.lineage(image)
    left, right = st.columns([1, 4])
    with left:
        for image_id in found.image_ids:
            if place := ask(Queries.place, image_id):
                gallery([place], [place["filename"]], side=160)
    with right:
        st.write(f"**{len(found.held)} places** hold {plain(', '.join(found.image_ids) or image)}")
        files = found.files.select("filename", "state", "shard")
        st.dataframe(files, hide_index=True)
    for stage in dict.fromkeys(one.stage for one in found.held):
        of_it = [one for one in found.held if one.stage == stage]
        st.subheader(stage.capitalize())
        said = [name for name in COLUMNS if any(getattr(one, name) for one in of_it)]
        places = [{name: str(getattr(one, name) or "") for name in said} for one in of_it]
        st.dataframe(places, hide_index=True, height="content")
        rows = [
            {"artifact": one.artifact, "column": name, "value": str(value)}
            for one in of_it
            for name, value in (one.values or {}).items()
        ]
        if rows:
            with st.expander(f"Values in the tables: {len(rows)}"):
                st.dataframe(rows, hide_index=True)
    _erase(found.image_ids, image)


def _erase(ids: list[str], image: str) -> None:
    st.subheader("Erase")
    if not is_loopback(str(st.get_option("server.address") or "")):
        st.info("The dashboard is reachable from the network, so erase on the machine itself: `facestats erase`.")
        return
    st.write(
        "Erasing removes the image from every table and file, the index, composites and reports; its bytes are refused from then on."
    )
    raw = st.toggle("Also remove the photo from the raw folder", key=f"lineage-raw-{image}")
    word = (ids[0] if ids else image)[:8]
    typed = st.text_input(f"To erase it for good, type {plain(word)}", key=f"lineage-confirm-{image}")
    if st.button("Erase", type="primary", icon=":material/delete_forever:", disabled=typed.strip() != word):
        with st.spinner("Erasing, then making affected artifacts again …"):
            receipt = _run_erase(image, raw)
        forget()
        st.session_state[ERASED] = receipt
        st.rerun()


def _run_erase(image: str, raw: bool) -> dict[str, Any]:
    """Run `Collection.erase` in a separate process, so that closing the page does not interrupt it."""
    here = str(queries().settings.data_dir.resolve())
    process = [sys.executable, "-m", "facestats_pipeline.collection.erase_process"]
    command = [*process, *(["--raw"] if raw else []), "--", here, image]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    try:
        erasures = json.loads(ran.stdout)["erasures"]
    except (ValueError, KeyError):
        erasures = []
    return {"erasures": erasures, "problem": ran.stderr.strip() if ran.returncode else ""}


def _receipt(receipt: dict[str, Any]) -> None:
    for erasure in receipt["erasures"]:
        st.success(f"Erased. Receipt: {plain(erasure['receipt'])}")
        st.dataframe([{"what": what, "count": str(n)} for what, n in erasure["changes"].items()], hide_index=True)
        for model, why in erasure["models_marked"].items():
            st.warning(f"{plain(model)}: {plain(why)}")
    if receipt["problem"]:
        st.error(plain(receipt["problem"]))
