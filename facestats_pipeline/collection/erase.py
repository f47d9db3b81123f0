"""Erasing images: takes the lock of the data folder, erases, makes affected artifacts again, writes the receipt."""

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import dagster_home
from facestats_pipeline.collection.pipeline import Pipeline, UpdateFailed
from facestats_pipeline.config import Settings
from facestats_pipeline.core.erasure.log_text import scrubber
from facestats_pipeline.io.erasure.dagster_logs import LogsBusy
from facestats_pipeline.io.erasure.erase import Eraser, marked_models
from facestats_pipeline.io.erasure.ledger import Journal, Ledger
from facestats_pipeline.io.erasure.places import Place, find_places
from facestats_pipeline.io.erasure.targets import Target, UnknownImage, find_target
from facestats_pipeline.io.exports import Export, may_hold
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.locations import open_locks
from facestats_pipeline.io.plan import Step

Watch = Callable[[], AbstractContextManager[object]]
"""A context manager that shows the progress of the block."""
NAME_ONE = "name an image: an id, a path in the raw folder, or --file LIST"
DAGSTER_NOT_SQLITE = (
    "Dagster's event log is not SQLite: it was not searched (the project writes no id or file name there)"
)


@dataclass(frozen=True)
class Erasures:
    """Result of an erasure; `dataclasses.asdict` of it is JSON-serialisable.

    Attributes:
        erasures: the receipt of each erasure, including a completed one that had been interrupted.
        trained_again: models that were trained again, because they had been trained on an erased photo.
    """

    erasures: list[dict[str, Any]]
    trained_again: list[str]


@dataclass(frozen=True)
class ErasurePreview:
    """Preview of an erasure: the places that hold the images.

    Attributes:
        image_ids: ids of the existing images, sorted.
        erased_before: number of named images that were already erased.
        places: the places that hold the images.
        copies_outside: one sentence for each export that may hold a copy, which an erasure cannot reach.
    """

    image_ids: list[str]
    erased_before: int
    places: list[Place]
    copies_outside: list[str]


def erase_images(
    pipeline: Pipeline,
    images: Iterable[str],
    *,
    raw: bool = False,
    remake: bool = True,
    retrain: bool = False,
    confirm: Callable[[Target], None] = lambda target: None,
    watch: Watch = nullcontext,
) -> Erasures:
    """Complete an interrupted erasure, then erase `images`, then, with `retrain`, train the marked models again.

    `confirm` may raise to cancel before anything is changed. Raises FaceStatsError if no image is named, an image is unknown, or the
    folder is locked. If the images were erased but an artifact could not be made again, the error has the result in `done`.
    """
    settings, wanted = pipeline.settings, list(images)
    if raw and (settings.data_uri or settings.raw_uri):
        raise FaceStatsError(
            "--raw removes photos from a local folder only; remove those under the URI yourself, then erase without --raw"
        )
    eraser = Eraser(pipeline.freshness, settings.raw.absolute(), dagster_home(settings))
    with alone(settings):
        receipts = []
        if (journal := eraser.ledger.journal()) is not None:
            journal.resumed = True
            receipts.append(carry_out(eraser, pipeline, journal, remake=remake, watch=watch))
            wanted = [text for text in wanted if not _done_by(journal, text)]
        elif not wanted and not retrain:
            raise FaceStatsError(NAME_ONE)
        if wanted and (target := target_of(pipeline, wanted)).rows.height:
            refuse_unreadable(target, raw)
            confirm(target)
            journal = eraser.begin(target, raw=raw)
            receipts.append(carry_out(eraser, pipeline, journal, remake=remake, watch=watch))
        trained = retrain_marked(pipeline, watch=watch) if retrain else []
    done = Erasures(receipts, trained)
    if errors := [receipt["remake_error"] for receipt in receipts if receipt.get("remake_error")]:
        raise FaceStatsError(f"the images are erased, but not everything could be made again: {errors[0]}", done)
    return done


def preview_erasure(pipeline: Pipeline, images: Iterable[str]) -> ErasurePreview:
    """The places that hold the images. Raises FaceStatsError if none is named or one is unknown."""
    wanted = list(images)
    if not wanted:
        raise FaceStatsError(NAME_ONE)
    target = target_of(pipeline, wanted)
    store, there = pipeline.freshness.store, bool(target.rows.height)
    return ErasurePreview(
        image_ids=sorted(target.ids),
        erased_before=target.erased_before,
        places=find_places(store, pipeline.freshness.graph, pipeline.settings.raw, target) if there else [],
        copies_outside=copies_outside(pipeline, target.ids) if there else [],
    )


