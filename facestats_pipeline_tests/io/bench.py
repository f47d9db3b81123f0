"""A store, a Dagster instance with three shards, and small assets to run over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from facestats_pipeline.io import io_managers as io
from facestats_pipeline.io.freshness import Freshness, Node
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.io.small_store import store_in

KEYS = ["shard-00000", "shard-00001", "shard-00002"]


def nodes_of(assets: list[dg.AssetsDefinition]) -> list[Node]:
    return [
        Node(
            a.key.path[-1],
            "",
            a.partitions_def is not None,
            "1",
            tuple(sorted(d.path[-1] for d in a.asset_deps[a.key])),
        )
        for a in assets
    ]


class Bench:
    """A store, an instance with three shards, and runs of some assets over them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, *, previews: bool = False) -> None:
        self.store: Store = store_in(folder)
        self.previews = previews
        self.instance = instance
        instance.add_dynamic_partitions("shards", KEYS)

    def run(self, *assets: Any, first: str | None = None, last: str | None = None, only: str | None = None) -> Any:
        """Materialize over shards `first` to `last`; `only`: just this asset. The result; errors do not raise."""
        freshness = Freshness(self.store, lambda: nodes_of(list(assets)))
        managers = {
            "tables": io.TableIOManager(freshness),
            "shard_tables": io.ShardTableIOManager(freshness),
            "jpeg_shards": io.JpegShardIOManager(freshness),
            "files": io.FilesIOManager(freshness, previews=self.previews),
            "probes": io.ProbeIOManager(freshness),
            "torch_checkpoints": io.TorchCheckpointIOManager(freshness),
        }
        return dg.materialize(
            list(assets),
            instance=self.instance,
            resources=managers,
            tags={RANGE_START: first, RANGE_END: last or first} if first else {},
            selection=[only] if only else None,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def files(self) -> set[str]:
        """Every file that the store holds."""
        root = self.store.data_dir
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def error_of(result: Any) -> str:
    failure = next(event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    error = failure.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message)


def made_by(name: str, manager: str, make: Callable[[], Any]) -> dg.AssetsDefinition:
    @dg.asset(name=name, io_manager_key=manager)
    def made() -> Any:
        return make()

    return made


def reader_of(name: str, seen: list[Any]) -> dg.AssetsDefinition:
    @dg.asset(name="data_card", io_manager_key="files", ins={"given": dg.AssetIn(name)})
    def reader(given: Any) -> Any:
        seen.append(given)
        return io.Files({"reports/data_card.md": b"#"}, {})

    return reader
