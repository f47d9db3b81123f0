"""The metadata tables, from attributes to master. Each is specified in `core/metadata/<something>_table.py`."""

from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.attributes.catalogue import Catalogue
from facestats_pipeline.core.metadata.final_table import attractiveness_with_attributes as scores_beside
from facestats_pipeline.core.metadata.final_table import attributes_final as believed
from facestats_pipeline.core.metadata.flag_table import FlagThresholds
from facestats_pipeline.core.metadata.flag_table import attributes_clean as without_flagged
from facestats_pipeline.core.metadata.flag_table import attributes_flags as flag
from facestats_pipeline.core.metadata.label_structure_table import label_structure
from facestats_pipeline.core.metadata.manual_table import attributes_with_manual as with_manual
from facestats_pipeline.core.metadata.master_table import master_table, run_merge
from facestats_pipeline.core.metadata.meta_table import attributes_with_meta as beside_measures
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions as beside_predictions
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.defs.attributes.assets import models_of, probes_of
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.partitions import EXTRA, depends_on, folder_asset, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import COLUMNS, NEEDED_BY, Files, ShardPhotos, Skipped
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames

FEATURE_INDEX = "metadata/feature_index.json"

metadata_table = partial(shard_table, group_name="metadata")


def only(*columns: str) -> dg.AssetIn:
    """An input that reads only these columns."""
    return dg.AssetIn(metadata={COLUMNS: list(columns)})


def needed_by(table: str) -> dg.AssetIn:
    """An input that reads only the columns that `table` is made from."""
    return dg.AssetIn(metadata={NEEDED_BY: table})


def _tables(images: ShardPhotos) -> ShardFrames:
    return images.map(lambda shard_images: shard_images.table)


@metadata_table(metadata=depends_on(*(f"metadata.{name}" for name in FlagThresholds.__dataclass_fields__)))
def attributes_flags(
    attributes: ShardFrames,
    image_quality: ShardFrames,
    preproc: ShardPhotos,
    folder: dg.ResourceParam[DataFolder],
) -> ShardFrames:
    """Flags of each row: the reasons to distrust it."""
    wanted = folder.settings.metadata
    limits = FlagThresholds(**{name: value for name, value in wanted if name in FlagThresholds.__dataclass_fields__})
    return attributes.map(
        partial(flag, thresholds=limits, catalogue=folder.settings.catalogue), image_quality, _tables(preproc)
    )


