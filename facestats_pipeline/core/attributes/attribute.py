"""What one attribute is: its classes, the words for them, the columns it has in tables and files, and how its model is named.

Loads nothing heavy: label parsing, table specifications, settings and Dagster definitions all read it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from facestats_pipeline.core.user_files.cells import is_null, word_key

UNKNOWN = "unknown"
"""The decision of a model that abstains. Never a class that is trained."""

MAX_AGE = 120.0
"""Years. An age above it is a mistake."""

TEMPLATES = ("a photo of the face of {}", "a portrait of {}")
"""Sentences that zero-shot compares an image with; {} stands for the words of a class."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CLASS = re.compile(r"[^\W_][\w '()+.-]{0,59}")
"""A class stands in file names, in lines of filters (`gender=Female age=20:29`) and in cells of spreadsheets."""


@dataclass(frozen=True)
class Rollup:
    """Fewer, coarser classes of an attribute, in a decision column of their own.

    Attributes:
        name: the decision column, for example "ethnicity4".
        classes: the coarse classes, in order.
        of: class of the attribute → coarse class; every class has one.
    """

    name: str
    classes: tuple[str, ...]
    of: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Attribute:
    """One attribute, declared once.

    Attributes:
        name: the decision column, and the attribute's name in manual_labels.csv, filters and settings ("gender", "age_bin").
        stem: what `{stem}_p` and `{stem}_source` begin with ("age" of age_bin); for an attribute with years, the column of the years.
        title: the heading in reports and on pages.
        description: what is perceived, for column descriptions ("perceived gender").
        classes: at least two, in the order in which they are shown; the order of an `ordered` attribute.
        words: other people's words for a class, in the form of `word_key` → class. The classes themselves are always understood.
        readings: those of `words` that are not just another spelling: taking them is an interpretation, which `read_labels` reports.
        headers: column that is read from a labels file → its header words, in the form of `word_key`.
        templates: sentences with {} for zero-shot; the settings may replace them.
        prompts: class → the words that fill {}; empty where zero-shot does not know the attribute.
        threshold: the least probability at which zero-shot answers.
        target_error: error aimed at among answered rows of a trained probe; the rest is `unknown`.
        model_stem: what the files of its trained model begin with.
        trainer: name of the Dagster asset that trains it.
        standalone: whether a class says by itself what it is about ("Female"); else captions and file names put the attribute before it.
        ordered: whether neighbouring classes are closer than distant ones.
        years: [from, to) of each class in years; None for an attribute without years. The last class has no end; its `to` stands in
            for it where a number is needed.
        rollup: coarser classes with a decision of their own, or None.
    """

    name: str
    classes: tuple[str, ...]
    stem: str = ""
    title: str = ""
    description: str = ""
    words: Mapping[str, str] = field(default_factory=dict, hash=False)
    readings: frozenset[str] = frozenset()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    templates: tuple[str, ...] = TEMPLATES
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    threshold: float = 0.9
    target_error: float = 0.05
    model_stem: str = ""
    trainer: str = ""
    standalone: bool = False
    ordered: bool = False
    years: tuple[tuple[float, float], ...] | None = None
    rollup: Rollup | None = None

    def __post_init__(self) -> None:
        derived = {
            "stem": self.name,
            "title": self.noun.capitalize(),
            "description": f"perceived {self.noun}",
            "headers": {self.name: (word_key(self.name),)},
            "model_stem": f"{self.name}_clf",
            "trainer": f"{self.name}_classifier",
        }
        for key, value in derived.items():
            if not getattr(self, key):
                object.__setattr__(self, key, value)
        if problem := self._problem():
            raise ValueError(f"attribute {self.name!r}: {problem}")

    @property
    def noun(self) -> str:
        """The name in running text ("age bin")."""
        return self.name.replace("_", " ")

    @property
    def top_column(self) -> str:
        """Column of the most probable class, also where the model abstains."""
        return f"{self.name}_top"

    @property
    def p_column(self) -> str:
        """Column of the calibrated probability of the most probable class."""
        return f"{self.stem}_p"

    @property
    def source_column(self) -> str:
        """Column that says which model decided: shipped, probe, zeroshot or none."""
        return f"{self.stem}_source"

    @property
    def year_columns(self) -> tuple[str, ...]:
        """Columns of the years and of the ends of their interval; empty for an attribute without years."""
        return () if self.years is None else (self.stem, f"{self.stem}_lo", f"{self.stem}_hi")

    @property
    def predicted_column(self) -> str:
        """Column of a prediction by a model that did not see the image's label."""
        return f"predicted_{self.name}"

    @property
    def label_column(self) -> str:
        """Column of people's label in master."""
        return f"label_{self.name}"

    @property
    def manual_column(self) -> str:
        """Column of the value by hand."""
        return f"manual_{self.name}"

    @property
    def final_column(self) -> str:
        """Column of the final value: by hand, else by people's labels, else by the model, else `unknown`."""
        return f"{self.name}_final"

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of attributes.parquet that belongs to the attribute."""
        rollup = () if self.rollup is None else (self.rollup.name,)
        return (self.name, *rollup, self.top_column, self.p_column, *self.year_columns, self.source_column)

    def class_named(self, text: str) -> str | None:
        """The class that a word names; None for a word that names none, or several ("Asian"). Numbers are not guessed at."""
        key = word_key(text)
        return next((name for name in self.classes if word_key(name) == key), self.words.get(key))

    def class_of_years(self, years: float) -> str | None:
        """The class that holds an age in years (34.9 → "30-39"); None outside 0–120, for NaN, or without years."""
        if self.years is None or not 0 <= years <= MAX_AGE:
            return None
        ends = zip(self.classes, (end for _, end in self.years), strict=True)
        return next((name for name, end in ends if years < end), self.classes[-1])

    def _problem(self) -> str:
        """What is wrong with the declaration, or ""."""
        keys = [slug(name) for name in self.classes]
        if not _NAME.fullmatch(self.name):
            return "a name is at most 40 lower-case letters, digits and _, and begins with a letter, since it names columns"
        if len(self.classes) < 2:
            return "at least two classes are needed"
        if len(set(keys)) < len(keys):
            return "two of its classes are the same word"
        if odd := [name for name in self.classes if not _CLASS.fullmatch(name)]:
            return f"{odd[0]!r} cannot be a class: use letters, digits, spaces and _ - + . ' ( ), and begin with a letter or digit"
        if no_class := [name for name in self.classes if is_null(name) or word_key(name) == UNKNOWN]:
            return f"{no_class[0]!r} cannot be a class: in a labels file it says that there is no label"
        if strange := {*self.words.values(), *self.prompts} - set(self.classes):
            return f"words for {min(strange)!r}, which is none of its classes"
        own = {word_key(name): name for name in self.classes}
        if clash := [word for word, name in self.words.items() if own.get(word, name) != name]:
            return f"the word {clash[0]!r} is one class and stands for another"
        if self.prompts and (missing := [name for name in self.classes if not self.prompts.get(name)]):
            return f"no prompts for {missing[0]!r}: zero-shot needs words for every class, or for none"
        if self.prompts and (problem := template_problem(self.templates)):
            return problem
        if not (0 < self.target_error < 1 and 0 <= self.threshold <= 1):
            return "target_error lies between 0 and 1, threshold from 0 to 1"
        if self.years is not None and len(self.years) != len(self.classes):
            return "years are given for every class, or for none"
        if self.rollup is not None and set(self.rollup.of) != set(self.classes):
            return f"the roll-up {self.rollup.name!r} needs a place for every class"
        return ""


def slug(text: str) -> str:
    """`text` as a part of a file name."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_")


def template_problem(templates: tuple[str, ...]) -> str:
    """Why `templates` cannot be filled with words, or ""."""
    if not templates:
        return f"at least one template is needed, for example {TEMPLATES[0]!r}"
    for sentence in templates:
        if sentence.count("{}") != 1 or sentence.count("{") != 1 or sentence.count("}") != 1:
            return f"the template {sentence!r} needs one {{}}, where the class is named"
    return ""
