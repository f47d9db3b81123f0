"""State that all pages of a server share: the collection, its cached queries, and the models behind a lock."""

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
    """Queries on the data folder of `facestats dashboard`, with its current settings. Raises SettingsError."""
    settings = load_settings()
    return _queries(settings.model_dump_json(), settings)


@st.cache_resource(max_entries=4, show_spinner=False)
def _queries(key: str, _settings: Settings) -> Queries:
    return Queries(Collection(_settings))


def ask(query: Callable[Concatenate[Queries, P], Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """The result of a method of Queries, cached until a run writes something."""
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
    """Drop all caches of photos in this server and session."""
    st.cache_data.clear()
    for key in list(st.session_state):
        del st.session_state[key]


@st.cache_data(max_entries=4096, show_spinner=False)
def face(folder: str, shard: str, image_id: str, side: int) -> bytes | None:
    """A cached square JPEG of a preprocessed photo. `folder` identifies the collection and its version, as part of the cache key."""
    return thumbnail(queries().store.jpeg_path(shard, image_id), side)


def faces(rows: list[dict[str, Any]], side: int) -> list[bytes | None]:
    """`face` of each of some rows with shard and image_id."""
    here = queries()
    folder = f"{here.store.processed.resolve()} {here.collection.version()}"
    return [face(folder, row["shard"], row["image_id"], side) for row in rows]


@contextmanager
def models() -> Iterator[Collection]:
    """The collection with its models, for one session at a time, because detectors keep state between calls."""
    here = queries()
    opened, lock = _models(here.settings.model_dump_json(), here.settings)
    with lock:
        yield opened


@st.cache_resource(max_entries=1, show_spinner="Loading the models …")
def _models(key: str, _settings: Settings) -> tuple[Collection, threading.Lock]:
    return Collection(_settings), threading.Lock()
