"""Reports: audit, cards, plots, contact sheet."""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.attributes.catalogue import Catalogue
from facestats_pipeline.core.preproc.preproc_table import PICTURED
from facestats_pipeline.core.reports.bias_table import bias_table
from facestats_pipeline.defs.attributes.assets import models_of, probes_of
from facestats_pipeline.defs.composites.assets import parquet_bytes
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.partitions import depends_on, folder_asset
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import Files, Skipped

report = partial(folder_asset, group_name="reports", io_manager_key="files", code_version="1")


def drawn(name: str, figure: Any) -> dict[str, bytes]:
    """Files of a figure, as PNG and SVG below `reports/`."""
    from facestats_pipeline.core.drawing.plot_style import render

    return {f"reports/{name}.{kind}": render(figure, kind) for kind in ("png", "svg")}


BIAS_TABLE = bias_table().path


@report(
    kinds={"polars", "matplotlib"},
    code_version="2",
    metadata=depends_on("labels", "seed", "audit.min_n"),
    deps=["labels_csv"],
)
@skipped_if_unreadable
def bias_audit(
    context: dg.AssetExecutionContext,
    master: pl.LazyFrame,
    attractiveness_regressor: Any,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """Agreement of out-of-fold predictions with human labels and ratings by group, with intervals."""
    from facestats_pipeline.core.reports.audit_frame import audit_frame, audited_columns, audits_for, rated_frame
    from facestats_pipeline.core.reports.bias import bias_audit as audit
    from facestats_pipeline.core.reports.bias_plot import plot_bias, plot_bias_overview

    catalogue = folder.settings.catalogue
    rows = master.select(audited_columns(catalogue)).collect()
    labels = folder.labels(rows["filename"].to_list())
    if labels is None:
        return Skipped("no labels to compare predictions with: put labels.csv into labels/")
    frame = audit_frame(rows, labels.frame, rated_frame(attractiveness_regressor), catalogue)
    audits = audits_for(frame, catalogue)
    if not audits:
        return Skipped("no labelled photo has an out-of-fold prediction")
    result = audit(frame, audits, min_n=folder.settings.audit.min_n, seed=folder.settings.seed, catalogue=catalogue)
    files = {BIAS_TABLE: parquet_bytes(result), **drawn("bias_audit", plot_bias_overview(result, catalogue))}
    for name in result.filter(pl.col("metric") == "accuracy")["attribute"].unique(maintain_order=True):
        files |= drawn(f"bias_{name}", plot_bias(result, attribute=name))
    facts = {"labelled": frame.height, "figures": result.height}
    return Files(files, facts, previews=("reports/bias_audit.png",))


CARD_LABELS = ["labels_csv", "ratings_csv", "manual_labels_csv", "sources_csv"]


@report(kinds={"markdown"}, code_version="2", metadata=depends_on("encoder.name"), deps=CARD_LABELS)
def data_card(manifest: pl.LazyFrame, master: pl.LazyFrame, folder: dg.ResourceParam[DataFolder]) -> Files:
    """The data card: content of the collection, its sources, and uses it is not for."""
    from facestats_pipeline.core.reports.cards import data_card as card
    from facestats_pipeline.io.card_inputs import LABELS, label_input, weight_inputs

    sources = folder.sources
    labels = [each for asset in LABELS for each in label_input(folder.store, sources, asset)]
    inputs = [*labels, *weight_inputs(folder.settings)]
    text = card(
        manifest,
        master,
        name=folder.settings.data_dir.resolve().name,
        inputs=inputs,
        catalogue=folder.settings.catalogue,
    )
    return Files({"reports/data_card.md": text.encode()}, {"characters": len(text)})


def _model_cards(
    manifest: pl.LazyFrame,
    attractiveness_regressor: Any,
    bias_audit: Any,
    folder: dg.ResourceParam[DataFolder],
    **trained: Any,
) -> Any:
    """One model card per model trained here: data, figures with intervals, groups, limits, uses it is not for."""
    from facestats_pipeline.core.reports.card_inputs import photo_inputs
    from facestats_pipeline.core.reports.cards import model_card
    from facestats_pipeline.io.card_inputs import encoder_input, label_input

    def inputs(image_ids: Sequence[str], asset: str, encoder: str) -> list[Any]:
        labels = label_input(folder.store, folder.sources, asset)
        return [*photo_inputs(manifest, image_ids), *labels, encoder_input(folder.settings, encoder)]

    audit = pl.read_parquet(bias_audit[BIAS_TABLE]) if bias_audit else None
    cards: dict[str, bytes] = {}
    for attribute, probe in probes_of(folder.settings.catalogue, trained).items():
        if probe is not None:
            about = audit.filter(pl.col("attribute") == attribute) if audit is not None else None
            learned = getattr(probe, "probe", probe)  # the age model contains the probe of its bins
            made_of = inputs(learned.image_ids, "labels_csv", learned.encoder_id)
            text = model_card(probe.report, name=f"{attribute} probe", bias=about, inputs=made_of)
            cards[f"reports/model_card_{attribute}.md"] = text.encode()
    if attractiveness_regressor is not None:
        about = audit.filter(pl.col("attribute") == "attractiveness") if audit is not None else None
        metrics, used = attractiveness_regressor["metrics"], attractiveness_regressor["image_ids"]
        made_of = inputs(used, "ratings_csv", attractiveness_regressor["encoder_id"])
        text = model_card(metrics, name="attractiveness regressor", kind="regression", bias=about, inputs=made_of)
        cards["reports/model_card_attractiveness.md"] = text.encode()
    return Files(cards, {"cards": len(cards)}) if cards else Skipped("no model was trained here")


@report(kinds={"matplotlib"}, metadata=depends_on())
def learning_curves(attractiveness_regressor: Any) -> Any:
    """Loss and correlation of the regressor per epoch, as JSON and as a figure."""
    from facestats_pipeline.core.reports.model_plots import plot_learning_curves

    if attractiveness_regressor is None:
        return Skipped("no regressor was trained")
    curves = attractiveness_regressor["curves"]
    text = json.dumps(curves, indent=1)
    figure = plot_learning_curves(curves, n=len(attractiveness_regressor["image_ids"]))
    files = {"reports/learning_curves.json": text.encode(), **drawn("learning_curves", figure)}
    return Files(files, {"epochs": len(curves)}, previews=("reports/learning_curves.png",))


def _plots(master: pl.LazyFrame, bias_audit: Any, folder: dg.ResourceParam[DataFolder], **trained: Any) -> Files:
    """Figures of the collection and its models, each as PNG and SVG.

    Counts of the attributes, distributions of all measurements, correlations between them and with the score, clusters as points and as
    faces; reliability and risk–coverage of the probes trained here.
    """
    from facestats_pipeline.core.reports.cluster_faces import plot_cluster_faces
    from facestats_pipeline.core.reports.measure_plots import plot_correlations, plot_measures
    from facestats_pipeline.core.reports.model_plots import plot_reliability, plot_risk_coverage
    from facestats_pipeline.core.reports.plots import (
        correlations,
        plot_clusters,
        plot_distributions,
        plot_score_associations,
    )

    rows = master.collect()
    faces = folder.usable_rows(rows.lazy()).filter(pl.col("preproc_status").is_in(PICTURED)).collect()
    files = drawn("distributions", plot_distributions(rows, folder.settings.catalogue)) | drawn(
        "measures", plot_measures(rows)
    )
    files |= drawn("correlations", plot_correlations(rows, catalogue=folder.settings.catalogue))
    files |= drawn("clusters", plot_clusters(rows, seed=folder.settings.seed))
    files |= drawn("cluster_faces", plot_cluster_faces(faces, folder.preprocessed(faces)))
    if rows["attractiveness_raw"].null_count() < rows.height:
        audit = pl.read_parquet(bias_audit[BIAS_TABLE]) if bias_audit else None
        gaps = audit.filter(pl.col("metric") == "mean_score") if audit is not None else None
        files |= drawn("score_associations", plot_score_associations(correlations(rows), gaps))
    for attribute, probe in probes_of(folder.settings.catalogue, trained).items():
        if probe is not None:
            about = getattr(probe, "probe", probe).report  # the age model contains the probe of its bins
            name, file = attribute.replace("_", " ").capitalize(), attribute
            answered, wrong = about["coverage"]["value"], (about["answered_error"] or {}).get("value", math.nan)
            files |= drawn(f"reliability_{file}", plot_reliability(about["reliability"], name=name))
            curve = plot_risk_coverage(
                about["risk_coverage"],
                name=name,
                n=about["n"],
                target_error=about["target_error"],
                chosen=(answered, wrong),
            )
            files |= drawn(f"risk_coverage_{file}", curve)
    previews = ("reports/distributions.png", "reports/correlations.png", "reports/cluster_faces.png")
    return Files(files, {"figures": len(files) // 2}, previews)


def assets_of(catalogue: Catalogue) -> list[dg.AssetsDefinition]:
    """The reports on the model of every attribute."""
    models = models_of(catalogue)
    about = {"kinds": {"markdown"}, "metadata": depends_on("encoder.name"), "deps": CARD_LABELS}
    drawings = {"kinds": {"matplotlib"}, "metadata": depends_on("seed", "use")}
    return [
        report(name="model_cards", code_version="2", ins=models, **about)(_model_cards),
        report(name="plots", code_version="3", ins=models, **drawings)(_plots),
    ]


@report(kinds={"jpeg"}, code_version="2", metadata=depends_on("use"))
def contact_sheet(master: pl.LazyFrame, folder: dg.ResourceParam[DataFolder]) -> Any:
    """Contact sheets: preprocessed photos with their predictions, as a first look at the results.

    One page of 60 photos for the collection and one page per shard. The page of an unchanged shard is kept.
    """
    from facestats_pipeline.core.reports.shard_sheets import SHOWN, has_mark, mark_of, shard_sheet, shown_rows

    rows = shown_rows(folder.usable_rows(master))
    if rows.is_empty():
        return Skipped("there is no preprocessed photo")
    load, made_by = folder.preprocessed(rows), folder.freshness.code_digest("contact_sheet")
    n = rows.select("shard", "of").unique()["of"].sum()
    everyone = rows.sort("image_id").head(SHOWN)
    title = f"{everyone.height} of {n:,} photos"
    files: dict[str, Any] = {SHEET: shard_sheet(everyone, load, title=title, mark=mark_of(everyone, made_by))}
    for (shard, of), shown in rows.group_by("shard", "of", maintain_order=True):
        name, mark = f"reports/contact_sheets/{shard}.jpg", mark_of(shown, made_by)
        kept = folder.store.file("contact_sheet", name)
        title = f"{shard}: {shown.height} of {of:,} photos"
        files[name] = kept if has_mark(kept, mark) else shard_sheet(shown, load, title=title, mark=mark)
    kept_pages = sum(isinstance(content, Path) for content in files.values())
    return Files(files, {"sheets": len(files), "drawn": len(files) - kept_pages}, previews=(SHEET,))


SHEET = "reports/contact_sheet.jpg"
