"""The settings: defaults, overridden by `facestats.yaml`, then by `FACESTATS_*` variables, then by the caller's values.

Each setting is a key of the YAML file and an environment variable: `preproc.size` is `FACESTATS_PREPROC_SIZE`. An unknown key or an
invalid value raises `SettingsError`, which names the key, its origin, and what is allowed.
"""

import difflib
import hashlib
import json
import os
import reprlib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from facestats_pipeline.config_attributes import Attributes, ExtraAttribute, ZeroShot
from facestats_pipeline.config_section import Section, listed
from facestats_pipeline.core.attributes.catalogue import Catalogue
from facestats_pipeline.core.embeddings.near_duplicate_table import MAX_HAMMING, MIN_COSINE, MOST_BITS
from facestats_pipeline.core.ingest.usage import DEFAULT_USE, check_conditions
from facestats_pipeline.core.metadata.flag_table import FlagThresholds
from facestats_pipeline.core.preproc.preproc_table import (
    HIGHEST_QUALITY,
    LARGEST,
    LOWEST_QUALITY,
    QUALITY,
    SIZE,
    SMALLEST,
)
from facestats_pipeline.core.uris import check_uri

PACKAGE = Path(__file__).resolve().parent
PROJECT_ROOT = PACKAGE.parent
"""Root of the checkout. In an installed package it is a Python folder that must not be written to (see `in_checkout`)."""
SETTINGS_FILE = "facestats.yaml"
PREFIX = "FACESTATS_"
DEFAULT_ENCODER = "facestats-mini"
FLAGS = FlagThresholds()
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 2
_NOT_SETTINGS = {"FACESTATS_CONFIG"}


class SettingsError(ValueError):
    """An unknown setting or an invalid value. The message names the setting, its origin, and what is allowed."""


Conditions = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(check_conditions)]


Uri = Annotated[str, AfterValidator(check_uri)]


class Ingest(Section):
    max_pixels: int = Field(178_956_970, ge=1, description="photos with more pixels are `too_large` and never decoded")
    max_bytes: int = Field(512 * 2**20, ge=1, description="files with more bytes are `too_large` and never read")
    source: str | None = Field(None, description="source of the photos, written in every manifest row")
    licence: str | None = Field(None, description="licence of the photos, written in every manifest row")
    consent: str | None = Field(None, description="consent of the people in the photos, written in every manifest row")


class Preproc(Section):
    size: int = Field(SIZE, ge=SMALLEST, le=LARGEST, description="side of the square preprocessed JPEG in pixels")
    fit: Literal["crop", "pad"] = Field("crop", description="how to make a photo without a detected face square")
    quality: int = Field(QUALITY, ge=LOWEST_QUALITY, le=HIGHEST_QUALITY, description="JPEG quality")
    align: bool = Field(
        True, description="rotate and scale the largest face to a fixed position (needs the face model)"
    )
    min_face_score: float = Field(0.6, ge=0, le=1, description="detections with a lower score are ignored")
    detector: Literal["facestats", "yunet", "none"] = Field(
        "facestats", description="face detector: the shipped one, YuNet, or none"
    )
    detector_model: Path | None = Field(
        None, description="YuNet ONNX file for `detector: yunet`; default: searched in the model folders"
    )
    workers: int = Field(2, ge=1, le=256, description="number of threads that decode photos")


class Encoder(Section):
    name: str = Field(DEFAULT_ENCODER, description="facestats-mini, ARCH/TAG (hub), ARCH/PATH (file) or ARCH/untrained")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="photos per forward pass; default: on a CPU 16 in fp32 and 32 in bf16, on a GPU 256",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where it is faster")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")


class Labels(Section):
    in_names: Literal["none", "utkface"] = Field(
        "none", description="read labels from file names when there is no labels.csv"
    )


class Dashboard(Section):
    max_upload_mb: int = Field(20, ge=1, le=1000, description="largest photo that can be uploaded, in megabytes")
    match_photos: bool = Field(True, description="allow comparing an uploaded photo with the faces of the collection")
    map_points: int = Field(
        3000, ge=100, le=20_000, description="most points on the embedding map; larger collections are sampled"
    )
    composite_faces: int = Field(
        500, ge=10, description="most faces in a composite made on the page; larger groups are sampled"
    )


