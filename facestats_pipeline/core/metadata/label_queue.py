"""The label queue: ranks images by how much a human label would help (`labels_template`).

A label helps most if the models are unsure (uncertainty), if the image is unlike labelled ones (diversity, by cluster), and if its group
has few labels (group balance). This is pool-based active learning with a diversity term: Settles, "Active Learning Literature Survey"
(2009), sections 3.1 and 3.6.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, ETHNICITY, GENDER, Catalogue
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.tables import KEYS, Schema

DEFAULT_SIZE = 500

WEIGHT_UNCERTAINTY, WEIGHT_DIVERSITY, WEIGHT_BALANCE = 0.5, 0.25, 0.25
# Half the weight is on the image itself, half on its position among others. Uncertainty alone fills the queue with one kind of difficult
# photo; the other two alone would ask about photos that every model gets right.

GROUPED = (GENDER, ETHNICITY)
"""Attributes whose classes together make the groups that labels are balanced over."""
_CELL = ["cluster", "group"]
_HELD = 100_000
"""Number of additional rows after which only the most uncertain of each cell are kept: some 20 MB."""

Table = pl.DataFrame | pl.LazyFrame


def queue_schema(catalogue: Catalogue = BUILT_IN) -> Schema:
    """Columns of labels_template.csv: what the models think of each attribute stands beside the photo."""
    columns: Schema = {**KEYS, "priority": pl.Float64(), "why": pl.String()}
    known = attribute_table(catalogue).schema
    return columns | {name: known[name] for each in catalogue for name in (each.top_column, each.p_column)}


def labels_template(
    master: Table | Iterable[Table], *, size: int = DEFAULT_SIZE, catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """The `size` images most worth a label, best first, with `queue_schema` and the models' suggestions.

    Images with a hand label are left out (unless annotators tie), as are images whose attributes all have a label, and photos without a
    face. The next image is always the one with the highest `priority` given those before it. The priority (0–1) is
    ½ uncertainty + ¼ diversity + ¼ balance:

    - uncertainty: the mean of (1 - p) / (1 - 1/k) over attributes without a label, where p is the calibrated probability of the best of k
      classes. It is 0 for p = 1, and 1 for chance level, a tie between annotators, or no prediction;
    - diversity: 1 / (1 + m / fair share), where m counts the images of the same cluster that are labelled or ahead in the queue, and the
      fair share is what each cluster would have if labels were spread evenly;
    - balance: the same within the group of the most probable gender and ethnicity.

    The result is deterministic. master: the master table, or its pieces in any order; one piece is in memory at a time. Raises ValueError
    for a size below 1.
    """
    if size < 1:
        raise ValueError(f"the size of the label queue must be at least 1, got {size}")
    pieces = [master] if isinstance(master, Table) else master
    candidates, labelled = _condense(
        (piece.lazy().select(_slim_columns(catalogue)).collect() for piece in pieces), size
    )
    chosen = _choose(candidates, labelled, size)
    queue = chosen.join(candidates, on="image_id", how="left", maintain_order="left")
    reasons = [_why(row, catalogue) for row in queue.iter_rows(named=True)]
    return conform(queue.with_columns(pl.Series("why", reasons, dtype=pl.String)), queue_schema(catalogue))


def _condense(pieces: Iterable[pl.DataFrame], size: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(candidates, number of labelled images per cell of cluster and group).

    Images of one cell differ in uncertainty only, so at most the `size` most uncertain ones of each cell can be chosen.
    """
    held: list[pl.DataFrame] = []
    counts: list[pl.DataFrame] = []
    for piece in pieces:
        counts.append(piece.group_by(_CELL).agg(pl.col("labelled").sum()))
        held.append(piece.filter("open"))
        if sum(map(len, held)) > _HELD + len(held[0]):
            held = [_most_uncertain(held, size)]
    labelled = pl.concat(counts).group_by(_CELL).agg(pl.col("labelled").sum()).sort(_CELL)
    return _most_uncertain(held, size), labelled


def _most_uncertain(pieces: list[pl.DataFrame], size: int) -> pl.DataFrame:
    ordered = pl.concat(pieces).sort(["uncertainty", "image_id"], descending=[True, False])
    return ordered.group_by(_CELL, maintain_order=True).head(size).select(pieces[0].columns)


