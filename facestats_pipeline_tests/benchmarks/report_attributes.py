"""What the attribute models are worth on the data sets of ../shared, every figure with its 95% interval, as Markdown tables.

python -m facestats_pipeline_tests.benchmarks.report_attributes [--work DIR] [--data DIR] [--only NAME ...] [--as-is]

`facestats run` first brings a data folder of each set up to date below --work (kept, so that a second call takes seconds, and after a
change of encoder embeds the photos anew). Then four tables a set:

1. own probes by cross-validation, as `facestats run` trains them: both candidates, folds grouped by person and duplicate;
2. held out: probes trained on one half of the photos and measured on the other, and the reverse; copies share a half. Nothing of a
   probe, its threshold neither, has seen a photo that it is measured on;
3. shipped probes, which have seen none of these photos, their encoder neither;
4. the largest gaps between groups, of reports/bias_audit.parquet.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from facestats_pipeline.config import PROJECT_ROOT, Settings, load_settings
from facestats_pipeline.core.attributes import held_out
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.duplicate_groups import DuplicateGroups, groups_of_rows
from facestats_pipeline.core.attributes.inference import AttributeModels
from facestats_pipeline.core.attributes.probe_store import load_probe
from facestats_pipeline.core.attributes.probes import TrainedAge, TrainedProbe, train_age, train_classifier
from facestats_pipeline.core.attributes.shipped_probes import load_shipped
from facestats_pipeline.core.labels.labels_file import Labels, read_labels
from facestats_pipeline.core.reports.bias import describe_gap, large_gaps
from facestats_pipeline.core.statistics.folds import make_folds
from facestats_pipeline.core.training.provenance import TrainingRefused
from facestats_pipeline.core.training.training_rows import TrainingRows, training_rows
from facestats_pipeline.io.weights import shipped_probes
from facestats_pipeline_tests.classes import CLASSES

SETS = ("fairface_photos", "london", "congress_us")
RATING = {"london": {"rating": "attractiveness_1_7", "sd": "attractiveness_sd", "n": "n_raters"}}
GAPS_SHOWN = 12


def update(name: str, source: Path, folder: Path) -> None:
    """Bring the data folder of one set up to date by `facestats run`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["run", "--raw", source / "images", "--data-dir", folder, "--labels", source / "labels.csv"]
    if name in RATING:
        rated = pl.read_csv(source / "labels.csv").select("file", **RATING[name]).drop_nulls("rating")
        rated.write_csv(folder / "given_ratings.csv")
        command += ["--ratings", folder / "given_ratings.csv"]
    program = Path(sys.executable).with_name("facestats")
    # Composites say nothing here: few faces for them, or they would take most of the time.
    settings = os.environ | {"FACESTATS_COMPOSITES_MAX_IMAGES": "50"}
    subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL, env=settings)


def percent(share: dict[str, float] | None) -> str:
    """`89.8% (88.7–90.9)`."""
    if share is None:
        return "–"
    return f"{share['value']:.1%} ({100 * share['ci_lo']:.1f}–{100 * share['ci_hi']:.1f})"


