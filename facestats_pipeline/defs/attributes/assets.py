"""Probes trained from people's labels, and the attributes of every image."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.labels.vocabulary import ETHNICITIES, GENDERS
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.partitions import depends_on, folder_asset, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import ShardPhotos, Skipped
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames

if TYPE_CHECKING:
    from facestats_pipeline.core.labels.training_rows import TrainingRows

probe_asset = partial(
    folder_asset,
    group_name="attributes",
    io_manager_key="probes",
    kinds={"scikitlearn", "lightgbm"},
    code_version="3",
    deps=["labels_csv", "sources_csv"],
    metadata=depends_on(
        "attributes",
        "labels",
        "seed",
        "use",
        "metadata.duplicate_cosine",
        "metadata.duplicate_hamming",
        "weights:shipped_probes",
        refits=True,
    ),
)


@probe_asset()
def gender_classifier(
    context: dg.AssetExecutionContext,
    embeddings_clip: AllShards,
    image_quality: AllShards,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """A calibrated probe for gender, from labels.csv."""
    return _trained(
        context,
        folder,
        embeddings_clip,
        image_quality,
        "gender",
        lambda rows, options: _classifier("gender", GENDERS, rows, options),
    )


@probe_asset()
def ethnicity_classifier(
    context: dg.AssetExecutionContext,
    embeddings_clip: AllShards,
    image_quality: AllShards,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """A calibrated probe for FairFace's seven ethnicity classes, from labels.csv."""
    return _trained(
        context,
        folder,
        embeddings_clip,
        image_quality,
        "ethnicity",
        lambda rows, options: _classifier("ethnicity", ETHNICITIES, rows, options),
    )


@probe_asset()
def age_model(
    context: dg.AssetExecutionContext,
    embeddings_clip: AllShards,
    image_quality: AllShards,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """Calibrated probabilities of FairFace's nine age bins, and years with an interval, from labels.csv."""
    from facestats_pipeline.core.attributes.probes import train_age

    return _trained(
        context,
        folder,
        embeddings_clip,
        image_quality,
        "age",
        lambda rows, options: train_age(
            rows.x, rows.table["age"].to_list(), rows.table["age_bin"].to_list(), **options
        ),
    )


def _classifier(attribute: str, classes: tuple[str, ...], rows: "TrainingRows", options: dict[str, Any]) -> Any:
    from facestats_pipeline.core.attributes.probes import train_classifier

    return train_classifier(rows.x, rows.table[attribute].to_list(), classes, attribute=attribute, **options)


@skipped_if_unreadable
def _trained(
    context: dg.AssetExecutionContext,
    folder: DataFolder,
    embeddings: AllShards,
    quality: AllShards,
    attribute: str,
    train: "Callable[[TrainingRows, dict[str, Any]], Any]",
) -> Any:
    from facestats_pipeline.core.attributes.duplicate_groups import groups_of_rows
    from facestats_pipeline.core.labels.provenance import TrainingRefused
    from facestats_pipeline.core.labels.training_rows import training_rows
    from facestats_pipeline.io.user_files import labels_of

    filenames = folder.live_filenames
    labels = labels_of(folder.store, filenames, in_names=folder.settings.labels.in_names)
    if labels is None:
        return Skipped(
            "no labels: put labels.csv (file, age, gender, race) into labels/, or `facestats run --labels FILE`"
        )
    for warning in labels.warnings:
        context.log.warning(warning)
    context.add_output_metadata({"labels": labels.frame.height, "labels_rejected": labels.rejected.height})
    settings = folder.settings
    try:
        rows = training_rows(labels.frame, filenames, embeddings.values(), withheld=folder.withheld)
        alike = groups_of_rows(
            rows,
            quality.values(),
            max_hamming=settings.metadata.duplicate_hamming,
            min_cosine=settings.metadata.duplicate_cosine,
        )
        return train(
            rows,
            {
                "image_ids": rows.image_ids,
                "encoder_id": rows.encoder_id,
                "provenance": labels.provenance,
                "duplicates": alike,
                "seed": settings.seed,
                "folds": settings.attributes.folds,
                "kind": settings.attributes.classifier,
                "target_error": getattr(settings.attributes, f"target_error_{attribute}"),
                "start": folder.shipped_probes(rows.encoder_id).classifier(attribute),
            },
        )
    except TrainingRefused as refusal:
        return Skipped(str(refusal))


@shard_table(group_name="attributes", code_version="2", metadata=depends_on("zeroshot", "weights:shipped_probes"))
def attributes(
    preproc: ShardPhotos,
    embeddings_clip: ShardFrames,
    gender_classifier: Any,
    ethnicity_classifier: Any,
    age_model: Any,
    folder: dg.ResourceParam[DataFolder],
) -> ShardFrames:
    """Gender, ethnicity and age of every image: decision or `unknown`, most probable class, calibrated probability, source.

    By the probe trained here from labels, else the shipped one, else zero-shot.
    """
    import numpy as np

    from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes

    own = AttributeModels(gender_classifier, ethnicity_classifier, age_model)

    def infer(images: Any, embedded: pl.DataFrame) -> pl.DataFrame:
        table = images.table
        known = (
            table.select("image_id")
            .with_row_index("row")
            .join(embedded.select("image_id").with_row_index("place"), on="image_id")
        )
        x = np.full((table.height, vectors(embedded).shape[1]), np.nan, dtype=np.float32)
        x[known["row"].to_numpy()] = vectors(embedded)[known["place"].to_numpy()]
        encoder_id = embedded["model_id"][0] if embedded.height else None
        return infer_attributes(
            table.select("image_id", "filename"),
            x,
            folder.attribute_models(own, encoder_id),
            usable=(table["status"] == "ok").to_numpy(),
            encoder_id=encoder_id,
        )

    return preproc.map(infer, embeddings_clip)
