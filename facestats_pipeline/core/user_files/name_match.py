"""Which label file entry means which photo: by whole path, or by the end of the path where only one photo can be meant."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FileMatch:
    """The outcome of matching; every file is in exactly one of the three.

    Attributes:
        matched: file → filename.
        ambiguous: file → the filenames it may mean, or that another file claims too (at most five are listed).
        unmatched: files that no photo answers to.
    """

    matched: dict[str, str]
    ambiguous: dict[str, list[str]]
    unmatched: list[str]


def match_files(files: Sequence[str], filenames: Sequence[str]) -> dict[str, str]:
    """{file: filename} for the files that mean one photo for certain; see `match_report`."""
    return match_report(files, filenames).matched


def match_report(files: Sequence[str], filenames: Sequence[str]) -> FileMatch:
    """Match names in a label file to photos' paths.

    The same path matches first. Else one path must be the end of the other, in whole components ("images/20.jpg" and "20.jpg"), and
    the longest such end wins if it is the only one on both sides. "train/1.jpg" never means "val/1.jpg". `\\` counts as `/`, and a
    leading "./" and outer spaces do not count, unless a photo's name needs them.
    """
    said = set(files)
    asked = {end for file in said for end in _ends(_parts(file))}  # nothing else is kept: photos may be millions
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
    """Filenames that share the longest end with a path of `parts`, and how many components that end has."""
    ends = _ends(parts)
    if found := by_path.get(ends[0]):
        return len(parts) + 1, list(found)  # the same path: longer than any mere end
    if found := by_end.get(ends[0]):
        return len(parts), list(found)
    for start, end in enumerate(ends[1:], start=1):
        if found := by_path.get(end):
            return len(parts) - start, list(found)
    return 0, []


def _ends(parts: list[str]) -> list[str]:
    """The whole path, and each end of it in whole components, longest first."""
    return ["/".join(parts[start:]) for start in range(max(1, len(parts)))]


def _parts(path: str) -> list[str]:
    return [p for p in path.strip().replace("\\", "/").split("/") if p not in ("", ".")]
