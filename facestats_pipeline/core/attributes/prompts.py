"""The sentences that zero-shot compares an image with: templates, which settings may replace, filled with words for each class."""

from collections.abc import Mapping, Sequence

from facestats_pipeline.core.labels.vocabulary import AGE_BINS, ETHNICITIES

Prompts = Mapping[str, Mapping[str, Sequence[str]]]
"""attribute → class → sentences."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    "gender": ("a photo of the face of {}", "a portrait of {}"),
    "ethnicity": ("a photo of the face of {}", "a portrait of {}"),
    "age_bin": ("a photo of the face of {}", "a portrait of {}"),
}
"""The defaults, {} standing for the words of a class; `zeroshot` in the settings replaces them."""

_ETHNICITY_WORDS = ("White", "Black", "Latino", "East Asian", "Southeast Asian", "Indian", "Middle Eastern")
_AGE_WORDS = (
    "a baby",
    "a young child",
    "a teenager",
    *(f"a person in their {n}s" for n in (20, 30, 40, 50, 60)),
    "an old person over 70",
)
CLASS_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "gender": {"Female": ("a woman", "a female person"), "Male": ("a man", "a male person")},
    "ethnicity": {
        name: (f"{'an' if word[0] in 'EI' else 'a'} {word} person",)
        for name, word in zip(ETHNICITIES, _ETHNICITY_WORDS, strict=True)
    },
    "age_bin": {name: (words,) for name, words in zip(AGE_BINS, _AGE_WORDS, strict=True)},
}
"""attribute → class → the words for it."""


def prompts_from(templates: Mapping[str, Sequence[str]] = TEMPLATES) -> Prompts:
    """Every template filled with the words of every class. Raises ValueError for a template without exactly one {}."""
    for attribute, sentences in templates.items():
        if not sentences:
            raise ValueError(f"{attribute}: at least one template is needed, for example {TEMPLATES[attribute][0]!r}")
        for sentence in sentences:
            if sentence.count("{}") != 1 or sentence.count("{") != 1 or sentence.count("}") != 1:
                raise ValueError(f"{attribute}: the template {sentence!r} needs one {{}}, where the class is named")
    return {
        attribute: {
            name: tuple(sentence.format(word) for sentence in sentences for word in words)
            for name, words in CLASS_WORDS[attribute].items()
        }
        for attribute, sentences in templates.items()
    }


PROMPTS: Prompts = prompts_from()
