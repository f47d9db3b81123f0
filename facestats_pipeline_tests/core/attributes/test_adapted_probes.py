"""A probe that starts from another one: few labels do not lose what that knew, and a wrong one is overruled."""

from pathlib import Path

import numpy as np
import pytest

from facestats_pipeline.core.attributes import probe_classifier
from facestats_pipeline.core.attributes.catalogue import ETHNICITY
from facestats_pipeline.core.attributes.probe_models import ProbeModel, fit_adapted, fit_logistic, restricted
from facestats_pipeline.core.attributes.probe_store import load_probe, save_probe
from facestats_pipeline.core.attributes.probes import TrainedProbe, train_classifier
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import ETHNICITIES
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, labels, mixture

SHARES = dict.fromkeys(ETHNICITIES, 1 / 7)
ENCODER = "facestats-mini@1"


def trained(x: np.ndarray, y: list[str], start: TrainedProbe | None = None, **changes: str | int) -> TrainedProbe:
    facts = {"attribute": ETHNICITY, "encoder_id": ENCODER, "provenance": Provenance("human", "labels.csv")}
    return train_classifier(x, y, image_ids=ids_of(len(x)), start=start, **facts | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, list[str]]:
    y = labels(4600, SHARES)
    return mixture(y, separation=2.0), y


@pytest.fixture(scope="module")
def start(world: tuple[np.ndarray, list[str]]) -> TrainedProbe:
    return trained(world[0][:2500], world[1][:2500], kind="logistic")


@pytest.fixture(scope="module")
def best(world: tuple[np.ndarray, list[str]], start: TrainedProbe) -> TrainedProbe:
    """The best for a hundred labels."""
    return trained(world[0][2500:2600], world[1][2500:2600], start)


def right(probe: TrainedProbe, world: tuple[np.ndarray, list[str]]) -> float:
    """Accuracy on the rows that nothing here learns from."""
    x, y = world[0][2600:], np.array(world[1][2600:])
    return float((np.array(probe.classes)[probe.predict_proba(x).argmax(axis=1)] == y).mean())


def test_few_labels_keep_what_the_start_knew(
    world: tuple[np.ndarray, list[str]], start: TrainedProbe, best: TrainedProbe
) -> None:
    own = trained(world[0][2500:2600], world[1][2500:2600])
    assert set(best.report["candidates"]) == {"logistic", "adapted", "shipped", "lightgbm"}
    losses = {name: one["log_loss"]["value"] for name, one in best.report["candidates"].items()}
    assert losses["shipped"] < losses["adapted"] < losses["logistic"]
    assert best.report["chosen"] == "shipped" and best.model.kind == "logistic" and best.source == "probe"
    # .51, .72 and .72: without a start, with it, and the start itself, which learned from 2,500
    assert right(own, world) + 0.15 < right(best, world)
    assert right(start, world) - 0.03 < right(best, world)


@pytest.mark.parametrize("names", [("White", "Black"), ("Black", "White", "East Asian")])
def test_of_some_classes_the_start_says_what_it_says_of_these(
    world: tuple[np.ndarray, list[str]], start: TrainedProbe, names: tuple[str, ...]
) -> None:
    columns = np.array([start.classes.index(name) for name in names])
    some = restricted(start.model, columns).logits(world[0][:50])
    whole = start.model.logits(world[0][:50])[:, columns]
    assert np.allclose(some - some[:, :1], whole - whole[:, :1], atol=1e-5)


def test_two_classes_may_change_places(world: tuple[np.ndarray, list[str]]) -> None:
    x, y = world[0][:300], np.array([ETHNICITIES.index(name) % 2 for name in world[1][:300]], dtype=np.intp)
    first = fit_logistic(x, y, 2, strength=0.3)
    assert np.allclose(restricted(first, np.array([1, 0])).logits(x), first.logits(x)[:, ::-1], atol=1e-9)


def test_a_start_that_knows_nothing_costs_nothing(
    world: tuple[np.ndarray, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_classifier, "LIGHTGBM_LIMIT_S", 0.0)  # it is not what this compares
    x, y = world[0][:600], world[1][:600]
    wrong = trained(x, list(np.random.default_rng(1).permutation(y)), kind="logistic", folds=3)
    own, adapted = trained(x, y, kind="logistic", folds=3), trained(x, y, wrong, folds=3)
    assert right(adapted, world) > right(own, world) - 0.02


@pytest.mark.parametrize("k", [2, 7])
def test_the_model_says_what_was_fitted(world: tuple[np.ndarray, list[str]], k: int) -> None:
    x = world[0][:400]
    y = np.array([ETHNICITIES.index(name) % k for name in world[1][:400]], dtype=np.intp)
    first = fit_logistic(x, y, k, strength=0.3)
    # Shrunk to the start's logits, it nearly says what the start says; given freedom, it fits the labels at least as well.
    weak, strong = (fit_adapted(x, y, k, start=first, strength=s) for s in (1e-3, 30.0))
    assert isinstance(weak, ProbeModel) and weak.logits(x).shape == (400, k)
    assert (weak.logits(x).argmax(axis=1) == first.logits(x).argmax(axis=1)).mean() > 0.9
    assert (strong.logits(x).argmax(axis=1) == y).mean() >= (first.logits(x).argmax(axis=1) == y).mean()


def test_it_is_stored_and_loaded_like_any_other(
    world: tuple[np.ndarray, list[str]], best: TrainedProbe, tmp_path: Path
) -> None:
    save_probe(best, tmp_path, "ethnicity_clf")
    again = load_probe(tmp_path, "ethnicity_clf", encoder_id=ENCODER)
    assert isinstance(again, TrainedProbe)
    assert np.array_equal(again.predict_proba(world[0][2600:2700]), best.predict_proba(world[0][2600:2700]))


def test_a_start_for_other_embeddings_is_refused(world: tuple[np.ndarray, list[str]], start: TrainedProbe) -> None:
    with pytest.raises(ValueError, match="not logistic on another@2"):
        trained(world[0][:100], world[1][:100], start, encoder_id="another@2")
