"""Labels, ratings and models that model and data cards list as inputs: name, licence, checksum."""

from facestats_pipeline.config import Settings
from facestats_pipeline.core.ingest.sources import Sources
from facestats_pipeline.core.reports.card_inputs import CardInput
from facestats_pipeline.core.training.provenance import DEMO_TRUTH
from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.model_registry import known_models
from facestats_pipeline.io.store import Store
from facestats_pipeline.io.weights import DETECTOR

LABELS = {"labels_csv": "labels", "ratings_csv": "ratings", "manual_labels_csv": "labels by hand"}
_DETECTORS = {"facestats": DETECTOR, "yunet": "YuNet"}


def label_input(store: Store, sources: Sources, asset: str) -> list[CardInput]:
    """The user file of an asset in LABELS; none when it is missing. sources.csv can state its licence under the path `labels/NAME`."""
    path = store.input_path(asset)
    if not path.is_file():
        return []
    kind = "known truth of drawn faces" if store.label_file(DEMO_TRUTH).is_file() else "given by people"
    said = sources.of_label_file(INPUTS[asset])
    from_where = f"{said['source']}; " if said.get("source") else ""
    origin = f"{from_where}{kind}, sha256 {store.input_fingerprint(asset)}"
    return [CardInput(LABELS[asset], INPUTS[asset], said.get("licence"), origin)]


def encoder_input(settings: Settings, model_id: str | None = None) -> CardInput:
    """The encoder named in the settings; `model_id` identifies its weights."""
    name = settings.encoder.name
    known = {model.name: model for model in known_models(settings)}.get(name)
    if known is None:
        return CardInput("encoder", model_id or name, None, "chosen by the user; see its own model card")
    return CardInput("encoder", model_id or name, known.licence, known.source)


def weight_inputs(settings: Settings) -> list[CardInput]:
    """The encoder, the face detector and the face landmarker in use."""
    roles = {"face landmarker": "face landmarks"}
    if settings.preproc.detector != "none":
        roles[_DETECTORS[settings.preproc.detector]] = "face detector"
    used = [m for m in known_models(settings) if m.name in roles and m.state in ("ok", "other version")]
    return [encoder_input(settings), *(CardInput(roles[m.name], m.name, m.licence, m.source) for m in used)]
