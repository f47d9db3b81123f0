"""Parses ages: bins, years, and bins that a spreadsheet turned into dates.

A spreadsheet that opens FairFace's label file reads `3-9` as 9 March or 3 September and `10-19` as 19 October (or October 2019), and saves
those dates. Only these two bins look like dates, and no date below stands for both, so the repair is exact.
"""

import re
from dataclasses import dataclass

from facestats_pipeline.core.attributes.attribute import MAX_AGE, Attribute
from facestats_pipeline.core.attributes.catalogue import AGE

_MONTHS = {
    **dict.fromkeys(("mar", "march", "mrz", "mär", "märz", "mars", "marzo", "março", "mrt"), 3),
    **dict.fromkeys(("sep", "sept", "september", "septembre", "septiembre", "set", "setembro", "settembre"), 9),
    **dict.fromkeys(("oct", "october", "okt", "oktober", "octobre", "octubre", "out", "ott", "ottobre"), 10),
}
_MORE_THAN = re.compile(r"(?:more than|over|above|older than|at least|from|>=?|≥|&gt;)\s*(\d{1,3})\s*(?:years?)?")
_OR_MORE = re.compile(
    r"(\d{1,3})\s*(?:years?)?\s*(?:\+|plus|and (?:over|above|older|more|up)|or (?:over|above|older|more)|and\+)"
)
_RANGE = re.compile(r"(\d{1,3})\s*(?:-|to|_)\s*(\d{1,3})")
_YEARS = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s*(?:years?(?: old)?|y\.?o?\.?|yrs?)?")


@dataclass(frozen=True)
class ParsedAge:
    """The result of parsing one age cell.

    Attributes:
        bin: the class, or None when `problem` says why not.
        years: the age in years if the cell held a number, else None.
        repaired: whether the cell was a date that stands for a bin.
        problem: why the cell cannot be used, one clause; "" if it can.
    """

    bin: str | None = None
    years: float | None = None
    repaired: bool = False
    problem: str = ""


def parse_age(text: str, attribute: Attribute = AGE) -> ParsedAge:
    """Read one age: "34", "30-39", "more than 70", "70+", "9-Mar" (→ 3-9), "Oct-19" (→ 10-19). Never raises for a cell.

    `attribute` has years; ValueError for one without.
    """
    if attribute.years is None:
        raise ValueError(f"{attribute.name} has no years")
    bins, last = attribute.classes, attribute.years[-1][0]
    cell = re.sub(r"\s+", " ", text.strip().lower()).replace("–", "-").replace("—", "-")
    if cell in bins:
        return ParsedAge(bin=cell)
    if match := _YEARS.fullmatch(cell):
        years = float(match[1].replace(",", "."))
        if (name := attribute.class_of_years(years)) is None:
            return ParsedAge(problem=f"an age must lie between 0 and {MAX_AGE:.0f} years")
        return ParsedAge(bin=name, years=years)
    if (match := _MORE_THAN.fullmatch(cell)) or (match := _OR_MORE.fullmatch(cell)):
        if last <= int(match[1]) <= MAX_AGE:
            return ParsedAge(bin=bins[-1])
        return ParsedAge(problem=f"an age without an upper end fits one bin only from {last:g} on")
    if (match := _RANGE.fullmatch(cell)) and not re.fullmatch(r"0\d-0\d", cell):
        return _range(int(match[1]), int(match[2]), dict(zip(bins, attribute.years, strict=True)))
    if (name := _from_date(cell)) in bins:
        return ParsedAge(bin=name, repaired=True)
    return ParsedAge(problem="not an age in years nor one of the bins " + ", ".join(bins))


def _range(low: int, high: int, years: dict[str, tuple[float, float]]) -> ParsedAge:
    if low > high:
        return ParsedAge(problem="the range runs backwards")
    oldest = list(years)[-1]
    for name, (start, end) in years.items():
        if start <= low and high <= (MAX_AGE if name == oldest else end - 1):
            return ParsedAge(bin=name)
    return ParsedAge(problem="the range does not lie within one of the bins " + ", ".join(years))


def _from_date(cell: str) -> str | None:
    """The bin that a date stands for, or None: 3 with 9 is `3-9`, month 10 with 19 is `10-19`.

    In a date of three parts, the two numbers are month and day of any year, or month and year if the day is the first or last of the month
    (2003-09-01). Other dates, such as birthdays, stand for no bin.
    """
    cell = re.sub(r"[ t]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?z?$", "", cell)  # "2024-03-09 00:00:00"
    parts = [p for p in re.split(r"[\s\-/.,]+", cell) if p]
    if not 2 <= len(parts) <= 3 or not all(
        p in _MONTHS or (p.isascii() and p.isdigit() and len(p) <= 4) for p in parts
    ):
        return None
    named = sum(p in _MONTHS for p in parts)
    if named > 1 or (not named and re.fullmatch(r"[\d ]+", cell)):
        return None
    numbers = [_MONTHS.get(p) or int(p) for p in parts]
    if len(numbers) == 2:
        return _from_pair(*numbers)
    year_at = next((i for i, p in enumerate(parts) if len(p) == 4 and p.isdigit()), 2)
    year = numbers.pop(year_at)
    if (name := _from_pair(*numbers)) is not None:
        return name
    for month, day in (numbers, numbers[::-1]):
        if (day == 1 or day >= 28) and (name := _from_pair(month, year)) is not None:
            return name
    return None


def _from_pair(a: int, b: int) -> str | None:
    pair = {n - 2000 if 2000 <= n <= 2099 else n for n in (a, b)}
    return "3-9" if pair == {3, 9} else "10-19" if pair == {10, 19} else None
