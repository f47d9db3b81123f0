"""What people provide: telling Dagster of a change, and what happens with a file that cannot be read."""

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
    """What needs a provided file that cannot be read is skipped, with the file, what is wrong and what to do; the rest is made."""

    @wraps(make)
    def attempt(*args: Given.args, **kwargs: Given.kwargs) -> Any:
        try:
            return make(*args, **kwargs)
        except LabelsError as problem:
            return Skipped(str(problem))

    return attempt


DATA_VERSION = "dagster/data_version"
"""Tag by which Dagster knows the content of what it does not make."""


def observed(store: Store, instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
    """An observation of each of these files whose content is not what Dagster was last told of; the version is a digest of its bytes."""
    found = []
    for name in INPUTS:
        key, version = dg.AssetKey(name), store.input_fingerprint(name)
        last = [record.asset_observation for record in instance.fetch_observations(key, limit=1).records]
        if [event.data_version for event in last if event is not None] != [version]:
            found.append(dg.AssetObservation(key, tags={DATA_VERSION: version}))
    return found
