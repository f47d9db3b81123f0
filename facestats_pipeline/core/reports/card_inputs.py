"""The inputs that a card lists: everything that a collection or model was made from, with licence and origin."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from facestats_pipeline.core.reports.card_text import NOT_STATED, licence_id, section, table

MOST_ORIGINS = 20
"""Maximal number of photo sources in a list of inputs; the rest is summed up in one row."""


@dataclass(frozen=True)
class CardInput:
    """One input.

    Attributes:
        role: photos, labels, ratings, encoder, face detector, …
        name: the data set, file or model, without any folder.
        licence: None if not stated.
        origin: where it comes from: consent and number of photos, a checksum, or a project.
    """

    role: str
    name: str
    licence: str | None = None
    origin: str = ""


def photo_inputs(manifest: pl.DataFrame | pl.LazyFrame, image_ids: Sequence[str] | None = None) -> list[CardInput]:
    """The sources of a manifest's usable photos, or of those in `image_ids`, sorted by number of photos."""
    listed = manifest.lazy().filter(pl.col("status") == "ok")
    if image_ids is not None:
        listed = listed.filter(pl.col("image_id").is_in(list(image_ids)))
    stated = [pl.col(c).replace("", None) for c in ("source", "licence", "consent")]
    groups = (
        listed.group_by(stated)
        .len("n")
        .sort("n", "source", "licence", "consent", descending=[True, False, False, False])
    )
    rows = groups.collect().rows()
    found = [
        CardInput("photos", source or NOT_STATED, licence, f"{n:,} photos, consent: {consent or NOT_STATED}")
        for source, licence, consent, n in rows[:MOST_ORIGINS]
    ]
    if rest := rows[MOST_ORIGINS:]:
        licences = {row[1] for row in rest}
        one = licences.pop() if len(licences) == 1 else None
        found.append(CardInput("photos", f"{len(rest):,} more sources", one, f"{sum(row[3] for row in rest):,} photos"))
    return found


def inputs_section(inputs: Iterable[CardInput]) -> str:
    """The section "Inputs" of a card; empty without inputs."""
    rows = [(i.role, i.name, i.licence or NOT_STATED, i.origin) for i in inputs]
    return section("Inputs", table(("Input", "name", "licence", "where from"), rows)) if rows else ""


def licence_fields(inputs: Iterable[CardInput]) -> dict[str, str]:
    """`license`, and `license_name` if needed, for something made from these inputs: it cannot be freer than they are.

    If all inputs state the same licence, it is that licence. With several licences, or some not stated, it is `other`, named in words;
    without any stated licence it is `unknown`.
    """
    # "CC BY 4.0 (trained on FairFace)": the remark in brackets is not part of the licence.
    each = [re.sub(r"\s*\(.*\)$", "", i.licence) if i.licence else None for i in inputs]
    stated = sorted({licence for licence in each if licence})
    if not stated:
        return {"license": "unknown"}
    identifier = licence_id(stated)
    if None not in each and identifier != "other":
        return {"license": identifier}
    words = [*stated, *(["inputs without a stated licence"] if None in each else [])]
    return {"license": "other", "license_name": "; ".join(words)}
