"""Where each artifact is stored. Paths are relative to `processed/`, those of models to the models folder."""

from facestats_pipeline.core.table_registry import tables_of

SHARD_TABLES: dict[str, str] = {name: table.path for name, table in tables_of().items() if table.kind == "shards"}
"""Asset → directory with one Parquet file per shard. Any Parquet reader opens the directory as one table."""

TABLES: dict[str, str] = {name: table.path for name, table in tables_of().items() if table.kind == "table"}
"""Asset → single Parquet file."""

JPEG_SHARDS = "preproc"
"""Folder of `<shard>/<image_id>.jpg`."""

COMPOSITES, REPORTS = "composites", "reports"
"""Folders of images made from many photos."""

INDEX = "embeddings/embedding_index.usearch"
"""File of the asset `embedding_index`."""

INPUTS: dict[str, str] = {
    "labels_csv": "labels.csv",
    "ratings_csv": "ratings.csv",
    "manual_labels_csv": "manual_labels.csv",
    "sources_csv": "sources.csv",
    "splits_csv": "splits.csv",
}
"""User files: asset → file name in `labels/`."""


def table_path(asset: str) -> str:
    """Path of a table below `processed/`. Raises KeyError for an asset that is not a table."""
    return SHARD_TABLES.get(asset) or TABLES[asset]