def number(figure: dict[str, float], digits: int = 3) -> str:
    """`0.017 (0.010–0.024)`."""
    value, low, high = (f"{figure[key]:.{digits}f}" for key in ("value", "ci_lo", "ci_hi"))
    return f"{value} ({low}–{high})"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under a heading."""
    print(f"\n**{title}**\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


def trained_here(settings: Settings) -> Iterator[tuple[TrainedProbe, TrainedAge | None]]:
    """The probes that the run trained."""
    for stem in (attribute.model_stem for attribute in BUILT_IN):
        if (settings.models / f"{stem}.json").is_file():
            loaded = load_probe(settings.models, stem)
            yield (loaded.probe, loaded) if isinstance(loaded, TrainedAge) else (loaded, None)


def show_cross_validated(settings: Settings) -> None:
    """Table 1."""
    rows, ages = [], []
    for probe, age in trained_here(settings):
        report = probe.report
        for kind, figures in report["candidates"].items():
            if "not_compared" in figures:
                rows.append([probe.attribute, kind, figures["not_compared"], *[""] * 5])
                continue
            kept = kind == report["chosen"]
            answered = [percent(report["coverage"]), percent(report["answered_error"])] if kept else ["", ""]
            rows.append(
                [
                    probe.attribute,
                    f"**{kind}**" if kept else kind,
                    percent(figures["accuracy"]),
                    percent(figures["balanced_accuracy"]),
                    number(figures["log_loss"]),
                    number(figures["ece"]) + (f", by chance {report['ece_by_chance']:.3f}" if kept else ""),
                    *answered,
                ]
            )
        if (four := report.get("rollup4")) and four.get("classes"):
            shares = [percent(four["coverage"]), percent(four["answered_error"])]
            rows.append(["ethnicity in 4", "", percent(four["accuracy"]), "", "", f"{four['ece']:.3f}", *shares])
        if age is not None:
            ages.append(age.report)
    header = [
        "attribute",
        "model (kept)",
        "accuracy",
        "balanced accuracy",
        "log loss",
        "ECE",
        "answered",
        "error of these",
    ]
    table("Own probes, cross-validated", header, rows)
    for report in ages:
        interval, figures = report["interval"], report["intervals"]
        print(
            f"\nAge in years (from {report['basis']}, n = {report['n']:,}): mean absolute error {number(figures['mae'], 2)}, "
            f"RMSE {number(figures['rmse'], 2)}, r {number(figures['pearson'], 2)}; interval of {interval['nominal']:.0%}: "
            f"holds {percent(interval['coverage'])}, median width {interval['median_width']:.1f} years. "
            f"By true age: {bands(interval['by_bin'])}."
        )


def bands(by_bin: dict[str, dict[str, float]]) -> str:
    """Coverage by age bin in one line."""
    return ", ".join(f"{name} {percent(share)}, n = {share['n']:,}" for name, share in by_bin.items())


def show_duplicates(settings: Settings) -> None:
    """What grouping found and saved from."""
    for probe, _ in trained_here(settings):
        found = probe.report["duplicates"]
        print(
            f"\nDuplicates among the photos with {probe.attribute}: {found['photos']} photos in {found['sets']} sets (largest "
            f"{found['largest_set']}), {found['pairs']} pairs; across folds {found['pairs_across_folds']}, by the labels' groups alone "
            f"{found['pairs_across_folds_without_grouping']} (hash within {found['max_hamming']} bits, cosine from {found['min_cosine']})."
        )


def measured_row(title: str, figures: dict[str, Any]) -> list[object]:
    """A row of tables 2 and 3."""
    return [
        title,
        f"{figures['n']:,}",
        percent(figures["accuracy"]),
        f"{number(figures['ece'])}, by chance {figures['ece_by_chance']:.3f}",
        f"{figures['target_error']:.0%}",
        percent(figures["coverage"]),
        percent(figures["answered_error"]),
        "yes" if figures["target_met"] else "**no**",
    ]


MEASURED = ["attribute", "n", "accuracy", "ECE", "target error", "answered", "error of these", "target met"]


def measure(
    models: Sequence[tuple[AttributeModels, np.ndarray]], rows: TrainingRows, groups: DuplicateGroups
) -> tuple[Any, Any]:
    """Table rows and the figures of years, of models that are each measured on the photos (positions) beside them."""
    lines, said_years = [], None
    for attribute in CLASSES:
        tables, rolled, years, target, target_years = [], [], [], 0.0, 0.0
        for each, at in models:
            age, probe = each.years("age_bin"), each.classifier(attribute)
            labels = rows.table[attribute].gather(at).to_list()
            if probe is None or not any(v is not None for v in labels):
                continue
            back = pl.col("row").replace_strict(dict(enumerate(at.tolist())), return_dtype=pl.Int64)
            tables.append(held_out.answers(probe, rows.x[at], labels).with_columns(back))
            target = probe.target_error
            if probe.rollup is not None:
                rolled.append(held_out.rolled_answers(probe, rows.x[at], labels).with_columns(back))
            if attribute == "age_bin" and age is not None:
                known = rows.table["age"].gather(at).to_list()
                years.append(held_out.years(age, rows.x[at], known, labels).with_columns(back))
                target_years = age.coverage
        if tables:
            lines.append(measured_row(attribute, held_out.classifier_figures(pl.concat(tables), target, groups.ids)))
        if rolled:
            lines.append(
                measured_row("ethnicity in 4", held_out.classifier_figures(pl.concat(rolled), target, groups.ids))
            )
        if years:
            said_years = held_out.years_figures(pl.concat(years), target_years, groups.ids)
    return lines, said_years


def show_measured(title: str, lines: Sequence[Sequence[object]], years: dict[str, Any] | None) -> None:
    """Tables 2 and 3."""
    table(title, MEASURED, lines)
    if years is not None:
        print(
            f"\nAge in years (n = {years['n']:,}): mean absolute error {number(years['mae'], 2)}, RMSE {number(years['rmse'], 2)}, "
            f"r {number(years['pearson'], 2)}; interval of {years['nominal']:.0%}: holds {percent(years['interval_coverage'])}, "
            f"median width {years['median_width']:.1f} years. By true age: {bands(years['by_bin'])}."
        )


def halves(
    rows: TrainingRows, groups: DuplicateGroups, labels: Labels, shipped: AttributeModels, seed: int
) -> list[tuple[AttributeModels, np.ndarray]]:
    """Models trained on each half, with the positions of the other half."""
    strata = [f"{g}{e}" for g, e in rows.table.select("gender", "ethnicity").iter_rows()]
    half = make_folds(np.unique(strata, return_inverse=True)[1], 2, groups=groups.ids.tolist(), seed=seed)
    found = []
    for held in (0, 1):
        at = np.flatnonzero(half != held)
        options: dict[str, Any] = {
            "image_ids": [rows.image_ids[i] for i in at],
            "encoder_id": rows.encoder_id,
            "provenance": labels.provenance,
            "groups": groups.ids[at].tolist(),
            "seed": seed,
        }
        made: dict[str, Any] = {}
        for attribute in ("gender", "ethnicity"):
            try:
                values = rows.table[attribute].gather(at).to_list()
                made[attribute] = train_classifier(
                    rows.x[at],
                    values,
                    BUILT_IN[attribute],
                    start=shipped.classifier(attribute),
                    **options,
                )
            except TrainingRefused as refusal:
                print(f"\n{refusal}")
        known, bins = (rows.table[c].gather(at).to_list() for c in ("age", "age_bin"))
        made["age_bin"] = train_age(rows.x[at], known, bins, start=shipped.classifier("age_bin"), **options)
        found.append((AttributeModels(made), np.flatnonzero(half == held)))
    return found


def show_gaps(settings: Settings) -> None:
    """Table 4."""
    path = settings.data_dir / "processed" / "reports" / "bias_audit.parquet"
    audit = pl.read_parquet(path)
    gaps = large_gaps(audit, settings.audit.max_gap, settings.audit.max_gap_sd)
    print(f"\n**Gaps between groups**: {gaps.height} of {audit['gap'].drop_nulls().len()} figures warned of.\n")
    for row in gaps.head(GAPS_SHOWN).iter_rows(named=True):
        print(f"- {describe_gap(row)}")


def report(name: str, source: Path, folder: Path) -> None:
    """Everything about one set, of its data folder."""
    settings = load_settings(environ={}, data_dir=folder)
    processed = settings.data_dir / "processed"
    embedded = pl.read_parquet(processed / "embeddings" / "embeddings_clip.parquet")
    quality = pl.read_parquet(processed / "metadata" / "image_quality.parquet")
    labels = read_labels(source / "labels.csv")
    rows = training_rows(labels.frame, embedded["filename"].to_list(), [embedded])
    near = settings.metadata
    groups = groups_of_rows(rows, [quality], max_hamming=near.duplicate_hamming, min_cosine=near.duplicate_cosine)
    print(f"\n## {name}\n\n{len(rows.x):,} labelled photos with an embedding of {rows.encoder_id}.")
    show_cross_validated(settings)
    show_duplicates(settings)
    shipped = load_shipped(shipped_probes(settings), rows.encoder_id)
    show_measured(
        "Held out: halves, each measured by the probes of the other",
        *measure(halves(rows, groups, labels, shipped, settings.seed), rows, groups),
    )
    if shipped == AttributeModels():
        print("\nNo probes are shipped for this encoder.")
    else:
        show_measured("Shipped probes", *measure([(shipped, np.arange(len(rows.x)))], rows, groups))
    show_gaps(settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "facestats-report")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--as-is", action="store_true", help="report what --work holds, without running anything")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    for name in args.only:
        if not args.as_is:
            update(name, args.data / name, args.work / name)
        report(name, args.data / name, args.work / name)


if __name__ == "__main__":
    main()
