"""The one settings object: defaults, then `facestats.yaml`, then `FACESTATS_*` variables, then what the caller passes.

Each leaf is a key of the YAML file and a variable: `preproc.size` is `FACESTATS_PREPROC_SIZE`. A key that does not exist or a value
that does not fit raises `SettingsError`, which names it, where it came from, and what is allowed.
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
"""The checkout; of an installed package, a folder of Python's that nothing may be written to (`in_checkout`)."""
SETTINGS_FILE = "facestats.yaml"
PREFIX = "FACESTATS_"
DEFAULT_ENCODER = "facestats-mini"
FLAGS = FlagThresholds()
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 2
_NOT_SETTINGS = {"FACESTATS_CONFIG"}


class SettingsError(ValueError):
    """A setting that does not exist or does not fit; the message says which, whence, and what is allowed."""


Conditions = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(check_conditions)]


Uri = Annotated[str, AfterValidator(check_uri)]


class Ingest(Section):
    max_pixels: int = Field(178_956_970, ge=1, description="photos with more pixels are `too_large` and never decoded")
    max_bytes: int = Field(512 * 2**20, ge=1, description="files with more bytes are `too_large` and never read")
    source: str | None = Field(None, description="where the photos come from, written in every manifest row")
    licence: str | None = Field(None, description="licence of the photos, written in every manifest row")
    consent: str | None = Field(None, description="what the people agreed to, written in every manifest row")


class Preproc(Section):
    size: int = Field(SIZE, ge=SMALLEST, le=LARGEST, description="side of the square preprocessed JPEG, pixels")
    fit: Literal["crop", "pad"] = Field("crop", description="how a photo without a detected face becomes square")
    quality: int = Field(QUALITY, ge=LOWEST_QUALITY, le=HIGHEST_QUALITY, description="JPEG quality")
    align: bool = Field(True, description="turn and scale the largest face to a fixed place (needs the face model)")
    min_face_score: float = Field(0.6, ge=0, le=1, description="detections with a lower score are no face")
    detector: Literal["facestats", "yunet", "none"] = Field(
        "facestats", description="what finds faces: the detector that comes with FaceStats, YuNet, or nothing"
    )
    detector_model: Path | None = Field(
        None, description="YuNet ONNX file, for `detector: yunet`; by default looked for in the model folders"
    )
    workers: int = Field(2, ge=1, le=256, description="threads that decode photos")


class Encoder(Section):
    name: str = Field(DEFAULT_ENCODER, description="facestats-mini, ARCH/TAG (hub), ARCH/PATH (file) or ARCH/untrained")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="photos per forward pass; default: on a CPU 16 in fp32 and 32 in bf16, on a GPU 256",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the hardware gains from it"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")


class Labels(Section):
    in_names: Literal["none", "utkface"] = Field("none", description="without labels.csv: read labels from file names")


class Dashboard(Section):
    max_upload_mb: int = Field(20, ge=1, le=1000, description="photos with more megabytes are not taken by the page")
    match_photos: bool = Field(
        True, description="a photo from outside may be compared with the faces of the collection"
    )
    map_points: int = Field(3000, ge=100, le=20_000, description="points of the embedding map; a sample beyond")
    composite_faces: int = Field(500, ge=10, description="most faces in a composite made on the page; a sample beyond")


class EncoderTraining(Section):
    """Training an encoder of one's own; only when asked: `facestats train-encoder`, or the asset `mini_encoder`."""

    data: Path | None = Field(None, description="folder of Parquet files with photos and labels (FairFace's columns)")
    epochs: float | None = Field(
        None, gt=0, description="times each photo is seen, in two views; default: as the shipped"
    )
    photos: int | None = Field(None, ge=2, description="photos a step, over all processes; default: as the shipped")
    processes: int | None = Field(
        None, ge=1, le=64, description="processes of one thread each; default: as the shipped"
    )
    held_out: int | None = Field(
        None, ge=2, description="photos kept back, to choose settings and calibrate probes; default: as the shipped"
    )
    probes: bool = Field(True, description="train the probes that come with the encoder as well")


class Attractiveness(Section):
    min_ratings: int = Field(30, ge=10, description="fewer rated photos than this are refused")
    coverage: float = Field(0.9, gt=0.5, lt=1, description="nominal coverage of the conformal interval")
    epochs: int = Field(120, ge=1, description="most epochs of the regressor; early stopping usually ends before")


