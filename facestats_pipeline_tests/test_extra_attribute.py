"""An attribute that the catalogue gains, there or in facestats.yaml, is in every table, model and report without another line of code."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from PIL import Image, ImageStat

from facestats_pipeline import config_attributes
from facestats_pipeline.collection.pipeline import Report
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.composite_filters import filter_images
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline_tests.demo_collection import FACES, QUICK, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLASSES = ("no glasses", "glasses")
GLASSES = Attribute("glasses", CLASSES, target_error=0.3)
EVERYTHING: Catalogue = BUILT_IN.with_extra(GLASSES)


WORDS = ("no_glasses", "Glasses")
"""As people write the classes: in any case, with _ for a space."""


def brightness(photo: Path) -> float:
    """What an untrained encoder can learn: in this collection, faces in bright photos wear glasses."""
    with Image.open(photo) as picture:
        return ImageStat.Stat(picture.convert("L")).mean[0]


@pytest.fixture(scope="module", params=["in the catalogue", "in facestats.yaml"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Report]]:
    """A data folder whose labels.csv has a column `glasses`, and the report of the run over it."""
    data = tmp_path_factory.mktemp("glasses") / "data"
    generate_demo(FACES, data / "raw", data / "labels", seed=0)
    (data / "labels" / "ratings.csv").unlink()
    labels = pl.read_csv(data / "labels" / "labels.csv")
    light = pl.Series([brightness(data / "raw" / file) for file in labels["file"]])
    labels.with_columns(glasses=pl.Series([WORDS[bright] for bright in light > light.median()])).write_csv(
        data / "labels" / "labels.csv"
    )
    in_yaml = request.param == "in facestats.yaml"
    extra = {"attributes.extra": [{"name": "glasses", "classes": list(CLASSES), "target_error": 0.3}]}
    save_settings(data, QUICK | (extra if in_yaml else {}))
    with pytest.MonkeyPatch.context() as patch:
        if not in_yaml:
            patch.setattr(config_attributes, "BUILT_IN", EVERYTHING)
        config_attributes.catalogue_of.cache_clear()
        yield data, opened(data).update()
    config_attributes.catalogue_of.cache_clear()


def table(data: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data / "processed" / f"metadata/{name}.parquet")


def test_it_is_trained_from_the_column_of_its_name(run: tuple[Path, Report]) -> None:
    data, report = run
    assert "glasses_classifier" in report.made and report.failed_checks == []
    assert (data / "models" / "glasses_clf.skops").is_file()
    assert (data / "processed" / "reports" / "model_card_glasses.md").is_file()


def test_every_table_has_its_columns_after_those_of_the_built_in(run: tuple[Path, Report]) -> None:
    data, _ = run
    attributes = table(data, "attributes")
    assert dict(attributes.schema) == attribute_table(EVERYTHING).schema
    assert [name for name in attributes.columns if "glasses" not in name] == list(attribute_table().schema)
    assert attributes["glasses_source"].unique().to_list() == ["probe"]
    assert dict(table(data, "master").schema) == master_table(EVERYTHING).schema


def test_its_final_values_are_right_for_photos_whose_label_the_model_had_not_seen(run: tuple[Path, Report]) -> None:
    data, _ = run
    truth = pl.read_csv(data / "labels" / "labels.csv").select("glasses", filename="file")
    final = table(data, "attributes_final").join(truth, on="filename")
    said = final.filter(pl.col("glasses_final") != "unknown")
    assert said.height > final.height / 2
    assert said["glasses_final_source"].unique().to_list() == ["out_of_fold"]
    assert (said["glasses_final"] == said["glasses"].replace(dict(zip(WORDS, CLASSES, strict=True)))).mean() > 0.65


def test_the_label_queue_shows_what_its_model_thinks(run: tuple[Path, Report]) -> None:
    queue = pl.read_csv(run[0] / "processed" / "metadata" / "labels_template.csv")
    assert {"glasses_top", "glasses_p"} <= set(queue.columns)


def test_composites_are_filtered_by_it(run: tuple[Path, Report]) -> None:
    data, _ = run
    made = pl.read_parquet(data / "processed" / "composites.parquet").filter(pl.col("name").str.starts_with("glasses"))
    assert made.select("name", "caption", "filter").rows() == [
        ("glasses_no_glasses", "Glasses: no glasses", "glasses=no glasses"),
        ("glasses_glasses", "Glasses: glasses", "glasses=glasses"),
    ]
    assert made["status"].to_list() == ["made", "made"]
    with_glasses = filter_images(table(data, "master"), EVERYTHING, glasses="glasses")
    assert 0 < with_glasses.height < FACES
    assert with_glasses["glasses_final"].unique().to_list() == ["glasses"]


def test_the_audit_compares_it_and_its_groups(run: tuple[Path, Report]) -> None:
    audit = pl.read_parquet(run[0] / "processed" / "reports" / "bias_audit.parquet")
    assert "glasses" in audit["attribute"].unique().to_list()
    groups = audit.filter(group_kind="glasses")["group"].unique(maintain_order=True).to_list()
    assert groups == list(CLASSES)


def test_dagster_shows_its_trainer_and_its_columns(run: tuple[Path, Report]) -> None:
    specs = {
        spec.key.path[-1]: spec
        for spec in build_definitions(load_settings(environ={}, data_dir=run[0])).resolve_all_asset_specs()
    }
    assert "glasses_classifier" in {dep.asset_key.path[-1] for dep in specs["attributes"].deps}
    described = {
        column.name: column.description for column in specs["master"].metadata["dagster/column_schema"].columns
    }
    assert described["glasses"] == "perceived glasses as decided by the model, or unknown if it abstains"


def test_nothing_is_made_again_by_a_second_run(run: tuple[Path, Report]) -> None:
    assert opened(run[0]).update().made == []
