"""User files: reporting changes to Dagster, and skipping assets whose user file is unreadable."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import dagster as dg

from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.io_managers import Skipped
from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.store import Store

Given = ParamSpec("Given")


def skipped_if_unreadable(make: Callable[Given, Any]) -> Callable[Given, Any]:
    """Skip an asset whose user file is unreadable, with the file, the problem and what to do, so that the other assets are made."""

    @wraps(make)
    def attempt(*args: Given.args, **kwargs: Given.kwargs) -> Any:
        try:
            return make(*args, **kwargs)
        except LabelsError as problem:
            return Skipped(str(problem))

    return attempt


DATA_VERSION = "dagster/data_version"
"""Dagster's tag for the data version of an observed asset."""


def observed(store: Store, instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
    """An observation of each file that has changed since Dagster's last one. Its data version is a digest of the file's bytes."""
    found = []
    for name in INPUTS:
        key, version = dg.AssetKey(name), store.input_fingerprint(name)
        last = [record.asset_observation for record in instance.fetch_observations(key, limit=1).records]
        if [event.data_version for event in last if event is not None] != [version]:
            found.append(dg.AssetObservation(key, tags={DATA_VERSION: version}))
    return found
