"""Shards one at a time: a mapping that makes its values when they are asked for and keeps none of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import polars as pl

T = TypeVar("T")
U = TypeVar("U")


class LazyShards(Mapping[str, T], Generic[T]):
    """Shard name → value, computed at each access: a run over a thousand shards holds one in memory."""

    def __init__(self, keys: Sequence[str], compute: Callable[[str], T]) -> None:
        self._keys = dict.fromkeys(keys)  # in order, and found at once among ten thousand
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
        """`function(this shard, the same shard of each other)` for every shard, lazily."""
        return LazyShards(list(self), lambda shard: function(self[shard], *(other[shard] for other in others)))

    def map_with_name(self, function: Callable[..., U], *others: Mapping[str, Any]) -> "LazyShards[U]":
        """As `map`, with the shard's name first."""
        return LazyShards(list(self), lambda shard: function(shard, self[shard], *(other[shard] for other in others)))


# Dagster checks values against annotations and knows plain classes only.
if TYPE_CHECKING:
    ShardFrames = LazyShards[pl.DataFrame]
else:
    ShardFrames = LazyShards


class AllShards(LazyShards[pl.DataFrame]):
    """What an asset without shards reads of a table: every shard there is, one at a time."""
