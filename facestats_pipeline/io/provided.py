"""What people provide in `labels/`: read when an asset needs it, None where there is nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from facestats_pipeline.core.labels.labels import Labels, labels_from_utkface, read_labels
from facestats_pipeline.core.labels.provenance import DEMO_TRUTH
from facestats_pipeline.core.labels.ratings import Ratings, read_ratings
from facestats_pipeline.core.metadata.manual_labels import ManualLabels, read_manual_labels
from facestats_pipeline.io.store import Store

Read = TypeVar("Read", Labels, Ratings)


def labels_of(store: Store, filenames: Sequence[str], *, in_names: str = "none") -> Labels | None:
    """labels.csv, else what UTKFace-style names of the photos say when `in_names` is `utkface`."""
    path = store.input_path("labels_csv")
    if path.is_file():
        return _as_drawn(read_labels(path), store)
    return labels_from_utkface(filenames) if in_names == "utkface" else None


def _as_drawn(read: Read, store: Store) -> Read:
    """In the demo's folder nobody labelled anything: the truth is what the faces were drawn from, and cards must say so."""
    if not (store.labels / DEMO_TRUTH).is_file():
        return read
    return replace(read, provenance=replace(read.provenance, kind="synthetic", note="drawn faces with known truth"))


def ratings_of(store: Store) -> Ratings | None:
    """ratings.csv."""
    path = store.input_path("ratings_csv")
    return _as_drawn(read_ratings(path), store) if path.is_file() else None


def manual_labels_of(store: Store) -> ManualLabels | None:
    """manual_labels.csv."""
    path: Path = store.input_path("manual_labels_csv")
    return read_manual_labels(path) if path.is_file() else None
