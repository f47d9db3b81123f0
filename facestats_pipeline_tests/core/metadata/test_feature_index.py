import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.joins import MergeError
from facestats_pipeline.core.metadata.feature_index import feature_index, feature_index_json

SHARDS = {"shard-00000": ["a.jpg", 'odd "name"\n.jpg'], "shard-00001": [], "shard-00002": ["nested/é.jpg"]}


def test_every_file_leads_to_its_row() -> None:
    index = feature_index(SHARDS)
    assert index["nested/é.jpg"] == {"shard": "shard-00002", "row": 0}
    assert {SHARDS[str(place["shard"])][int(place["row"])] for place in index.values()} == set(index)


@given(st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=4))
def test_the_json_is_the_index(names: list[list[str]]) -> None:
    seen: set[str] = set()
    shards = {f"shard-{i:05d}": [n for n in part if n not in seen and not seen.add(n)] for i, part in enumerate(names)}  # type: ignore[func-returns-value]
    text = "".join(feature_index_json(iter(shards.items())))
    assert json.loads(text) == feature_index(shards)


def test_the_same_file_twice_is_refused_without_naming_it() -> None:
    with pytest.raises(MergeError, match="1 rows that repeat a filename") as refusal:
        feature_index({"shard-00000": ["a.jpg"], "shard-00001": ["a.jpg"]})
    assert "a.jpg" not in str(refusal.value)
