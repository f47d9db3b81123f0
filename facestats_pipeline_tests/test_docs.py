"""What the documentation tells a reader to type works."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline import core
from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline.core.demo.faces import draw_face, sample_latents
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline_tests.benchmarks.as_printed import with_output
from facestats_pipeline_tests.classes import age_bin_of

PEOPLE = 48
NOTEBOOK = PROJECT_ROOT / "docs" / "from-notebooks.md"


@pytest.fixture
def notebook_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: photos, ratings, and the master table of a run in two shards. The working folder is there."""
    rng = np.random.default_rng(0)
    names = [f"{i:02d}" for i in range(PEOPLE)]
    (tmp_path / "photos").mkdir()
    for name in names:
        draw_face(sample_latents(rng)).resize((128, 128)).save(tmp_path / "photos" / f"{name}.jpg")
    rated = [(f"{name}.jpg", rater, int(rng.integers(1, 6))) for name in names for rater in "abc"]
    pl.DataFrame(rated, schema=["file", "rater", "rating"], orient="row").write_csv(tmp_path / "ratings.csv")
    master = pl.DataFrame({"image_id": names}).select(
        *(
            pl.lit(None, dtype).alias(name) if name != "image_id" else pl.col(name)
            for name, dtype in master_table().schema.items()
        )
    )
    master = master.with_columns(
        filename=pl.col("image_id") + ".jpg",
        preproc_status=pl.lit("ok"),
        gender_final=pl.Series(["Female", "Female", "Male"] * (PEOPLE // 3)),
        age=pl.Series([18.0 + i % 30 for i in range(PEOPLE)], dtype=master_table().schema["age"]),
        age_bin_final=pl.Series([age_bin_of(18 + i % 30) for i in range(PEOPLE)]),
    )
    folder = tmp_path / "data" / "processed" / "metadata" / "master.parquet"
    folder.mkdir(parents=True)
    for shard, rows in enumerate((master[:30], master[30:])):
        rows.write_parquet(folder / f"shard-{shard:05d}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_notebook_lines_run_as_they_stand(notebook_folder: Path) -> None:
    pytest.importorskip("pandas", reason="pandas comes with the extra app")
    blocks = re.findall(r"```python\n(.*?)```", NOTEBOOK.read_text(encoding="utf-8"), flags=re.S)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(NOTEBOOK), "exec"), names)  # our own page, and what a reader would paste
    assert names["picture"].size == (512, 512)
    assert len(names["jpegs"]) == names["preproc"].height == PEOPLE
    assert names["embedding"].shape == (512,)
    assert names["x"].shape == (PEOPLE, 512)
    assert list(names["embeddings"].columns) == ["filename", "embedding"] and len(names["embeddings"]) == PEOPLE
    counted = dict(names["by_gender"].iter_rows())
    assert sum(counted.values()) == PEOPLE and counted == names["by_gender_in_pandas"].to_dict()
    assert -1 <= names["pearson"]["ci_lo"] <= names["pearson"]["value"] <= names["pearson"]["ci_hi"] <= 1
    assert names["scores"].min() >= 1 and names["scores"].max() <= 5
    assert 1 <= names["judged"]["attractiveness_raw"] <= 5 and 1 <= names["judged"]["attractiveness"] <= 10
    assert names["women"]["image_id"].to_list() == names["women_in_pandas"]["image_id"].to_list()
    assert 0 < names["women"].height < PEOPLE == len(names["frame"])
    assert 10 <= names["made"].row["n_used"] == names["chosen"].n <= names["women"].height
    assert names["own"].height == PEOPLE and names["own"]["gender"].to_list() == names["attributes"]["gender"].to_list()
    for picture in ("everyone.jpg", "women.jpg"):
        with Image.open(notebook_folder / picture) as image:
            assert image.size == (256, 256)


@pytest.mark.parametrize("name", core.__all__)
def test_every_function_of_facestats_4_can_be_imported_from_core(name: str) -> None:
    assert callable(getattr(core, name))
    assert f"`{name}`" in NOTEBOOK.read_text(encoding="utf-8")


def test_a_name_that_core_does_not_offer_says_what_it_does() -> None:
    with pytest.raises(AttributeError, match="run_merge"):
        _ = core.nothing_like_this


def test_a_benchmarks_output_takes_the_place_of_an_earlier_one() -> None:
    first = with_output("# Performance\n\ntext\n", "bench_b", ["--rounds", "2"], "old 1\n", date(2026, 1, 2))
    both = with_output(first, "bench_a", [], "### not a heading of ours\nfast\n", date(2026, 1, 3))
    again = with_output(both, "bench_b", [], "new 2\n", date(2026, 1, 4))
    assert again.startswith("# Performance\n\ntext\n\n## As printed\n")
    assert again.index("### bench_a\n") < again.index("### bench_b\n")
    assert "old 1" not in again and "new 2" in again and "fast" in again
    assert "`python -m facestats_pipeline_tests.benchmarks.bench_b --rounds 2`, 2026-01-02" in both
    assert with_output(again, "bench_b", [], "new 2\n", date(2026, 1, 4)) == again
