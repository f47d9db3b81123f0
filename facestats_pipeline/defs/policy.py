"""Global policy of all assets: owner, described columns, and a code version that includes a digest of the settings."""

from collections.abc import Callable

import dagster as dg

from facestats_pipeline.config import Settings
from facestats_pipeline.core.table_registry import tables_of
from facestats_pipeline.defs.partitions import EXTRA, SETTINGS_KEY
from facestats_pipeline.io.recipes import digest
from facestats_pipeline.io.table_facts import column_schema, place
from facestats_pipeline.io.weights import identity

WEIGHTS = "weights:"
_NOT_IN_RESULTS = {"workers", "detector", "detector_model", "extra"}
"""Settings of a section that change no result: how many threads, and which file it is whose content counts as weights. Extra attributes
change only what names them with EXTRA."""


def asset_policy(settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """A function that adds the policy to an asset's spec."""

    tables = tables_of(settings.catalogue)

    def complete(spec: dg.AssetSpec) -> dg.AssetSpec:
        table = tables.get(spec.key.path[-1])
        if table is None and spec.partitions_def is not None:
            raise ValueError(
                f"the sharded asset {spec.key.path[-1]} has no table: specify it in a module core/<stage>/<something>_table.py"
            )
        wanted = {key: setting_value(settings, key) for key in spec.metadata.get(SETTINGS_KEY, [])}
        wanted = {key: value for key, value in wanted.items() if value or not key.startswith(EXTRA)}
        columns = {} if table is None else {"dagster/column_schema": column_schema(table), "file": place(table)}
        return spec.replace_attributes(
            code_version=f"{spec.code_version}-{digest(wanted)[:8]}" if spec.code_version else None,
            metadata={**spec.metadata, **columns},
            owners=["team:facestats"],
        )

    return complete


def version_with_ancestors(code_digest: Callable[[str], str]) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """A function that adds a digest of all ancestors to a spec's code version.

    Dagster does not propagate a changed code version to downstream assets until the parent has been materialized. With this digest, its
    UI marks everything that a changed setting makes stale before anything runs.
    """

    def complete(spec: dg.AssetSpec) -> dg.AssetSpec:
        own = spec.code_version
        return spec.replace_attributes(code_version=f"{own}-{code_digest(spec.key.path[-1])[:8]}") if own else spec

    return complete


def setting_value(settings: Settings, key: str) -> object:
    """The JSON-serialisable value of a dependency: a section (`preproc`), a setting (`encoder.name`), or a digest (`weights:encoder`)."""
    if key.startswith(WEIGHTS):
        return identity(settings, key.removeprefix(WEIGHTS))
    if key.startswith(EXTRA):
        name = key.removeprefix(EXTRA).removeprefix(".")
        return [each.model_dump(mode="json") for each in settings.attributes.extra if name in ("", each.name)]
    section, _, name = key.partition(".")
    value = getattr(settings, section)
    value = getattr(value, name) if name else value
    return value.model_dump(mode="json", exclude=_NOT_IN_RESULTS) if hasattr(value, "model_dump") else value
