"""What the pages of one server share: the collection, its cached queries, and the models, one user of them at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import streamlit as st

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.pictures import thumbnail
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.config import Settings, load_settings

P = ParamSpec("P")
Result = TypeVar("Result")


def queries() -> Queries:
    """The data folder that `facestats dashboard` was opened on, with its settings as they are now. Raises SettingsError."""
    settings = load_settings()
    return _queries(settings.model_dump_json(), settings)


@st.cache_resource(max_entries=4, show_spinner=False)
def _queries(key: str, _settings: Settings) -> Queries:
    return Queries(Collection(_settings))


def ask(query: Callable[Concatenate[Queries, P], Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """The answer of a query of Queries; asked again only when a run has written something since."""
    here = queries()
    folder = str(here.settings.data_dir.resolve())
    answer: Result = _answer(folder, here.collection.version(), query.__name__, args, kwargs, query, here)
    return answer


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(
    folder: str, version: tuple[int, ...], name: str, args: Any, kwargs: Any, _query: Any, _here: Queries
) -> Any:
    return _query(_here, *args, **kwargs)


def forget() -> None:
    """Drop whatever this server and this visit keep of photos."""
    st.cache_data.clear()
    for key in list(st.session_state):
        del st.session_state[key]


@st.cache_data(max_entries=4096, show_spinner=False)
def face(folder: str, shard: str, image_id: str, side: int) -> bytes | None:
    """A square JPEG of a preprocessed photo; `folder` says which collection, and as of when."""
    return thumbnail(queries().store.jpeg_path(shard, image_id), side)


def faces(rows: list[dict[str, Any]], side: int) -> list[bytes | None]:
    """`face` of each of some rows with shard and image_id."""
    here = queries()
    folder = f"{here.store.processed.resolve()} {here.collection.version()}"
    return [face(folder, row["shard"], row["image_id"], side) for row in rows]


@contextmanager
def models() -> Iterator[Collection]:
    """The collection, for what needs its models. Detectors keep state between calls, so one visitor has them at a time."""
    here = queries()
    opened, lock = _models(here.settings.model_dump_json(), here.settings)
    with lock:
        yield opened


@st.cache_resource(max_entries=1, show_spinner="Loading the models …")
def _models(key: str, _settings: Settings) -> tuple[Collection, threading.Lock]:
    return Collection(_settings), threading.Lock()
