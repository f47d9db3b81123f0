"""Where each artifact lies, in one table. Paths are relative to `processed/`; those of models to the models folder."""

from typing import Literal

Kind = Literal["shards", "table", "files", "models"]

SHARD_TABLES: dict[str, str] = {
    "manifest": "manifest.parquet",
    "preproc": "preproc.parquet",
    "embeddings_clip": "embeddings/embeddings_clip.parquet",
    "image_quality": "metadata/image_quality.parquet",
    "face_geometry": "metadata/face_geometry.parquet",
    "attributes": "metadata/attributes.parquet",
    "attributes_flags": "metadata/attributes_flags.parquet",
    "attributes_clean": "metadata/attributes_clean.parquet",
    "attributes_with_meta": "metadata/attributes_with_meta.parquet",
    "attributes_with_clusters": "metadata/attributes_with_clusters.parquet",
    "attributes_with_manual": "metadata/attributes_with_manual.parquet",
    "attributes_with_predictions": "metadata/attributes_with_predictions.parquet",
    "attributes_final": "metadata/attributes_final.parquet",
    "attractiveness_scores": "metadata/attractiveness_scores.parquet",
    "attractiveness_with_attributes": "metadata/attractiveness_with_attributes.parquet",
    "master": "metadata/master.parquet",
}
"""Directories of one Parquet file per shard: any reader opens the directory as one table."""

TABLES: dict[str, str] = {
    "raw_photos": "inventory.parquet",
    "near_duplicates": "metadata/near_duplicates.parquet",
    "fairface_label_structure": "metadata/fairface_label_structure.parquet",
}
"""Single Parquet files."""

JPEG_SHARDS = "preproc"
"""Folder of `<shard>/<image_id>.jpg`."""

COMPOSITES, REPORTS = "composites", "reports"
"""Folders of pictures made from many photos."""

INDEX = "embeddings/embedding_index.usearch"
"""File of the asset embedding_index."""

INPUTS: dict[str, str] = {
    "labels_csv": "labels.csv",
    "ratings_csv": "ratings.csv",
    "manual_labels_csv": "manual_labels.csv",
    "sources_csv": "sources.csv",
    "splits_csv": "splits.csv",
}
"""What people provide, relative to `labels/`."""


def table_path(asset: str) -> str:
    """Path of a table below `processed/`. KeyError for an asset that is no table."""
    return SHARD_TABLES.get(asset) or TABLES[asset]