class EncoderTraining(Section):
    """Training of your own encoder, on demand only: `facestats train-encoder`, or the asset `mini_encoder`."""

    data: Path | None = Field(None, description="folder of Parquet files with photos and labels (FairFace's columns)")
    epochs: float | None = Field(
        None,
        gt=0,
        description="number of epochs; each photo is seen in two views; default: that of the shipped encoder",
    )
    photos: int | None = Field(
        None, ge=2, description="photos per step, over all processes; default: that of the shipped encoder"
    )
    processes: int | None = Field(
        None, ge=1, le=64, description="number of processes with one thread each; default: that of the shipped encoder"
    )
    held_out: int | None = Field(
        None,
        ge=2,
        description="held-out photos, to choose settings and calibrate probes; default: that of the shipped encoder",
    )
    probes: bool = Field(True, description="also train the probes that belong to the encoder")


class Attractiveness(Section):
    min_ratings: int = Field(30, ge=10, description="fewest rated photos to train on")
    coverage: float = Field(0.9, gt=0.5, lt=1, description="nominal coverage of the conformal interval")
    epochs: int = Field(
        120, ge=1, description="most epochs of the regressor; early stopping usually ends training sooner"
    )


class Metadata(Section):
    min_face_score: float = Field(FLAGS.min_face_score, ge=0, le=1, description="flag `low_face_score` below")
    max_faces: int = Field(FLAGS.max_faces, ge=1, description="flag `several_faces` above")
    min_face_fraction: float = Field(
        FLAGS.min_face_fraction, ge=0, le=1, description="flag `small_face` below this ratio of face area to photo area"
    )
    min_sharpness: float = Field(
        FLAGS.min_sharpness, ge=0, description="flag `blurred` below this variance of the Laplacian"
    )
    min_brightness: float = Field(FLAGS.min_brightness, ge=0, le=1, description="flag `dark` below")
    max_brightness: float = Field(FLAGS.max_brightness, ge=0, le=1, description="flag `bright` above")
    min_contrast: float = Field(FLAGS.min_contrast, ge=0, le=1, description="flag `low_contrast` below")
    max_yaw: float = Field(FLAGS.max_yaw, ge=0, le=90, description="flag `extreme_pose` above, degrees from frontal")
    max_roll: float = Field(FLAGS.max_roll, ge=0, le=180, description="flag `extreme_pose` above, degrees from upright")
    clusters: int = Field(12, ge=2, le=1000, description="most clusters; small collections get fewer")
    duplicate_cosine: float = Field(
        MIN_COSINE, ge=0, le=1, description="near-duplicates: lowest cosine similarity (trained encoders only)"
    )
    duplicate_hamming: int = Field(
        MAX_HAMMING, ge=0, le=MOST_BITS, description="near-duplicates: most differing bits of the perceptual hash"
    )
    label_queue: int = Field(500, ge=1, description="rows of labels_template.csv")


class Audit(Section):
    """The bias audit: smallest group with a figure, and thresholds of the check's warnings."""

    min_n: int = Field(30, ge=5, description="fewest photos in a group; smaller groups are listed without a figure")
    max_gap: float = Field(
        0.1,
        gt=0,
        le=1,
        description="warn of a group whose share differs significantly, and by at least this much, from the rest",
    )
    max_gap_sd: float = Field(
        0.5,
        gt=0,
        description="the same for errors and scores, in standard deviations of the labels (else of the score)",
    )


class Reports(Section):
    previews: bool = Field(
        False,
        description="show small composites and report pictures in Dagster's UI; this stores faces in its event log",
    )


class Composites(Section):
    min_n: int = Field(10, ge=2, description="fewest faces in a composite (k-anonymity)")
    method: Literal["mean", "aligned", "warped"] = Field(
        "aligned", description="alignment of the default composites; warped is sharpest and takes three passes"
    )
    strict: bool = Field(
        False, description="refuse a group with fewer than min_n faces instead of relaxing its filters"
    )
    max_images: int = Field(
        5000, ge=2, description="most faces in one composite; larger groups use the photos with the smallest ids"
    )


class Automation(Section):
    enabled: bool = Field(True, description="run sensors and the nightly schedule while `facestats ui` is running")
    scan_seconds: int = Field(30, ge=5, description="seconds between scans of the raw folder by the sensor")
    nightly: str = Field("0 3 * * *", description="cron time of the nightly update")


