"""From a data folder's name to its settings."""

from pathlib import Path

import pytest

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import use_with
from facestats_pipeline.config import SettingsError, load_settings


def test_where_adds_to_the_setting(tmp_path: Path) -> None:
    settings = load_settings(environ={"FACESTATS_USE": "consent!=no; source=x"}, data_dir=tmp_path)
    assert settings.use == ("consent!=no", "source=x")
    assert use_with(settings, ["licence=MIT"]) == ("consent!=no", "source=x", "licence=MIT")
    assert use_with(settings, ()) == settings.use
    with pytest.raises(FaceStatsError, match="--where: 'colour=red' is not a condition"):
        use_with(settings, ["colour=red"])
    with pytest.raises(SettingsError, match=r"`use`.*is not a condition on photos"):
        load_settings(environ={"FACESTATS_USE": "who cares"}, data_dir=tmp_path)
