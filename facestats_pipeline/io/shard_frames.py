"""Lazy mappings over shards: values are computed on access and not kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import polars as pl

T = TypeVar("T")
U = TypeVar("U")


class LazyShards(Mapping[str, T], Generic[T]):
    """Shard name → value, computed on each access, so that a run over a thousand shards holds one in memory."""

    def __init__(self, keys: Sequence[str], compute: Callable[[str], T]) -> None:
        self._keys = dict.fromkeys(keys)  # a dict: ordered, with fast membership tests among ten thousand shards
        self._compute = compute

    def __getitem__(self, shard: str) -> T:
        if shard not in self._keys:
            raise KeyError(shard)
        return self._compute(shard)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def map(self, function: Callable[..., U], *others: Mapping[str, Any]) -> "LazyShards[U]":
        """Lazily apply `function(value, *values of the same shard in the other mappings)` to every shard."""
        return LazyShards(list(self), lambda shard: function(self[shard], *(other[shard] for other in others)))

    def map_with_name(self, function: Callable[..., U], *others: Mapping[str, Any]) -> "LazyShards[U]":
        """Like `map`; `function` gets the shard's name as its first argument."""
        return LazyShards(list(self), lambda shard: function(shard, self[shard], *(other[shard] for other in others)))


# Dagster checks values against annotations at run time and does not support generic classes there.
if TYPE_CHECKING:
    ShardFrames = LazyShards[pl.DataFrame]
else:
    ShardFrames = LazyShards


class AllShards(LazyShards[pl.DataFrame]):
    """All existing shards of a table, one at a time: an input of assets without shards."""