def _done_by(journal: Journal, text: str) -> bool:
    """Whether the request repeats the interrupted erasure that was just completed."""
    path = Path(text).as_posix()
    names = {name for name, _ in journal.rows}
    return text.lower() in journal.ids or any(path == name or path.endswith(f"/{name}") for name in names)


def alone(settings: Settings) -> AbstractContextManager[None]:
    """The lock of the whole folder. Raises an error with the holder instead of waiting, because a run may take hours."""

    def refuse(holder: str) -> None:
        raise FaceStatsError(f"{settings.data_dir} is in use by {holder}; nothing was erased. Try again after it ends")

    return open_locks(settings).hold(what="facestats erase", on_wait=refuse)


def target_of(pipeline: Pipeline, wanted: list[str]) -> Target:
    """The named images. Raises an error that lists names without a match."""
    inventory = pipeline.freshness.store.read_table(ROOT)
    try:
        return find_target(inventory, pipeline.settings.raw, wanted, Ledger.of(pipeline.freshness.store).erased())
    except UnknownImage as unknown:
        raise FaceStatsError(f"{unknown}. Nothing was erased") from None


def refuse_unreadable(target: Target, raw: bool) -> None:
    """Raise an error for unreadable files unless they are removed too: without an id they cannot be recognised later."""
    unread = target.rows["image_id"].null_count()
    if unread and not raw:
        raise FaceStatsError(
            f"{unread} of the files could not be read, so they could not be recognised later: add --raw to remove them as well"
        )


def carry_out(
    eraser: Eraser, pipeline: Pipeline, journal: Journal, *, remake: bool, watch: Watch = nullcontext
) -> dict[str, Any]:
    """Carry out one erasure, from its journal to its receipt. If it is interrupted, the journal remains and the next call completes it."""
    started, problem = time.monotonic(), ""
    copies = copies_outside(pipeline, journal.ids)
    with watch():
        eraser.carry_out(journal)
        if remake and journal.remake:
            try:
                pipeline.execute(Step(tuple(journal.remake)))
            except UpdateFailed as failure:
                problem = str(failure)
        try:
            eraser.clean_logs(journal)
        except LogsBusy as busy:
            raise FaceStatsError(f"{busy}; then `facestats erase` without arguments completes this erasure") from None
    made = [name for name in journal.remake if pipeline.freshness.store.recipe(name) is not None]
    sqlite = "sqlite" in type(pipeline.instance.event_log_storage).__name__.lower()
    receipt = {
        "erased": sorted(eraser.ledger.erased().digest(image_id) for image_id in journal.ids),
        "finished_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "facestats": version("facestats-pipeline"),
        "files": len(journal.rows),
        "raw_removed": journal.raw,
        "resumed": journal.resumed,
        "changes": journal.changes,
        "models_marked": journal.models,
        "made_again": made,
        "to_be_made_again": [name for name in journal.remake if name not in made],
        "not_searched": copies + ([] if sqlite else [DAGSTER_NOT_SQLITE]),
        "remake_error": scrubber(journal.ids, journal.filenames).scrub(problem)[0],
        "seconds": round(time.monotonic() - started, 1),
    }
    return {**receipt, "receipt": str(eraser.ledger.close(receipt))}


def copies_outside(pipeline: Pipeline, image_ids: Collection[str]) -> list[str]:
    """One sentence for each export that may hold one of the images. Call it before erasing, while it is known when they arrived."""
    inventory = pipeline.freshness.store.read_table(ROOT, columns=["image_id", "added_at"])
    came = inventory.filter(pl.col("image_id").is_in(list(image_ids)))["added_at"]
    try:  # after an interrupted erasure the dates are lost, so every export is named
        exports = may_hold(pipeline.settings.data_dir, came.min() if came.null_count() < len(came) else None)  # type: ignore[arg-type]
    except ValueError as problem:
        return [str(problem)]
    return [_copy(one) for one in exports]


def _copy(export: Export) -> str:
    when = f"of {export.finished_at}" if export.finished_at else f"begun {export.started_at} and never finished"
    what = f"the {export.layout} export {when} in {export.out} may hold a copy: "
    if export.is_there:
        return what + "delete that folder, or export again with --replace"
    return what + "the folder no longer exists here; if it was moved or passed on, delete it there"


def retrain_marked(pipeline: Pipeline, *, watch: Watch = nullcontext) -> list[str]:
    """Train every marked model again and update its downstream artifacts; returns the models' names."""
    marked = list(marked_models(pipeline.freshness))
    for name in marked:
        pipeline.freshness.store.forget(name)
    try:
        with watch():
            pipeline.update()
    except UpdateFailed as failure:
        raise FaceStatsError(f"training again failed; `facestats run` tries again: {failure}") from None
    return marked
