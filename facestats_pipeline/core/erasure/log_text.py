"""Ids and file names taken out of log texts. Nothing writes them there on purpose; the message of an error may quote one."""

import json
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass

from facestats_pipeline.core.ingest.identity import decode_filename

PLACEHOLDER = "[erased]"
PREVIEW_START = "data:image/jpeg;base64,"
"""How a small picture begins that an asset shows on Dagster's page (setting `reports.previews`)."""


@dataclass(frozen=True)
class Scrubber:
    """Finds and replaces what identifies erased images, as plain text and as JSON writes it (twice over: JSON within JSON)."""

    pattern: re.Pattern[str]
    needles: tuple[bytes, ...]

    def scrub(self, text: str) -> tuple[str, int]:
        """The text with a placeholder for each find, and how many there were."""
        return self.pattern.subn(lambda _: PLACEHOLDER, text)

    def may_hold(self, data: bytes | mmap.mmap) -> bool:
        """Whether any of it may be among the bytes; quick, and yes more often than `scrub` finds something."""
        return any(data.find(needle) >= 0 for needle in self.needles)


def scrubber(ids: Iterable[str], filenames: Iterable[str]) -> Scrubber:
    """A scrubber for image ids and for file names (relative to the raw folder, as the tables have them).

    An id is taken out wherever it stands. A file name only as a whole (`1.jpg` is no part of `11.jpg`); one without a dot or a slash,
    which could be any word, only where a slash stands before it, as in a path. Previews go all together: nobody can tell from one whose
    face is in it.
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
    parts.sort(key=len, reverse=True)  # a path before the name that it ends with
    return Scrubber(re.compile("|".join(parts)), tuple(needles))


def _written(text: str) -> Iterable[str]:
    once = json.dumps(text)[1:-1]
    return dict.fromkeys((text, once, json.dumps(once)[1:-1]))
