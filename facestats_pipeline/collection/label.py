"""Manual labels: lines appended to labels/manual_labels.csv, never overwritten."""

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.metadata.manual_label_writer import Label, append_labels, labels_by
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.data_folder import DataFolder

FILE = "manual_labels_csv"


def add_label(folder: DataFolder, label: Label, annotator: str) -> None:
    """Append one label. Raises FaceStatsError for an invalid annotator, attribute or value, or an unreadable file."""
    path = folder.store.input_path(FILE)
    try:
        append_labels(path, [label], annotator, catalogue=folder.settings.catalogue)
    except (ValueError, LabelsError) as problem:
        raise FaceStatsError(str(problem)) from None
    folder.store.publish(path)


def labels_of(folder: DataFolder, annotator: str) -> pl.DataFrame:
    """The current labels of one annotator: image_id, attribute, value. Raises FaceStatsError for an unreadable file."""
    try:
        return labels_by(folder.store.input_path(FILE), annotator, folder.settings.catalogue)
    except LabelsError as problem:
        raise FaceStatsError(str(problem)) from None
