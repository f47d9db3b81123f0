"""Where a training target comes from, and the refusal to learn from the wrong kind.

A model trained on what a model said learns that model's mistakes and reports them as skill; a score trained on file names learns
nothing at all. So every target carries its provenance, and training asks for it first.
"""

import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

DEMO_TRUTH = "demo_truth.csv"
"""Lies beside labels that synthetic faces were drawn from."""

TRAINABLE_KINDS = ("human", "synthetic")
"""`human`: people said so. `synthetic`: the known truth behind faces that were drawn (the demo). Nothing else is trained on."""


class TrainingRefused(Exception):
    """Training would not give a model to trust; the message says why and what to do."""


@dataclass(frozen=True)
class Provenance:
    """Where a target comes from.

    Attributes:
        kind: "human", "synthetic", or what it is otherwise ("model", "file_name", …), which training refuses.
        source: the file or data set, by name without its folder.
        sha256: of the file's bytes; "" when there is no file.
        note: one line for the model card.
    """

    kind: str
    source: str
    sha256: str = ""
    note: str = ""

    def __str__(self) -> str:
        digest = f" sha256 {self.sha256[:12]}" if self.sha256 else ""
        return f"{self.kind} labels: {self.source}{digest}" + (f" ({self.note})" if self.note else "")

    def as_dict(self) -> dict[str, str]:
        """The four fields as a JSON-able dict; `Provenance(**d)` is the way back."""
        return asdict(self)


def provenance_of_file(path: Path, data: bytes, *, kind: str = "human", note: str = "") -> Provenance:
    """Provenance of labels that were read from `path`, whose bytes are `data`."""
    return Provenance(kind=kind, source=path.name, sha256=hashlib.sha256(data).hexdigest(), note=note)


def check_provenance(provenance: Provenance | None, what: str) -> Provenance:
    """`provenance` itself when a model may learn from it; otherwise raises TrainingRefused. `what` names the target."""
    if provenance is None or not provenance.source:
        raise TrainingRefused(f"{what}: no provenance. Say where the labels come from (Provenance(kind, source)).")
    if provenance.kind not in TRAINABLE_KINDS:
        raise TrainingRefused(
            f"{what}: the labels in {provenance.source} are of kind {provenance.kind!r}. "
            f"Models learn only from labels of kind {' or '.join(TRAINABLE_KINDS)}; give labels that people made."
        )
    return provenance


def refuse_name_derived(names: Sequence[str], target: npt.ArrayLike, what: str) -> None:
    """Raise TrainingRefused when a numeric target follows from the files' names.

    Looks for an exact line through the number in the name, and for the target being a value, or the remainder, of a common hash of
    the name (with or without its folder or ending). names: n, target: (n,) numbers.
    """
    y = np.asarray(target, dtype=np.float64)
    if len(y) < 10 or np.ptp(y) == 0:
        return
    for how, values in _name_numbers(names):
        if np.ptp(values) > 0 and abs(float(np.corrcoef(values, y)[0, 1])) > 0.999:
            raise TrainingRefused(
                f"{what}: the ratings are a function of the file names ({how}), so there is nothing about faces to learn."
            )


def _name_numbers(names: Sequence[str]) -> list[tuple[str, npt.NDArray[np.float64]]]:
    found: list[tuple[str, npt.NDArray[np.float64]]] = []
    digits = [re.search(r"(\d{1,15})\D*$", Path(n).stem) for n in names]
    if all(digits):
        found.append(("the number in the name", np.array([float(m[1]) for m in digits if m])))
    forms = {"path": list(names), "name": [Path(n).name for n in names], "stem": [Path(n).stem for n in names]}
    for form, texts in forms.items():
        raw = [t.encode("utf-8", "surrogateescape") for t in texts]
        hashes: dict[str, list[int]] = {"crc32": [binascii.crc32(r) for r in raw]}
        for name in ("md5", "sha1", "sha256"):
            hashes[name] = [int(hashlib.new(name, r, usedforsecurity=False).hexdigest(), 16) for r in raw]
            hashes[f"{name}[:8]"] = [int(hashlib.new(name, r, usedforsecurity=False).hexdigest()[:8], 16) for r in raw]
        for name, values in hashes.items():
            top = float(max(values)) or 1.0
            found.append((f"{name} of the {form}", np.array([v / top for v in values])))
            for modulus in (5, 10, 100, 1000, 10_000, 1_000_000):
                found.append((f"{name} of the {form} modulo {modulus}", np.array([float(v % modulus) for v in values])))
    return found
