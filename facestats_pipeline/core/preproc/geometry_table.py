"""The table of face geometry: one row per preprocessed photo. It needs a landmark model."""

import polars as pl

from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Table

MESH_POINTS = 478
"""Number of points of MediaPipe's face mesh: 468 of the mesh and 5 of each iris."""

MEASURES = {
    "interocular": "distance between the centres of the irises in preprocessed pixels; null without a face",
    "face_width": "distance between the cheeks at ear height in preprocessed pixels",
    "face_height": "distance from the upper end of the mesh on the forehead to the chin in preprocessed pixels",
    "face_ratio": "face_width / face_height",
    "eye_openness": "distance between the lids / distance between the corners of the eye, mean of both eyes",
    "eye_spacing": "distance between the inner eye corners / face_width",
    "nose_width": "distance between the wings of the nose / face_width",
    "nose_length": "distance from bridge to base of the nose / face_height",
    "mouth_width": "distance between the corners of the mouth / face_width",
    "mouth_height": "upper edge of the upper lip to lower edge of the lower lip / distance between the corners of the mouth",
    "jaw_width": "distance between the angles of the jaw / face_width",
    "chin_height": "lower edge of the lower lip to the chin / face_height",
    "asymmetry": "root mean square distance between the face and its mirror image / interocular; 0 is perfect symmetry",
}
"""Measure → description. The function of the same name in `geometry.py` computes it."""

FACE_GEOMETRY = Table(
    "face_geometry",
    "metadata/face_geometry.parquet",
    (
        *PREPROC.keys,
        Column(
            "landmarks",
            pl.Array(pl.Float32(), 2 * MESH_POINTS),
            f"x, y of the {MESH_POINTS} points of the mesh in preprocessed pixels; null without a face",
        ),
        *(Column(name, pl.Float32(), text) for name, text in MEASURES.items()),
        Column("yaw", pl.Float32(), "head turn in degrees; positive: the face points to the right of the picture"),
        Column("pitch", pl.Float32(), "nod in degrees; positive: the face points up"),
        Column("roll", pl.Float32(), "tilt in degrees in the preprocessed photo; positive: the head leans clockwise"),
        Column("status", pl.String(), "ok, no_face, or why the preprocessed photo could not be read"),
        Column("reason", pl.String(), "one sentence on a status that is not ok; empty otherwise"),
    ),
    rows_by=PREPROC.sources("status"),
)

GEOMETRY = FACE_GEOMETRY.taken(*MEASURES, mesh_yaw="yaw", mesh_pitch="pitch", mesh_roll="roll")
"""The scalar columns for joined tables. The pose is renamed, because image quality has a coarser yaw and roll from five landmarks."""

TABLES = (FACE_GEOMETRY,)
