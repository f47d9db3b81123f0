"""A collection of demo faces, as small as all stages allow, that the pipeline has been run on once; tests that change it work on a copy."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every test loads this module, and few need Dagster
    from facestats_pipeline.collection.pipeline import Pipeline, Report

FACES = 60
QUICK: dict[str, object] = {
    "encoder.name": "facestats-test-tiny/untrained",
    "shard_size": 24,
    "preproc.size": 224,
    "attributes.classifier": "logistic",
    "attractiveness.epochs": 10,
}
"""Settings under which everything is made, and made quickly."""
_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
WEIGHTS: dict[str, object] = {"weights_dir": str(_MODELS)} if _MODELS.is_dir() else {}
"""Weights from elsewhere, named by a setting: the product never looks beside itself."""
QUICK |= WEIGHTS


def opened(data_dir: Path, **overrides: object) -> "Pipeline":
    """The pipeline of a data folder, as `facestats run` opens it."""
    from facestats_pipeline.collection.pipeline import Pipeline, open_instance
    from facestats_pipeline.config import load_settings

    settings = load_settings(environ={}, data_dir=data_dir, **overrides)
    return Pipeline(settings, open_instance(data_dir / ".dagster"))


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests decides nothing."""
    for name in os.environ:
        if name.startswith(("FACESTATS_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, Report]":
    """Data folder and report of the first run over FACES demo faces with labels and ratings. Not to be changed."""
    from facestats_pipeline.config import save_settings
    from facestats_pipeline.core.demo.faces import generate_demo

    data = tmp_path_factory.mktemp("collection") / "data"
    generate_demo(FACES, data / "raw", data / "labels", seed=0)
    save_settings(data, QUICK)
    return data, opened(data).update()


@pytest.fixture(scope="session")
def collection(first_run: "tuple[Path, Report]") -> Path:
    """The data folder of `first_run`. Not to be changed."""
    return first_run[0]


@pytest.fixture
def copy_of_collection(collection: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that the test may change: the same bytes and times."""
    target = tmp_path / "data"
    shutil.copytree(collection, target)
    yield target
    shutil.rmtree(target)


@pytest.fixture
def more_faces(tmp_path: Path) -> Callable[[int, Path], list[str]]:
    """Writes so many new demo faces into a folder; their names."""

    def write(n: int, raw: Path) -> list[str]:
        from facestats_pipeline.core.demo.faces import generate_demo

        generate_demo(n, tmp_path / "new", tmp_path / "new labels", seed=77)
        names = []
        for i, path in enumerate(sorted(p for p in (tmp_path / "new").rglob("*") if p.is_file())):
            names.append(f"added/{i}{path.suffix}")
            (raw / names[-1]).parent.mkdir(exist_ok=True)
            shutil.move(path, raw / names[-1])
        return names

    return write
