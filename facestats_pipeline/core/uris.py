"""Addresses of buckets: what is one, and how it is shown without secrets."""

from urllib.parse import urlsplit

EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "file": ""}
"""Scheme of a URI → the extra that it needs."""


def shown(uri: str) -> str:
    """A URI for people: without user, password and query."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def check_uri(uri: str) -> str:
    """`uri` without a slash at its end. Raises ValueError, without repeating a password, for what is no place of photos and tables."""
    parts = urlsplit(uri)
    if parts.scheme not in EXTRAS:
        raise ValueError(f"must begin with one of {', '.join(f'{scheme}://' for scheme in EXTRAS)}")
    if "@" in parts.netloc and parts.scheme not in ("abfs", "abfss"):
        raise ValueError("holds a user or password; credentials belong into the environment or a profile of the SDK")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or a fragment; give the bucket and the folder alone")
    if not parts.netloc and parts.scheme != "file":
        raise ValueError("names no bucket")
    return uri.rstrip("/")
