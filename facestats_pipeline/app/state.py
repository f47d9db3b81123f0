"""What the pages of one server share: the collection, its cached queries, and the models, one user of them at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import streamlit as st

from facestats_pipeline.app.data import Collection
from facestats_pipeline.app.pictures import thumbnail
from facestats_pipeline.config import Settings, load_settings

if TYPE_CHECKING:
    from facestats_pipeline.collection.score import Scorer
    from facestats_pipeline.collection.search import Searcher

P = ParamSpec("P")
Result = TypeVar("Result")


def collection() -> Collection:
    """The data folder that `facestats dashboard` was opened on, with its settings as they are now. Raises SettingsError."""
    settings = load_settings()
    return _collection(settings.model_dump_json(), settings)


@st.cache_resource(max_entries=4, show_spinner=False)
def _collection(key: str, _settings: Settings) -> Collection:
    return Collection(_settings)


def ask(query: Callable[Concatenate[Collection, P], Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """The answer of a query of Collection; asked again only when a run has written something since."""
    here = collection()
    folder = str(here.settings.data_dir.resolve())
    answer: Result = _answer(folder, here.version(), query.__name__, args, kwargs, query, here)
    return answer


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(
    folder: str, version: tuple[int, ...], name: str, args: Any, kwargs: Any, _query: Any, _here: Collection
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
    return thumbnail(collection().store.jpeg_path(shard, image_id), side)


def faces(rows: list[dict[str, Any]], side: int) -> list[bytes | None]:
    """`face` of each of some rows with shard and image_id."""
    here = collection()
    folder = f"{here.store.processed.resolve()} {here.version()}"
    return [face(folder, row["shard"], row["image_id"], side) for row in rows]


@contextmanager
def models() -> Iterator[tuple["Scorer", "Searcher"]]:
    """What scores photos and what finds faces. Detectors keep state between calls, so one visitor has them at a time."""
    here = collection()
    scorer, searcher, lock = _models(here.settings.model_dump_json(), here.version(), here)
    with lock:
        yield scorer, searcher


@st.cache_resource(max_entries=1, show_spinner="Loading the models …")
def _models(settings: str, version: tuple[int, ...], _here: Collection) -> tuple["Scorer", "Searcher", threading.Lock]:
    from facestats_pipeline.collection.score import Scorer
    from facestats_pipeline.collection.search import Searcher

    scorer = Scorer(_here.settings)
    return scorer, Searcher(scorer.folder), threading.Lock()