def _choose(candidates: pl.DataFrame, labelled: pl.DataFrame, size: int) -> pl.DataFrame:
    """image_id, priority, diversity, balance of the chosen images, in order. `labelled`: labelled images per cell.

    Each cell is a stack sorted by uncertainty, so only the tops need to be compared.
    """
    stacks = candidates.group_by(_CELL, maintain_order=True).agg("image_id", "uncertainty")
    ids, uncertain = stacks["image_id"].to_list(), stacks["uncertainty"].to_list()
    cluster, cluster_labels = _labels_by(labelled, stacks["cluster"])
    group, group_labels = _labels_by(labelled, stacks["group"])
    labels_and_queue = int(labelled["labelled"].sum()) + size
    cluster_share = max(1.0, labels_and_queue / max(1, labelled["cluster"].n_unique()))
    group_share = max(1.0, labels_and_queue / max(1, labelled["group"].n_unique()))
    top = np.zeros(len(ids), dtype=int)
    head = np.array([stack[0] for stack in uncertain])  # the top's uncertainty; -inf for an empty stack
    rows: list[tuple[str, float, float, float]] = []
    while len(rows) < size and np.isfinite(head).any():
        diversity = 1.0 / (1.0 + cluster_labels[cluster] / cluster_share)
        balance = 1.0 / (1.0 + group_labels[group] / group_share)
        priority = WEIGHT_UNCERTAINTY * head + WEIGHT_DIVERSITY * diversity + WEIGHT_BALANCE * balance
        best = min(np.flatnonzero(priority == priority.max()), key=lambda i: str(ids[i][top[i]]))
        rows.append((ids[best][top[best]], priority[best], diversity[best], balance[best]))
        cluster_labels[cluster[best]] += 1
        group_labels[group[best]] += 1
        top[best] += 1
        head[best] = uncertain[best][top[best]] if top[best] < len(ids[best]) else -np.inf
    schema = {"image_id": pl.String(), "priority": pl.Float64(), "diversity": pl.Float64(), "balance": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _labels_by(labelled: pl.DataFrame, cells: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(for each of `cells`, the index of its value; for each value, its number of labelled images)."""
    counts = labelled.group_by(cells.name, maintain_order=True).agg(pl.col("labelled").sum())
    number = {value: i for i, value in enumerate(counts[cells.name].to_list())}
    return np.array([number[value] for value in cells.to_list()], dtype=int), counts["labelled"].to_numpy().astype(int)


def _slim_columns(catalogue: Catalogue) -> list[str | pl.Expr]:
    """The columns that the queue shows or needs for its order."""
    settled = {
        attribute.name: ~_tied(attribute)
        & (
            pl.col(attribute.manual_column).is_not_null()
            | (pl.col(f"{attribute.predicted_column}_kind") == "out_of_fold").fill_null(False)
        )
        for attribute in catalogue
    }
    disputed = (pl.col("manual_disputed").list.len() > 0).fill_null(False)
    by_hand = pl.any_horizontal(pl.col(attribute.manual_column).is_not_null() for attribute in catalogue)
    has_face = (pl.col("preproc_status") == "ok").fill_null(False)
    unsure = [pl.when(~settled[a.name]).then(_uncertainty(a)) for a in catalogue]
    group = pl.lit(0)
    for attribute in GROUPED:
        k = len(attribute.classes)
        number = pl.coalesce(attribute.manual_column, attribute.top_column).replace_strict(
            list(attribute.classes), list(range(k)), default=None, return_dtype=pl.UInt8
        )
        group = group * (k + 1) + number.fill_null(k)
    shown = [name for name in queue_schema(catalogue) if name not in ("priority", "why")]
    return [
        *shown,
        "cluster",
        "manual_disputed",
        pl.mean_horizontal(unsure).fill_null(0.0).cast(pl.Float32).alias("uncertainty"),
        group.alias("group"),
        pl.any_horizontal(settled.values()).alias("labelled"),
        (has_face & (disputed | (~by_hand & ~pl.all_horizontal(settled.values())))).alias("open"),
    ]


def _uncertainty(attribute: Attribute) -> pl.Expr:
    k = len(attribute.classes)
    p = pl.col(attribute.p_column).cast(pl.Float64)
    return (
        pl.when(_tied(attribute) | p.is_null() | p.is_nan()).then(1.0).otherwise(((1 - p) / (1 - 1 / k)).clip(0.0, 1.0))
    )


def _tied(attribute: Attribute) -> pl.Expr:
    return pl.col("manual_disputed").list.contains(attribute.name).fill_null(False)


def _why(row: dict[str, Any], catalogue: Catalogue) -> str:
    """The main reasons for an image's priority, in words, the strongest kind first."""
    reasons = []
    if row["manual_disputed"]:
        reasons.append(f"annotators disagree on {', '.join(row['manual_disputed'])}")
    reasons += [f"unsure of {a.name} ({row[a.p_column]:.2f})" for a in catalogue if _doubtful(a, row[a.p_column])]
    if unseen := [a.name for a in catalogue if row[a.p_column] is None]:
        reasons.append(f"no prediction of {', '.join(unseen)}")
    if row["diversity"] > 0.5 and row["cluster"] is not None:
        reasons.append(f"cluster {row['cluster']} has few labels")
    tops = [row[attribute.top_column] for attribute in GROUPED]
    if row["balance"] > 0.5 and None not in tops:
        reasons.append(f"few labels of {', '.join(tops)}")
    return "; ".join(reasons) or "next in line"


def _doubtful(attribute: Attribute, p: float | None) -> bool:
    return p is not None and (1 - p) / (1 - 1 / len(attribute.classes)) > 0.5
