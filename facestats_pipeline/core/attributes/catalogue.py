"""The attributes that FaceStats knows. To add one, declare it here (or, for one collection, under `attributes.extra` in facestats.yaml).

Labels, probes, zero-shot, columns of tables, settings, filters, reports and exports derive from this list.

The seven ethnicity classes and the nine age bins are FairFace's (Kärkkäinen & Joo, 2021, arXiv 1908.04913). They describe how a face is
perceived by annotators; they say nothing about how a person identifies.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from facestats_pipeline.core.attributes.attribute import Attribute, Rollup
from facestats_pipeline.core.user_files.cells import word_key

GENDER = Attribute(
    name="gender",
    standalone=True,
    classes=("Female", "Male"),
    words={
        **dict.fromkeys(("f", "woman", "women", "girl", "w"), "Female"),
        **dict.fromkeys(("m", "man", "men", "boy"), "Male"),
    },
    headers={"gender": ("gender", "sex")},
    prompts={"Female": ("a woman", "a female person"), "Male": ("a man", "a male person")},
    threshold=0.9,
    target_error=0.05,
)

ETHNICITY = Attribute(
    name="ethnicity",
    standalone=True,
    description="perceived ethnicity in FairFace's seven classes",
    classes=("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian", "Middle Eastern"),
    words={
        **dict.fromkeys(("caucasian", "european"), "White"),
        **dict.fromkeys(("african", "african american", "afro american"), "Black"),
        **dict.fromkeys(
            (
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
        "asian east": "East Asian",
        **dict.fromkeys(("south east asian", "asian southeast"), "Southeast Asian"),
        "south asian": "Indian",
        **dict.fromkeys(("middle east", "west asian", "arab"), "Middle Eastern"),
    },
    readings=frozenset({"west asian", "south asian", "european", "african", "arab"}),
    headers={"ethnicity": ("race", "ethnicity")},
    prompts={
        "White": ("a White person",),
        "Black": ("a Black person",),
        "Latino_Hispanic": ("a Latino person",),
        "East Asian": ("an East Asian person",),
        "Southeast Asian": ("a Southeast Asian person",),
        "Indian": ("an Indian person",),
        "Middle Eastern": ("a Middle Eastern person",),
    },
    threshold=0.8,
    target_error=0.2,
    # The classes of FairFace's four-class model. Its paper merges Middle Eastern into White and the two Asian classes into Asian, and
    # leaves Latino_Hispanic out; a roll-up needs a place for every row, so it goes to White, with which it is most often confused.
    rollup=Rollup(
        name="ethnicity4",
        classes=("White", "Black", "Asian", "Indian"),
        of={
            "White": "White",
            "Middle Eastern": "White",
            "Latino_Hispanic": "White",
            "Black": "Black",
            "East Asian": "Asian",
            "Southeast Asian": "Asian",
            "Indian": "Indian",
        },
    ),
)

AGE = Attribute(
    name="age_bin",
    standalone=True,
    stem="age",
    title="Age",
    description="perceived age in FairFace's nine bins",
    classes=("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"),
    headers={
        "age": ("age",),
        "age_bin": ("age bin", "age group", "age range"),
        "age_years": ("age years", "years", "age in years"),
    },
    prompts={
        "0-2": ("a baby",),
        "3-9": ("a young child",),
        "10-19": ("a teenager",),
        "20-29": ("a person in their 20s",),
        "30-39": ("a person in their 30s",),
        "40-49": ("a person in their 40s",),
        "50-59": ("a person in their 50s",),
        "60-69": ("a person in their 60s",),
        "more than 70": ("an old person over 70",),
    },
    threshold=0.6,
    target_error=0.4,
    model_stem="age_model",
    trainer="age_model",
    ordered=True,
    years=((0, 3), (3, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60), (60, 70), (70, 90)),
)


@dataclass(frozen=True)
class Catalogue:
    """Attributes in order; by name as a mapping is, though iterating gives the attributes themselves."""

    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if reserved := [attribute.name for attribute in self.attributes if attribute.name in _RESERVED]:
            raise ValueError(
                f"an attribute cannot be called {reserved[0]!r}, which means something else in filters: choose another name"
            )
        if clash := _clash(self.attributes):
            raise ValueError(clash)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Attribute:
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise KeyError(f"no attribute {name!r}; there are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, which are their decision columns."""
        return tuple(attribute.name for attribute in self.attributes)

    def asked_for(self, text: str) -> Attribute | None:
        """The attribute that people mean by a word: its name, stem, or a header word of its labels ("race", "age")."""
        key = word_key(text)
        for attribute in self.attributes:
            headers = {word for words in attribute.headers.values() for word in words}
            if key in {word_key(attribute.name), word_key(attribute.stem), *headers}:
                return attribute
        return None

    def with_extra(self, *extra: Attribute) -> "Catalogue":
        """These attributes and `extra`. Raises ValueError, naming both, where two share a column, a file or a header word."""
        return Catalogue((*self.attributes, *extra))


_ITS_OWN: Mapping[str, Callable[[Attribute], tuple[str, ...]]] = {
    "column": lambda a: (*a.columns, a.predicted_column, a.label_column, a.manual_column, a.final_column),
    "header word of labels files": lambda a: tuple(word for words in a.headers.values() for word in words),
    "model file": lambda a: (a.model_stem,),
    "trainer": lambda a: (a.trainer,),
}
"""What no two attributes may share."""
_RESERVED = frozenset({"all", "decile", "method", "min_n", "strict", "weight", "where"})
"""What filters, and the functions that take them as keywords, mean something else by."""


def _clash(attributes: tuple[Attribute, ...]) -> str:
    """What two of `attributes` have in common though each needs its own, or ""."""
    for what, names_of in _ITS_OWN.items():
        counted = Counter(name for attribute in attributes for name in names_of(attribute))
        if twice := [name for name, n in counted.items() if n > 1]:
            owners = [attribute.name for attribute in attributes if twice[0] in names_of(attribute)]
            return (
                f"the attributes {' and '.join(map(repr, owners))} share the {what} {twice[0]!r}: choose another name"
            )
    return ""


BUILT_IN = Catalogue((GENDER, ETHNICITY, AGE))
