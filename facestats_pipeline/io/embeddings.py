"""Embeddings as a NumPy array, without a copy where Arrow allows it."""

from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def vectors(frame: pl.DataFrame) -> "npt.NDArray[np.float32]":
    """The column `embedding` as an array of shape (n, d), float32."""
    width: Any = getattr(frame.schema["embedding"], "size", None)
    return frame["embedding"].to_numpy().reshape(frame.height, width).astype("float32", copy=False)
