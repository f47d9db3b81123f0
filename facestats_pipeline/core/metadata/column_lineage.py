"""Which columns each column of the metadata tables is made from: Dagster's column lineage, written down once.

A column that keeps its name through a join comes from the table that made it; only columns that are computed or renamed need an entry.
"""

from facestats_pipeline.core.labels.vocabulary import ATTRIBUTES as ATTRIBUTE_NAMES
from facestats_pipeline.core.metadata.flags import CLEAN_SCHEMA, FLAGS_SCHEMA
from facestats_pipeline.core.metadata.manual_labels import MANUAL, MANUAL_SCHEMA
from facestats_pipeline.core.metadata.merge import FACTS, MASTER_SCHEMA
from facestats_pipeline.core.metadata.table_inputs import (
    ATTRIBUTES,
    CLUSTERS,
    DETECTION,
    GEOMETRY,
    IDS,
    MESH_ANGLES,
    P_COLUMN,
    QUALITY,
    SCORES,
    SOURCE_COLUMN,
    Schema,
)
from facestats_pipeline.core.metadata.tables import (
    CLUSTERS_SCHEMA,
    FINAL,
    FINAL_SCHEMA,
    META_SCHEMA,
    PREDICTIONS,
    PREDICTIONS_SCHEMA,
    SCORED_SCHEMA,
)

Source = tuple[str, str]
"""(table, column)."""

_FLAG_SOURCES: list[Source] = [
    *(("preproc", name) for name in ("status", "face_count", "face_score")),
    *(("image_quality", name) for name in QUALITY if name != "phash"),
    *(("attributes", name) for attribute in ATTRIBUTE_NAMES for name in (attribute, SOURCE_COLUMN[attribute])),
]


def _predicted(attribute: str) -> dict[str, list[Source]]:
    source = ("attributes", SOURCE_COLUMN[attribute])
    return {
        f"predicted_{attribute}": [("attributes", attribute), source],
        f"predicted_{attribute}_p": [("attributes", P_COLUMN[attribute]), source],
        f"predicted_{attribute}_kind": [source],
    }


def _finally(attribute: str) -> dict[str, list[Source]]:
    manual = ("attributes_with_manual", f"manual_{attribute}")
    predicted = ("attributes_with_predictions", f"predicted_{attribute}")
    return {
        f"{attribute}_final": [manual, predicted],
        f"{attribute}_final_source": [
            manual,
            predicted,
            ("attributes_with_predictions", f"predicted_{attribute}_kind"),
        ],
    }


_COMPUTED: dict[str, dict[str, list[Source]]] = {
    "attributes_flags": {"flagged": _FLAG_SOURCES, "reasons": _FLAG_SOURCES},
    "attributes_with_clusters": {name: [("embeddings_clip", "embedding")] for name in CLUSTERS},
    "attributes_with_manual": {name: [] for name in MANUAL},  # from a file of labels, not from a table
    "attributes_with_predictions": {
        **{name: sources for attribute in ATTRIBUTE_NAMES for name, sources in _predicted(attribute).items()},
        "prediction_kind": [("attributes", SOURCE_COLUMN[attribute]) for attribute in ATTRIBUTE_NAMES],
    },
    "attributes_final": {
        **{name: sources for attribute in ATTRIBUTE_NAMES for name, sources in _finally(attribute).items()},
        "ethnicity4_final": [
            ("attributes_with_manual", "manual_ethnicity"),
            ("attributes_with_predictions", "predicted_ethnicity"),
            ("attributes_with_predictions", "ethnicity4"),
        ],
    },
}

_RENAMED: dict[str, Source] = {
    "preproc_status": ("preproc", "status"),
    "preproc_reason": ("preproc", "reason"),
    **{new: ("face_geometry", old) for old, new in MESH_ANGLES.items()},
}

_MADE_IN: dict[str, str] = {
    **dict.fromkeys(FACTS, "manifest"),
    **dict.fromkeys(DETECTION, "preproc"),
    **dict.fromkeys(QUALITY, "image_quality"),
    **dict.fromkeys((name for name in GEOMETRY if name not in _RENAMED), "face_geometry"),
    "model_id": "embeddings_clip",
    **dict.fromkeys((name for name in ATTRIBUTES if name not in IDS), "attributes"),
    **dict.fromkeys((name for name in FLAGS_SCHEMA if name not in IDS), "attributes_flags"),
    **dict.fromkeys(CLUSTERS, "attributes_with_clusters"),
    **dict.fromkeys(MANUAL, "attributes_with_manual"),
    **dict.fromkeys(PREDICTIONS, "attributes_with_predictions"),
    **dict.fromkeys(FINAL, "attributes_final"),
    **dict.fromkeys(SCORES, "attractiveness_scores"),
}

_TABLES: dict[str, tuple[str, Schema]] = {
    "attributes_flags": ("attributes", FLAGS_SCHEMA),
    "attributes_clean": ("attributes", CLEAN_SCHEMA),
    "attributes_with_meta": ("attributes", META_SCHEMA),
    "attributes_with_clusters": ("attributes", CLUSTERS_SCHEMA),
    "attributes_with_manual": ("attributes", MANUAL_SCHEMA),
    "attributes_with_predictions": ("attributes", PREDICTIONS_SCHEMA),
    "attributes_final": ("attributes_with_manual", FINAL_SCHEMA),
    "attractiveness_with_attributes": ("attributes_final", SCORED_SCHEMA),
    "master": ("manifest", MASTER_SCHEMA),
}
"""Table → where its rows (image_id, filename) come from, and its schema."""


def column_lineage(table: str) -> dict[str, list[Source]]:
    """Column → the (table, column) pairs it is made from, for each column of a table of the metadata stage.

    Empty for a column that comes from a file that people provide. KeyError for a table of another stage.
    """
    rows_from, schema = _TABLES[table]
    computed = _COMPUTED.get(table, {})
    lineage: dict[str, list[Source]] = {}
    for name in schema:
        if name in IDS:
            lineage[name] = [(rows_from, name)]
        elif name in computed:
            lineage[name] = computed[name]
        else:
            lineage[name] = [_RENAMED.get(name, (_MADE_IN.get(name, ""), name))]
    return lineage


def tables_with_lineage() -> frozenset[str]:
    """Names that `column_lineage` knows."""
    return frozenset(_TABLES)
