"""Reads published face data sets in their authors' layout: FairFace, UTKFace, LFW. Their annotations become one label table.

No file is copied or renamed. Bad names and cells are rejected one by one, with the reason; a folder with other content raises one error.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from facestats_pipeline.core.ingest.identity import encode_filename
from facestats_pipeline.core.labels.label_names import labels_from_utkface
from facestats_pipeline.core.labels.label_rows import LABELS_SCHEMA
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.user_files.name_match import match_report
from facestats_pipeline.core.user_files.text_table import LabelsError, rejected_frame

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_LABEL_FILE = re.compile(
    r"(fairface.*label|label).*\.(csv|tsv|txt)|(train|val|test)[_-]labels?\.(csv|tsv|txt)", re.IGNORECASE
)
_LFW_NAME = re.compile(r"(.+)_\d{4,}\.\w+")


@dataclass(frozen=True)
class PublishedSet:
    """A data set read from disk.

    Attributes:
        images: folder that contains its photos, at any depth.
        labels: file, age, gender, race, identity, in the form that `read_labels` accepts; empty columns are left out.
        photos: number of photos, labelled or not.
        rejected: row, column, value, reason of everything unused.
        notes: sentences that a reader should know.
        source, licence: provenance of the photos; licence is "" if the authors state none.
    """

    images: Path
    labels: pl.DataFrame
    photos: int
    rejected: pl.DataFrame
    source: str
    licence: str
    notes: list[str] = field(default_factory=list)


def read_fairface(folder: Path) -> PublishedSet:
    """Read FairFace: `fairface_label_train.csv` and `…_val.csv` with entries like `train/1.jpg`, and the photos, anywhere below `folder`.

    Ages that a spreadsheet turned into dates (`9-Mar`, `Oct-19`) are repaired and counted. Raises LabelsError without a label table, or if
    none of the listed photos exists. Source: Kärkkäinen & Joo, 2021, arXiv:1908.04913.
    """
    photos = _photos(folder, "FairFace")
    tables = [folder / name for name in _files(folder) if _LABEL_FILE.fullmatch(PurePosixPath(name).name)]
    if not tables:
        raise LabelsError(
            f"{folder}: no label table below it (fairface_label_train.csv, fairface_label_val.csv); download them beside the photos"
        )
    frames, rejected, notes = [], [], list[str]()
    for table in tables:
        read = read_labels(table)
        where = table.relative_to(folder).as_posix()
        frames.append(read.frame)
        rejected.append(read.rejected.with_columns(column=_in_file(pl.col("column"), where)))
        notes += [f"{where}: {warning}" for warning in read.warnings]
    labels = pl.concat(frames).unique("file", keep="first", maintain_order=True)
    found = match_report(labels["file"].to_list(), photos)
    lost = dict.fromkeys(found.ambiguous, "two photos may be meant: give the folder of one copy")
    lost |= dict.fromkeys(found.unmatched, "no such photo below the folder")
    if not found.matched:
        raise LabelsError(
            f"{folder}: none of the {labels.height} labelled photos is below it ({labels['file'][0]} for one); "
            "give the folder that the photos were unpacked into"
        )
    rejected.append(_rejected([(0, "file", file, why) for file, why in lost.items()]))
    labels = labels.filter(pl.col("file").is_in(list(found.matched))).with_columns(
        pl.col("file").replace(found.matched)
    )
    if unlabelled := len(photos) - labels.height:
        notes.append(f"{unlabelled} photos have no row in a label table")
    source = "FairFace (Kärkkäinen & Joo 2021, arXiv:1908.04913)"
    return PublishedSet(folder, _columns(labels), len(photos), pl.concat(rejected), source, "CC BY 4.0", notes)


def read_utkface(folder: Path) -> PublishedSet:
    """Read UTKFace: labels in the file names `age_gender_race_date.jpg` (also `….jpg.chip.jpg`), in any sub-folders.

    A name that lacks a part gives only an age, and is listed. Raises LabelsError when no name has this form. Source: Zhang, Song & Qi,
    2017, arXiv:1702.08423.
    """
    photos = _photos(folder, "UTKFace")
    labels = labels_from_utkface(photos)
    if labels.frame.is_empty():
        raise LabelsError(
            f"{folder}: none of its {len(photos)} photos is named like UTKFace's, age_gender_race_date.jpg ({photos[0]} for one)"
        )
    source = "UTKFace (Zhang, Song & Qi 2017, arXiv:1702.08423)"
    licence = "non-commercial research only"
    return PublishedSet(folder, _columns(labels.frame), len(photos), labels.rejected, source, licence, labels.warnings)


def read_lfw(folder: Path) -> PublishedSet:
    """Read Labeled Faces in the Wild: `Person_Name/Person_Name_0001.jpg`. Its only label is the person's name.

    The name serves one purpose: as `identity` it keeps the photos of a person in one fold, so that no model is tested on a person it was
    trained on. Raises LabelsError when no photo has such a path. Source: Huang et al., 2007.
    """
    photos = _photos(folder, "LFW")
    rows: list[dict[str, str]] = []
    rejected: list[tuple[int, str, str, str]] = []
    for number, name in enumerate(photos, start=1):
        path = PurePosixPath(name)
        match = _LFW_NAME.fullmatch(path.name)
        if match is None:
            rejected.append((number, "file", name, "not an LFW name (Person_Name/Person_Name_0001.jpg)"))
        elif match[1].casefold() != path.parent.name.casefold():
            rejected.append(
                (number, "identity", name, f"the folder {path.parent.name!r} is not the person of the name")
            )
        else:
            rows.append({"file": name, "group": path.parent.name})
    if not rows:
        raise LabelsError(
            f"{folder}: none of its {len(photos)} photos lies as LFW's do, Person_Name/Person_Name_0001.jpg ({photos[0]} for one)"
        )
    people = len({row["group"] for row in rows})
    notes = [
        f"{people} people: names are kept as `identity` in labels.csv to keep the photos of one person in one fold, and for nothing "
        "else; they are in no other table and in no export",
        "file names hold the names too: they are the column `filename` of every table",
        "LFW says nothing of gender, ethnicity and age: add columns to labels.csv if people labelled them",
        "its authors state no licence: the photos come from news sites",
    ]
    labels = pl.DataFrame(rows, schema={name: LABELS_SCHEMA[name] for name in ("file", "group")})
    source = "Labeled Faces in the Wild (Huang et al. 2007)"
    return PublishedSet(folder, _columns(labels), len(photos), _rejected(rejected), source, "", notes)


def _photos(folder: Path, name: str) -> list[str]:
    """Sorted names of all photos below `folder`, in the pipeline's encoding. Raises LabelsError without photos."""
    if not folder.is_dir():
        raise LabelsError(f"{folder}: no such folder; give the one that {name} was unpacked into")
    found = [encode_filename(file) for file in _files(folder) if file.lower().endswith(PICTURES)]
    if not found:
        raise LabelsError(f"{folder}: no photos below it; give the folder that {name} was unpacked into")
    return found


