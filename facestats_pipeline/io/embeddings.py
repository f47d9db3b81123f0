"""Embeddings out of their table, without a copy where Arrow allows it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl


def vectors(frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    """(n, d) float32 of the column `embedding`."""
    width: Any = getattr(frame.schema["embedding"], "size", None)
    return frame["embedding"].to_numpy().reshape(frame.height, width).astype(np.float32, copy=False)
