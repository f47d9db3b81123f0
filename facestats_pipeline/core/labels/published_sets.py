"""Published face sets as their authors give them out: FairFace, UTKFace, LFW. What they say of photos becomes one label table.

Nothing is copied or renamed; bad names and cells are rejected one by one, with the reason. A folder that is no such set is one error.
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
    """A data set on disk, read.

    Attributes:
        images: folder below which its photos lie.
        labels: file, age, gender, race, identity as `read_labels` takes them; columns without a single label are left out.
        photos: how many photos there are, labelled or not.
        rejected: row, column, value, reason of what was not used.
        notes: one sentence each on what a reader should know.
        source, licence: what to say of the photos; licence "" where the authors state none.
    """

    images: Path
    labels: pl.DataFrame
    photos: int
    rejected: pl.DataFrame
    source: str
    licence: str
    notes: list[str] = field(default_factory=list)


def read_fairface(folder: Path) -> PublishedSet:
    """FairFace: `fairface_label_train.csv` and `…_val.csv` with `train/1.jpg`, wherever below `folder` they and the photos are.

    Ages that a spreadsheet took for dates (`9-Mar`, `Oct-19`) are repaired, and counted. Raises LabelsError: no label table, or none of
    the listed photos is there. Kärkkäinen & Joo, 2021, arXiv:1908.04913.
    """
    photos = _photos(folder, "FairFace")
    tables = [folder / name for name in _files(folder) if _LABEL_FILE.fullmatch(PurePosixPath(name).name)]
    if not tables:
        raise LabelsError(
            f"{folder}: no label table below it (fairface_label_train.csv, fairface_label_val.csv); download them beside the photos"
        )
    frames, rejected, notes = [], [], list[str]()
    for table in tables:
        said = read_labels(table)
        where = table.relative_to(folder).as_posix()
        frames.append(said.frame)
        rejected.append(said.rejected.with_columns(column=_in_file(pl.col("column"), where)))
        notes += [f"{where}: {warning}" for warning in said.warnings]
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
    if unsaid := len(photos) - labels.height:
        notes.append(f"{unsaid} photos have no row in a label table")
    source = "FairFace (Kärkkäinen & Joo 2021, arXiv:1908.04913)"
    return PublishedSet(folder, _columns(labels), len(photos), pl.concat(rejected), source, "CC BY 4.0", notes)


def read_utkface(folder: Path) -> PublishedSet:
    """UTKFace: labels in the names, `age_gender_race_date.jpg` (also `….jpg.chip.jpg`), in any sub-folders.

    A name that lacks a part gives an age alone, and is listed. Raises LabelsError when no name is one of UTKFace's. Zhang, Song & Qi,
    2017, arXiv:1702.08423.
    """
    photos = _photos(folder, "UTKFace")
    said = labels_from_utkface(photos)
    if said.frame.is_empty():
        raise LabelsError(
            f"{folder}: none of its {len(photos)} photos is named like UTKFace's, age_gender_race_date.jpg ({photos[0]} for one)"
        )
    source = "UTKFace (Zhang, Song & Qi 2017, arXiv:1702.08423)"
    licence = "non-commercial research only"
    return PublishedSet(folder, _columns(said.frame), len(photos), said.rejected, source, licence, said.warnings)


def read_lfw(folder: Path) -> PublishedSet:
    """Labeled Faces in the Wild: `Person_Name/Person_Name_0001.jpg`. It has no labels but who is shown.

    That is kept for one purpose: `identity` puts the photos of a person into one fold, so that no model is tested on somebody it has
    learned from. Raises LabelsError when no photo lies so. Huang et al., 2007.
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
    """Names of all photos below `folder`, as the pipeline stores them, sorted."""
    if not folder.is_dir():
        raise LabelsError(f"{folder}: no such folder; give the one that {name} was unpacked into")
    found = [encode_filename(file) for file in _files(folder) if file.lower().endswith(PICTURES)]
    if not found:
        raise LabelsError(f"{folder}: no photos below it; give the folder that {name} was unpacked into")
    return found


def _files(folder: Path) -> list[str]:
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        base = Path(top).relative_to(folder)
        found += [(base / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _columns(labels: pl.DataFrame) -> pl.DataFrame:
    """LABELS_SCHEMA, or a part of it, under FairFace's words; years where they are known, else the bin; no empty column."""
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
