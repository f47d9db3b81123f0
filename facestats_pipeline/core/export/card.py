"""The README of an export: a data card of the exported photos, code that reads them, and a description of each column."""

from collections.abc import Mapping, Sequence

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.export.given_labels import given_columns
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.reports.card_inputs import CardInput
from facestats_pipeline.core.reports.card_text import section, table
from facestats_pipeline.core.reports.cards import data_card

WHAT = (
    "Preprocessed pictures (square, upright, without EXIF; aligned by the face if one was found) and their rows of FaceStats' table "
    "`master`, as of {made_at}. `image_id` is the head of the SHA-256 of the original file. These are copies: a photo that is erased from "
    "the collection later stays in them until they are deleted or exported again."
)


def export_card(
    manifest: pl.LazyFrame, master: pl.LazyFrame, *, name: str, made_at: str, reading: str, columns: Sequence[str],
    inputs: Sequence[CardInput] = (), catalogue: Catalogue = BUILT_IN,
) -> str:  # fmt: skip
    """Markdown with Hugging Face's header. `manifest`, `master`: the exported photos only. `reading`: code that reads the export."""
    card = data_card(
        manifest,
        master,
        name=name,
        description=f"{WHAT.format(made_at=made_at)}\n\n{reading}",
        inputs=inputs,
        catalogue=catalogue,
    )
    meanings: Mapping[str, str] = master_table(catalogue).descriptions | given_columns(catalogue)
    return (
        card
        + "\n"
        + section("Columns", table(("Column", "meaning"), [(c, meanings.get(c, "")) for c in columns]))
        + "\n"
    )
