"""What every column of every table means, in one line each: shown in Dagster's catalogue and in docs/, and checked against the schemas.

Columns that a table takes over from another one are described once, where they are made.
"""

Docs = dict[str, str]

IDS: Docs = {
    "image_id": "first 32 hexadecimal digits of the SHA-256 of the file's bytes",
    "filename": "path of the photo below the raw folder",
}

_FACTS: Docs = {
    "source": "where the photo comes from, as the collection's settings say",
    "licence": "licence the photo may be used under, as the collection's settings say",
    "consent": "what the people shown agreed to, as the collection's settings say; null when nothing is said",
    "bytes": "size of the file in bytes",
    "width": "width in pixels after EXIF orientation; null when the photo could not be read",
    "height": "height in pixels after EXIF orientation; null when the photo could not be read",
    "format": "JPEG, PNG, WEBP, BMP, TIFF or GIF, by content and not by name; null when the photo could not be read",
    "reason": "why the status is not ok, or a note such as that only the first frame is used; empty otherwise",
    "added_at": "when the file was first seen, UTC",
    "shard": "the shard the photo belongs to, for good",
}

_MANIFEST: Docs = {
    "image_id": f"{IDS['image_id']}; null when they could not be read",
    "filename": IDS["filename"],
    **{name: text for name, text in _FACTS.items() if name not in ("reason", "added_at", "shard")},
    "status": "ok, corrupt, too_large, unsupported, duplicate or removed; only ok photos are images of the collection",
    **{name: _FACTS[name] for name in ("reason", "added_at", "shard")},
}

_DETECTION: Docs = {
    "preproc_id": "identity of the settings and the detector that made the preprocessed photo",
    "detector": "name of the face detector with a hash of its model; none when there is no model",
    "face_count": "faces the detector is sure of; null without a detector",
    "face_score": "the detector's score, 0–1, of the face that was used, else of the best doubtful one; null without either",
}

_STATUS: Docs = {
    "preproc_status": "ok, no_face, or why there is no preprocessed photo (status in preproc.parquet)",
    "preproc_reason": "one sentence on a preproc_status that is not ok (reason in preproc.parquet)",
}

_PREPROC: Docs = {
    **IDS,
    **_DETECTION,
    "face_box": "x, y, width, height of the largest face in preprocessed pixels; null without a face",
    "landmarks": "x, y of right eye, left eye, nose, right and left mouth corner in preprocessed pixels; null without a face",
    "transform": "2×3 affine matrix, row by row, from pixels of the oriented source to preprocessed pixels",
    "status": "ok, no_face, or why there is no preprocessed photo",
    "reason": "one sentence on a status that is not ok; empty otherwise",
}

_QUALITY: Docs = {
    "sharpness": "variance of the Laplacian of the preprocessed photo's luma (0–255); higher is sharper",
    "brightness": "mean luma of the preprocessed photo, 0–1",
    "contrast": "standard deviation of the preprocessed photo's luma, 0–0.5",
    "face_fraction": "area of the face box / area of the original photo; null without a face",
    "yaw": "head turn in degrees from five landmarks, coarse; positive: to the right of the picture; null without a face",
    "roll": "tilt of the head in the original photo, degrees; positive: clockwise; null without a face",
    "phash": "64-bit perceptual hash as 16 hexadecimal digits",
}

