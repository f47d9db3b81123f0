"""Matches file names in user files to photos: by the whole path, or by the end of the path if only one photo fits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FileMatch:
    """The result of matching. Every file is in exactly one of the three.

    Attributes:
        matched: file → filename of the photo.
        ambiguous: file → up to five candidate filenames, or the one filename that another file claims as well.
        unmatched: files without a candidate.
    """

    matched: dict[str, str]
    ambiguous: dict[str, list[str]]
    unmatched: list[str]


def match_files(files: Sequence[str], filenames: Sequence[str]) -> dict[str, str]:
    """{file: filename} for the files that match exactly one photo; see `match_report`."""
    return match_report(files, filenames).matched


def match_report(files: Sequence[str], filenames: Sequence[str]) -> FileMatch:
    """Match names in a user file to the paths of photos.

    An identical path matches first. Otherwise one path must be the end of the other, in whole components ("images/20.jpg" and "20.jpg");
    the longest common end wins if it is unique on both sides. "train/1.jpg" never matches "val/1.jpg". `\\` counts as `/`. A leading
    "./" and outer spaces are ignored, unless a photo's name has them.
    """
    said = set(files)
    # Only ends that occur in the file are indexed: it may name a few photos of millions.
    asked = {end for file in said for end in _ends(_parts(file))}
    exact: set[str] = set()
    by_path: dict[str, dict[str, None]] = defaultdict(dict)
    by_end: dict[str, dict[str, None]] = defaultdict(dict)
    for name in filenames:
        if name in said:
            exact.add(name)
        for start, end in enumerate(_ends(_parts(name))):
            if end in asked:
                (by_end if start else by_path)[end][name] = None

    claims: dict[str, list[tuple[int, str]]] = defaultdict(list)  # filename → (length of the common end, file)
    ambiguous: dict[str, list[str]] = {}
    unmatched: list[str] = []
    for file in dict.fromkeys(files):
        length, found = (1_000_000, [file]) if file in exact else _candidates(_parts(file), by_path, by_end)
        if len(found) == 1:
            claims[found[0]].append((length, file))
        elif found:
            ambiguous[file] = found[:5]
        else:
            unmatched.append(file)

    # Two entries that claim one photo: the longer common end wins; equal ends are ambiguous, since either may be wrong.
    matched: dict[str, str] = {}
    for name, claimants in claims.items():
        longest = max(length for length, _ in claimants)
        winners = [file for length, file in claimants if length == longest]
        for _, file in claimants:
            if winners == [file]:
                matched[file] = name
            else:
                ambiguous[file] = [name]
    return FileMatch({f: matched[f] for f in dict.fromkeys(files) if f in matched}, ambiguous, unmatched)


def _candidates(
    parts: list[str], by_path: dict[str, dict[str, None]], by_end: dict[str, dict[str, None]]
) -> tuple[int, list[str]]:
    """(length in components of the longest end shared with a photo, filenames of the photos that share it)."""
    ends = _ends(parts)
    if found := by_path.get(ends[0]):
        return len(parts) + 1, list(found)  # an identical path beats every common end
    if found := by_end.get(ends[0]):
        return len(parts), list(found)
    for start, end in enumerate(ends[1:], start=1):
        if found := by_path.get(end):
            return len(parts) - start, list(found)
    return 0, []


def _ends(parts: list[str]) -> list[str]:
    """All ends of a path in whole components, the whole path first."""
    return ["/".join(parts[start:]) for start in range(max(1, len(parts)))]


def _parts(path: str) -> list[str]:
    return [p for p in path.strip().replace("\\", "/").split("/") if p not in ("", ".")]
