"""Labels encoded in file names: UTKFace and SCUT-FBP5500."""

import re
from collections.abc import Sequence
from pathlib import PurePath

from facestats_pipeline.core.attributes.catalogue import AGE, BUILT_IN, GENDER, Catalogue
from facestats_pipeline.core.labels.label_rows import LabelRows, Labels
from facestats_pipeline.core.training.provenance import Provenance

_SCUT_NAME = re.compile(r"([AC])([FM])\d+\.\w+", re.IGNORECASE)


def labels_from_utkface(filenames: Sequence[str], catalogue: Catalogue = BUILT_IN) -> Labels:
    """Labels from UTKFace's names, `age_gender_race_date….jpg` (Zhang, Song & Qi, 2017).

    gender 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 others. "Asian" is read as East Asian, with a warning; "others"
    get no ethnicity. If a part is missing, the name does not tell which one, so only the age is used.
    """
    out = LabelRows(catalogue)
    for row, filename in enumerate(filenames, start=1):
        parts = [p.strip() for p in PurePath(filename).name.split("_")]
        years = float(parts[0]) if re.fullmatch(r"[0-9]{1,3}", parts[0]) and len(parts) > 1 else None
        if years is None or (age_bin := AGE.class_of_years(years)) is None:
            out.reject(row, "file", filename, "not a UTKFace name (age_gender_race_date.jpg)")
            continue
        gender = ethnicity = None
        if len(parts) < 4 or not re.fullmatch("[01]", parts[1]) or not re.fullmatch("[0-4]", parts[2]):
            out.reject(
                row,
                "gender, ethnicity",
                filename,
                "a part of the name is missing or out of range: only the age is used",
            )
        else:
            gender = ("Male", "Female")[int(parts[1])]
            ethnicity = ("White", "Black", "East Asian", "Indian", None)[int(parts[2])]
            if parts[2] == "2":
                out.warnings["{n} 'Asian' label(s) read as East Asian: UTKFace does not separate Southeast Asian"] += 1
            elif parts[2] == "4":
                out.warnings["{n} 'others' label(s) have no ethnicity here"] += 1
        out.add(row, filename, {"gender": gender, "ethnicity": ethnicity, "age_bin": age_bin, "age": years})
    return out.labels(
        Provenance("human", "UTKFace file names", note="estimated by a model, then checked by annotators")
    )


def labels_from_scut(filenames: Sequence[str], catalogue: Catalogue = BUILT_IN) -> Labels:
    """Gender and ethnicity from SCUT-FBP5500's names (Liang et al., 2018): AF1.jpg is an Asian female, CM7.jpg a Caucasian male."""
    out = LabelRows(catalogue)
    for row, filename in enumerate(filenames, start=1):
        if (match := _SCUT_NAME.fullmatch(PurePath(filename).name.strip())) is None:
            out.reject(row, "file", filename, "not a SCUT-FBP5500 name (AF1.jpg, CM7.jpg)")
            continue
        asian = match[1].upper() == "A"
        if asian:
            out.warnings["{n} 'Asian' label(s) read as East Asian: SCUT-FBP5500 does not separate Southeast Asian"] += 1
        gender, ethnicity = GENDER.classes[match[2].upper() == "M"], "East Asian" if asian else "White"
        out.add(row, filename, {"gender": gender, "ethnicity": ethnicity})
    return out.labels(Provenance("human", "SCUT-FBP5500 file names"))
