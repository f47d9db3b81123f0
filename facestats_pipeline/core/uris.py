"""Bucket URIs: validation, and display without secrets."""

from urllib.parse import urlsplit

EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "file": ""}
"""URI scheme → the extra of pyproject.toml that it needs."""


def shown(uri: str) -> str:
    """The URI without user, password and query, for messages and logs."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def check_uri(uri: str) -> str:
    """`uri` without a trailing slash. Raises ValueError when it is not a bucket with an optional folder; the message hides secrets."""
    parts = urlsplit(uri)
    if parts.scheme not in EXTRAS:
        raise ValueError(f"must begin with one of {', '.join(f'{scheme}://' for scheme in EXTRAS)}")
    # Azure's form is container@account, which is no secret.
    if "@" in parts.netloc and parts.scheme not in ("abfs", "abfss"):
        raise ValueError("holds a user or password; put credentials into the environment or a profile of the SDK")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or a fragment; give only the bucket and the folder")
    if not parts.netloc and parts.scheme != "file":
        raise ValueError("names no bucket")
    return uri.rstrip("/")
