"""A run: checks its arguments, saves them in the data folder, then makes missing and stale artifacts."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import settings_for
from facestats_pipeline.collection.pipeline import Pipeline, UpdateFailed
from facestats_pipeline.config import DEFAULT_ENCODER, Settings, save_settings
from facestats_pipeline.core.attributes.catalogue import Catalogue
from facestats_pipeline.core.phases import PHASES
from facestats_pipeline.core.uris import shown
from facestats_pipeline.io.freshness import ROOT, Node
from facestats_pipeline.io.locations import open_photos, open_store
from facestats_pipeline.io.plan import Step
from facestats_pipeline.io.store import Store


def prepare(
    data_dir: Path | None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    *,
    raw: Path | None = None,
    encoder: str | None = None,
    labels: Path | None = None,
    ratings: Path | None = None,
    sources: Path | None = None,
    shard_size: int | None = None,
) -> Settings:
    """Check every argument before any work, save the settings in the data folder, and copy the label files into it.

    `overrides` are settings for this process only.
    """
    settings = settings_for(data_dir, **overrides)
    remembered: dict[str, Any] = {}
    if raw is not None:
        if not raw.is_dir():
            raise FaceStatsError(f"there is no folder {raw}; --raw is the folder that holds the photos")
        remembered["raw_dir"] = raw.resolve()
    for option, file in (("--labels", labels), ("--ratings", ratings), ("--sources", sources)):
        if file is not None and not file.is_file():
            raise FaceStatsError(f"there is no file {file}; {option} is a CSV file")
    if encoder is not None:
        architecture, _, place = encoder.partition("/")
        is_file = bool(place) and Path(place).is_file()  # absolute, because later commands may run in another folder
        remembered["encoder.name"] = f"{architecture}/{Path(place).resolve()}" if is_file else encoder
    if shard_size is not None:
        remembered["shard_size"] = shard_size
    settings = settings_for(data_dir, **{**overrides, **remembered})
    require_photos(settings)
    _check_labels(labels, ratings, sources, settings.catalogue)
    if encoder is not None or settings.encoder.name == DEFAULT_ENCODER:  # check a hub name now, before any work
        _check_encoder(settings)
    if remembered:
        save_settings(settings.data_dir, remembered)
    for name, file in (("labels.csv", labels), ("ratings.csv", ratings), ("sources.csv", sources)):
        if file is not None:
            target = settings.data_dir / "labels" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or not target.samefile(file):
                with open_store(settings).replacing(target) as temporary:
                    shutil.copyfile(file, temporary)
    return settings


def require_photos(settings: Settings) -> None:
    """Raises FaceStatsError if the folder of photos is missing."""
    photos = open_photos(settings)
    if not photos.available():
        raise FaceStatsError(f"there is no folder {photos}; give your photos with --raw FOLDER")


def _check_encoder(settings: Settings) -> None:
    from facestats_pipeline.core.encoders.checkpoints import resolve_model
    from facestats_pipeline.core.encoders.errors import EncoderUnavailable
    from facestats_pipeline.io.weights import encoder_folder

    try:
        resolve_model(settings.encoder.name, encoder_folder(settings))
    except EncoderUnavailable as error:
        raise FaceStatsError(str(error)) from None


def _check_labels(labels: Path | None, ratings: Path | None, sources: Path | None, catalogue: Catalogue) -> None:
    from facestats_pipeline.core.ingest.sources import read_sources
    from facestats_pipeline.core.labels.labels_file import LabelsError, read_labels
    from facestats_pipeline.core.labels.ratings import read_ratings

    try:
        if labels is not None:
            read_labels(labels, catalogue)
        if ratings is not None:
            read_ratings(ratings)
        if sources is not None:
            read_sources(sources)
    except LabelsError as error:
        raise FaceStatsError(str(error)) from None


@dataclass(frozen=True)
class RunSummary:
    """Result of a run; `dataclasses.asdict` of it is JSON-serialisable.

    Attributes:
        data_dir: the folder, or its URI without secrets.
        encoder: name of the encoder.
        discovered: added, changed, removed, unchanged, refused → number of files in the raw folder.
        photos: manifest status → number of files.
        withheld: number of photos that the setting `use` keeps out of models, composites, search and exports.
        made: for each asset: asset, shards, rows, seconds; for sharded assets also seconds of each phase and images_per_second.
        skipped: asset → reason.
        skipped_for: root cause → the assets skipped because of it.
        failed_checks: messages of failed asset checks.
        seconds: wall-clock time.
        error: why the run failed; empty if it succeeded.
    """

    data_dir: str
    encoder: str
    discovered: dict[str, int]
    photos: dict[str, int]
    withheld: int
    made: list[dict[str, Any]]
    skipped: dict[str, str]
    skipped_for: dict[str, list[str]]
    failed_checks: list[str]
    seconds: float
    error: str


def run(
    pipeline: Pipeline,
    *,
    on_step: Callable[[str], None] = lambda what: None,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> RunSummary:
    """Make missing and stale artifacts. A failure is reported in the summary's `error`, not raised.

    `on_step` is called with the name of each step, `on_wait` with the holder of the lock if the run has to wait.
    """
    started, settings, store = time.monotonic(), pipeline.settings, pipeline.folder.store
    error = ""
    try:
        report = pipeline.update(lambda step: on_step(_what(step)), on_wait=on_wait)
    except UpdateFailed as failure:
        error, report = str(failure), failure.report
    skipped = skipped_assets(pipeline)
    return RunSummary(
        data_dir=shown(settings.data_uri) if settings.data_uri else str(settings.data_dir),
        encoder=settings.encoder.name,
        discovered=dict(report.discovered),
        photos=photo_counts(store),
        withheld=len(pipeline.folder.withheld) if store.shards("manifest") else 0,
        made=[
            {
                "asset": name,
                "shards": report.shards.get(name, 0),
                "rows": report.rows.get(name, 0),
                "seconds": round(seconds, 2),
                **phases_of(report.phases.get(name, {})),
            }
            for name, seconds in report.seconds.items()
            if name != ROOT and name in pipeline.freshness.graph
        ],
        skipped=skipped,
        skipped_for=causes(skipped, pipeline.freshness.graph),
        failed_checks=report.failed_checks,
        seconds=round(time.monotonic() - started, 1),
        error=error,
    )


def _what(step: Step) -> str:
    """`gender_classifier, age_model and 3 more`, `preproc in 4 shards`."""
    names = ", ".join(step.assets[:2]) + (f" and {len(step.assets) - 2} more" if len(step.assets) > 2 else "")
    return f"Making {names}" + (f" in {len(step.shards)} shards" if len(step.shards) > 1 else "")


def phases_of(told: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each phase (summed over threads), and images per wall-clock second if there were images; {} without shards."""
    if not told:
        return {}
    seconds: dict[str, float] = {phase: round(told.get(f"seconds_{phase}", 0.0), 2) for phase in PHASES}
    worked = told.get("images") and told.get("seconds")
    return {**seconds, **({"images_per_second": round(told["images"] / told["seconds"], 1)} if worked else {})}


def photo_counts(store: Store) -> dict[str, int]:
    """Manifest status → number of files."""
    if not store.shards("manifest"):
        return {}
    counts = store.scan("manifest").group_by("status").len().sort("len", descending=True).collect()
    return dict(counts.iter_rows())


def causes(skipped: Mapping[str, str], graph: Mapping[str, Node]) -> dict[str, list[str]]:
    """Root cause → the assets skipped because of it: one missing file can stop several assets and their downstream assets."""
    grouped: dict[str, list[str]] = {}
    for asset in (name for name in graph if name in skipped):
        parent = next((name for name in graph[asset].parents if name in skipped), None)
        group = next((assets for assets in grouped.values() if parent in assets), None)
        if group is None:
            group = grouped.setdefault(skipped[asset], [])
        group.append(asset)
    return grouped


def skipped_assets(pipeline: Pipeline) -> dict[str, str]:
    """Skipped asset → reason."""
    found = {
        name: pipeline.folder.store.recipe(name) for name, node in pipeline.freshness.graph.items() if not node.sharded
    }
    return {name: recipe.skipped for name, recipe in found.items() if recipe is not None and recipe.skipped}
