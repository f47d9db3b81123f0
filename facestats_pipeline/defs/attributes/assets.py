"""Probes trained from people's labels, and the attributes of every image."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.partitions import EXTRA, depends_on, folder_asset, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import ShardPhotos, Skipped
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames

probe_asset = partial(
    folder_asset,
    group_name="attributes",
    io_manager_key="probes",
    kinds={"scikitlearn", "lightgbm"},
    code_version="3",
    deps=["labels_csv", "sources_csv"],
)

TRAINED_BY = (
    "attributes",
    "labels",
    "seed",
    "use",
    "metadata.duplicate_cosine",
    "metadata.duplicate_hamming",
    "weights:shipped_probes",
)
"""Settings that a probe depends on."""


def trainer(attribute: Attribute) -> dg.AssetsDefinition:
    """The asset that trains an attribute's probe."""
    years = ", and years with an interval" if attribute.years else ""
    own = () if attribute.name in BUILT_IN else (f"{EXTRA}.{attribute.name}",)

    @probe_asset(
        name=attribute.trainer,
        description=f"A calibrated probe for {attribute.description}{years}, from labels.csv.",
        metadata=depends_on(*TRAINED_BY, *own, refits=True),
    )
    def train(
        context: dg.AssetExecutionContext,
        embeddings_clip: AllShards,
        image_quality: AllShards,
        folder: dg.ResourceParam[DataFolder],
    ) -> Any:
        return _trained(context, folder, embeddings_clip, image_quality, attribute)

    return train


@skipped_if_unreadable
def _trained(
    context: dg.AssetExecutionContext,
    folder: DataFolder,
    embeddings: AllShards,
    quality: AllShards,
    attribute: Attribute,
) -> Any:
    from facestats_pipeline.core.attributes.duplicate_groups import groups_of_rows
    from facestats_pipeline.core.attributes.probes import train_age, train_classifier
    from facestats_pipeline.core.training.provenance import TrainingRefused
    from facestats_pipeline.core.training.training_rows import training_rows

    filenames = folder.live_filenames
    labels = folder.labels()
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
        options: dict[str, Any] = {
            "image_ids": rows.image_ids,
            "encoder_id": rows.encoder_id,
            "provenance": labels.provenance,
            "duplicates": alike,
            "seed": settings.seed,
            "folds": settings.attributes.folds,
            "kind": settings.attributes.classifier,
            "target_error": settings.attributes.target_error(attribute),
            "start": folder.shipped_probes(rows.encoder_id).classifier(attribute.name),
        }
        said = rows.table[attribute.name].to_list()
        if attribute.years is None:
            return train_classifier(rows.x, said, attribute, **options)
        return train_age(rows.x, rows.table[attribute.stem].to_list(), said, attribute=attribute, **options)
    except TrainingRefused as refusal:
        return Skipped(str(refusal))


def _attributes(
    preproc: ShardPhotos, embeddings_clip: ShardFrames, folder: dg.ResourceParam[DataFolder], **trained: Any
) -> ShardFrames:
    """Every attribute of every image: decision or `unknown`, most probable class, calibrated probability, source.

    By the probe trained here from labels, else the shipped one, else zero-shot.
    """
    return preproc.map(partial(_inferred, folder, probes_of(folder.settings.catalogue, trained)), embeddings_clip)


def assets_of(catalogue: Catalogue) -> list[dg.AssetsDefinition]:
    """A trainer for every attribute, and `attributes`, which reads what they made."""
    inferred = shard_table(
        name="attributes",
        group_name="attributes",
        code_version="2",
        ins=models_of(catalogue),
        metadata=depends_on("zeroshot", "weights:shipped_probes", EXTRA),
    )
    return [*map(trainer, catalogue), inferred(_attributes)]


def models_of(catalogue: Catalogue) -> dict[str, dg.AssetIn]:
    """The inputs of an asset that reads the trained probe of every attribute, as **keywords."""
    return {attribute.trainer: dg.AssetIn() for attribute in catalogue}


def probes_of(catalogue: Catalogue, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Attribute → its trained probe, or None, of the inputs `models_of`."""
    return {attribute.name: trained[attribute.trainer] for attribute in catalogue}


def _inferred(folder: DataFolder, probes: Mapping[str, Any], images: Any, embedded: pl.DataFrame) -> pl.DataFrame:
    import numpy as np

    from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes

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
        folder.attribute_models(AttributeModels(probes), encoder_id),
        usable=(table["status"] == "ok").to_numpy(),
        encoder_id=encoder_id,
        catalogue=folder.settings.catalogue,
    )