_MEASURES: Docs = {
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

_GEOMETRY: Docs = {
    **_MEASURES,
    "mesh_yaw": "head turn in degrees from the landmark mesh (yaw in face_geometry.parquet)",
    "mesh_pitch": "nod in degrees from the landmark mesh (pitch in face_geometry.parquet)",
    "mesh_roll": "tilt in degrees from the landmark mesh (roll in face_geometry.parquet)",
}

_FACE_GEOMETRY: Docs = {
    **IDS,
    "landmarks": "x, y of the 478 points of the mesh in preprocessed pixels; null without a face",
    **_MEASURES,
    "yaw": "head turn in degrees; positive: the face points to the right of the picture",
    "pitch": "nod in degrees; positive: the face points up",
    "roll": "tilt in degrees in the preprocessed photo; positive: the head leans clockwise",
    "status": "ok, no_face, or why the preprocessed photo could not be read",
    "reason": "one sentence on a status that is not ok; empty otherwise",
}

_EMBEDDING_ID: Docs = {"model_id": "name of the encoder with a hash of its weights; says untrained when it is"}

_ATTRIBUTES: Docs = {
    "gender": "perceived gender as decided by the model, or unknown where it abstains",
    "ethnicity": "perceived ethnicity in FairFace's seven classes as decided by the model, or unknown",
    "ethnicity4": "ethnicity rolled up to White, Black, Asian, Indian, or unknown",
    "age_bin": "perceived age in FairFace's nine bins as decided by the model, or unknown",
    "gender_top": "the most probable gender, also where the model abstains; null without a model or a face",
    "ethnicity_top": "the most probable ethnicity, also where the model abstains; null without a model or a face",
    "age_bin_top": "the most probable age bin, also where the model abstains; null without a model or a face",
    "gender_p": "calibrated probability of gender_top",
    "ethnicity_p": "calibrated probability of ethnicity_top",
    "age_p": "calibrated probability of age_bin_top",
    "age": "age in years as estimated, of photos the age model learned from out of fold; null without a model or a face",
    "age_lo": "lower end of the conformal interval of age, years",
    "age_hi": "upper end of the conformal interval of age, years",
    "gender_source": "what decided gender: shipped, probe, zeroshot or none",
    "ethnicity_source": "what decided ethnicity: shipped, probe, zeroshot or none",
    "age_source": "what decided age_bin and age: shipped, probe, zeroshot or none",
}

_FLAGS: Docs = {
    "flagged": "whether there is any reason to distrust the row",
    "reasons": "the reasons, out of core.flags.REASONS, in its order; empty when not flagged",
}

_CLUSTERS: Docs = {
    "pca_x": "coordinate on the first principal axis of the embeddings; null without an embedding",
    "pca_y": "coordinate on the second principal axis of the embeddings; null without an embedding",
    "cluster": "number of the nearest k-means cluster, from 0; null without an embedding",
}

_MANUAL: Docs = {
    "manual_gender": "gender by hand: the value most annotators gave; null without a label or on a tie",
    "manual_ethnicity": "ethnicity by hand: the value most annotators gave; null without a label or on a tie",
    "manual_age_bin": "age bin by hand: the value most annotators gave; null without a label or on a tie",
    "manual_disputed": "attributes on which the annotators tie",
    "annotator": "whose labels these are, joined by semicolons",
    "labelled_at": "time of the latest of these labels, UTC",
}

_PREDICTIONS: Docs = {
    **{
        name: text
        for attribute in ("gender", "ethnicity", "age_bin")
        for name, text in (
            (
                f"predicted_{attribute}",
                f"{attribute} by a model that did not see this image's label, or unknown where it abstains; null without one",
            ),
            (f"predicted_{attribute}_p", f"calibrated probability of the most probable {attribute} of that model"),
            (
                f"predicted_{attribute}_kind",
                "out_of_fold (the image has a label; its fold's model did not see it), model (no label), or none",
            ),
        )
    },
    "prediction_kind": "out_of_fold when any attribute's is, else model when any is, else none",
}

_FINAL: Docs = {
    **{
        name: text
        for attribute in ("gender", "ethnicity", "age_bin")
        for name, text in (
            (f"{attribute}_final", f"{attribute} as believed: by hand, else predicted, else unknown"),
            (f"{attribute}_final_source", "manual, out_of_fold or model; none where the value is unknown"),
        )
    },
    "ethnicity4_final": "ethnicity_final rolled up to White, Black, Asian, Indian, or unknown",
}
_DECILE: Docs = {"attractiveness": "decile of attractiveness_pct, 1–10; null without a score"}

_SCORES: Docs = {
    "attractiveness_raw": "predicted mean rating, on the scale of the ratings the model learned from",
    "attractiveness_lo": "lower end of the conformal interval of attractiveness_raw",
    "attractiveness_hi": "upper end of the conformal interval of attractiveness_raw",
    "attractiveness_pct": "mid-rank of attractiveness_raw in the stored reference distribution, 0–1",
    **_DECILE,
}

_COMPOSITES: Docs = {
    "name": "file stem of the composite",
    "caption": "what a reader sees under the picture",
    "filter": "the filters as asked",
    "applied": "the filters after relaxing; null when refused",
    "n_asked": "photos that satisfy the filters as asked",
    "n_used": "photos in the average",
    "n_skipped": "photos that could not be read",
    "relaxed": "what was given up to find enough photos, one sentence each",
    "method": "how the photos were brought together: mean, aligned or warped",
    "size": "side of the picture in pixels",
    "status": "made or refused",
    "reason": "why refused, or what was left out, skipped or sampled; empty otherwise",
}

_NEAR_DUPLICATES: Docs = {
    "image_id": "the image of the pair with the smaller id",
    "other_id": "the image of the pair with the larger id",
    "cosine": "cosine similarity of their embeddings; null where it is not known, as with an untrained encoder",
    "hamming": "bits in which their perceptual hashes differ, 0–64; null where a hash is missing",
    "kind": "phash, embedding or both: what found the pair",
}

_LABEL_STRUCTURE: Docs = {
    "attribute": "gender, ethnicity or age_bin",
    "code": "number of the label within its attribute, from 0",
    "label": "the label as it is written in every table",
    "label4": "the ethnicity it rolls up to in ethnicity4; null for other attributes",
    "age_from": "first completed year of an age bin; null for other attributes",
    "age_to": "last completed year of an age bin; null for the open bin and other attributes",
}

_BIAS_AUDIT: Docs = {
    "attribute": "what is audited: gender, ethnicity, age_bin, age or attractiveness",
    "metric": "accuracy, coverage, overconfidence, mean_error, mae, interval_coverage or mean_score",
    "group_kind": "all, gender, ethnicity, age_bin or gender × ethnicity",
    "group": "the group, by human labels",
    "n": "photos the figure is of",
    "coverage": "share of the group's labelled photos that were answered",
    "value": "the figure; null below the minimum n",
    "ci_lo": "lower end of its confidence interval",
    "ci_hi": "upper end of its confidence interval",
    "gap": "value less the value of all photos outside the group",
    "gap_lo": "lower end of the confidence interval of the gap",
    "gap_hi": "upper end of the confidence interval of the gap",
    "gap_size": "gap without its sign; of errors and scores in standard deviations of the truth, else of the score",
    "p": "p-value of the gap",
    "p_adjusted": "p after correction for the number of comparisons",
    "note": "why there is no figure; empty otherwise",
}

_EMBEDDINGS: Docs = {
    **IDS,
    "embedding": "image embedding, float32, length 1",
    **_EMBEDDING_ID,
    "preproc_id": _DETECTION["preproc_id"],
}

COLUMN_DOCS: dict[str, Docs] = {
    "manifest": _MANIFEST,
    "preproc": _PREPROC,
    "image_quality": IDS | _QUALITY,
    "face_geometry": _FACE_GEOMETRY,
    "embeddings_clip": _EMBEDDINGS,
    "attributes": IDS | _ATTRIBUTES,
    "attributes_flags": IDS | _FLAGS,
    "attributes_clean": IDS | _ATTRIBUTES,
    "attributes_with_meta": IDS | _ATTRIBUTES | _DETECTION | _STATUS | _QUALITY | _GEOMETRY,
    "attributes_with_clusters": IDS | _ATTRIBUTES | _CLUSTERS,
    "attributes_with_manual": IDS | _ATTRIBUTES | _MANUAL,
    "attributes_with_predictions": IDS | _ATTRIBUTES | _PREDICTIONS,
    "attributes_final": IDS | _FINAL | _DECILE,
    "attractiveness_scores": IDS | _SCORES,
    "attractiveness_with_attributes": IDS | _SCORES | _FINAL,
    "master": IDS
    | _FACTS
    | _DETECTION
    | _STATUS
    | _QUALITY
    | _GEOMETRY
    | _EMBEDDING_ID
    | _ATTRIBUTES
    | _FLAGS
    | _CLUSTERS
    | _MANUAL
    | _PREDICTIONS
    | _FINAL
    | _SCORES,
    "composites": _COMPOSITES,
    "near_duplicates": _NEAR_DUPLICATES,
    "fairface_label_structure": _LABEL_STRUCTURE,
    "bias_audit": _BIAS_AUDIT,
}
"""Table → column → one line. Column order is the table's own schema's."""
