"""The sentences that zero-shot compares an image with: templates, which settings may replace, filled with words for each class."""

from collections.abc import Mapping, Sequence

from facestats_pipeline.core.attributes.attribute import template_problem
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue

Prompts = Mapping[str, Mapping[str, Sequence[str]]]
"""attribute → class → sentences."""


def templates_of(catalogue: Catalogue = BUILT_IN) -> dict[str, tuple[str, ...]]:
    """attribute → sentences with {}, of the attributes that have words for their classes."""
    return {attribute.name: attribute.templates for attribute in catalogue if attribute.prompts}


def prompts_from(templates: Mapping[str, Sequence[str]] | None = None, catalogue: Catalogue = BUILT_IN) -> Prompts:
    """Every template filled with the words of every class; without `templates`, those of the catalogue.

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
