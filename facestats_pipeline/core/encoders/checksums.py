"""SHA-256 of model files, and verification against the SHA256SUMS file beside them (the format of `sha256sum`)."""

import hashlib
import re
from pathlib import Path

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


class ChecksumMismatch(Exception):
    """A file is missing, unlisted, or differs from its checksum. The message names the file and the remedy."""


def sha256_file(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits. The file is read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_folder(folder: Path, required: tuple[str, ...] = ()) -> dict[str, str]:
    """Verify every file listed in `folder`'s SHA256SUMS, and that `required` files are listed. Returns name → sha256.

    Raises ChecksumMismatch.
    """
    listing = folder / SUMS_FILE
    try:
        lines = listing.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ChecksumMismatch(f"{listing}: cannot be read ({error}); fetch the whole folder again") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).name != match[2]:
            raise ChecksumMismatch(
                f"{listing}, line {number}: not '<sha256>  <file name>'; fetch the whole folder again"
            )
        sums[match[2]] = match[1].lower()
    for name in required:
        if name not in sums:
            raise ChecksumMismatch(f"{listing}: has no line for {name}; fetch the whole folder again")
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise ChecksumMismatch(f"{path}: listed in {SUMS_FILE} but missing; fetch the whole folder again")
        actual = sha256_file(path)
        if actual != expected:
            raise ChecksumMismatch(
                f"{path}: its SHA-256 is {actual[:12]}…, {SUMS_FILE} says {expected[:12]}…; "
                "the file was damaged or changed, fetch it again"
            )
    return sums