@metadata_table(metadata=depends_on())
def attributes_clean(
    attributes: ShardFrames, attributes_flags: ShardFrames, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """The rows of attributes without flags."""
    return attributes.map(partial(without_flagged, catalogue=folder.settings.catalogue), attributes_flags)


@metadata_table(metadata=depends_on(), ins={"face_geometry": needed_by("attributes_with_meta")})
def attributes_with_meta(
    attributes: ShardFrames,
    preproc: ShardPhotos,
    image_quality: ShardFrames,
    face_geometry: ShardFrames,
    folder: dg.ResourceParam[DataFolder],
) -> ShardFrames:
    """Attributes joined with detection, quality and geometry."""
    beside = partial(beside_measures, catalogue=folder.settings.catalogue)
    return attributes.map(beside, _tables(preproc), image_quality, face_geometry)


@folder_asset(
    group_name="metadata",
    io_manager_key="files",
    kinds={"scikitlearn"},
    code_version="1",
    metadata=depends_on("metadata.clusters", "seed", "use", refits=True),
    deps=["sources_csv"],
)
def cluster_model(embeddings_clip: AllShards, folder: dg.ResourceParam[DataFolder]) -> Any:
    """PCA and KMeans, fitted on a sample of the collection; refitted when the collection has changed by `refit_growth`."""
    from facestats_pipeline.core.metadata.clusters import fit_clusters, sample_embeddings

    frames = [frame for frame in folder.learnable(embeddings_clip.values()) if not frame.is_empty()]
    if not frames:
        return Skipped("there is no embedding to fit clusters on")
    sample = sample_embeddings((frame["image_id"].to_list(), vectors(frame)) for frame in frames)
    most = min(folder.settings.metadata.clusters, max(2, len(sample) // 50))
    model = fit_clusters(sample, k=most, seed=folder.settings.seed, model_id=frames[0]["model_id"][0])
    return Files({"cluster_model.safetensors": model.to_bytes()}, {"clusters": model.k, "rows": model.rows})


@metadata_table(metadata=depends_on())
def attributes_with_clusters(
    attributes: ShardFrames, embeddings_clip: ShardFrames, cluster_model: Any, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """Attributes joined with each image's coordinates on the first two principal axes and its cluster."""
    from facestats_pipeline.core.metadata.cluster_table import attributes_with_clusters as place
    from facestats_pipeline.core.metadata.clusters import ClusterModel

    model = ClusterModel.from_bytes(cluster_model["cluster_model.safetensors"].read_bytes()) if cluster_model else None
    catalogue = folder.settings.catalogue
    return attributes.map(
        lambda rows, embedded: place(rows, embedded.select("image_id"), vectors(embedded), model, catalogue=catalogue),
        embeddings_clip,
    )


@metadata_table(metadata=depends_on(), deps=["manual_labels_csv"])
def attributes_with_manual(attributes: ShardFrames, folder: dg.ResourceParam[DataFolder]) -> ShardFrames:
    """Attributes joined with manual labels; a tie between annotators gives no value.

    An unreadable file counts as missing; `manual_label_report` is then skipped with the reason.
    """
    from facestats_pipeline.io.user_files import manual_labels_of

    try:
        manual = manual_labels_of(folder.store, catalogue=folder.settings.catalogue)
    except LabelsError:
        manual = None
    return attributes.map(partial(with_manual, manual=manual, catalogue=folder.settings.catalogue))


@folder_asset(
    group_name="metadata",
    io_manager_key="files",
    kinds={"csv"},
    code_version="1",
    metadata=depends_on(EXTRA),
    deps=["manual_labels_csv"],
)
@skipped_if_unreadable
def manual_label_report(manifest: pl.LazyFrame, folder: dg.ResourceParam[DataFolder]) -> Any:
    """Agreement of annotators (Krippendorff's alpha), and the rejected lines of manual_labels.csv with reasons."""
    from facestats_pipeline.core.metadata.csv_export import csv_bytes
    from facestats_pipeline.io.user_files import manual_labels_of

    known = manifest.filter(pl.col("status") == "ok").select("image_id").collect()["image_id"]
    manual = manual_labels_of(folder.store, frozenset(known), folder.settings.catalogue)
    if manual is None:
        return Skipped("nobody has labelled by hand: there is no manual_labels.csv in labels/")
    files = {
        "reports/manual_labels_agreement.csv": csv_bytes(manual.agreement),
        "reports/manual_labels_rejected.csv": csv_bytes(manual.rejected),
    }
    alphas = {
        f"alpha_{row['attribute']}": row["alpha"] for row in manual.agreement.to_dicts() if row["alpha"] is not None
    }
    return Files(files, {"labels": manual.history.height, "rejected": manual.rejected.height, **alphas})


def _attributes_with_predictions(
    attributes: ShardFrames, folder: dg.ResourceParam[DataFolder], **trained: Any
) -> ShardFrames:
    """Attributes joined with out-of-fold predictions: no model was trained on the label of a row it predicts."""
    from facestats_pipeline.core.attributes.probes import known_predictions

    known = known_predictions(list(probes_of(folder.settings.catalogue, trained).values()))
    return attributes.map(partial(beside_predictions, **known, catalogue=folder.settings.catalogue))


@metadata_table(metadata=depends_on())
def attributes_final(
    attributes_with_manual: ShardFrames,
    attributes_with_predictions: ShardFrames,
    attractiveness_scores: ShardFrames,
    folder: dg.ResourceParam[DataFolder],
) -> ShardFrames:
    """The final value of each attribute (manual, else predicted, else `unknown`) and its source."""
    final = partial(believed, catalogue=folder.settings.catalogue)
    return attributes_with_manual.map(final, attributes_with_predictions, attractiveness_scores)


@metadata_table(metadata=depends_on())
def attractiveness_with_attributes(
    attractiveness_scores: ShardFrames, attributes_final: ShardFrames, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """Scores joined with final attributes."""
    return attractiveness_scores.map(partial(scores_beside, catalogue=folder.settings.catalogue), attributes_final)


@metadata_table(metadata=depends_on(), ins=dict.fromkeys(master_table().reads, needed_by("master")))
def master(
    manifest: ShardFrames,
    preproc: ShardPhotos,
    image_quality: ShardFrames,
    face_geometry: ShardFrames,
    embeddings_clip: ShardFrames,
    attributes: ShardFrames,
    attributes_flags: ShardFrames,
    attributes_with_clusters: ShardFrames,
    attributes_with_manual: ShardFrames,
    attributes_with_predictions: ShardFrames,
    attributes_final: ShardFrames,
    attractiveness_scores: ShardFrames,
    folder: dg.ResourceParam[DataFolder],
) -> ShardFrames:
    """The master table: one row per live image with all its attributes."""
    detected = _tables(preproc)
    return manifest.map_with_name(
        lambda shard, rows: run_merge(
            rows,
            preproc=detected[shard],
            quality=image_quality[shard],
            geometry=face_geometry[shard],
            embeddings=embeddings_clip[shard],
            attributes=attributes[shard],
            flags=attributes_flags[shard],
            clusters=attributes_with_clusters[shard],
            manual=attributes_with_manual[shard],
            predictions=attributes_with_predictions[shard],
            final=attributes_final[shard],
            scores=attractiveness_scores[shard],
            catalogue=folder.settings.catalogue,
        )
    )


def assets_of(catalogue: Catalogue) -> list[dg.AssetsDefinition]:
    """The assets whose inputs follow from the attributes."""
    predictions = metadata_table(name="attributes_with_predictions", metadata=depends_on(), ins=models_of(catalogue))
    return [predictions(_attributes_with_predictions)]


@folder_asset(
    group_name="metadata",
    io_manager_key="tables",
    kinds={"polars", "parquet"},
    code_version="1",
    metadata=depends_on(EXTRA),
)
def fairface_label_structure(folder: dg.ResourceParam[DataFolder]) -> pl.DataFrame:
    """The label vocabularies with their codes and roll-ups."""
    return label_structure(folder.settings.catalogue)


@folder_asset(
    group_name="metadata",
    io_manager_key="files",
    kinds={"csv"},
    code_version="1",
    metadata=depends_on("metadata.label_queue", "use"),
)
def labels_template(master: AllShards, folder: dg.ResourceParam[DataFolder]) -> Files:
    """The label queue: the images most worth a label, best first, as a form to fill in."""
    from facestats_pipeline.core.metadata.csv_export import csv_bytes
    from facestats_pipeline.core.metadata.label_queue import labels_template as queue

    usable = (folder.usable_rows(rows.lazy()) for rows in master.values())
    rows = queue(usable, size=folder.settings.metadata.label_queue, catalogue=folder.settings.catalogue)
    return Files({"metadata/labels_template.csv": csv_bytes(rows)}, {"rows": rows.height})


@folder_asset(
    group_name="metadata",
    io_manager_key="files",
    kinds={"json"},
    code_version="1",
    metadata=depends_on(),
    ins={"embeddings_clip": only("filename")},
)
def feature_index(embeddings_clip: AllShards, folder: dg.ResourceParam[DataFolder]) -> Files:
    """An index of embeddings: file name → shard and row."""
    from facestats_pipeline.core.metadata.feature_index import feature_index_json

    names = ((shard, frame["filename"].to_list()) for shard, frame in embeddings_clip.items())
    path = folder.store.temporary_path(folder.store.processed / FEATURE_INDEX)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(feature_index_json(names))  # streamed: the table is never whole in memory
    return Files({FEATURE_INDEX: path}, {"shards": len(embeddings_clip)})