class Metadata(Section):
    min_face_score: float = Field(FLAGS.min_face_score, ge=0, le=1, description="flag `low_face_score` below")
    max_faces: int = Field(FLAGS.max_faces, ge=1, description="flag `several_faces` above")
    min_face_fraction: float = Field(
        FLAGS.min_face_fraction, ge=0, le=1, description="flag `small_face` below: face / photo area"
    )
    min_sharpness: float = Field(
        FLAGS.min_sharpness, ge=0, description="flag `blurred` below: variance of the Laplacian"
    )
    min_brightness: float = Field(FLAGS.min_brightness, ge=0, le=1, description="flag `dark` below")
    max_brightness: float = Field(FLAGS.max_brightness, ge=0, le=1, description="flag `bright` above")
    min_contrast: float = Field(FLAGS.min_contrast, ge=0, le=1, description="flag `low_contrast` below")
    max_yaw: float = Field(FLAGS.max_yaw, ge=0, le=90, description="flag `extreme_pose` above, degrees from frontal")
    max_roll: float = Field(FLAGS.max_roll, ge=0, le=180, description="flag `extreme_pose` above, degrees from upright")
    clusters: int = Field(12, ge=2, le=1000, description="most clusters; small collections get fewer")
    duplicate_cosine: float = Field(
        MIN_COSINE, ge=0, le=1, description="near-duplicates: least cosine (trained encoders only)"
    )
    duplicate_hamming: int = Field(
        MAX_HAMMING, ge=0, le=MOST_BITS, description="near-duplicates: most differing bits of the perceptual hash"
    )
    label_queue: int = Field(500, ge=1, description="rows of labels_template.csv")


class Audit(Section):
    """The bias audit: how figures of groups are shown, and from which difference on its check warns."""

    min_n: int = Field(30, ge=5, description="groups of fewer photos are listed without a figure")
    max_gap: float = Field(
        0.1,
        gt=0,
        le=1,
        description="warn of a group whose share differs from the rest's by this much, and significantly",
    )
    max_gap_sd: float = Field(
        0.5, gt=0, description="the same for errors and scores, in standard deviations of the truth (else of the score)"
    )


class Reports(Section):
    previews: bool = Field(
        False,
        description="small copies of composites and report pictures on Dagster's page; they are faces in its event log",
    )


class Composites(Section):
    min_n: int = Field(10, ge=2, description="fewest faces in a composite (k-anonymity)")
    method: Literal["mean", "aligned", "warped"] = Field(
        "aligned", description="how the default composites are averaged; warped is sharpest and takes three passes"
    )
    strict: bool = Field(False, description="refuse rather than relax filters that leave fewer than min_n faces")
    max_images: int = Field(5000, ge=2, description="most faces in one composite: of more, those with the smallest ids")


class Automation(Section):
    enabled: bool = Field(True, description="sensors and the nightly schedule run while `facestats ui` does")
    scan_seconds: int = Field(30, ge=5, description="how often the sensor looks at the raw folder")
    nightly: str = Field("0 3 * * *", description="cron time of the nightly update")


class Storage(Section):
    """How data under a URI (data_uri, raw_uri, models_uri) are read and written; nothing here concerns folders of this machine."""

    pictures: Literal["parquet", "files"] = Field(
        "parquet", description="preprocessed photos under data_uri: one file a shard, or one object a photo"
    )
    attempts: int = Field(8, ge=1, le=50, description="times that a request is made before a run gives up")
    timeout: float = Field(60, gt=0, description="seconds that one request may take")
    lease_seconds: float = Field(180, ge=6, description="without a heartbeat for so long, a machine's leases expire")


class Settings(Section):
    """Everything that can be set. Paths that are relative are relative to the working directory."""

    data_dir: Path = Field(Path("data"), description="holds raw/, labels/, processed/")
    raw_dir: Path | None = Field(None, description="the photos, when they are not in data_dir/raw")
    models_dir: Path | None = Field(
        None, description="models trained here; models/ for the data folder of a checkout, else data_dir/models"
    )
    weights_dir: Path | None = Field(
        None,
        description="weights from elsewhere (YuNet, landmarks); models/ of a checkout, else facestats/weights in the user's cache folder",
    )
    data_uri: Uri | None = Field(
        None, description="s3://, gs:// or az:// address of the data; data_dir then holds this machine's copies"
    )
    raw_uri: Uri | None = Field(None, description="address of the photos, when they are not in data_uri/raw")
    models_uri: Uri | None = Field(None, description="address of trained models, when they are not in data_uri/models")
    shard_size: int = Field(2048, ge=1, le=1_000_000, description="photos per shard")
    shards_per_run: int = Field(
        64,
        ge=1,
        description="most shards in one run: a run costs seconds by itself and loads the models once; fewer spread better over a cluster",
    )
    seed: int = Field(0, ge=0, description="seed of every random choice")
    refit_growth: float = Field(
        0.1, gt=0, description="models are fitted anew when the collection changed by this share"
    )
    use: Conditions = Field(
        DEFAULT_USE,
        description="photos that models learn from, and that composites, search and exports show: conditions on source, licence, consent",
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
        """Where weights are looked for, in order: the data folder's own, those from elsewhere, the shipped ones."""
        return list(dict.fromkeys([self.models, self.weights, shipped_models()]))


def in_checkout() -> bool:
    """Whether this is a checkout of the project, and not an installed package."""
    return (PROJECT_ROOT / "pyproject.toml").is_file()


def shipped_models() -> Path:
    """Folder of the weights that come with FaceStats: inside an installed package, else `models/` of the checkout."""
    inside = PACKAGE / "models"
    return inside if inside.is_dir() else PROJECT_ROOT / "models"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facestats"


def copies_of(uri: str) -> Path:
    """Where this machine keeps its copies of what lies under a URI, unless a folder is named."""
    return _user_cache() / hashlib.sha256(uri.encode()).hexdigest()[:16]


def leaves(model: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting as (path of keys, pydantic field)."""
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
