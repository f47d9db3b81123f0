"""The card says what was measured, and the shares and spreads that it prints are right."""

import json
import sys
from pathlib import Path

import pytest

from facestats_pipeline.core.detector import card
from facestats_pipeline.core.detector.evaluate import SETS, share, spread


def figures() -> dict:
    one = {"found": share(99, 100), "landmarks": spread([0.02, 0.03, 0.04])}
    both = {"ours": share(98, 100), "yunet": share(97, 100)}
    return {
        **dict.fromkeys(SETS, one),
        "pupils": {who: spread([0.02, 0.03]) for who in both},
        "drawn": both,
        "face_free": both,
        "groups": {who: {"found": part, "most_false_in_one": 1} for who, part in both.items()},
        "cost": {"ours": {"median_ms": 3.21}, "yunet": {"median_ms": 25.4}},
    }


def test_shares_and_spreads() -> None:
    part = share(95, 100)
    assert part["value"] == 95 and 88 < part["lo"] < 90 and 97 < part["hi"] < 99
    bent = spread([0.01 * i for i in range(101)])
    assert bent["median"] == pytest.approx(50) and bent["p95"] == pytest.approx(95)
    assert bent["median_lo"] < 50 < bent["median_hi"]


def test_the_card_is_written_from_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(figures()))
    settings = {"finder": {"steps_done": 2500}, "landmarker": {"steps_done": 1000}}
    (tmp_path / "training_settings.json").write_text(json.dumps(settings))
    given = ["card", "--folder", tmp_path, "--command", "facestats train-detector …", "--sources", "desktop-base"]
    monkeypatch.setattr(sys, "argv", [str(each) for each in given])
    card.main()
    text = (tmp_path / "README.md").read_text()
    for part in (
        "license: cc-by-4.0",
        "99.0 (94.6–99.8)",
        "3.2 | 25.4",
        "2,500 steps (finder)",
        "desktop-base",
        "No identification",
    ):
        assert part in text, part
