"""feature_index.json: maps a file name to the shard and row of its embedding."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from facestats_pipeline.core.joins import MergeError

Shards = Mapping[str, Sequence[str]] | Iterable[tuple[str, Sequence[str]]]
"""Shard name → file names in the row order of that shard's embeddings_clip.parquet, as a mapping or an iterable of pairs."""


def feature_index(shards: Shards) -> dict[str, dict[str, str | int]]:
    """{file name: {"shard": name, "row": row of the shard's embeddings table}}. Raises MergeError for a repeated file name."""
    index: dict[str, dict[str, str | int]] = {}
    rows = 0
    for shard, filenames in _pairs(shards):
        index.update((filename, {"shard": shard, "row": row}) for row, filename in enumerate(filenames))
        rows += len(filenames)
    if len(index) < rows:
        raise MergeError(
            f"embeddings_clip.parquet has {rows - len(index)} rows that repeat a filename: materialize it again"
        )
    return index


def feature_index_json(shards: Shards) -> Iterator[str]:
    """Yield the index as pieces of one JSON text, shard by shard, because a dict of ten million images would take gigabytes.

    It does not check for repeated names across shards: the names belong to live images, which the manifest keeps unique.
    """
    yield "{"
    separator = "\n"
    for shard, filenames in _pairs(shards):
        name = json.dumps(shard)
        entries = (f'{json.dumps(f)}: {{"shard": {name}, "row": {row}}}' for row, f in enumerate(filenames))
        if text := ",\n".join(entries):
            yield separator + text
            separator = ",\n"
    yield "\n}\n"


def _pairs(shards: Shards) -> Iterable[tuple[str, Sequence[str]]]:
    return shards.items() if isinstance(shards, Mapping) else shards
