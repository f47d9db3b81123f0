"""The list of erased images as keyed digests: a photo that comes back is recognised, and the list identifies nobody."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

KEY_BYTES = 32
DIGEST_LENGTH = 32


@dataclass(frozen=True)
class ErasedIds:
    """The erased images of a collection; `image_id in erased` tests one.

    An image id is a hash of the photo. A plain list of ids would let anybody with a photo check whether it was erased. The list therefore
    holds HMAC-SHA256 digests (RFC 2104) under a key that stays in the data folder; without the key, they reveal nothing.
    """

    key: bytes
    digests: frozenset[str] = frozenset()

    def digest(self, text: str) -> str:
        """The first 32 hexadecimal digits of HMAC-SHA256 over an image id, or over another name that must not be stored in clear."""
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:DIGEST_LENGTH]

    def __contains__(self, image_id: object) -> bool:
        return bool(self.digests) and isinstance(image_id, str) and self.digest(image_id) in self.digests

    def __len__(self) -> int:
        return len(self.digests)

    def with_ids(self, image_ids: Iterable[str]) -> "ErasedIds":
        """A copy that also holds `image_ids`."""
        return ErasedIds(self.key, self.digests | {self.digest(image_id) for image_id in image_ids})


def new_key() -> bytes:
    """A new key for a collection: KEY_BYTES random bytes."""
    return secrets.token_bytes(KEY_BYTES)


NOTHING_ERASED = ErasedIds(b"")
