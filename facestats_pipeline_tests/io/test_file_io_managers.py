"""IO managers of files and models by small assets of the tests: previews, skipping, checkpoints without pickle."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import torch
from PIL import Image

from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.probes import train_classifier
from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline.io import io_managers as io
from facestats_pipeline_tests.classes import GENDERS
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture
from facestats_pipeline_tests.io.bench import Bench, error_of, made_by, reader_of


def test_files_are_read_back_as_paths(bench: Bench) -> None:
    seen: list[Any] = []
    files = made_by("eigenfaces", "files", lambda: io.Files({"composites/e.jpg": b"123"}, {"faces": 40}))
    result = bench.run(files, reader_of("eigenfaces", seen))
    assert result.success
    assert seen == [{"composites/e.jpg": bench.store.processed / "composites/e.jpg"}]
    facts = result.asset_materializations_for_node("eigenfaces")[0].metadata
    assert (facts["faces"].value, facts["files"].value, facts["bytes"].value) == (40, 1, 3)


def test_previews_are_on_the_page_only_when_asked_for_and_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    pictures = {f"composites/{name}.jpg": encode_jpeg(Image.fromarray(noise), 95) for name in ("all", "one")}
    shown = io.previews_of(io.Files({**pictures, "composites.parquet": b"1"}, {}, previews=tuple(pictures)))
    assert list(shown) == ["preview: all", "preview: one"]
    assert sum(len(str(value.value)) for value in shown.values()) <= 50_000
    with dg.DagsterInstance.ephemeral() as instance:
        for previews in (False, True):
            bench = Bench(tmp_path / str(previews), instance, previews=previews)
            made = made_by("eigenfaces", "files", lambda: io.Files(pictures, {}, previews=("composites/all.jpg",)))
            facts = bench.run(made).asset_materializations_for_node("eigenfaces")[0].metadata
            assert ("preview: all" in facts) is previews
    assert str(facts["preview: all"].value).startswith("![all](data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("name", "manager"),
    [("eigenfaces", "files"), ("gender_classifier", "probes"), ("attractiveness_regressor", "torch_checkpoints")],
)
def test_skipped_is_recorded_with_its_reason_and_read_as_none(bench: Bench, name: str, manager: str) -> None:
    seen: list[Any] = []
    result = bench.run(made_by(name, manager, lambda: io.Skipped("no labels")), reader_of(name, seen))
    assert result.success
    assert seen == [None]
    recipe = bench.store.recipe(name)
    assert recipe is not None
    assert recipe.skipped == "no labels"
    assert result.asset_materializations_for_node(name)[0].metadata["skipped"].value == "no labels"


def test_skipping_removes_what_was_made_before(bench: Bench) -> None:
    assert bench.run(made_by("eigenfaces", "files", lambda: io.Files({"composites/e.jpg": b"123"}, {}))).success
    assert bench.run(made_by("eigenfaces", "files", lambda: io.Skipped("too few"))).success
    assert bench.files() == {"processed/.receipts/eigenfaces.json"}


@pytest.mark.parametrize("manager", ["files", "probes", "torch_checkpoints", "tables"])
def test_what_was_never_made_is_named_with_what_to_do(bench: Bench, manager: str) -> None:
    name = {
        "probes": "gender_classifier",
        "torch_checkpoints": "attractiveness_regressor",
        "tables": "near_duplicates",
    }.get(manager, "eigenfaces")
    result = bench.run(made_by(name, manager, lambda: None), reader_of(name, []), only="data_card")
    assert not result.success
    assert f"{name} has not been made yet" in error_of(result)
    assert "facestats run" in error_of(result)


def test_checkpoint_round_trip(bench: Bench) -> None:
    seen: list[Any] = []
    weights = torch.arange(6.0).reshape(2, 3)
    made = made_by(
        "attractiveness_regressor",
        "torch_checkpoints",
        lambda: {"weights": weights, "metrics": {"r": 0.5, "curve": [1, 2]}},
    )
    result = bench.run(made, reader_of("attractiveness_regressor", seen))
    assert result.success
    assert torch.equal(seen[0]["weights"], weights)
    assert seen[0]["metrics"] == {"r": 0.5, "curve": [1, 2]}
    assert "models/attractiveness_regressor.pt" in bench.files()
    facts = result.asset_materializations_for_node("attractiveness_regressor")[0].metadata
    assert facts["r"].value == 0.5
    assert "curve" not in facts


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return (Path.touch, (self.proof,))


def write_pickle(path: Path, proof: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": Malice(proof)}, protocol=2))


def write_torch_pickle(path: Path, proof: Path) -> None:
    torch.save({"weights": Malice(proof)}, path)


def write_text(path: Path, proof: Path) -> None:
    path.write_text("not a checkpoint")


def write_list(path: Path, proof: Path) -> None:
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize("write", [write_pickle, write_torch_pickle, write_text, write_list])
def test_anything_but_tensors_and_plain_values_is_refused_by_name(
    tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    path, proof = tmp_path / "attractiveness_regressor.pt", tmp_path / "code was run"
    write(path, proof)
    with pytest.raises(ValueError, match=r"attractiveness_regressor\.pt"):
        io.load_checkpoint(path)
    assert not proof.exists()


def test_probe_round_trip(bench: Bench) -> None:
    y = [GENDERS[i % 2] for i in range(80)]
    x = mixture(y, dim=16)
    probe = train_classifier(
        x,
        y,
        BUILT_IN["gender"],
        image_ids=ids_of(80),
        encoder_id="e@1",
        provenance=Provenance("human", "labels.csv", "0" * 64),
        kind="logistic",
    )
    seen: list[Any] = []
    result = bench.run(made_by("gender_classifier", "probes", lambda: probe), reader_of("gender_classifier", seen))
    assert result.success
    assert np.array_equal(seen[0].predict_proba(x), probe.predict_proba(x))
    written = {name for name in bench.files() if name.startswith("models/")}
    assert "models/gender_clf.skops" in written
    assert all(name.startswith("models/gender_clf") for name in written), "no temporary file is left"
    record = bench.store.record("gender_classifier")
    assert record is not None
    assert {f"models/{name}" for name in record.files} == written
