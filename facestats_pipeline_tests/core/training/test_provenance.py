import hashlib

import numpy as np
import pytest

from facestats_pipeline.core.training.provenance import (
    Provenance,
    TrainingRefused,
    check_provenance,
    refuse_name_derived,
)


@pytest.mark.parametrize("kind", ["model", "file_name", "zeroshot", ""])
def test_only_people_and_known_truth_are_learned_from(kind: str) -> None:
    with pytest.raises(TrainingRefused, match="kind"):
        check_provenance(Provenance(kind, "labels.csv"), "gender")


def test_missing_provenance_is_refused() -> None:
    for provenance in (None, Provenance("human", "")):
        with pytest.raises(TrainingRefused, match="no provenance"):
            check_provenance(provenance, "gender")


def test_text_and_dict() -> None:
    provenance = Provenance("human", "labels.csv", "ab" * 32, "two annotators")
    assert str(provenance) == "human labels: labels.csv sha256 abababababab (two annotators)"
    assert Provenance(**provenance.as_dict()) == provenance
    assert check_provenance(provenance, "gender") is provenance


NAMES = [f"photos/img_{i:04d}.jpg" for i in np.random.default_rng(0).permutation(200)]


def test_targets_made_from_names_are_refused() -> None:
    numbers = np.array([int(n[11:15]) for n in NAMES], dtype=float)
    md5 = np.array([int(hashlib.md5(n.encode()).hexdigest(), 16) % 100 for n in NAMES]) / 10 + 1
    stems = np.array([int(hashlib.sha256(n[7:-4].encode()).hexdigest()[:8], 16) for n in NAMES]) / 2**32
    for target in (1 + numbers / 40, md5, stems):
        with pytest.raises(TrainingRefused, match="file names"):
            refuse_name_derived(NAMES, target, "ratings")


def test_honest_ratings_pass() -> None:
    refuse_name_derived(NAMES, np.random.default_rng(1).normal(3, 1, len(NAMES)), "ratings")
    refuse_name_derived(NAMES[:5], [1, 2, 3, 4, 5], "ratings")
    refuse_name_derived(NAMES, np.full(len(NAMES), 3.0), "ratings")