class Storage(Section):
    """Access to data under a URI (data_uri, raw_uri, models_uri). Local folders are not affected."""

    pictures: Literal["parquet", "files"] = Field(
        "parquet", description="preprocessed photos under data_uri: one Parquet file per shard, or one object per photo"
    )
    attempts: int = Field(8, ge=1, le=50, description="attempts per request before a run fails")
    timeout: float = Field(60, gt=0, description="timeout of one request in seconds")
    lease_seconds: float = Field(
        180, ge=6, description="lease timeout: seconds without a heartbeat before other machines may take over"
    )


class Settings(Section):
    """All settings. Relative paths are relative to the working directory."""

    data_dir: Path = Field(Path("data"), description="data folder with raw/, labels/ and processed/")
    raw_dir: Path | None = Field(None, description="folder of the photos; default: data_dir/raw")
    models_dir: Path | None = Field(
        None,
        description="folder of models trained here; default: models/ for the data folder of a checkout, else data_dir/models",
    )
    weights_dir: Path | None = Field(
        None,
        description="folder of third-party weights (YuNet, landmarks); default: models/ of a checkout, else facestats/weights in "
        "the user's cache folder",
    )
    data_uri: Uri | None = Field(
        None, description="s3://, gs:// or az:// URI of the data; data_dir then holds local copies"
    )
    raw_uri: Uri | None = Field(None, description="URI of the photos; default: data_uri/raw")
    models_uri: Uri | None = Field(None, description="URI of trained models; default: data_uri/models")
    shard_size: int = Field(2048, ge=1, le=1_000_000, description="photos per shard")
    shards_per_run: int = Field(
        64,
        ge=1,
        description="most shards per run: large runs save startup time, small runs spread better over a cluster",
    )
    seed: int = Field(0, ge=0, description="seed of all random choices")
    refit_growth: float = Field(
        0.1, gt=0, description="refit models when the number of live images has changed by more than this fraction"
    )
    use: Conditions = Field(
        DEFAULT_USE,
        description="conditions on source, licence and consent of photos that may be used in models, composites, search and exports",
    )
    ingest: Ingest = Ingest()
    preproc: Preproc = Preproc()
    encoder: Encoder = Encoder()
    labels: Labels = Labels()
    attributes: Attributes = Attributes()
    zeroshot: ZeroShot = ZeroShot()
    attractiveness: Attractiveness = Attractiveness()
    metadata: Metadata = Metadata()
    audit: Audit = Audit()
    composites: Composites = Composites()
    reports: Reports = Reports()
    automation: Automation = Automation()
    dashboard: Dashboard = Dashboard()
    encoder_training: EncoderTraining = EncoderTraining()
    storage: Storage = Storage()

    @property
    def catalogue(self) -> Catalogue:
        """The attributes of this collection: the built-in ones and those of `attributes.extra`."""
        return self.attributes.catalogue

    @property
    def raw(self) -> Path:
        """Folder of the photos."""
        return self.raw_dir or self.data_dir / "raw"

    @property
    def models(self) -> Path:
        """Folder of the models trained here."""
        if self.models_dir is not None:
            return self.models_dir
        if self.models_uri is not None:
            return copies_of(self.models_uri)
        own = in_checkout() and self.data_dir.resolve() == (PROJECT_ROOT / "data").resolve()
        return PROJECT_ROOT / "models" if own else self.data_dir / "models"

    @property
    def weights(self) -> Path:
        """Folder of weights from elsewhere."""
        if self.weights_dir is not None:
            return self.weights_dir
        return PROJECT_ROOT / "models" if in_checkout() else _user_cache() / "weights"

    @property
    def model_folders(self) -> list[Path]:
        """Folders to search for weights, in order: the data folder's own, third-party weights, the shipped ones."""
        return list(dict.fromkeys([self.models, self.weights, shipped_models()]))


def in_checkout() -> bool:
    """Whether this is a checkout of the project rather than an installed package."""
    return (PROJECT_ROOT / "pyproject.toml").is_file()


def shipped_models() -> Path:
    """Folder of the shipped weights: inside an installed package, else `models/` of the checkout."""
    inside = PACKAGE / "models"
    return inside if inside.is_dir() else PROJECT_ROOT / "models"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facestats"