def _files(folder: Path) -> list[str]:
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if not name.startswith(".")
        ]  # in place: os.walk then skips hidden folders
        base = Path(top).relative_to(folder)
        found += [(base / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _columns(labels: pl.DataFrame) -> pl.DataFrame:
    """LABELS_SCHEMA, or a part of it, with FairFace's column names. The age is in years if known, else a bin; empty columns are dropped."""
    names = {"file": "file", "ethnicity": "race", "gender": "gender", "group": "identity"}
    parts = [pl.col(old).alias(new) for old, new in names.items() if old in labels.columns]
    if "age" in labels.columns:
        years = pl.col("age").cast(pl.Float64)
        whole = (
            pl.when(years == years.round()).then(years.cast(pl.Int64).cast(pl.String)).otherwise(years.cast(pl.String))
        )
        parts.append(pl.coalesce(whole, "age_bin").alias("age"))
    table = labels.select(parts)
    order = ("file", "age", "gender", "race", "identity")
    return table.select(name for name in order if name in table.columns and table[name].null_count() < table.height)


def _in_file(column: pl.Expr, where: str) -> pl.Expr:
    return pl.format("{} ({})", column, pl.lit(where)).str.strip_chars_start(" ")


def _rejected(rows: Sequence[tuple[int, str, str, str]]) -> pl.DataFrame:
    return rejected_frame(
        [{"row": row, "column": column, "value": value[:200], "reason": reason} for row, column, value, reason in rows]
    )
