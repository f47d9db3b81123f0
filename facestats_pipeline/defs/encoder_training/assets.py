"""An encoder trained on your own photos and labels with the recipe of the shipped one."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from facestats_pipeline.defs.partitions import ON_DEMAND, depends_on
from facestats_pipeline.defs.pools import ENCODER_POOL
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import Files, Skipped
from facestats_pipeline.io.weights import MINI, is_shipped


@dg.asset(
    group_name="encoder_training",
    pool=ENCODER_POOL,
    io_manager_key="files",
    kinds={"pytorch"},
    code_version="1",
    tags=ON_DEMAND,
    metadata=depends_on("encoder_training", "seed"),
)
def mini_encoder(context: dg.AssetExecutionContext, folder: dg.ResourceParam[DataFolder]) -> Any:
    """An encoder like the shipped one, with its probes, from `encoder_training.data`. Takes hours; an interrupted training resumes.

    On-demand: no job, sensor or `facestats run` makes it. Materialize it here, or use `facestats train-encoder`.
    """
    if folder.settings.encoder_training.data is None:
        return Skipped("no training photos: set encoder_training.data to a folder of Parquet files")
    if is_shipped(folder.store.models / MINI):
        raise dg.Failure("this would replace the shipped encoder; set models_dir to a folder of your own")
    from facestats_pipeline.core.progress import listening

    with listening(_tenths(context.log.info)), tempfile.TemporaryDirectory() as temporary:
        made = _train(folder, Path(temporary))
        content: dict[str, bytes | Path] = {
            f"{MINI}/{path.relative_to(made).as_posix()}": path.read_bytes()
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
    return Files(content, {"encoder": MINI})


def _train(folder: DataFolder, out: Path) -> Path:
    from facestats_pipeline.core.encoders.devices import choose_device
    from facestats_pipeline.core.mini import encoder_training as training

    settings = folder.settings
    wanted = settings.encoder_training
    assert wanted.data is not None
    parts = training.training_parts(wanted.data)
    given = wanted.model_dump(include={"epochs", "photos", "processes", "held_out"})
    chosen = training.chosen_settings(seed=settings.seed, **given)
    work = folder.store.processed / "encoder_training"
    if training.recorded_settings(work / "run") not in (None, chosen):
        shutil.rmtree(work / "run")  # do not resume a training with other settings
    training.run_training(
        chosen, parts, work, work / "run", detector=folder.detector, device=str(choose_device(settings.encoder.device))
    )
    made = training.export_encoder(work / "run", out)
    if wanted.probes:
        training.add_probes(made, parts, folder.detector, seed=settings.seed, device=settings.encoder.device)
    return made


LONG_STAGES = (
    "Decoding training photos",
    "Aligning training photos",
    "Training FaceStats-Mini",
    "Embedding training photos",
)


def _tenths(say: Callable[[str], None]) -> Callable[[str, int, int | None], None]:
    """A progress listener that logs every tenth of a long stage."""
    said: dict[str, int] = {}

    def listen(stage: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else 0
        if stage in LONG_STAGES and said.get(stage) != tenth:
            said[stage] = tenth
            say(f"{stage}: {done} of {total}")

    return listen
