"""A photo from outside: taken from a file or the camera into memory, handed over once, and forgotten. It is never written anywhere."""

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from facestats_pipeline.app.state import queries


def choose_photo(page: str) -> bytes | None:
    """The bytes of a photo that was just given, once; its name is not looked at.

    Streamlit would hold the file until the visit ends; here it is taken out of its memory at once, and the widget is a new one from the
    next run of the script on.
    """
    turn = st.session_state.get(f"{page}-turn", 0)
    limit = queries().settings.dashboard.max_upload_mb
    source = st.segmented_control(
        "Photo from", ["a file", "the camera"], default="a file", required=True, key=f"{page}-source"
    )
    if source == "the camera":
        given = st.camera_input("Take a photo", key=f"{page}-camera-{turn}")
    else:
        # Any kind of file: of one that it does not take, the widget shows an icon alone, and the page says in words what it is.
        given = st.file_uploader("A photo of a face", max_upload_size=limit, key=f"{page}-file-{turn}")
    st.caption("It stays in this computer's memory while it is looked at, and is not kept. No file is written.")
    if given is None:
        return None
    st.session_state[f"{page}-turn"] = turn + 1
    _forget(given.file_id)
    if given.size > limit * 2**20:
        st.error(
            f"The photo has {given.size / 2**20:.0f} MB; at most {limit} MB are taken (`dashboard.max_upload_mb`)."
        )
        return None
    return given.getvalue()


def _forget(file_id: str) -> None:
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        raise RuntimeError(
            "this version of Streamlit keeps uploads in another way: a photo could not be taken out of its memory"
        )
    context.uploaded_file_mgr.remove_file(context.session_id, file_id)
