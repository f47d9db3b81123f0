"""Converts Dagster's assets into the plain nodes that freshness works on."""

import dagster as dg

from facestats_pipeline.defs.partitions import ON_DEMAND, REFIT_KEY
from facestats_pipeline.io.freshness import Node


def nodes_of(definitions: dg.Definitions) -> list[Node]:
    """One node per materializable asset.

    They come from the specs, because asking for Dagster's asset graph would resolve definitions that are not complete yet.
    """
    made = [
        each for each in definitions.assets or () if isinstance(each, dg.AssetsDefinition) and each.is_materializable
    ]
    nodes = [
        Node(
            name=spec.key.path[-1],
            group=spec.group_name or "",
            sharded=spec.partitions_def is not None,
            code_version=spec.code_version or "",
            parents=tuple(sorted(parent.asset_key.path[-1] for parent in spec.deps)),
            refits=bool(spec.metadata.get(REFIT_KEY)),
            on_demand=ON_DEMAND.items() <= spec.tags.items(),
        )
        for assets in made
        for spec in assets.specs
    ]
    return sorted(nodes, key=lambda node: node.name)
