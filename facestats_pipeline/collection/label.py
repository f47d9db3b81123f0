"""Labels that a person gives to photos of the collection: lines of labels/manual_labels.csv, never overwritten."""

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.metadata.manual_label_writer import Label, append_labels, labels_by
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.data_folder import DataFolder

FILE = "manual_labels_csv"


def add_label(folder: DataFolder, label: Label, annotator: str) -> None:
    """Append one label. Raises FaceStatsError for a name, attribute or value that the file may not hold, or a file that is no table."""
    path = folder.store.input_path(FILE)
    try:
        append_labels(path, [label], annotator, catalogue=folder.settings.catalogue)
    except (ValueError, LabelsError) as problem:
        raise FaceStatsError(str(problem)) from None
    folder.store.publish(path)


def labels_of(folder: DataFolder, annotator: str) -> pl.DataFrame:
    """image_id, attribute, value: what one annotator says now. Raises FaceStatsError for a file that is no table."""
    try:
        return labels_by(folder.store.input_path(FILE), annotator, folder.settings.catalogue)
    except LabelsError as problem:
        raise FaceStatsError(str(problem)) from None
