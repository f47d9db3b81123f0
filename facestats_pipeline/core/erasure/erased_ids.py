"""Which images were erased, without saying which: digests under a key, so that the same bytes are known again and nobody is named."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

KEY_BYTES = 32
DIGEST_LENGTH = 32


@dataclass(frozen=True)
class ErasedIds:
    """The erased images of a collection: `image_id in erased` asks for one. Without the key the digests tell nothing.

    An image id is a hash of the photo, so a list of ids would let anybody who has a photo look up whether it was erased; HMAC-SHA256
    (RFC 2104) with a key that stays in the data folder does not.
    """

    key: bytes
    digests: frozenset[str] = frozenset()

    def digest(self, text: str) -> str:
        """32 hexadecimal characters of HMAC-SHA256 over an image id, or over another name that must not stay in clear."""
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:DIGEST_LENGTH]

    def __contains__(self, image_id: object) -> bool:
        return bool(self.digests) and isinstance(image_id, str) and self.digest(image_id) in self.digests

    def __len__(self) -> int:
        return len(self.digests)

    def with_ids(self, image_ids: Iterable[str]) -> "ErasedIds":
        """These and more images."""
        return ErasedIds(self.key, self.digests | {self.digest(image_id) for image_id in image_ids})


def new_key() -> bytes:
    """A key for a collection: KEY_BYTES random bytes."""
    return secrets.token_bytes(KEY_BYTES)


NOTHING_ERASED = ErasedIds(b"")
