"""Dagster's asset graph as the plain nodes that freshness is decided on."""

import dagster as dg

from facestats_pipeline.defs.partitions import ON_DEMAND, REFIT_KEY
from facestats_pipeline.io.freshness import Node


def nodes_of(definitions: dg.Definitions) -> list[Node]:
    """One node per materializable asset."""
    graph = definitions.resolve_asset_graph()
    nodes = []
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        parents = tuple(sorted(parent.path[-1] for parent in node.parent_keys))
        nodes.append(
            Node(
                name=key.path[-1],
                group=node.group_name or "",
                sharded=node.partitions_def is not None,
                code_version=node.code_version or "",
                parents=parents,
                refits=bool(node.metadata.get(REFIT_KEY)),
                on_demand=ON_DEMAND.items() <= node.tags.items(),
            )
        )
    return sorted(nodes, key=lambda node: node.name)
