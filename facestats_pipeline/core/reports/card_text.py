"""Text and Markdown helpers shared by data cards and model cards."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

NOT_STATED = "not stated"

RESPONSIBLE_USE = """\
- **No identification.** Nothing here may be used to find out who somebody is, to follow people, or to match photos of one person.
- **No decisions about people.** Not for hiring, credit, insurance, housing, education, policing, border control or access to services.
- **Consent.** Use photos only of people who agreed to this use, or that are licensed for it. Photos of children need particular care.
- **Erasure.** Whoever is shown may ask to be removed: `facestats erase PHOTO --raw --retrain` takes a photo out of the raw folder and
  of every table, picture, index, label file and model, and refuses its bytes from then on. docs/erasure.md says what is promised and
  what is not.
- **Perceived, not self-described.** Gender, ethnicity and age here are how a face looked to annotators or to a model. They are not
  identities, and two genders and seven ethnicity classes do not hold everybody.
- **Scores are opinions.** An attractiveness score repeats the taste of the people who rated; it is no property of the person shown."""


def front_matter(fields: dict[str, Any]) -> str:
    """The YAML header of a Hugging Face card, without fields that are None or empty."""
    kept = {key: value for key, value in fields.items() if value not in (None, "", [], {})}
    return f"---\n{yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120)}---\n"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numeric columns are right-aligned."""
    body = list(rows)
    numeric = [all(isinstance(row[i], int | float | None) for row in body) for i in range(len(header))]
    marks = ["--:" if right and body else ":--" for right in numeric]
    lines = [list(header), marks, *([cell(value) for value in row] for row in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """One table cell: readable numbers; characters that would end the cell or start HTML are escaped."""
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if value == value else "–"
    plain = str(value).replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(plain.replace("|", "\\|").splitlines())


def section(title: str, *paragraphs: str) -> str:
    """A second-level heading with its non-empty paragraphs."""
    return "\n\n".join([f"## {title}", *(text for text in paragraphs if text)])


# fmt: off
LICENCES = frozenset([
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0",
    "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl-3.0",
    "lgpl-3.0", "agpl-3.0", "odc-by", "odbl", "pddl",
])
# fmt: on
"""Hugging Face's licence identifiers that are common for photos, labels and weights.
Source: https://huggingface.co/docs/hub/repositories-licenses"""


def licence_id(licences: Sequence[str]) -> str:
    """Hugging Face's identifier of one licence (`CC BY 4.0` → `cc-by-4.0`); `other` for several or an unknown one, `unknown` for none."""
    if not licences:
        return "unknown"
    identifier = licences[0].strip().lower().replace(" ", "-")
    return identifier if len(licences) == 1 and identifier in LICENCES else "other"
