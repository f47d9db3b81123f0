import pytest

from facestats_pipeline.core.attributes.prompts import prompts_from, templates_of
from facestats_pipeline_tests.classes import CLASSES


def test_every_class_has_its_sentences() -> None:
    assert {attribute: tuple(by_class) for attribute, by_class in prompts_from().items()} == CLASSES
    for attribute, by_class in prompts_from().items():
        said = [sentence for sentences in by_class.values() for sentence in sentences]
        assert len(set(said)) == len(said), attribute
        assert not any("{" in sentence for sentence in said)
    assert "a portrait of an East Asian person" in prompts_from()["ethnicity"]["East Asian"]


def test_templates_are_filled_with_the_words_of_each_class() -> None:
    made = prompts_from({"gender": ("{}!",)})
    assert made == {"gender": {"Female": ("a woman!", "a female person!"), "Male": ("a man!", "a male person!")}}


@pytest.mark.parametrize("sentences", [(), ("a face",), ("{} and {}",), ("{0}",), ("{} {x}",)])
def test_a_template_without_one_place_for_the_class_is_refused(sentences: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="gender"):
        prompts_from(templates_of() | {"gender": sentences})
