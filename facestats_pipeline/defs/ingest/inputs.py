"""What people provide, as external assets: where the lineage of models and manual labels begins."""

import dagster as dg

labels_csv = dg.AssetSpec(
    "labels_csv",
    group_name="ingest",
    kinds={"csv"},
    description="Labels that people gave: labels/labels.csv with file, age, gender, race (FairFace's columns).",
)
ratings_csv = dg.AssetSpec(
    "ratings_csv",
    group_name="ingest",
    kinds={"csv"},
    description="Ratings that people gave: labels/ratings.csv with file, rating and optionally rater.",
)
manual_labels_csv = dg.AssetSpec(
    "manual_labels_csv",
    group_name="ingest",
    kinds={"csv"},
    description="Labels given by hand: labels/manual_labels.csv with image_id, attribute, value, annotator, labelled_at.",
)
