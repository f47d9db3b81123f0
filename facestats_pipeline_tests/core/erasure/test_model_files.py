"""Models forget rows and keep their weights."""

import io
import json

import polars as pl
import torch

from facestats_pipeline.core.erasure.model_files import learned_from, without_images

IDS = [f"{i:032x}" for i in range(4)]
GONE = frozenset({IDS[1], "f" * 32})


def test_a_probes_json_and_its_out_of_fold_table_stay_together() -> None:
    card = {"format": "facestats-probe/1", "n": 4, "image_ids": IDS, "report": {"risk": [1, 2, 3, 4]}}
    frame = pl.DataFrame({"image_id": IDS, "target": [0, 1, 0, 1]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert learned_from("gender_clf.json", json.dumps(card).encode(), GONE) == {IDS[1]}
    kept = json.loads(without_images("gender_clf.json", json.dumps(card).encode(), GONE))
    assert kept == {**card, "image_ids": [IDS[0], *IDS[2:]]}
    table = pl.read_parquet(without_images("gender_clf_oof.parquet", buffer.getvalue(), GONE))
    assert table["image_id"].to_list() == kept["image_ids"]
    assert table["target"].to_list() == [0, 0, 1]


def test_a_checkpoint_loses_the_row_in_every_column() -> None:
    weights = torch.arange(6.0).reshape(2, 3)
    columns = {"rating": [1.0, 2.0, 3.0, 4.0], "score": [None, 2.5, 3.5, 4.5]}
    buffer = io.BytesIO()
    torch.save({"state_dict": {"w": weights}, "image_ids": IDS, "oof": columns, "curves": [1, 2, 3, 4]}, buffer)
    data = without_images("regressor.pt", buffer.getvalue(), GONE)
    assert IDS[1].encode() not in data
    kept = torch.load(io.BytesIO(data), weights_only=True)
    assert torch.equal(kept["state_dict"]["w"], weights)
    assert kept["image_ids"] == [IDS[0], *IDS[2:]]
    assert kept["oof"] == {"rating": [1.0, 3.0, 4.0], "score": [None, 3.5, 4.5]}
    assert kept["curves"] == [1, 2, 3, 4]


def test_files_that_name_nobody_are_left_byte_for_byte() -> None:
    for name, data in (("a.json", json.dumps({"image_ids": IDS}).encode()), ("b.npy", b"x"), ("c.safetensors", b"y")):
        assert without_images(name, data, frozenset({"f" * 32})) is data
