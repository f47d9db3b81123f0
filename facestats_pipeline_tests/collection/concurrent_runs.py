"""Runs over one collection of eight shards at the same time, each in a process of its own."""

from pathlib import Path

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline_tests.demo_collection import opened

IMAGES = ("manifest", "preproc", "image_quality")
RUNS = 8
ONE_PROCESS = """
import sys, time
from pathlib import Path
from facestats_pipeline.collection.pipeline import Step
from facestats_pipeline_tests.collection.concurrent_runs import IMAGES, in_home
data, home, own, signs = sys.argv[1:]
pipeline = in_home(Path(data), Path(home))
for name, shards in {"apart": (own,), "together": tuple(pipeline.shards)}.items():
    Path(signs, f"{name} {own}").touch()
    while not Path(signs, name).exists():
        time.sleep(0.05)
    pipeline.execute(Step(IMAGES, shards))
"""


def in_home(data: Path, home: Path) -> Pipeline:
    """The pipeline of a data folder on the instance that `home` configures."""
    return Pipeline(opened(data).settings, open_instance(home))
