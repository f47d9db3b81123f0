"""Photos whose people did not agree: in the manifest and the master table, and in no model, composite, search or sheet."""

from pathlib import Path

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from facestats_pipeline.cli.main import app
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline_tests.demo_collection import opened


@pytest.fixture
def refused(copy_of_collection: Path) -> tuple[Path, list[str]]:
    """The collection with a third of its rated photos refused one by one, and a misspelt row; names of the refused."""
    data = copy_of_collection
    master = pl.read_parquet(data / "processed" / "metadata" / "master.parquet")
    checkpoint = torch.load(data / "models" / "attractiveness_regressor.pt", weights_only=True)
    names = master.filter(pl.col("image_id").is_in(checkpoint["image_ids"]))["filename"].sort()[::3].to_list()
    rows = pl.DataFrame({"path": [".", *names, "nobody.jpg"]}).with_columns(
        source=pl.when(path=".").then(pl.lit("the demo")),
        licence=pl.when(path=".").then(pl.lit("CC0-1.0")),
        consent=pl.when(path=".").then(pl.lit("yes")).otherwise(pl.lit("no")),
    )
    rows.write_csv(data / "labels" / "sources.csv")
    return data, names


@pytest.mark.slow
def test_what_is_refused_is_withheld_everywhere(refused: tuple[Path, list[str]], tmp_path: Path) -> None:
    data, names = refused
    pipeline = opened(data)
    report = pipeline.update()
    assert any("sources_name_photos" in check and f"rows {len(names) + 3}" in check for check in report.failed_checks)
    master = pipeline.folder.store.scan("master").collect()
    no = master.filter(consent="no")
    assert sorted(no["filename"]) == sorted(names)
    assert master.select("source", "licence").unique().rows() == [("the demo", "CC0-1.0")]
    assert pipeline.folder.withheld == set(names)
    assert {"gender_classifier", "attractiveness_regressor", "cluster_model", "composites", "labels_template"} <= set(
        report.made
    )

    checkpoint = torch.load(data / "models" / "attractiveness_regressor.pt", weights_only=True)
    assert checkpoint["image_ids"] and not set(checkpoint["image_ids"]) & set(no["image_id"])
    assert (
        no["attractiveness_raw"].null_count() < no.height
    )  # they are still described, by models that did not learn from them
    assert set(no["gender_final_source"]) & {"model", "manual", "none"} and "out_of_fold" not in set(
        no["gender_final_source"]
    )
    queue = pl.read_csv(data / "processed" / "metadata" / "labels_template.csv", infer_schema=False)
    assert queue.height and not set(queue["filename"]) & set(names)
    table = pl.read_parquet(data / "processed" / "composites.parquet")
    everyone = table.filter(name="everyone") if "everyone" in table["name"] else table.filter(pl.col("filter") == "all")
    assert everyone["n_used"].item() <= master.height - len(names)
    card = (data / "processed" / "reports" / "model_card_attractiveness.md").read_text()
    assert "| photos | the demo | CC0-1.0 |" in card and "consent: no" not in card

    found = CliRunner().invoke(app, ["search", str(next((data / "raw").rglob(names[0]))), "-k", "500", "-d", str(data)])
    assert found.exit_code == 0, found.output
    shown = "".join(found.stdout.split())
    assert shown and not [name for name in names if f"{name}" in shown]
    with pytest.raises(FaceStatsError, match="no photo satisfies"):
        CliRunner().invoke(
            app,
            ["composite", "--all", "-o", str(tmp_path / "x.jpg"), "--where", "consent=no", "-d", str(data)],
            catch_exceptions=False,
        )
    with pytest.raises(FaceStatsError, match="--where: 'consent' is not a condition"):
        CliRunner().invoke(
            app,
            ["composite", "--all", "-o", str(tmp_path / "x.jpg"), "--where", "consent", "-d", str(data)],
            catch_exceptions=False,
        )
