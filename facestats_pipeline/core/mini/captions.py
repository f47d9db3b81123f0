"""Captions composed from labels, in many phrasings, each with the exact set of labels that it is true of.

A caption may name one, two or three attributes, and may be coarser than the labels ("an elderly man", "an Asian face"), so what it
matches is a set of classes per attribute and not a class: the contrastive loss treats every photo inside the set as a positive.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.mini.classes import AGE_BINS, CLASSES, ETHNICITIES, GENDERS

FEMALE, MALE = 0, 1

ETHNICITY_WORDS: tuple[tuple[str, ...], ...] = (
    ("White", "Caucasian", "European"),
    ("Black", "African"),
    ("Latino", "Hispanic", "Latin American", "Latino or Hispanic"),
    ("East Asian",),
    ("Southeast Asian", "South-East Asian"),
    ("Indian", "South Asian"),
    ("Middle Eastern", "West Asian"),
)

AGE_CLAUSES: tuple[tuple[str, ...], ...] = (
    ("aged 0 to 2", "under three years old", "less than 3 years old", "one year old"),
    ("aged 3 to 9", "between 3 and 9 years old", "six years old", "about seven years old"),
    ("aged 10 to 19", "in {their} teens", "between 10 and 19 years old", "about fifteen years old"),
    ("aged 20 to 29", "in {their} twenties", "between 20 and 29 years old", "about 25 years old", "in {their} 20s"),
    ("aged 30 to 39", "in {their} thirties", "between 30 and 39 years old", "about 35 years old", "in {their} 30s"),
    ("aged 40 to 49", "in {their} forties", "between 40 and 49 years old", "about 45 years old", "in {their} 40s"),
    ("aged 50 to 59", "in {their} fifties", "between 50 and 59 years old", "about 55 years old", "in {their} 50s"),
    ("aged 60 to 69", "in {their} sixties", "between 60 and 69 years old", "about 65 years old", "in {their} 60s"),
    (
        "aged 70 or more",
        "in {their} seventies or older",
        "over 70 years old",
        "more than 70 years old",
        "about 80 years old",
    ),
)

COARSE_AGES: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    (("young",), (2, 3)),
    (("middle-aged",), (5, 6)),
    (("elderly", "old", "senior", "aged"), (7, 8)),
    (("adult", "grown-up"), (3, 4, 5, 6, 7, 8)),
)
"""Adjectives for an age, and the age bins that they are true of."""

# Nouns that name an age by themselves: (for anyone, for a female, for a male), and the bins that they are true of.
AGED_NOUNS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, ...]], ...] = (
    (("baby", "infant", "toddler"), ("baby girl",), ("baby boy",), (0,)),
    (("child", "kid", "little child", "young child"), ("little girl", "girl"), ("little boy", "boy"), (1,)),
    (("child", "kid"), ("girl",), ("boy",), (0, 1)),
    (("teenager", "adolescent", "teen"), ("teenage girl",), ("teenage boy",), (2,)),
)

NOUNS: tuple[tuple[str, ...], ...] = (
    ("woman", "female person", "lady", "female", "girl or woman", "girl or a woman"),
    ("man", "male person", "gentleman", "male", "boy or man", "boy or a man"),
    ("person", "human", "someone", "individual"),
)

FRAMES = (
    "a photo of {}",
    "{}",
    "a portrait of {}",
    "a picture of {}",
    "a face photo of {}",
    "the face of {}",
    "a photo of the face of {}",
    "a close-up photo of {}",
    "this is {}",
    "a photograph showing {}",
    "a cropped photo of the face of {}",
    "a blurry photo of {}",
    "an image of {}",
)


@dataclass(frozen=True)
class Caption:
    """A sentence and, per attribute, the classes that it is true of."""

    text: str
    gender: frozenset[int]
    ethnicity: frozenset[int]
    age: frozenset[int]


EVERY_GENDER, EVERY_ETHNICITY, EVERY_AGE = (
    frozenset(range(len(CLASSES[name]))) for name in ("gender", "ethnicity", "age_bin")
)


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _article(phrase: str) -> str:
    if phrase == "someone":
        return phrase
    return ("an " if phrase[0].lower() in "aeiou" and not phrase.startswith("European") else "a ") + phrase


def compose(
    rng: np.random.Generator, gender: int | None, ethnicity: int | None, age: int | None, *, coarse: float = 0.3
) -> Caption:
    """One caption about a face with these labels; None leaves an attribute unnamed.

    With probability `coarse` an age is named by a wider word where one holds, and the two Asian classes by "Asian".
    """
    sex = 2 if gender is None else gender
    noun = _pick(rng, NOUNS[sex])
    if " or " in noun and age is not None:
        noun = NOUNS[sex][0]
    adjective, clause, ages = "", "", EVERY_AGE
    if age is not None:
        nouns = [entry for entry in AGED_NOUNS if age in entry[3]]
        wide = [entry for entry in COARSE_AGES if age in entry[1]]
        if nouns and rng.random() < 0.5:
            entry = nouns[int(rng.integers(len(nouns)))]
            noun = _pick(rng, entry[:3][0 if gender is None else 1 + gender])
            ages = frozenset(entry[3])
        elif wide and rng.random() < coarse:
            words, bins = wide[int(rng.integers(len(wide)))]
            adjective, ages = _pick(rng, words) + " ", frozenset(bins)
        else:
            their = ("her", "his", "their")[sex]
            clause, ages = " " + _pick(rng, AGE_CLAUSES[age]).format(their=their), frozenset({age})
    people, ethnicities = "", EVERY_ETHNICITY
    if ethnicity is not None:
        word, ethnicities = _pick(rng, ETHNICITY_WORDS[ethnicity]), frozenset({ethnicity})
        if word == "Latino" and gender == FEMALE:
            word = "Latina"
        if word in ("East Asian", "Southeast Asian") and rng.random() < coarse / 2:
            word, ethnicities = (
                "Asian",
                frozenset({ETHNICITIES.index("East Asian"), ETHNICITIES.index("Southeast Asian")}),
            )
        people = word + " "
    if noun == "someone" and (adjective or people):
        noun = "person"
    if not clause and noun in NOUNS[sex] and rng.random() < 0.15:  # "an Asian female face"
        noun = ("female", "male", "human")[sex] + " face"
    text = _pick(rng, FRAMES).format(_article(adjective + people + noun) + clause)
    return Caption(text, EVERY_GENDER if gender is None else frozenset({gender}), ethnicities, ages)


def about(rng: np.random.Generator, labels: npt.NDArray[np.int64]) -> Caption:
    """A caption true of a photo with `labels` (3,): two attributes most often, else one or all three."""
    named = np.zeros(3, bool)
    named[rng.permutation(3)[: rng.choice([1, 2, 3], p=[0.3, 0.4, 0.3])]] = True
    gender, ethnicity, age = (int(value) if use else None for value, use in zip(labels, named, strict=True))
    return compose(rng, gender, ethnicity, age)


def matches(captions: list[Caption], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(captions, photos): which caption is true of which row of `labels` (n, 3)."""
    table = np.empty((len(captions), len(labels)), bool)
    for row, caption in enumerate(captions):
        table[row] = (
            np.isin(labels[:, 0], list(caption.gender))
            & np.isin(labels[:, 1], list(caption.ethnicity))
            & np.isin(labels[:, 2], list(caption.age))
        )
    return table


def class_prompts(rng: np.random.Generator) -> dict[str, list[str]]:
    """One caption per class of each attribute and nothing else named: what zero-shot classification compares a photo with."""
    return {
        "gender": [compose(rng, value, None, None).text for value in range(len(GENDERS))],
        "ethnicity": [compose(rng, None, value, None, coarse=0).text for value in range(len(ETHNICITIES))],
        "age_bin": [compose(rng, None, None, value, coarse=0).text for value in range(len(AGE_BINS))],
    }


def corpus(n: int, seed: int = 0) -> list[str]:
    """`n` random captions over all label combinations: what the tokenizer's vocabulary is learned from."""
    rng = np.random.default_rng(seed)
    sizes = (len(GENDERS), len(ETHNICITIES), len(AGE_BINS))
    return [about(rng, np.array([rng.integers(size) for size in sizes])).text for _ in range(n)]
