"""What people provide in `labels/`: read when an asset needs it, None where there is nothing."""

from collections.abc import Sequence
from pathlib import Path

from facestats_pipeline.core.labels.labels import Labels, labels_from_utkface, read_labels
from facestats_pipeline.core.labels.ratings import Ratings, read_ratings
from facestats_pipeline.core.metadata.manual_labels import ManualLabels, read_manual_labels
from facestats_pipeline.io.store import Store


def labels_of(store: Store, filenames: Sequence[str], *, in_names: str = "none") -> Labels | None:
    """labels.csv, else what UTKFace-style names of the photos say when `in_names` is `utkface`."""
    path = store.input_path("labels_csv")
    if path.is_file():
        return read_labels(path)
    return labels_from_utkface(filenames) if in_names == "utkface" else None


def ratings_of(store: Store) -> Ratings | None:
    """ratings.csv."""
    path = store.input_path("ratings_csv")
    return read_ratings(path) if path.is_file() else None


def manual_labels_of(store: Store) -> ManualLabels | None:
    """manual_labels.csv."""
    path: Path = store.input_path("manual_labels_csv")
    return read_manual_labels(path) if path.is_file() else None
