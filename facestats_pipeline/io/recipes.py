"""What an artifact was made from, written into it, so that anyone can tell whether it is still current.

A recipe is a derivation in Nix's sense: a digest over the code version (which carries the digest of the settings that matter) and
over the fingerprints of the inputs. Nothing is compared by time. Two digests are kept: `family` covers code and settings alone, all the
way up, and says which rows may be reused; `fingerprint` covers the data too, and says whether anything changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property


def digest(value: object) -> str:
    """16 hexadecimal characters over a JSON-able value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """How one artifact (of one shard, where it has shards) was made."""

    asset: str
    code_version: str
    family: str
    inputs: Mapping[str, str] = field(default_factory=dict)  # asset → fingerprint it had
    basis: Mapping[str, str | int] = field(default_factory=dict)  # of a fitted model: the collection it was fitted on
    skipped: str = ""  # why nothing was made

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the artifact's content may have changed. What was skipped has no content, whatever it was skipped for."""
        if self.skipped:
            return digest([self.asset, "skipped"])
        return digest([self.asset, self.family, dict(self.inputs), dict(self.basis), ""])

    def to_json(self) -> str:
        """For a Parquet footer or a receipt."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe that `to_json` wrote; raises ValueError or TypeError on anything else."""
        return cls(**json.loads(text))


def family_of(asset: str, code_version: str, parents: Mapping[str, str]) -> str:
    """Digest over an asset's code and settings and over the families of what it reads."""
    return digest([asset, code_version, dict(parents)])
