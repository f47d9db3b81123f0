"""Provenance of training targets, and the refusal to train on the wrong kind.

A model trained on another model's output learns its mistakes and reports them as skill. A score trained on file names learns nothing.
Therefore every target carries its provenance, and training checks it first.
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
"""The file that marks a labels folder as the demo's: its labels are the truth behind drawn faces."""

TRAINABLE_KINDS = ("human", "synthetic")
"""Kinds of targets that models may be trained on. `human`: given by people. `synthetic`: the known truth behind drawn faces (the demo)."""


class TrainingRefused(Exception):
    """Training would not give a trustworthy model. The message gives the reason and the remedy."""


@dataclass(frozen=True)
class Provenance:
    """Where a target comes from.

    Attributes:
        kind: "human", "synthetic", or another kind ("model", "file_name", …) that training refuses.
        source: name of the file or data set, without its folder.
        sha256: SHA-256 of the file's bytes; "" without a file.
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
        """The four fields as a JSON-able dict; `Provenance(**d)` is the inverse."""
        return asdict(self)


def provenance_of_file(path: Path, data: bytes, *, kind: str = "human", note: str = "") -> Provenance:
    """Provenance of labels read from the file `path` with the bytes `data`."""
    return Provenance(kind=kind, source=path.name, sha256=hashlib.sha256(data).hexdigest(), note=note)


def check_provenance(provenance: Provenance | None, what: str) -> Provenance:
    """Return `provenance` if its kind is trainable, else raise TrainingRefused. `what` names the target."""
    if provenance is None or not provenance.source:
        raise TrainingRefused(f"{what}: no provenance. Say where the labels come from (Provenance(kind, source)).")
    if provenance.kind not in TRAINABLE_KINDS:
        raise TrainingRefused(
            f"{what}: the labels in {provenance.source} are of kind {provenance.kind!r}. "
            f"Models learn only from labels of kind {' or '.join(TRAINABLE_KINDS)}; give labels that people made."
        )
    return provenance


def refuse_name_derived(names: Sequence[str], target: npt.ArrayLike, what: str) -> None:
    """Raise TrainingRefused when a numeric target is a function of the file names.

    It tests for a linear relation to the number in the name, and to common hashes of the name, or remainders of those, with and without
    folder and suffix. names: n file names; target: (n,) numbers.
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
