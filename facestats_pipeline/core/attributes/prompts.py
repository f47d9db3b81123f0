"""The sentences for zero-shot: templates, which settings may replace, filled with words for each class."""

from collections.abc import Mapping, Sequence

from facestats_pipeline.core.attributes.attribute import template_problem
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue

Prompts = Mapping[str, Mapping[str, Sequence[str]]]
"""attribute → class → sentences."""


def templates_of(catalogue: Catalogue = BUILT_IN) -> dict[str, tuple[str, ...]]:
    """Attribute → templates with {}, for the attributes that have prompts."""
    return {attribute.name: attribute.templates for attribute in catalogue if attribute.prompts}


def prompts_from(templates: Mapping[str, Sequence[str]] | None = None, catalogue: Catalogue = BUILT_IN) -> Prompts:
    """Attribute → class → every template filled with every word of the class. By default, the templates of the catalogue are used.

    Raises ValueError for a template without exactly one {}.
    """
    wanted = templates_of(catalogue) if templates is None else templates
    for name, sentences in wanted.items():
        if problem := template_problem(tuple(sentences)):
            raise ValueError(f"{name}: {problem}")
    return {
        name: {
            each: tuple(sentence.format(word) for sentence in sentences for word in words)
            for each, words in catalogue[name].prompts.items()
        }
        for name, sentences in wanted.items()
    }
