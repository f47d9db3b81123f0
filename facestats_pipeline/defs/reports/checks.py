"""A check that reports the findings of the bias audit as a warning."""

import dagster as dg
import polars as pl

from facestats_pipeline.defs.reports.assets import BIAS_TABLE, bias_audit
from facestats_pipeline.io.data_folder import DataFolder

SHOWN = 5


@dg.asset_check(asset=bias_audit)
def groups_are_served_alike(folder: dg.ResourceParam[DataFolder]) -> dg.AssetCheckResult:
    """Warns of groups that differ significantly from the rest, by at least `audit.max_gap` or `audit.max_gap_sd`."""
    from facestats_pipeline.core.reports.bias import describe_gap, large_gaps

    path = folder.store.file("bias_audit", BIAS_TABLE)
    if not path.is_file():
        return dg.AssetCheckResult(passed=True, description="no audit: nothing to compare groups by")
    table, limits = pl.read_parquet(path), folder.settings.audit
    gaps = large_gaps(table, limits.max_gap, limits.max_gap_sd)
    facts = {"gaps": gaps.height, "figures": table["value"].drop_nulls().len()}
    if gaps.is_empty():
        return dg.AssetCheckResult(passed=True, metadata=facts)
    lines = [describe_gap(row) for row in gaps.head(SHOWN).iter_rows(named=True)]
    more = f"; and {gaps.height - SHOWN} more" if gaps.height > SHOWN else ""
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=facts,
        description=f"{'; '.join(lines)}{more} (reports/bias_audit.png)",
    )
