"""What the table of face geometry holds: one row per preprocessed photo, where there is a landmark model."""

import polars as pl

from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Table

MESH_POINTS = 478
"""Points of MediaPipe's face mesh: 468 of the mesh and 5 of each iris."""

MEASURES = {
    "interocular": "distance between the centres of the irises in preprocessed pixels; null without a face",
    "face_width": "distance between the cheeks at the height of the ears in preprocessed pixels",
    "face_height": "distance from the top of the mesh on the forehead to the chin in preprocessed pixels",
    "face_ratio": "face_width / face_height",
    "eye_openness": "distance of the lids / distance of the corners, mean of both eyes",
    "eye_spacing": "distance of the inner corners of the eyes / face_width",
    "nose_width": "distance of the wings of the nose / face_width",
    "nose_length": "bridge to base of the nose / face_height",
    "mouth_width": "distance of the corners of the mouth / face_width",
    "mouth_height": "upper edge of the upper lip to lower edge of the lower lip / distance of the corners of the mouth",
    "jaw_width": "distance of the angles of the jaw / face_width",
    "chin_height": "lower edge of the lower lip to the chin / face_height",
    "asymmetry": "root mean square distance between the face and its mirror image / interocular; 0 is perfect symmetry",
}
"""Measure → what it is. The function of the same name in `geometry.py` gives it."""

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
"""Scalar columns as joined tables have them: image quality has a coarser yaw and roll from five landmarks."""

TABLES = (FACE_GEOMETRY,)
