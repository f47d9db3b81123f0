"""Lazy shards: nothing is made before it is asked for, and nothing is kept."""

import weakref

import pytest

from facestats_pipeline.io.shard_frames import LazyShards


class Big:
    """Something that can be watched."""


def test_nothing_is_made_before_it_is_asked_for() -> None:
    made: list[str] = []

    def make(shard: str) -> str:
        made.append(shard)
        return shard.upper()

    shards = LazyShards(["a", "b", "c"], make)
    mapped = shards.map(lambda value: value * 2).map_with_name(lambda shard, value: f"{shard}:{value}")
    assert (list(mapped), len(mapped), made) == (["a", "b", "c"], 3, [])
    assert mapped["b"] == "b:BB"
    assert made == ["b"]


def test_one_shard_is_held_at_a_time() -> None:
    alive: weakref.WeakSet[Big] = weakref.WeakSet()
    most = 0

    def make(shard: str) -> Big:
        nonlocal most
        most = max(most, len(alive))
        alive.add(made := Big())
        return made

    shards = LazyShards([str(i) for i in range(10)], make)
    for shard in shards:
        shards[shard]
    assert most == 0


def test_other_mappings_are_read_at_the_same_shard() -> None:
    one = LazyShards(["a", "b"], str.upper)
    assert dict(one.map(lambda x, y: x + y, {"a": "1", "b": "2"})) == {"a": "A1", "b": "B2"}
    assert dict(one.map_with_name(lambda s, x, y: s + x + y, {"a": "1", "b": "2"})) == {"a": "aA1", "b": "bB2"}


def test_a_shard_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="b"):
        LazyShards(["a"], str.upper)["b"]
