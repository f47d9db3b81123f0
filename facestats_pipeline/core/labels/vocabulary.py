"""The words that attributes may take, in one place, and what other people's words for them mean.

The seven ethnicity classes and the nine age bins are FairFace's (Kärkkäinen & Joo, 2021, arXiv 1908.04913). They describe how a
face is perceived by annotators; they say nothing about how a person identifies.
"""

from facestats_pipeline.core.user_files.cells import word_key

UNKNOWN = "unknown"
"""The decision of a model that abstains. Never a class that is trained."""

GENDERS = ("Female", "Male")
ETHNICITIES = ("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian", "Middle Eastern")
AGE_BINS = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")

ATTRIBUTES = ("gender", "ethnicity", "age_bin")
CLASSES: dict[str, tuple[str, ...]] = {"gender": GENDERS, "ethnicity": ETHNICITIES, "age_bin": AGE_BINS}

ETHNICITY4 = ("White", "Black", "Asian", "Indian")
# The classes of FairFace's four-class model. Its paper merges Middle Eastern into White and the two Asian classes into Asian, and
# leaves Latino_Hispanic out; a roll-up needs a place for every row, so it goes to White, the class it is most often confused with.
ETHNICITY_TO_4: dict[str, str] = {
    "White": "White",
    "Middle Eastern": "White",
    "Latino_Hispanic": "White",
    "Black": "Black",
    "East Asian": "Asian",
    "Southeast Asian": "Asian",
    "Indian": "Indian",
}

AGE_EDGES: tuple[tuple[float, float], ...] = (
    (0, 3),
    (3, 10),
    (10, 20),
    (20, 30),
    (30, 40),
    (40, 50),
    (50, 60),
    (60, 70),
    (70, 90),
)
"""Years of each bin, [from, to). The last bin has no end; 90 stands in for it where a number is needed."""

MAX_AGE = 120.0

_GENDER_WORDS = {
    **dict.fromkeys(("female", "f", "woman", "women", "girl", "w"), "Female"),
    **dict.fromkeys(("male", "m", "man", "men", "boy"), "Male"),
}

_ETHNICITY_WORDS = {
    **dict.fromkeys(("white", "caucasian", "european"), "White"),
    **dict.fromkeys(("black", "african", "african american", "afro american"), "Black"),
    **dict.fromkeys(
        (
            "latino hispanic",
            "hispanic latino",
            "latino",
            "latina",
            "latinx",
            "hispanic",
            "latino or hispanic",
            "latino/hispanic",
            "hispanic/latino",
        ),
        "Latino_Hispanic",
    ),
    **dict.fromkeys(("east asian", "asian east"), "East Asian"),
    **dict.fromkeys(("southeast asian", "south east asian", "asian southeast"), "Southeast Asian"),
    **dict.fromkeys(("indian", "south asian"), "Indian"),
    **dict.fromkeys(("middle eastern", "middle east", "west asian", "arab"), "Middle Eastern"),
}

READ_AS = {
    "west asian": "Middle Eastern",
    "south asian": "Indian",
    "european": "White",
    "african": "Black",
    "arab": "Middle Eastern",
}
"""Words for an ethnicity that are not just another spelling: taking them is a reading, which `read_labels` reports."""


def canonical_gender(text: str) -> str | None:
    """`Female`, `Male`, or None for a word that is neither. Numbers are not guessed at: data sets disagree about them."""
    return _GENDER_WORDS.get(word_key(text))


def canonical_ethnicity(text: str) -> str | None:
    """One of ETHNICITIES, or None for a word that names none of them, or several ("Asian", "east_asian/white")."""
    return _ETHNICITY_WORDS.get(word_key(text))


def age_bin_of(years: float) -> str | None:
    """The age bin that holds an age in years (34.9 → "30-39"); None outside 0–120 or for NaN."""
    if not 0 <= years <= MAX_AGE:
        return None
    for name, (_, end) in zip(AGE_BINS, AGE_EDGES, strict=True):
        if years < end:
            return name
    return AGE_BINS[-1]
