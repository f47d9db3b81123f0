"""What an artifact was made from, written into it, so that anyone can tell whether it is still current.

A recipe is a derivation in Nix's sense: a digest over the code version (which carries the digest of the settings that matter) and
over the fingerprints of the inputs. Nothing is compared by time. Two digests are kept. The `code_digest` covers the code and settings of
an artifact and of all its ancestors, and says which rows may be reused. The `fingerprint` covers the data too, and says whether
anything changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any


def digest(value: object) -> str:
    """16 hexadecimal characters over a JSON-able value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_KEYS = {"code_digest": "family", "fitted_on": "basis"}
"""Field → its key in files, where that is an older name: renamed keys would make every collection stale."""
_FIELDS = {key: name for name, key in _KEYS.items()}


@dataclass(frozen=True)
class Recipe:
    """How one artifact (of one shard, where it has shards) was made."""

    asset: str
    code_version: str
    code_digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)  # asset → fingerprint it had
    fitted_on: Mapping[str, str | int] = field(
        default_factory=dict
    )  # of a fitted model: the collection it learned from
    skipped: str = ""  # why nothing was made

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the artifact's content may have changed. What was skipped has no content, whatever it was skipped for."""
        if self.skipped:
            return digest([self.asset, "skipped"])
        return digest([self.asset, self.code_digest, dict(self.inputs), dict(self.fitted_on), ""])

    def to_json(self) -> str:
        """For a Parquet footer or a record."""
        return json.dumps({_KEYS.get(name, name): value for name, value in asdict(self).items()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe that `to_json` wrote; raises ValueError or TypeError on anything else."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Recipe":
        """As `from_json`, from JSON that is read already."""
        return cls(**{_FIELDS.get(key, key): value for key, value in dict(values).items()})


def code_digest_of(asset: str, code_version: str, parents: Mapping[str, str]) -> str:
    """Digest over an asset's code and settings and over the code digests of what it reads."""
    return digest([asset, code_version, dict(parents)])