def copies_of(uri: str) -> Path:
    """Default folder for local copies of data under a URI."""
    return _user_cache() / hashlib.sha256(uri.encode()).hexdigest()[:16]


def leaves(model: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting, as (path of keys, pydantic field)."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from leaves(field.annotation, (*prefix, name))
        else:
            yield (*prefix, name), field


def variable(path: tuple[str, ...]) -> str:
    """Name of the environment variable of a setting."""
    return PREFIX + "_".join(path).upper()


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from defaults, YAML, variables and `overrides` (dotted keys, `preproc.size`; None means not given).

    The file is `file`, else $FACESTATS_CONFIG, else `data_dir/facestats.yaml`, else `./facestats.yaml`; a named file must exist.
    Raises SettingsError.
    """
    env = os.environ if environ is None else environ
    given = {key: value for key, value in overrides.items() if value is not None}
    uri = given.get("data_uri") or env.get(PREFIX + "DATA_URI")
    otherwise = copies_of(str(uri).rstrip("/")) if uri else Settings.model_fields["data_dir"].default
    data_dir = Path(given.get("data_dir") or env.get(PREFIX + "DATA_DIR") or otherwise)
    named = file or (Path(env["FACESTATS_CONFIG"]) if env.get("FACESTATS_CONFIG") else None)
    found = [p for p in (data_dir / SETTINGS_FILE, Path(SETTINGS_FILE)) if p.is_file()]
    values: dict[str, Any] = {}
    if named is not None or found:
        values = _read_yaml(named or found[0])
    for path, text in _variables(env):
        _put(values, path, text, variable(path))
    for key, value in given.items():
        _put(values, tuple(key.split(".")), value, key)
    if values.get("data_uri") and "data_dir" not in values:
        values["data_dir"] = copies_of(str(values["data_uri"]).rstrip("/"))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, named or (found[0] if found else None))) from None


def save_settings(folder: Path, values: Mapping[str, Any]) -> Path:
    """Merge dotted `values` into `folder/facestats.yaml`, so that every later command on this folder sees them."""
    target = folder / SETTINGS_FILE
    merged = _read_yaml(target) if target.is_file() else {}
    for key, value in values.items():
        _put(merged, tuple(key.split(".")), str(value) if isinstance(value, Path) else value, key)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{SETTINGS_FILE}.{os.getpid()}"
    temporary.write_text(yaml.safe_dump(merged, sort_keys=True, allow_unicode=True), encoding="utf-8")
    temporary.replace(target)
    return target


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (
        OSError,
        ValueError,
        RecursionError,
        yaml.YAMLError,
    ) as error:  # ValueError: no date, too many digits, not UTF-8
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold `key: value` lines, not a {type(values).__name__}")
    return values


def _variables(env: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    known = {variable(path): (path, field) for path, field in leaves()}
    for name, text in sorted(env.items()):
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; `facestats doctor` lists all {len(known)}"
            raise SettingsError(f"the environment variable {name} is not a setting{hint}")
        path, field = known[name]
        optional = type(None) in typing.get_args(field.annotation)
        yield path, None if optional and text == "" else text


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any, origin: str) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise SettingsError(f"cannot set {origin}: `{key}` is not a section")
    values[path[-1]] = value


def _explain(error: ValidationError, file: Path | None) -> str:
    names = {".".join(path): field for path, field in leaves()}
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            group = key.rpartition(".")[0]
            if group.startswith("attributes.extra."):
                names |= {f"{group}.{name}": field for name, field in ExtraAttribute.model_fields.items()}
            near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
            allowed = near or [name for name in names if name.rpartition(".")[0] == group]
            lines.append(
                f"`{key}` is not a setting; {'did you mean' if near else 'allowed here:'} {', '.join(allowed)}"
            )
            continue
        field = names.get(key)
        meaning = f" ({field.description})" if field is not None else ""
        given = problem.get("input")  # aliases make a short YAML text a list of a billion parts, or of itself
        if key.endswith("_uri"):  # may hold a password
            given = "…"
        got = json.dumps(given) if isinstance(given, str | int | float | None) else _BRIEF.repr(given)
        lines.append(f"`{key}`{meaning}: {problem['msg']}; got {got}")
    where = f" (from {file}, {PREFIX}* variables or the command line)" if file else ""
    return f"settings{where}:\n" + "\n".join(f"  - {line}" for line in lines)
