"""An erasure from the lock of the data folder to the receipt: what `facestats erase` and the dashboard have in common."""

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import Settings

if TYPE_CHECKING:
    from facestats_pipeline.collection.pipeline import Pipeline
    from facestats_pipeline.io.erasure.erase import Eraser
    from facestats_pipeline.io.erasure.ledger import Journal
    from facestats_pipeline.io.erasure.targets import Target
    from facestats_pipeline.io.exports import Export

Watch = Callable[[], AbstractContextManager[object]]
"""Shows the progress of what is done inside it."""
DAGSTER_NOT_SQLITE = (
    "Dagster's event log is not SQLite: it was not searched (the project writes no id or file name there)"
)


def alone(settings: Settings) -> AbstractContextManager[None]:
    """The lock of the whole folder, or an error that says who has it: an erasure does not wait unseen behind a long run."""
    from facestats_pipeline.io.locations import open_locks

    def refuse(holder: str) -> None:
        raise FaceStatsError(
            f"{settings.data_dir} is in use by {holder}; nothing was erased. Try again when it has ended"
        )

    return open_locks(settings).hold(what="facestats erase", on_wait=refuse)


def target_of(pipeline: "Pipeline", settings: Settings, wanted: list[str]) -> "Target":
    """The images that are named, or an error that lists what is not in the collection."""
    from facestats_pipeline.io.erasure.ledger import Ledger
    from facestats_pipeline.io.erasure.targets import UnknownImage, find_target
    from facestats_pipeline.io.freshness import ROOT

    inventory = pipeline.freshness.store.read_table(ROOT)
    try:
        return find_target(inventory, settings.raw, wanted, Ledger.of(pipeline.freshness.store).erased())
    except UnknownImage as unknown:
        raise FaceStatsError(f"{unknown}. Nothing was erased") from None


def refuse_unreadable(target: "Target", raw: bool) -> None:
    """An error for files that have no id, unless they are removed themselves: they could not be recognised later."""
    unread = target.rows["image_id"].null_count()
    if unread and not raw:
        raise FaceStatsError(
            f"{unread} of the files could not be read, so that they cannot be recognised later: give --raw to remove them as well"
        )


def carry_out(
    eraser: "Eraser", pipeline: "Pipeline", journal: "Journal", *, remake: bool, watch: Watch = nullcontext
) -> dict[str, Any]:
    """One erasure from its journal to its receipt. Killed anywhere, the journal is still there and the next call completes it."""
    from facestats_pipeline.collection.pipeline import UpdateFailed
    from facestats_pipeline.core.erasure.log_text import scrubber
    from facestats_pipeline.io.erasure.dagster_logs import LogsBusy
    from facestats_pipeline.io.plan import Step

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


def copies_outside(pipeline: "Pipeline", image_ids: Collection[str]) -> list[str]:
    """One sentence for each export that may hold one of the images; to be asked before they are erased."""
    from facestats_pipeline.io.exports import may_hold
    from facestats_pipeline.io.freshness import ROOT

    inventory = pipeline.freshness.store.read_table(ROOT, columns=["image_id", "added_at"])
    came = inventory.filter(pl.col("image_id").is_in(list(image_ids)))["added_at"]
    try:  # of an erasure that was interrupted nothing is known any more: every export is named
        exports = may_hold(pipeline.settings.data_dir, came.min() if came.null_count() < len(came) else None)  # type: ignore[arg-type]
    except ValueError as problem:
        return [str(problem)]
    return [_copy(one) for one in exports]


def _copy(export: "Export") -> str:
    when = f"of {export.finished_at}" if export.finished_at else f"begun {export.started_at} and never finished"
    what = f"the {export.layout} export {when} in {export.out} may hold a copy: "
    if export.is_there:
        return what + "delete that folder, or export again with --replace"
    return what + "the folder is not there now; if it was moved or passed on, delete it there"


def retrain_marked(pipeline: "Pipeline", *, watch: Watch = nullcontext) -> list[str]:
    """Train again every model that learned from an erased photo, and whatever follows from them; their names."""
    from facestats_pipeline.collection.pipeline import UpdateFailed
    from facestats_pipeline.io.erasure.erase import marked_models

    marked = list(marked_models(pipeline.freshness))
    for name in marked:
        pipeline.freshness.store.forget(name)
    try:
        with watch():
            pipeline.update()
    except UpdateFailed as failure:
        raise FaceStatsError(f"training again failed; `facestats run` tries again: {failure}") from None
    return marked
