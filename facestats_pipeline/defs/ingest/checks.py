"""Checks of user files about the photos, run with every scan of the raw folder."""

import dagster as dg

from facestats_pipeline.defs.ingest.assets import raw_photos
from facestats_pipeline.io.data_folder import DataFolder


@dg.asset_check(asset=raw_photos)
def sources_name_photos(folder: dg.ResourceParam[DataFolder]) -> dg.AssetCheckResult:
    """Every row of sources.csv names an existing photo or folder, so that no refusal of consent is lost to a misspelt path."""
    from facestats_pipeline.core.user_files.text_table import LabelsError

    try:
        sources = folder.sources
    except LabelsError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    unused = sources.unused_rows(folder.store.read_table("raw_photos")["filename"])
    wrong = sorted({*unused, *sources.rejected["row"].to_list()})
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows": len(sources.rows), "rows_without_effect": wrong[:20]},
        description=f"{len(wrong)} rows of sources.csv name no existing photo or folder of the raw folder: rows {_listed(wrong)}"
        if wrong
        else None,
    )


def _listed(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:10])) + (", …" if len(rows) > 10 else "")
