"""Removes ids and file names from log texts. Logs avoid them, but an error message of a library may quote one."""

import json
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass

from facestats_pipeline.core.ingest.identity import decode_filename

PLACEHOLDER = "[erased]"
PREVIEW_START = "data:image/jpeg;base64,"
"""How a preview in Dagster's event log begins (setting `reports.previews`)."""


@dataclass(frozen=True)
class Scrubber:
    """Finds and replaces what identifies erased images: as plain text, as JSON, and as JSON inside JSON."""

    pattern: re.Pattern[str]
    needles: tuple[bytes, ...]

    def scrub(self, text: str) -> tuple[str, int]:
        """(the text with a placeholder for each match, number of matches)."""
        return self.pattern.subn(lambda _: PLACEHOLDER, text)

    def may_hold(self, data: bytes | mmap.mmap) -> bool:
        """Fast pre-check without false negatives: False means that `scrub` finds nothing."""
        return any(data.find(needle) >= 0 for needle in self.needles)


def scrubber(ids: Iterable[str], filenames: Iterable[str]) -> Scrubber:
    """A scrubber for image ids and for file names (relative to the raw folder, as in the tables).

    Ids match anywhere. File names match as a whole: `1.jpg` does not match in `11.jpg`. A name without dot or slash could be any word,
    so it matches only after a slash, as part of a path. All previews are removed, since the text does not tell whose face they show.
    """
    parts, needles = [f"{re.escape(PREVIEW_START)}[A-Za-z0-9+/=]+"], {PREVIEW_START.encode()}
    for image_id in ids:
        parts.append(re.escape(image_id))
        needles.add(image_id.encode())
    for name in filenames:
        for form in dict.fromkeys((name, decode_filename(name))):
            for written in _written(form.encode("utf-8", "surrogateescape").decode("utf-8", "replace")):
                before = r"(?<![\w.-])" if re.search(r"[./]", name) else r"(?<=/)"
                parts.append(f"{before}{re.escape(written)}(?![\\w-])(?!\\.\\w)")
                needles.add(written.encode())
    parts.sort(key=len, reverse=True)  # longest first: a path must match before the name it ends with
    return Scrubber(re.compile("|".join(parts)), tuple(needles))


def _written(text: str) -> Iterable[str]:
    once = json.dumps(text)[1:-1]
    return dict.fromkeys((text, once, json.dumps(once)[1:-1]))
