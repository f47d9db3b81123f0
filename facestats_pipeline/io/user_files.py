"""What people provide in `labels/`: read when an asset needs it, None where there is nothing.

Raises LabelsError, with the file, what is wrong and what to do, for a file that cannot be read as a whole.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from facestats_pipeline.core.ingest.sources import Origin, Sources, read_sources
from facestats_pipeline.core.labels.labels_file import Labels, labels_from_utkface, read_labels
from facestats_pipeline.core.labels.provenance import DEMO_TRUTH
from facestats_pipeline.core.labels.ratings import Ratings, read_ratings
from facestats_pipeline.core.labels.splits import read_splits
from facestats_pipeline.core.metadata.manual_labels import ManualLabels, read_manual_labels
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.store import Store

Read = TypeVar("Read", Labels, Ratings)
T = TypeVar("T")


def labels_of(store: Store, filenames: Sequence[str], *, in_names: str = "none") -> Labels | None:
    """labels.csv, else what UTKFace-style names of the photos say when `in_names` is `utkface`."""
    path = store.input_path("labels_csv")
    if path.is_file():
        return _as_drawn(_readable(read_labels, path), store)
    return labels_from_utkface(filenames) if in_names == "utkface" else None


def _as_drawn(read: Read, store: Store) -> Read:
    """In the demo's folder nobody labelled anything: the truth is what the faces were drawn from, and cards must say so."""
    if not store.label_file(DEMO_TRUTH).is_file():
        return read
    return replace(read, provenance=replace(read.provenance, kind="synthetic", note="drawn faces with known truth"))


def ratings_of(store: Store) -> Ratings | None:
    """ratings.csv."""
    path = store.input_path("ratings_csv")
    return _as_drawn(_readable(read_ratings, path), store) if path.is_file() else None


def sources_of(store: Store, otherwise: Origin) -> Sources:
    """sources.csv; `otherwise` is what holds where it says nothing, or does not exist."""
    path = store.input_path("sources_csv")
    return read_sources(path, otherwise) if path.is_file() else Sources(otherwise=otherwise)


def splits_of(store: Store) -> pl.DataFrame | None:
    """splits.csv: SPLITS_SCHEMA."""
    path = store.input_path("splits_csv")
    return _readable(read_splits, path) if path.is_file() else None


def manual_labels_of(store: Store, known_ids: Container[str] | None = None) -> ManualLabels | None:
    """manual_labels.csv; with `known_ids`, labels of other images are rejected."""
    path: Path = store.input_path("manual_labels_csv")
    return _readable(partial(read_manual_labels, known_ids=known_ids), path) if path.is_file() else None


def _readable(read: Callable[[Path], T], path: Path) -> T:
    """What `read` makes of the file; its LabelsError with what to do next."""
    try:
        return read(path)
    except LabelsError as problem:
        advice = f"correct the file or take it out of {path.parent}, then `facestats run`"
        raise LabelsError(f"{str(problem).rstrip('.')}; {advice}") from None
