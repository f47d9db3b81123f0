"""The regressor on people's ratings, the reference distribution, and the scores."""

import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.partitions import depends_on, folder_asset, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import Files, ShardPhotos, Skipped
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames

if TYPE_CHECKING:
    import numpy as np

    from facestats_pipeline.core.labels.ratings import Ratings
    from facestats_pipeline.core.training.training_rows import TrainingRows

REFERENCE = "attractiveness_reference.npy"
PUBLISHED = "reports/published_splits.json"
NO_RATINGS = (
    "no ratings: put ratings.csv (file, rating, optionally rater) into labels/, or `facestats run --ratings FILE`"
)


trained_on_ratings = partial(
    folder_asset,
    group_name="attractiveness",
    metadata=depends_on(
        "attractiveness",
        "labels",
        "seed",
        "use",
        "metadata.duplicate_cosine",
        "metadata.duplicate_hamming",
        refits=True,
    ),
)


@trained_on_ratings(
    io_manager_key="torch_checkpoints",
    kinds={"pytorch"},
    code_version="5",
    deps=["ratings_csv", "labels_csv", "sources_csv"],
)
@skipped_if_unreadable
def attractiveness_regressor(
    context: dg.AssetExecutionContext,
    embeddings_clip: AllShards,
    image_quality: AllShards,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """The best of four models on embeddings by out-of-fold error, trained on human ratings; skipped without ratings."""
    from facestats_pipeline.io.user_files import ratings_of

    ratings = ratings_of(folder.store)
    if ratings is None:
        return Skipped(NO_RATINGS)
    for warning in ratings.warnings:
        context.log.warning(warning)
    from facestats_pipeline.core.attractiveness.regressor import run_training
    from facestats_pipeline.core.attributes.duplicate_groups import groups_of_rows
    from facestats_pipeline.core.training.provenance import TrainingRefused
    from facestats_pipeline.core.training.training_rows import kinds_of_rows, with_identity

    near = folder.settings.metadata
    try:
        labels = folder.labels()
        said = labels.frame if labels else None
        rows = with_identity(_rated_rows(folder, ratings, embeddings_clip), said, folder.live_filenames)
        alike = groups_of_rows(
            rows, image_quality.values(), max_hamming=near.duplicate_hamming, min_cosine=near.duplicate_cosine
        )
        result = run_training(
            rows.x,
            rows.table["rating"].to_numpy(),
            sd=rows.table["sd"].cast(pl.Float64).to_numpy(),
            n=rows.table["n"].cast(pl.Float64).to_numpy(),
            image_ids=rows.image_ids,
            encoder_id=rows.encoder_id,
            duplicates=alike,
            kinds=kinds_of_rows(rows, said, folder.live_filenames, BUILT_IN.names),
            files=rows.table["filename"].to_list(),
            **_training_options(folder, ratings),
        )
    except TrainingRefused as refusal:
        return Skipped(str(refusal))
    return result.checkpoint


@trained_on_ratings(
    io_manager_key="files", kinds={"pytorch"}, code_version="1", deps=["ratings_csv", "splits_csv", "sources_csv"]
)
@skipped_if_unreadable
def published_splits(
    context: dg.AssetExecutionContext, embeddings_clip: AllShards, folder: dg.ResourceParam[DataFolder]
) -> Any:
    """The regressor trained and tested on the splits in splits.csv, for figures comparable to published ones."""
    from facestats_pipeline.io.user_files import ratings_of, splits_of

    ratings, splits = ratings_of(folder.store), splits_of(folder.store)
    if ratings is None or splits is None:
        return Skipped("no published splits: labels/ needs ratings.csv and splits.csv (file, split, fold)")
    from facestats_pipeline.core.attractiveness.published_splits import split_figures
    from facestats_pipeline.core.training.provenance import TrainingRefused

    try:
        rows = _rated_rows(folder, ratings, embeddings_clip)
        figures = split_figures(rows, splits, folder.live_filenames, _training_options(folder, ratings))
    except TrainingRefused as refusal:
        return Skipped(str(refusal))
    about = {"encoder": rows.encoder_id, "provenance": str(ratings.provenance), "splits": figures}
    return Files({PUBLISHED: json.dumps(about, indent=1).encode()}, {"splits": len(figures)})


def _rated_rows(folder: DataFolder, ratings: "Ratings", embeddings: AllShards) -> "TrainingRows":
    from facestats_pipeline.core.training.training_rows import training_rows

    return training_rows(ratings.frame, folder.live_filenames, embeddings.values(), withheld=folder.withheld)


def _training_options(folder: DataFolder, ratings: "Ratings") -> dict[str, Any]:
    """The arguments shared by all trainings on these ratings."""
    from facestats_pipeline.core.attractiveness.regressor import RegressorConfig

    wanted = folder.settings.attractiveness
    return {
        "provenance": ratings.provenance,
        "seed": folder.settings.seed,
        "config": RegressorConfig(min_ratings=wanted.min_ratings, coverage=wanted.coverage, max_epochs=wanted.epochs),
        "rating_scale": ratings.scale,
    }


@folder_asset(
    group_name="attractiveness",
    io_manager_key="files",
    kinds={"numpy"},
    code_version="2",
    metadata=depends_on("use", refits=True),
)
def attractiveness_reference(
    embeddings_clip: AllShards, attractiveness_regressor: Any, folder: dg.ResourceParam[DataFolder]
) -> Any:
    """The reference distribution of percentiles: scores of the collection at the time the regressor was trained."""
    if attractiveness_regressor is None:
        return Skipped("no regressor was trained")
    import numpy as np

    from facestats_pipeline.core.attractiveness.regressor import predict_scores
    from facestats_pipeline.core.attractiveness.scoring import build_reference

    shown = folder.learnable(embeddings_clip.values())
    raw = [predict_scores(attractiveness_regressor, vectors(frame))[0] for frame in shown]
    reference = build_reference(np.concatenate(raw))
    return Files({REFERENCE: npy_bytes(reference)}, {"scores": len(reference)})


@shard_table(group_name="attractiveness", code_version="2", metadata=depends_on())
def attractiveness_scores(
    preproc: ShardPhotos,
    embeddings_clip: ShardFrames,
    attractiveness_regressor: Any,
    attractiveness_reference: Any,
) -> ShardFrames:
    """Score with conformal interval, percentile and decile of each image with a face; no rows without a regressor."""
    import numpy as np

    from facestats_pipeline.core.attractiveness.score_table import score_table

    reference = np.load(attractiveness_reference[REFERENCE], allow_pickle=False) if attractiveness_reference else None
    return preproc.map(
        lambda images, embedded: score_table(images.table, embedded, attractiveness_regressor, reference),
        embeddings_clip,
    )


@folder_asset(
    group_name="attractiveness", io_manager_key="files", kinds={"numpy"}, code_version="1", metadata=depends_on()
)
def attractiveness_scores_npy(attractiveness_scores: pl.LazyFrame) -> Any:
    """All raw scores as one float32 array, in the order of the table."""
    scores = attractiveness_scores.select("attractiveness_raw").collect()["attractiveness_raw"]
    if scores.is_empty():
        return Skipped("there are no scores")
    return Files({"metadata/attractiveness_scores.npy": npy_bytes(scores.to_numpy())}, {"rows": scores.len()})


def npy_bytes(array: "np.ndarray[Any, Any]") -> bytes:
    """Bytes of an .npy file."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
