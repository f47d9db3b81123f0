"""Recipes: each artifact stores what it was made from, so that any process can tell whether it is still current.

A recipe resembles a derivation in Nix. It covers the code version, which includes a digest of the relevant settings, and the
fingerprints of the inputs. Freshness uses these content hashes, never timestamps. There are two digests:

- `code_digest` covers the code and settings of an artifact and of all its ancestors. Rows with the same digest may be reused.
- `fingerprint` also covers the data. It changes when the content may have changed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any


def digest(value: object) -> str:
    """SHA-256 of a JSON-serialisable value, cut to 16 hexadecimal characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_KEYS = {"code_digest": "family", "fitted_on": "basis"}
"""Field → its key in files, where the two differ. Files keep the older keys: new ones would make every collection stale."""
_FIELDS = {key: name for name, key in _KEYS.items()}


@dataclass(frozen=True)
class Recipe:
    """How one artifact, or one shard of it, was made."""

    asset: str
    code_version: str
    code_digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)  # asset → fingerprint at that time
    fitted_on: Mapping[str, str | int] = field(default_factory=dict)  # fitted models only: their training collection
    skipped: str = ""  # the reason, when nothing was made

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal characters that change when the artifact's content may have changed.

        All skipped artifacts of an asset share one fingerprint: they have no content, and the reason is not content.
        """
        if self.skipped:
            return digest([self.asset, "skipped"])
        return digest([self.asset, self.code_digest, dict(self.inputs), dict(self.fitted_on), ""])

    def to_json(self) -> str:
        """JSON text for a Parquet footer or a record."""
        return json.dumps({_KEYS.get(name, name): value for name, value in asdict(self).items()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Parse what `to_json` wrote. Raises ValueError or TypeError on anything else."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Recipe":
        """Like `from_json`, from JSON that is already parsed."""
        return cls(**{_FIELDS.get(key, key): value for key, value in dict(values).items()})


def code_digest_of(asset: str, code_version: str, parents: Mapping[str, str]) -> str:
    """Digest of an asset's code version and of the code digests of its parents."""
    return digest([asset, code_version, dict(parents)])
