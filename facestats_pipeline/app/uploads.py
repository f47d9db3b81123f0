"""Uploads: a photo from a file or the camera is held in memory, handed over once and dropped. It is never written to disk."""

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from facestats_pipeline.app.state import queries


def choose_photo(page: str) -> bytes | None:
    """The bytes of a photo that was just uploaded, returned once. The file name is not read.

    Streamlit would keep the file until the session ends. So it is removed from Streamlit's memory at once, and the next run of the
    script gets a new widget.
    """
    turn = st.session_state.get(f"{page}-turn", 0)
    limit = queries().settings.dashboard.max_upload_mb
    source = st.segmented_control(
        "Photo from", ["a file", "the camera"], default="a file", required=True, key=f"{page}-source"
    )
    if source == "the camera":
        given = st.camera_input("Take a photo", key=f"{page}-camera-{turn}")
    else:
        # Accept every file type: for a rejected one, the widget shows only an icon, whereas the page explains the problem.
        given = st.file_uploader("A photo of a face", max_upload_size=limit, key=f"{page}-file-{turn}")
    st.caption(
        "The photo stays in this computer's memory while it is processed. It is not stored, and no file is written."
    )
    if given is None:
        return None
    st.session_state[f"{page}-turn"] = turn + 1
    _forget(given.file_id)
    if given.size > limit * 2**20:
        st.error(f"The photo has {given.size / 2**20:.0f} MB; the limit is {limit} MB (`dashboard.max_upload_mb`).")
        return None
    return given.getvalue()


def _forget(file_id: str) -> None:
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        raise RuntimeError(
            "this version of Streamlit stores uploads differently, so a photo could not be removed from its memory"
        )
    context.uploaded_file_mgr.remove_file(context.session_id, file_id)
