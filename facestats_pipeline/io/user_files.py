"""Readers of the user files in `labels/`. Each returns None, or an empty table, when its file is missing.

A file that cannot be parsed raises LabelsError, which names the file, the problem and what to do.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.ingest.sources import Origin, Sources, read_sources
from facestats_pipeline.core.labels.labels_file import Labels, labels_from_utkface, read_labels
from facestats_pipeline.core.labels.ratings import Ratings, read_ratings
from facestats_pipeline.core.labels.splits import read_splits
from facestats_pipeline.core.metadata.manual_labels import ManualLabels, read_manual_labels
from facestats_pipeline.core.training.provenance import DEMO_TRUTH
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.store import Store

Read = TypeVar("Read", Labels, Ratings)
T = TypeVar("T")


def labels_of(
    store: Store, filenames: Sequence[str], *, in_names: str = "none", catalogue: Catalogue = BUILT_IN
) -> Labels | None:
    """Labels from labels.csv. Without that file, labels from UTKFace-style file names if `in_names` is `utkface`."""
    path = store.input_path("labels_csv")
    if path.is_file():
        return _as_drawn(_readable(partial(read_labels, catalogue=catalogue), path), store)
    return labels_from_utkface(filenames, catalogue) if in_names == "utkface" else None


def _as_drawn(read: Read, store: Store) -> Read:
    """Whether the folder holds the demo's drawn faces. Their labels are known parameters, not human labels, and cards say so."""
    if not store.label_file(DEMO_TRUTH).is_file():
        return read
    return replace(read, provenance=replace(read.provenance, kind="synthetic", note="drawn faces with known truth"))


def ratings_of(store: Store) -> Ratings | None:
    """Ratings from ratings.csv."""
    path = store.input_path("ratings_csv")
    return _as_drawn(_readable(read_ratings, path), store) if path.is_file() else None


def sources_of(store: Store, otherwise: Origin) -> Sources:
    """Sources from sources.csv; `otherwise` gives the defaults for photos that it does not cover."""
    path = store.input_path("sources_csv")
    return read_sources(path, otherwise) if path.is_file() else Sources(otherwise=otherwise)


def splits_of(store: Store) -> pl.DataFrame | None:
    """Published splits from splits.csv, with the schema SPLITS_SCHEMA."""
    path = store.input_path("splits_csv")
    return _readable(read_splits, path) if path.is_file() else None


def manual_labels_of(
    store: Store, known_ids: Container[str] | None = None, catalogue: Catalogue = BUILT_IN
) -> ManualLabels | None:
    """Manual labels from manual_labels.csv. With `known_ids`, labels of other images are rejected."""
    path: Path = store.input_path("manual_labels_csv")
    read = partial(read_manual_labels, known_ids=known_ids, catalogue=catalogue)
    return _readable(read, path) if path.is_file() else None


def _readable(read: Callable[[Path], T], path: Path) -> T:
    """Parse the file with `read`; add what to do next to its LabelsError."""
    try:
        return read(path)
    except LabelsError as problem:
        advice = f"correct the file or take it out of {path.parent}, then `facestats run`"
        raise LabelsError(f"{str(problem).rstrip('.')}; {advice}") from None
