"""Removes erased images from model files: their ids, targets and out-of-fold predictions.

The weights stay as fitted. Only retraining removes an image's influence on them.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import polars as pl


def learned_from(name: str, data: bytes, ids: frozenset[str]) -> frozenset[str]:
    """The `ids` that a model file lists: a probe's JSON, an out-of-fold Parquet table, or a torch checkpoint."""
    # JSON and torch files store text uncompressed, so a byte search is exact and large foreign checkpoints need not be loaded.
    if name.endswith((".json", ".pt")) and not any(image_id.encode() in data for image_id in ids):
        return frozenset()
    listed: Sequence[str] = ()
    if name.endswith(".json"):
        listed = json.loads(data)["image_ids"]
    elif name.endswith(".parquet"):
        frame = pl.read_parquet(data)
        listed = frame["image_id"].to_list() if "image_id" in frame.columns else ()
    elif name.endswith(".pt"):
        listed = _checkpoint(data)["image_ids"]
    return ids & frozenset(listed)


def without_images(name: str, data: bytes, ids: frozenset[str]) -> bytes:
    """The file without its rows of `ids`; unchanged, byte for byte, when it lists none of them."""
    if not learned_from(name, data, ids):
        return data
    buffer = io.BytesIO()
    if name.endswith(".json"):
        return json.dumps(_pruned(json.loads(data), ids), indent=1, allow_nan=False).encode()
    if name.endswith(".parquet"):
        pl.read_parquet(data).filter(~pl.col("image_id").is_in(list(ids))).write_parquet(buffer)
    else:
        import torch

        torch.save(_pruned(_checkpoint(data), ids), buffer)
    return buffer.getvalue()


def _checkpoint(data: bytes) -> dict[str, Any]:
    import torch

    # weights_only: a checkpoint in the data folder may come from elsewhere and must not run code.
    loaded: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return loaded


def _pruned(model: dict[str, Any], ids: frozenset[str]) -> dict[str, Any]:
    """A model's dictionary without the rows of `ids`, in `image_ids` and in the columns of `oof` (out-of-fold predictions)."""
    kept = [row for row, image_id in enumerate(model["image_ids"]) if image_id not in ids]
    columns = {name: [values[row] for row in kept] for name, values in model.get("oof", {}).items()}
    rows = {"image_ids": [model["image_ids"][row] for row in kept], **({"oof": columns} if columns else {})}
    return {**model, **rows}
