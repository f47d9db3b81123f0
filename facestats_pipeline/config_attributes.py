"""The settings of attributes: one of each kind for every built-in attribute, and the attributes that a collection adds itself."""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from facestats_pipeline.config_section import Section, listed
from facestats_pipeline.core.attributes.attribute import Attribute, template_problem
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue


def _templates(value: tuple[str, ...]) -> tuple[str, ...]:
    if problem := template_problem(value):
        raise ValueError(problem)
    return value


def _word(value: object) -> object:
    """YAML takes unquoted yes, no, on and off for true and false."""
    if isinstance(value, bool):
        raise ValueError("put the word in quotes: YAML reads yes and no, on and off as true and false")
    return value


def _parsed(value: object) -> object:
    """A variable holds the list as YAML or JSON."""
    return yaml.safe_load(value) if isinstance(value, str) else value


Templates = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_templates)]
Word = Annotated[str, BeforeValidator(_word)]


class ExtraAttribute(Section):
    """An attribute of this collection. Its labels are in the column of labels.csv that has its name."""

    name: str = Field(description="lower-case letters, digits and _: it names columns")
    classes: tuple[Word, ...] = Field(description="at least two, in the order in which they are shown")
    prompts: dict[Word, Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]] = (
        Field({}, description="class: words for it, for zero-shot; facestats-mini knows the built-in attributes alone")
    )
    target_error: float = Field(
        0.05, gt=0, lt=1, description="error aimed at among answered rows; the rest is `unknown`"
    )

    def __hash__(self) -> int:
        return hash((self.name, self.classes))  # a dict of prompts has no hash

    @property
    def attribute(self) -> Attribute:
        """The attribute as the catalogue has it."""
        return Attribute(name=self.name, classes=self.classes, prompts=self.prompts, target_error=self.target_error)

    @model_validator(mode="after")
    def _declared_well(self) -> "ExtraAttribute":
        _ = self.attribute
        return self


class AttributeSettings(Section):
    """Beside one `target_error_…` for every built-in attribute."""

    classifier: Literal["auto", "logistic", "lightgbm"] = Field("auto", description="auto: best by cross-validation")
    folds: int = Field(5, ge=2, le=20, description="folds of the cross-validation")
    extra: Annotated[tuple[ExtraAttribute, ...], BeforeValidator(_parsed)] = Field(
        (), description="more attributes: name, classes, prompts, target_error of each; in a variable, as YAML or JSON"
    )

    @property
    def catalogue(self) -> Catalogue:
        """The built-in attributes and those of `extra`."""
        return catalogue_of(self.extra)

    def target_error(self, attribute: Attribute) -> float:
        """The error aimed at among answered rows of an attribute."""
        return float(getattr(self, f"target_error_{attribute.stem}", attribute.target_error))

    @model_validator(mode="after")
    def _fit_together(self) -> "AttributeSettings":
        if self.extra:
            from facestats_pipeline.core.table_registry import fixed_columns

            taken = fixed_columns()
            for attribute in self.catalogue:
                if clash := [name for name in attribute.columns if name in taken]:
                    raise ValueError(
                        f"{attribute.name!r}: tables have a column {clash[0]!r} already; choose another name"
                    )
        return self


class ZeroShotSettings(Section):
    """Sentences with {} where a class is named; used for an attribute that has neither a trained nor a shipped probe."""

    enabled: bool = Field(True, description="without it, an attribute that has no probe is `unknown`")

    def templates(self, catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
        """attribute → sentences, of every attribute that has words for its classes."""
        return {a.name: getattr(self, a.name, a.templates) for a in catalogue if a.prompts}


@lru_cache(maxsize=16)
def catalogue_of(extra: tuple[ExtraAttribute, ...]) -> Catalogue:
    """The built-in attributes and `extra`."""
    return BUILT_IN.with_extra(*(each.attribute for each in extra))


def _target_error(attribute: Attribute) -> Any:
    text = f"{attribute.noun}: error aimed at among answered rows; the rest is `unknown`"
    return float, Field(attribute.target_error, gt=0, lt=1, description=text)


def _sentences(attribute: Attribute) -> Any:
    text = f"sentences with {{}} for {attribute.noun}; in a variable, between `;`"
    return Templates, Field(attribute.templates, description=text)


if TYPE_CHECKING:

    class Attributes(AttributeSettings):
        """The settings of attributes."""

    class ZeroShot(ZeroShotSettings):
        """The settings of zero-shot."""

else:
    Attributes = create_model(
        "Attributes",
        __base__=AttributeSettings,
        __doc__=None,
        **{f"target_error_{each.stem}": _target_error(each) for each in BUILT_IN},
    )
    ZeroShot = create_model(
        "ZeroShot",
        __base__=ZeroShotSettings,
        __doc__=ZeroShotSettings.__doc__,
        **{each.name: _sentences(each) for each in BUILT_IN if each.prompts},
    )
